// Records framed here, and sealed by an inline NIC inside the packets: the driver's part of nic/README.md.
//
// A connection comes here when its keys do, or at a later record, when all of this holds: the way to the peer passes the host port, nothing but
// TCP itself covers its payload, and the device takes the flow. Its socket is bound to the host port first. From then on
// it keeps its flow, also while its records are sealed by software (the device is dead, the operator wants it, or the way
// to the peer leads elsewhere): those are announced as sealed, so that it can come back at any record. The flow ends with the
// connection, or when nothing of it needs the device and that is dead, or not on its way.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "engine/connection.hpp"
#include "engine/paths/path.hpp"
#include "nic/port/host_socket.hpp"
#include "nic/runtime/netlink.hpp"
#include "nic/runtime/nic.hpp"

namespace socrypt::engine {

class NicPath final : public OffloadPath {
 public:
  /// `mustRetain`: the device is useless without the payload of what is not acknowledged (resync modes other than
  /// order-free).
  NicPath(std::shared_ptr<nic::Nic> nic, bool mustRetain);
  ~NicPath() override;

  WhyNot take(Connection& c, Direction direction, const record::TrafficKeys& keys) override;
  /// Takes over a connection whose records software has sealed so far, at the next one. Otherwise the reason, and nothing
  /// has changed.
  [[nodiscard]] WhyNot join(Connection& c);
  void forget(Connection& c, Direction direction) noexcept override;
  Room room(Connection& c) override;
  uint8_t* controlRoom(Connection& c, size_t bytes) override;
  Made make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) override;
  record::RecordReader::Result open(Connection& c, std::span<uint8_t> buffer, record::RecordReader::Opened& opened) override;

  /// The path of connections that have a flow and are sealed by software for now.
  [[nodiscard]] OffloadPath& aside() noexcept { return aside_; }
  [[nodiscard]] nic::Nic& nic() noexcept { return *nic_; }

  /// While set, records are sealed by software.
  void setPaused(bool paused) noexcept { paused_ = paused; }
  [[nodiscard]] bool usable() const noexcept { return !paused_ && host_.interface != 0; }
  /// Asks the NIC anew which host port it has.
  void refresh() { host_ = nic_->hostPort(); }
  [[nodiscard]] bool dead() const noexcept { return host_.interface == 0; }

  /// Tells the device what TCP says is acknowledged; true when that is everything that was written.
  bool acknowledge(Connection& c, uint64_t now) noexcept;
  /// Tries again what the device had no room for; false: it still has none.
  [[nodiscard]] bool announceWaiting(Connection& c);
  /// Binds the socket of a flow to the host port of the device that is there now. False: it could not be.
  [[nodiscard]] bool rebind(Connection& c) noexcept;
  /// Where packets to the peer would go if the socket were not bound.
  enum class Way : uint8_t { HostPort, ThisHost, Elsewhere, Nowhere };
  [[nodiscard]] Way wayOf(const nic::FlowKey& key);
  /// TCP has everything acknowledged that the device had to seal.
  [[nodiscard]] bool plainIsOver(const Connection& c) const noexcept {
    return c.nic->acknowledged >= c.nic->plainEnd && c.nic->waiting.empty() && c.nic->waitingWire.empty() && !c.nic->burst;
  }
  /// The connection goes on without the NIC: nothing that the device would have to seal is in its socket.
  void leave(Connection& c) noexcept;
  /// The sockets of what was forgotten are closed now.
  void releaseForgotten() noexcept;

  /// Frames records around a file's pages, as `burst` has them, and announces them. False: they could not be framed.
  [[nodiscard]] bool beginBurst(Connection& c, FileBurst&& burst);

 private:
  class Batch;
  struct Pool;
  // The same connections, sealed here.
  class Aside final : public OffloadPath {
   public:
    explicit Aside(NicPath& path) noexcept : OffloadPath(PathKind::Software), path_(path) {}
    WhyNot take(Connection& c, Direction direction, const record::TrafficKeys& keys) override;
    void forget(Connection& c, Direction direction) noexcept override { path_.forget(c, direction); }
    Room room(Connection& c) override { return path_.room(c); }
    uint8_t* controlRoom(Connection& c, size_t bytes) override { return path_.controlRoom(c, bytes); }
    Made make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) override;
    record::RecordReader::Result open(Connection& c, std::span<uint8_t> buffer, record::RecordReader::Opened& opened) override { return path_.open(c, buffer, opened); }

   private:
    NicPath& path_;
  };

  [[nodiscard]] WhyNot enter(Connection& c, const record::TrafficKeys& keys);
  [[nodiscard]] WhyNot routed(Connection& c, const nic::FlowKey& key);
  [[nodiscard]] WhyNot rekey(Connection& c, const record::TrafficKeys& keys);
  [[nodiscard]] std::span<const uint8_t> announce(Connection& c, std::span<record::NewRecord> records, std::span<const uint8_t> wire);
  [[nodiscard]] record::PayloadRef retain(std::span<const uint8_t> wire);

  const std::shared_ptr<nic::Nic> nic_;
  const bool mustRetain_;
  bool paused_ = false;
  nic::Nic::HostPort host_;
  nic::Netlink netlink_;
  Aside aside_{*this};
  std::shared_ptr<Pool> pool_;
  std::unique_ptr<Batch> current_;    // where the next burst is built
  record::PayloadRef lastBatch_;      // where the last one was, until the next
  std::vector<uint8_t> control_;
  std::vector<nic::FlowKey> forgotten_;
};

}  // namespace socrypt::engine
