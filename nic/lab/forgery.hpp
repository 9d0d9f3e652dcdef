// Frames that a wire makes or changes by itself: what somebody off the path sends, what a router says, and what a
// receiver claims. For IPv4 and IPv6, except where it says so.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "nic/device/packet.hpp"
#include "nic/lab/random.hpp"
#include "nic/lab/sealer.hpp"

namespace socrypt::nic::lab {

[[nodiscard]] inline uint32_t acknowledgementOf(std::span<const uint8_t> frame, const Packet& packet) noexcept { return get32(frame.data() + packet.transport + 8); }
[[nodiscard]] inline uint16_t windowOf(std::span<const uint8_t> frame, const Packet& packet) noexcept { return get16(frame.data() + packet.transport + 14); }

/// The IP header's length and checksum, as the frame's size asks for.
void finishIp(Bytes& frame, const Packet& packet) noexcept;

/// An ACK of all up to `sentTo`, or beyond it, that TCP has to refuse (RFC 5961 5.2, RFC 9293 3.10.7.4): of what was never sent,
/// with a sequence number outside the window, or with a wrong checksum. `frame` is a genuine one of that direction.
[[nodiscard]] Bytes forgedAck(std::span<const uint8_t> frame, const Packet& packet, uint32_t sentTo, Random& random);

/// An RST that must not end the connection (RFC 5961 3.2): in the window and not exact, or outside it.
[[nodiscard]] Bytes spoofedRst(std::span<const uint8_t> frame, const Packet& packet, Random& random);

/// What a router says of a frame that is longer than `mtu` (RFC 1191), in the name of the frame's receiver. IPv4.
[[nodiscard]] Bytes fragmentationNeeded(std::span<const uint8_t> frame, const Packet& packet, uint16_t mtu);

/// Both as one frame, with the second's header: it has to follow the first in the stream.
[[nodiscard]] Bytes joined(std::span<const uint8_t> first, const Packet& firstPacket, std::span<const uint8_t> second, const Packet& secondPacket);

/// Whether it has SACK blocks (RFC 2018).
[[nodiscard]] bool hasSack(std::span<const uint8_t> frame, const Packet& packet) noexcept;
/// Lets an ACK say that [from, to) was received, by making a SACK block longer that ends or begins there. False: there is none, and
/// nothing was changed.
[[nodiscard]] bool claimReceived(std::span<uint8_t> frame, const Packet& packet, uint32_t from, uint32_t to) noexcept;

}  // namespace socrypt::nic::lab
