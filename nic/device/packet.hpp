// Ethernet frames as the host's stack sends them: where TCP's parts are, and the checksums.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace socrypt::nic {

/// One direction of one TCP connection, as packets show it. Addresses are IPv6, or IPv4 mapped into it
/// (RFC 4291 2.5.5.2); ports are in host byte order. Local is where segments come from.
struct FlowKey {
  std::array<uint8_t, 16> localAddress{};
  std::array<uint8_t, 16> remoteAddress{};
  uint16_t localPort = 0;
  uint16_t remotePort = 0;
  bool operator==(const FlowKey&) const = default;
};

inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kTcpFin = 0x01, kTcpSyn = 0x02, kTcpRst = 0x04, kTcpPsh = 0x08, kTcpUrg = 0x20, kTcpCwr = 0x80;

inline uint16_t get16(const uint8_t* p) noexcept { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t get32(const uint8_t* p) noexcept { return uint32_t{get16(p)} << 16 | get16(p + 2); }
inline void put16(uint8_t* p, uint32_t value) noexcept {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}
inline void put32(uint8_t* p, uint32_t value) noexcept {
  put16(p, value >> 16);
  put16(p + 2, value);
}

/// What a frame is. Offsets count from the frame's first byte.
struct Packet {
  enum class Kind : uint8_t {
    Other,    // certainly not TCP
    Tcp,      // every field below is filled and within the frame
    Carried,  // TCP inside of another protocol; `key` is its, and payloadLength() what it has
    Opaque,   // may hold anything between the two addresses of `key`: ESP, what is not known
    Unclear,  // may be TCP, or a part of it: a fragment, cut short, lengths that contradict
  };
  Kind kind = Kind::Unclear;
  bool ipv6 = false;
  uint8_t protocol = 0;       // behind the first IP header; Unclear: TCP, or what may hold it
  uint8_t flags = 0;
  bool unsupported = false;   // an option that covers the payload: MD5, TCP-AO, MPTCP
  uint16_t ip = 0;
  uint16_t transport = 0;     // 0 when no IP header was found
  uint32_t payload = 0;
  uint32_t end = 0;           // behind the IP datagram; padding may follow
  uint32_t sequence = 0;
  FlowKey key;
  [[nodiscard]] uint32_t payloadLength() const noexcept { return end - payload; }
};

[[nodiscard]] Packet parsePacket(std::span<const uint8_t> frame) noexcept;

/// The Internet checksum (RFC 1071) of `data`, added to a sum so far; not folded, not inverted.
[[nodiscard]] uint64_t checksumAdd(std::span<const uint8_t> data, uint64_t sum = 0) noexcept;
/// Folded to 16 bits, not inverted.
[[nodiscard]] uint16_t checksumFold(uint64_t sum) noexcept;

/// The sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) for `length` bytes of TCP or UDP.
[[nodiscard]] uint64_t pseudoHeaderSum(const Packet& packet, const uint8_t* frame, uint32_t length) noexcept;

}  // namespace socrypt::nic
