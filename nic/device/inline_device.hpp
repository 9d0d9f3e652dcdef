// The device: a table of flows, and what happens to one frame from the host's stack.
//
// Fail closed: a segment of a flow leaves sealed or not at all. What is certainly no offloaded segment
// passes as it is. State exists only for flows that the host has added; no packet makes any.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "nic/device/counters.hpp"
#include "nic/device/flow.hpp"
#include "nic/device/segmenter.hpp"

namespace socrypt::nic {

struct DeviceOptions {
  FlowOptions flow{};
  /// Flows and removed flows whose host socket may still live, together.
  size_t maxFlows = 65536;
  /// Retained plaintext of all flows, in bytes.
  uint64_t payloadBytes = 256u << 20;
  /// Of the flow table's hash, so that peers cannot choose ports that collide; random when left out.
  std::optional<uint64_t> hashSeed{};
};

/// Records that are announced through a queue, and not by a call of push() before their bytes are written, may be in the
/// queue yet when their first segment is here.
class CatchUp {
 public:
  virtual ~CatchUp() = default;
  /// Pushes all that is in the queue now.
  virtual void catchUp() = 0;
};

class InlineDevice final : public Device {
 public:
  explicit InlineDevice(const DeviceOptions& options);
  ~InlineDevice() override;

  [[nodiscard]] ocf::Status add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged, FlowId* flow) override;
  [[nodiscard]] ocf::Status rekey(FlowId flow, const record::TrafficKeys& keys) override;
  [[nodiscard]] ocf::Status push(FlowId flow, std::span<record::NewRecord> records) override;
  void acknowledged(FlowId flow, uint64_t streamOffset) override;
  void resync(FlowId flow, uint64_t streamOffset) override;
  void remove(FlowId flow) override;
  void release(const FlowKey& key) override;
  void bound(FlowId flow) override;

  /// The host port is another. What comes from the wire for a flow that is there now is not deliverable before its socket
  /// is bound to that port, or, should nobody tell, for `nanoseconds` from `now` on, a time of setTime(): the host's stack would
  /// find no socket and answer with RST, and the peer sends again what is lost.
  void awaitBinding(uint64_t now, uint64_t nanoseconds);
  /// Whether the host's stack may have this frame from the wire.
  [[nodiscard]] bool deliverable(std::span<const uint8_t> frame);

  /// One frame from the host's stack: sealed in place where it belongs to a flow, completed, cut, and given
  /// to `wire`; or dropped. `frame` holds nothing of use afterwards. Any number of threads, each with its
  /// own frames and sinks.
  void transmit(std::span<uint8_t> frame, const FrameOffload& offload, FrameSink& wire);

  /// The host's side has been read until it was empty, at `milliseconds` of a clock that only runs forward.
  /// Keys of removed flows become free by this: when it was said again and again, for a second, since their
  /// sockets were gone. No step counts for more than 20 milliseconds: a guest that was suspended, be it again and again,
  /// finds its clock ahead and its queues as they were. True: some still wait for it, and it is to be said as often.
  bool hostIdle(uint64_t milliseconds);

  /// Asked by transmit() before it drops a segment for want of records. Null: nobody, from when this returns on.
  void setCatchUp(CatchUp* catchUp);

  /// Loses what the flow's segments have taught, as if its context had been evicted.
  void evict(FlowId flow);
  /// The same with all flows.
  void evict();

  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  [[nodiscard]] std::optional<Flow::Usage> usage(FlowId flow);
  [[nodiscard]] uint64_t retainedBytes() const noexcept { return budget_.used(); }
  [[nodiscard]] size_t flows();
  struct Listed {
    FlowId id;
    FlowKey key;
    Flow::Usage usage;
  };
  /// All flows, by id.
  [[nodiscard]] std::vector<Listed> list();
  /// None: no such flow.
  [[nodiscard]] std::optional<std::vector<RecordTrace>> trace(FlowId flow);
  /// What the trace calls now, in nanoseconds of any clock.
  void setTime(uint64_t nanoseconds) noexcept { now_.store(nanoseconds, std::memory_order_relaxed); }

 private:
  struct Hash {
    uint64_t seed;
    size_t operator()(const FlowKey& key) const noexcept;
  };
  [[nodiscard]] std::shared_ptr<Flow> find(FlowId flow);
  [[nodiscard]] Flow::Result seal(Flow& flow, uint32_t sequence, std::span<uint8_t> payload);

  const DeviceOptions options_;
  Counters counters_;
  record::RetentionBudget budget_;
  std::shared_mutex mutex_;
  // Null: removed, but its host socket may live, or segments of it may wait in a queue.
  std::unordered_map<FlowKey, std::shared_ptr<Flow>, Hash> table_;
  std::unordered_map<uint64_t, std::shared_ptr<Flow>> byId_;
  // How many of the table's keys have these addresses; without ports.
  std::unordered_map<FlowKey, size_t, Hash> hosts_;
  uint64_t lastId_ = 0;
  // Removed flows whose sockets are gone, and for how long the host's side was seen empty after that.
  struct Gone {
    FlowKey key;
    std::optional<uint64_t> idle;
  };
  std::vector<Gone> gone_;
  uint64_t lastIdle_ = 0;
  std::atomic<bool> anyGone_{false};

  std::unordered_set<FlowKey, Hash> unbound_;
  // A leap of the clock counts for half of it at most.
  uint64_t bindingLeft_ = 0;
  uint64_t bindingStep_ = 0;
  uint64_t bindingLookedAt_ = 0;
  std::atomic<bool> anyUnbound_{false};

  std::atomic<uint64_t> now_{0};
  std::shared_mutex catchUpMutex_;
  CatchUp* catchUp_ = nullptr;
};

}  // namespace socrypt::nic
