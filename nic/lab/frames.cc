#include "nic/lab/frames.hpp"

#include <algorithm>
#include <utility>

namespace socrypt::nic::lab {
namespace {

void put16(Bytes& b, size_t v) {
  b.push_back(static_cast<uint8_t>(v >> 8));
  b.push_back(static_cast<uint8_t>(v));
}
void put32(Bytes& b, uint32_t v) {
  put16(b, v >> 16);
  put16(b, v & 0xffff);
}
void append(Bytes& b, std::span<const uint8_t> more) { b.insert(b.end(), more.begin(), more.end()); }

// RFC 1071; 0xffff for data that includes a right checksum.
uint32_t sum16(std::span<const uint8_t> data, uint64_t sum = 0) {
  size_t i = 0;
  for (; i + 4 <= data.size(); i += 4) sum += uint64_t{data[i]} << 24 | uint64_t{data[i + 1]} << 16 | uint64_t{data[i + 2]} << 8 | data[i + 3];
  for (; i < data.size(); ++i) sum += uint64_t{data[i]} << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint32_t>(sum);
}

// RFC 9293 3.1, RFC 8200 8.1.
uint32_t pseudoHeader(const Path& path, size_t length) { return sum16(path.local, uint64_t{sum16(path.remote)} + 6 + (length >> 16) + (length & 0xffff)); }

}  // namespace

FlowKey Path::key() const {
  FlowKey k;
  if (ipv6) {
    std::copy(local.begin(), local.end(), k.localAddress.begin());
    std::copy(remote.begin(), remote.end(), k.remoteAddress.begin());
  } else {
    k.localAddress[10] = k.localAddress[11] = k.remoteAddress[10] = k.remoteAddress[11] = 0xff;
    std::copy(local.begin(), local.end(), k.localAddress.begin() + 12);
    std::copy(remote.begin(), remote.end(), k.remoteAddress.begin() + 12);
  }
  k.localPort = localPort;
  k.remotePort = remotePort;
  return k;
}

Path Path::reversed() const {
  Path other = *this;
  std::swap(other.local, other.remote);
  std::swap(other.localPort, other.remotePort);
  return other;
}

void build(const Path& path, const TcpFields& fields, std::span<const uint8_t> payload, bool partial, uint16_t segmentSize, Built& built) {
  Bytes& b = built.frame;
  b.assign(12, 0x02);
  for (int i = 0; i < path.vlanTags; ++i) {
    put16(b, i + 1 < path.vlanTags ? 0x88a8 : 0x8100);
    put16(b, 7);
  }
  put16(b, path.ipv6 ? 0x86dd : 0x0800);
  const size_t ip = b.size();
  const size_t tcpLength = 20 + path.tcpOptions.size() + payload.size();
  if (path.ipv6) {
    put32(b, 0x60000000);
    put16(b, path.ipOptions.size() + tcpLength);
    b.push_back(path.ipOptions.empty() ? 6 : 60);
    b.push_back(64);
  } else {
    b.push_back(static_cast<uint8_t>(0x45 + path.ipOptions.size() / 4));
    b.push_back(0);
    put16(b, 20 + path.ipOptions.size() + tcpLength);
    put32(b, 0x12344000);
    b.push_back(64);
    b.push_back(6);
    put16(b, 0);
  }
  append(b, path.local);
  append(b, path.remote);
  append(b, path.ipOptions);
  if (!path.ipv6) {
    const uint32_t sum = sum16(std::span(b).subspan(ip));
    b[ip + 10] = static_cast<uint8_t>(~sum >> 8);
    b[ip + 11] = static_cast<uint8_t>(~sum);
  }
  const size_t tcp = b.size();
  put16(b, path.localPort);
  put16(b, path.remotePort);
  put32(b, fields.sequence);
  put32(b, fields.acknowledgement);
  b.push_back(static_cast<uint8_t>((20 + path.tcpOptions.size()) / 4 << 4));
  b.push_back(fields.flags);
  put16(b, fields.window);
  put16(b, 0);
  put16(b, 0);
  append(b, path.tcpOptions);
  built.payload = b.size();
  append(b, payload);
  uint32_t sum = pseudoHeader(path, tcpLength);
  if (!partial) sum = ~sum16(std::span(b).subspan(tcp), sum);
  b[tcp + 16] = static_cast<uint8_t>(sum >> 8);
  b[tcp + 17] = static_cast<uint8_t>(sum);
  built.offload = {};
  if (partial) built.offload = {FrameOffload::Checksum::Partial, static_cast<uint16_t>(tcp), 16, segmentSize, true};
}

Built build(const Path& path, uint32_t sequence, uint8_t flags, const Bytes& payload, bool partial, uint16_t segmentSize) {
  Built built;
  build(path, {.sequence = sequence, .flags = flags}, payload, partial, segmentSize, built);
  return built;
}

std::optional<Taken> take(const Path& path, std::span<const uint8_t> b, std::string& why) {
  const auto wrong = [&](const char* what) {
    why = what;
    return std::nullopt;
  };
  const size_t ip = 14 + 4 * static_cast<size_t>(path.vlanTags);
  const size_t tcp = ip + (path.ipv6 ? 40 : 20) + path.ipOptions.size();
  if (b.size() < tcp + 20) return wrong("shorter than its headers");
  const size_t end = path.ipv6 ? ip + 40 + (size_t{b[ip + 4]} << 8 | b[ip + 5]) : ip + (size_t{b[ip + 2]} << 8 | b[ip + 3]);
  if (end != b.size()) return wrong("another length than its IP header says");
  if (!path.ipv6 && sum16(b.subspan(ip, tcp - ip)) != 0xffff) return wrong("a wrong IP checksum");
  const size_t addresses = ip + (path.ipv6 ? 8 : 12), n = path.local.size();
  if (!std::equal(path.local.begin(), path.local.end(), b.begin() + static_cast<long>(addresses)) ||
      !std::equal(path.remote.begin(), path.remote.end(), b.begin() + static_cast<long>(addresses + n)))
    return wrong("other addresses");
  const auto segment = b.subspan(tcp);
  if ((segment[0] << 8 | segment[1]) != path.localPort || (segment[2] << 8 | segment[3]) != path.remotePort) return wrong("other ports");
  if (sum16(segment, pseudoHeader(path, segment.size())) != 0xffff) return wrong("a wrong TCP checksum");
  const size_t header = size_t{segment[12]} / 16 * 4;
  if (header != 20 + path.tcpOptions.size()) return wrong("another TCP header length");
  return Taken{uint32_t{segment[4]} << 24 | uint32_t{segment[5]} << 16 | uint32_t{segment[6]} << 8 | segment[7], segment[13], segment.subspan(header)};
}

}  // namespace socrypt::nic::lab
