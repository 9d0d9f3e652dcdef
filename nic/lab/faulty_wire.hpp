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
  /// seam Host are left out. `canary` must not be in what comes from `first`.
  FaultyWire(const Plan& plan, Port& first, Port& second, std::string canary);

  /// Moves what is there. `now`: microseconds of any clock. How many frames came in.
  size_t once(uint64_t now);
  /// Mtu: what is longer is dropped, and the sender told by ICMP (IPv4). RingFull: nothing is taken from the device
  /// for a while. Renege: the next frame behind a gap is dropped and the peer's SACK blocks say that it was received.
  /// False: it is not the wire that does this.
  bool act(const Deed& deed, uint64_t now);

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
  // Waits for the frame behind it.
  struct Joining {
    Bytes frame;
    uint64_t until;
  };
  struct Direction {
    Port* to;
    SeamRules rules;
    std::priority_queue<Held> held{};
    uint64_t freeAt = 0;
    std::optional<Joining> joining{};
  };
  /// What one side of a connection has sent.
  struct Sent {
    uint32_t first;  // sequence number of position 0
    uint64_t highest = 0;
    Bytes bytes;
    Ranges seen;
    uint64_t used = 0;  // when, for forgetting the oldest
    bool gap = false;   // the peer's last ACK had SACK blocks
    [[nodiscard]] uint32_t sentTo() const noexcept { return first + static_cast<uint32_t>(highest); }
  };
  // A frame that the peer never got and is said to have.
  struct Claim {
    std::array<uint8_t, 36> connection;
    uint32_t from;
    uint32_t to;
    uint64_t until;
    bool told = false;
  };
  class FromFirst;
  class FromSecond;

  void pass(Direction& direction, std::span<uint8_t> frame);
  void finishPassing(Direction& direction, std::span<uint8_t> frame, const Packet& packet, const Fate& fate);
  // What happens to frames beside the rules; false: it is gone.
  [[nodiscard]] bool forward(std::span<const uint8_t> frame, const Packet& packet);
  void backward(std::span<uint8_t> frame, const Packet& packet, const Fate& fate);
  [[nodiscard]] bool join(Direction& direction, std::span<const uint8_t> frame, const Packet& packet, const Fate& fate);
  void letGo(Direction& direction);
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
  uint32_t mtu_ = 0;            // of an IP packet to the peer; 0: any
  uint64_t stalledUntil_ = 0;
  bool claimWanted_ = false;
  std::optional<Claim> claim_;
  bool unfinished_ = false;
  bool capturing_ = false;
  Capture capture_;
  std::map<std::array<uint8_t, 36>, Sent> sent_;
};

}  // namespace socrypt::nic::lab
