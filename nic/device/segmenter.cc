#include "nic/device/segmenter.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace socrypt::nic {
namespace {

constexpr size_t kTcpChecksum = 16;
constexpr size_t kUdpChecksum = 6;
constexpr size_t kIpv4Checksum = 10;
// Ethernet, two VLAN tags, IPv6 with extension headers or IPv4 with options, TCP with options.
constexpr size_t kMaxHeaders = 512;

void storeChecksum(uint8_t* at, uint64_t sum, bool udp = false) noexcept {
  uint16_t value = static_cast<uint16_t>(~checksumFold(sum));
  // RFC 768: "An all zero transmitted checksum value means that the transmitter generated no checksum".
  if (udp && value == 0) value = 0xffff;
  put16(at, value);
}

// TCP or UDP from `transport` to the end of the datagram, computed anew.
void completeTransport(std::span<uint8_t> frame, const Packet& packet) noexcept {
  const bool udp = packet.protocol == kProtocolUdp;
  const uint32_t length = packet.end - packet.transport;
  uint8_t* field = frame.data() + packet.transport + (udp ? kUdpChecksum : kTcpChecksum);
  put16(field, 0);
  storeChecksum(field, checksumAdd(frame.subspan(packet.transport, length), pseudoHeaderSum(packet, frame.data(), length)), udp);
}

bool canComplete(const Packet& packet) noexcept {
  if (packet.kind == Packet::Kind::Tcp) return true;
  return packet.kind == Packet::Kind::Other && packet.transport != 0 && packet.protocol == kProtocolUdp &&
         packet.end - packet.transport >= 8;
}

SegmentCount cut(std::span<uint8_t> frame, const Packet& packet, uint16_t size, FrameSink& sink) noexcept {
  SegmentCount count;
  std::array<uint8_t, kMaxHeaders> head;
  if (packet.payload > head.size()) return count;
  std::memcpy(head.data(), frame.data(), packet.payload);
  uint8_t* ip = head.data() + packet.ip;
  uint8_t* tcp = head.data() + packet.transport;
  const uint16_t identification = get16(ip + 4);
  const uint8_t flags = packet.flags;
  const uint32_t total = packet.payloadLength();
  const uint32_t headerLength = packet.payload - packet.transport;
  for (uint32_t from = 0, index = 0; from < total; from += size, ++index) {
    const uint32_t n = std::min<uint32_t>(size, total - from);
    const bool last = from + n == total;
    const auto data = frame.subspan(packet.payload + from, n);
    const uint32_t datagram = packet.payload - packet.ip + n;
    if (packet.ipv6) {
      put16(ip + 4, datagram - 40);
    } else {
      put16(ip + 2, datagram);
      // RFC 6864 4: with DF the identification means nothing; without, every segment has its own.
      put16(ip + 4, identification + index);
      put16(ip + kIpv4Checksum, 0);
      storeChecksum(ip + kIpv4Checksum, checksumAdd({ip, size_t{ip[0] & 0x0fu} * 4}));
    }
    put32(tcp + 4, packet.sequence + from);
    uint8_t own = flags;
    if (!last) own &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
    if (index != 0) own &= static_cast<uint8_t>(~kTcpCwr);  // RFC 3168 6.1.2: once per reduction
    tcp[13] = own;
    put16(tcp + kTcpChecksum, 0);
    storeChecksum(tcp + kTcpChecksum,
                  checksumAdd(data, checksumAdd({tcp, headerLength}, pseudoHeaderSum(packet, head.data(), headerLength + n))));
    ++(sink.send({head.data(), packet.payload}, data) ? count.sent : count.lost);
  }
  return count;
}

}  // namespace

SegmentCount finishFrame(std::span<uint8_t> frame, const Packet& packet, const FrameOffload& offload, bool sealed,
                         FrameSink& sink) noexcept {
  if (offload.segmentSize != 0 && offload.tcp && packet.kind == Packet::Kind::Tcp && packet.payloadLength() > offload.segmentSize)
    return cut(frame, packet, offload.segmentSize, sink);
  if (offload.segmentSize != 0 && (!offload.tcp || packet.kind != Packet::Kind::Tcp)) return {};
  if (sealed || (offload.checksum == FrameOffload::Checksum::Unknown && canComplete(packet))) {
    completeTransport(frame, packet);
  } else if (offload.checksum == FrameOffload::Checksum::Partial) {
    // The field holds the pseudo-header's sum already.
    const size_t field = size_t{offload.start} + offload.offset;
    if (offload.start > frame.size() || field + 2 > frame.size()) return {};
    const size_t end = packet.end > offload.start ? packet.end : frame.size();
    storeChecksum(frame.data() + field, checksumAdd(frame.subspan(offload.start, end - offload.start)),
                  packet.protocol == kProtocolUdp && offload.offset == kUdpChecksum);
  }
  return sink.send(frame, {}) ? SegmentCount{1, 0} : SegmentCount{0, 1};
}

}  // namespace socrypt::nic
