// A wire between two ports of a real network, with the faults of a plan on it, that looks at what goes by. It has no
// keys: of every TCP connection it remembers what the first port has sent at each position, and holds it that another
// transmission is the same to the byte. That the peer has opened the records says what they are.
#pragma once

#include <map>
#include <optional>
#include <queue>
#include <string>

#include "nic/lab/capture.hpp"
#include "nic/lab/faults.hpp"
#include "nic/lab/ranges.hpp"
#include "nic/lab/stream.hpp"
#include "nic/port/port.hpp"

namespace socrypt::nic::lab {

struct WireCounts {
#define COUNT(name, help) uint64_t name = 0;
#include "nic/lab/wire_counts.def"
#undef COUNT
};

class FaultyWire {
 public:
  /// Frames from `first` are the device's: rules of the seam Out are theirs, those of Back the others'. Rules of the
  /// seam Host, and faults that make frames of their own, are left out. `canary` must not be in what comes from `first`.
  FaultyWire(const Plan& plan, Port& first, Port& second, std::string canary);

  /// Moves what is there. `now`: microseconds of any clock. How many frames came in.
  size_t once(uint64_t now);
  /// When something that was held back is due; UINT64_MAX: nothing is.
  [[nodiscard]] uint64_t due() const noexcept;
  /// A port has to be flushed again.
  [[nodiscard]] bool unfinished() const noexcept { return unfinished_; }

  void capture(bool on) noexcept { capturing_ = on; }
  [[nodiscard]] const WireCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] const std::optional<Violation>& finding() const noexcept { return finding_; }
  [[nodiscard]] uint64_t foundAt() const noexcept { return foundAt_; }
  [[nodiscard]] const Capture& captured() const noexcept { return capture_; }

 private:
  struct Held {
    uint64_t at;
    uint64_t order;
    Bytes frame;
    bool operator<(const Held& other) const noexcept { return at != other.at ? at > other.at : order > other.order; }
  };
  struct Direction {
    Port* to;
    SeamRules rules;
    std::priority_queue<Held> held{};
    uint64_t freeAt = 0;
  };
  /// What one side of a connection has sent.
  struct Sent {
    uint32_t first;  // sequence number of position 0
    uint64_t highest = 0;
    Bytes bytes;
    Ranges seen;
    uint64_t used = 0;  // when, for forgetting the oldest
  };
  class FromFirst;
  class FromSecond;

  void pass(Direction& direction, std::span<uint8_t> frame);
  void hold(Direction& direction, std::span<const uint8_t> frame, uint64_t at);
  [[nodiscard]] bool release(Direction& direction);
  void look(const Packet& packet, std::span<const uint8_t> frame);
  void remember(const Packet& packet, std::span<const uint8_t> payload);
  void find(std::string invariant, std::string what);

  Direction out_;
  Direction back_;
  Port& first_;
  Port& second_;
  const std::string canary_;
  Random random_;
  WireCounts counts_;
  std::optional<Violation> finding_;
  uint64_t foundAt_ = 0;
  uint64_t now_ = 0;
  uint64_t order_ = 0;
  bool unfinished_ = false;
  bool capturing_ = false;
  Capture capture_;
  std::map<std::array<uint8_t, 36>, Sent> sent_;
};

}  // namespace socrypt::nic::lab
