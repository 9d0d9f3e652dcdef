// The NIC of another process of this host, as an engine sees it.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "nic/port/descriptor.hpp"
#include "nic/remote/wire.hpp"
#include "nic/runtime/nic.hpp"
#include "nic/runtime/watchers.hpp"

namespace socrypt::nic::remote {

/// A payload in memory is not lent across processes: the device does without (order-free), and what is missing of a
/// record comes from TCP.
class RemoteNic final : public Nic, private Device {
 public:
  /// Null: `why` says what was missing.
  [[nodiscard]] static std::shared_ptr<RemoteNic> open(std::string path, std::string& why);
  ~RemoteNic() override;

  [[nodiscard]] Device& device() noexcept override { return *this; }
  [[nodiscard]] HostPort hostPort() override;
  [[nodiscard]] bool broken(FlowId flow) override;
  [[nodiscard]] bool has(FlowId flow) override;
  [[nodiscard]] std::shared_ptr<void> watch(std::function<void()> changed) override { return watchers_.watch(std::move(changed)); }

  /// Connects again after the other process was gone. Flows of before are not there any more. False: `why`.
  [[nodiscard]] bool reconnect(std::string& why);
  [[nodiscard]] bool alive();
  [[nodiscard]] size_t flows();

 private:
  explicit RemoteNic(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] bool connect(std::string& why);
  void listen(int notices);
  void lost();

  [[nodiscard]] ocf::Status add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged, FlowId* flow) override;
  [[nodiscard]] ocf::Status rekey(FlowId flow, const record::TrafficKeys& keys) override;
  [[nodiscard]] ocf::Status push(FlowId flow, std::span<record::NewRecord> records) override;
  void acknowledged(FlowId flow, uint64_t streamOffset) override;
  void resync(FlowId flow, uint64_t streamOffset) override;
  void remove(FlowId flow) override;
  void release(const FlowKey& key) override;

  // With mutex_ held.
  [[nodiscard]] bool ask(std::span<const uint8_t> packet, int descriptor, Reply& reply);
  [[nodiscard]] bool current(FlowId flow) const noexcept;

  struct Flow {
    std::deque<uint64_t> ends;    // stream offsets behind the records that the device has mapped
    record::PayloadRef file{};    // what it has been given
  };

  const std::string path_;
  Watchers watchers_;
  std::mutex mutex_;  // of what follows
  Descriptor socket_;
  std::shared_ptr<Descriptor> notices_;
  std::thread listener_;
  HostPort host_;
  uint32_t connection_ = 0;  // the top of every flow's name, so that one of an earlier connection is known
  uint32_t records_ = 0;     // mapped at most, of one flow
  std::unordered_map<uint64_t, Flow> flows_;
  std::unordered_set<uint64_t> broken_, gone_;
};

}  // namespace socrypt::nic::remote
