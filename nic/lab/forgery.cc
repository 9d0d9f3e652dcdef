#include "nic/lab/forgery.hpp"

#include <algorithm>

namespace socrypt::nic::lab {
namespace {

constexpr uint8_t kAck = 0x10;
constexpr uint8_t kOptionEnd = 0, kOptionNothing = 1, kOptionSack = 5;
constexpr size_t kIcmpQuoted = 8;  // bytes behind the IP header, RFC 792

// Lengths and checksums as the frame's size asks for.
void finish(Bytes& frame, const Packet& packet) {
  finishIp(frame, packet);
  uint8_t* tcp = frame.data() + packet.transport;
  const auto segment = std::span<const uint8_t>(frame).subspan(packet.transport);
  put16(tcp + 16, 0);
  put16(tcp + 16, static_cast<uint16_t>(~checksumFold(checksumAdd(segment, pseudoHeaderSum(packet, frame.data(), static_cast<uint32_t>(segment.size()))))));
}

Bytes empty(std::span<const uint8_t> frame, const Packet& packet, uint8_t flags) {
  Bytes made(frame.begin(), frame.begin() + packet.payload);
  made[packet.transport + 13u] = flags;
  return made;
}

// The first SACK option: offset of its blocks and their number.
struct Blocks {
  size_t at = 0;
  size_t count = 0;
};
Blocks sackOf(std::span<const uint8_t> frame, const Packet& packet) noexcept {
  for (size_t i = packet.transport + 20u; i < packet.payload;) {
    const uint8_t kind = frame[i];
    if (kind == kOptionEnd) break;
    if (kind == kOptionNothing) {
      ++i;
      continue;
    }
    const size_t length = i + 1 < packet.payload ? frame[i + 1] : 0;
    if (length < 2 || i + length > packet.payload) break;
    if (kind == kOptionSack) return {i + 2, (length - 2) / 8};
    i += length;
  }
  return {};
}

}  // namespace

void finishIp(Bytes& frame, const Packet& packet) noexcept {
  uint8_t* ip = frame.data() + packet.ip;
  const auto length = static_cast<uint32_t>(frame.size() - packet.ip);
  if (packet.ipv6) return put16(ip + 4, length - 40);
  put16(ip + 2, length);
  put16(ip + 10, 0);
  put16(ip + 10, static_cast<uint16_t>(~checksumFold(checksumAdd(std::span(frame).subspan(packet.ip, size_t{4} * (ip[0] & 15))))));
}

Bytes forgedAck(std::span<const uint8_t> frame, const Packet& packet, uint32_t sentTo, Random& random) {
  Bytes made = empty(frame, packet, kAck);
  uint8_t* tcp = made.data() + packet.transport;
  const uint64_t kind = random.below(3);
  const auto far = static_cast<uint32_t>((1u << 25) + random.below(100'000));
  put32(tcp + 8, kind == 0 ? sentTo + far : sentTo);
  if (kind == 1) put32(tcp + 4, packet.sequence - far);
  finish(made, packet);
  if (kind == 2) tcp[16] ^= 0x40;
  return made;
}

Bytes spoofedRst(std::span<const uint8_t> frame, const Packet& packet, Random& random) {
  Bytes made = empty(frame, packet, kTcpRst | kAck);
  // A client's own bytes until then are fewer.
  const uint32_t inWindow = packet.sequence + packet.payloadLength() + static_cast<uint32_t>(random.between(5000, 20'000));
  put32(made.data() + packet.transport + 4, random.below(2) == 0 ? inWindow : packet.sequence - (1u << 25));
  finish(made, packet);
  return made;
}

Bytes fragmentationNeeded(std::span<const uint8_t> frame, const Packet& packet, uint16_t mtu) {
  Bytes made(frame.begin() + 6, frame.begin() + 12);  // to where it came from
  made.insert(made.end(), frame.begin(), frame.begin() + 6);
  made.insert(made.end(), frame.begin() + 12, frame.begin() + packet.ip);
  const uint8_t* ip = frame.data() + packet.ip;
  const size_t quoted = packet.transport - packet.ip + kIcmpQuoted;
  Bytes header{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0};
  put16(header.data() + 2, static_cast<uint32_t>(20 + 8 + quoted));
  header.insert(header.end(), ip + 16, ip + 20);
  header.insert(header.end(), ip + 12, ip + 16);
  put16(header.data() + 10, static_cast<uint16_t>(~checksumFold(checksumAdd(header))));
  Bytes message{3, 4, 0, 0, 0, 0, 0, 0};
  put16(message.data() + 6, mtu);
  message.insert(message.end(), ip, ip + quoted);
  put16(message.data() + 2, static_cast<uint16_t>(~checksumFold(checksumAdd(message))));
  made.insert(made.end(), header.begin(), header.end());
  made.insert(made.end(), message.begin(), message.end());
  return made;
}

Bytes joined(std::span<const uint8_t> first, const Packet& firstPacket, std::span<const uint8_t> second, const Packet& secondPacket) {
  Bytes made(second.begin(), second.begin() + secondPacket.payload);
  made.insert(made.end(), first.begin() + firstPacket.payload, first.begin() + firstPacket.end);
  made.insert(made.end(), second.begin() + secondPacket.payload, second.begin() + secondPacket.end);
  put32(made.data() + secondPacket.transport + 4, firstPacket.sequence);
  finish(made, secondPacket);
  return made;
}

bool hasSack(std::span<const uint8_t> frame, const Packet& packet) noexcept { return sackOf(frame, packet).count != 0; }

bool claimReceived(std::span<uint8_t> frame, const Packet& packet, uint32_t from, uint32_t to) noexcept {
  const Blocks blocks = sackOf(frame, packet);
  bool changed = false;
  for (size_t i = 0; i < blocks.count && !changed; ++i) {
    uint8_t* block = frame.data() + blocks.at + 8 * i;
    changed = true;
    if (get32(block + 4) == from) {
      put32(block + 4, to);
    } else if (get32(block) == to) {
      put32(block, from);
    } else {
      changed = false;
    }
  }
  if (!changed) return false;
  uint8_t* tcp = frame.data() + packet.transport;
  const auto segment = frame.subspan(packet.transport, packet.end - packet.transport);
  put16(tcp + 16, 0);
  put16(tcp + 16, static_cast<uint16_t>(~checksumFold(checksumAdd(segment, pseudoHeaderSum(packet, frame.data(), static_cast<uint32_t>(segment.size()))))));
  return true;
}

}  // namespace socrypt::nic::lab
