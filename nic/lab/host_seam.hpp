// The seam between the host's TCP and the device on the real stage: frames as they leave the host's stack, with what that
// leaves to the device (virtio 1.2, 5.1.6), and a plan's faults. Knows no sockets.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "nic/device/packet.hpp"
#include "nic/lab/faults.hpp"
#include "nic/lab/sealer.hpp"

namespace socrypt::nic::lab {

/// virtio_net_hdr, the numbers as the host has them.
struct Offload {
  static constexpr uint8_t kNeedsChecksum = 1, kGsoNone = 0, kGsoTcp4 = 1, kGsoTcp6 = 4;
  uint8_t flags = 0;
  uint8_t gsoType = kGsoNone;
  uint16_t headerLength = 0;
  uint16_t gsoSize = 0;
  uint16_t checksumStart = 0;
  uint16_t checksumOffset = 0;
};
static_assert(sizeof(Offload) == 10);

struct HostFrame {
  Offload offload;
  Bytes frame;
};

struct HostCounts {
#define COUNT(name, help) uint64_t name = 0;
#include "nic/lab/host_counts.def"
#undef COUNT
};

class HostSeam {
 public:
  /// Rules of the seam Host. `canary` is in the plaintext of offloaded connections; only those are given noise.
  HostSeam(const Plan& plan, std::string canary);

  /// TCP hands over a frame.
  void take(HostFrame frame, uint64_t now);
  /// Gives what is due to `device`, in order.
  void release(uint64_t now, const std::function<void(const HostFrame&)>& device);
  /// The host port is another: what was on its way to the last one is gone with that.
  void forget() noexcept;
  /// When something that was held back is due; UINT64_MAX: nothing is.
  [[nodiscard]] uint64_t due() const noexcept;
  [[nodiscard]] const HostCounts& counts() const noexcept { return counts_; }

 private:
  struct Held {
    uint64_t at;
    uint64_t order;
    HostFrame frame;
    bool operator<(const Held& other) const noexcept { return at != other.at ? at > other.at : order > other.order; }
  };

  void pass(HostFrame frame, const Fate& fate, uint64_t now);
  void hold(HostFrame frame, uint64_t at) { held_.push({at, order_++, std::move(frame)}); }
  void stray(const FlowKey& key, uint64_t bytes, uint64_t now);
  void noise(const HostFrame& like, uint64_t now);
  void letGo(uint64_t now);

  SeamRules rules_;
  const std::string canary_;
  Random random_;
  HostCounts counts_;
  std::priority_queue<Held> held_;
  uint64_t order_ = 0;
  uint64_t freeAt_ = 0;
  std::optional<HostFrame> joining_;
  std::vector<HostFrame> row_;  // to be turned around
  uint32_t rowLeft_ = 0;
  uint64_t until_ = UINT64_MAX;  // for those two
  std::deque<HostFrame> recent_;
};

/// The part [from, to) of a frame's payload as a frame of its own.
[[nodiscard]] HostFrame partOf(const HostFrame& whole, size_t from, size_t to);

}  // namespace socrypt::nic::lab
