// What a frame still owes to the wire: checksums that the host's stack left to the device, and the cutting
// of a large segment (TSO) into ones of the wire's size.
#pragma once

#include <cstdint>
#include <span>

#include "nic/device/packet.hpp"

namespace socrypt::nic {

/// What the host says of a frame beside its bytes (virtio 1.2, 5.1.6).
struct FrameOffload {
  enum class Checksum : uint8_t {
    Complete,
    Partial,  // to be computed from `start` to the end and stored at start + offset
    Unknown,  // the port cannot tell: of TCP and UDP it is computed anew
  };
  Checksum checksum = Checksum::Complete;
  uint16_t start = 0;
  uint16_t offset = 0;
  uint16_t segmentSize = 0;  // payload bytes per segment on the wire (gso_size); 0: send as it is
  bool tcp = true;           // with segmentSize: what is to be cut is TCP
};

/// Takes finished frames. A frame comes in two parts that belong behind one another.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  /// False: no room; the frame is lost, as on any wire.
  virtual bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept = 0;
};

struct SegmentCount {
  uint32_t sent = 0;
  uint32_t lost = 0;  // the sink had no room
};

/// Completes `frame` and gives it to `sink`, in pieces when `offload` says so. `sealed`: the payload was
/// changed, so the checksum is computed whatever `offload` says. Returns no frames at all when what the
/// host asks for contradicts the frame.
SegmentCount finishFrame(std::span<uint8_t> frame, const Packet& packet, const FrameOffload& offload, bool sealed,
                         FrameSink& sink) noexcept;

}  // namespace socrypt::nic
