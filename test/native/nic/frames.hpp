// Frames made and taken apart byte by byte, apart from the device's own code.
#pragma once

#include "nic/device/segmenter.hpp"
#include "oracle.hpp"

namespace frames {

using namespace socrypt;
using oracle::Bytes;
using oracle::Random;

/// What the frames of one connection have in common.
struct Path {
  bool ipv6 = false;
  int vlanTags = 0;
  Bytes tcpOptions;  // a multiple of four
  Bytes ipOptions;   // of IPv4, a multiple of four; of IPv6 one destination options header, a multiple of eight
  Bytes local;
  Bytes remote;
  uint16_t localPort = 443;
  uint16_t remotePort = 50000;

  [[nodiscard]] nic::FlowKey key() const {
    nic::FlowKey k;
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
};

inline Path randomPath(Random& random) {
  Path path;
  path.ipv6 = random() % 2 == 0;
  path.vlanTags = static_cast<int>(random() % 8 == 0 ? 2 : random() % 4 == 0 ? 1 : 0);
  path.local = oracle::randomBytes(random, path.ipv6 ? 16 : 4);
  path.remote = oracle::randomBytes(random, path.ipv6 ? 16 : 4);
  path.localPort = static_cast<uint16_t>(random());
  path.remotePort = static_cast<uint16_t>(random());
  // Time stamps as Linux sends them; sometimes SACK blocks behind.
  if (random() % 4 != 0) path.tcpOptions = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  if (random() % 4 == 0) {
    path.tcpOptions.insert(path.tcpOptions.end(), {1, 1, 5, 10, 9, 9, 9, 9, 8, 8, 8, 8});
  }
  if (random() % 8 == 0) path.ipOptions = path.ipv6 ? Bytes{6, 0, 1, 4, 0, 0, 0, 0} : Bytes{1, 1, 1, 0};
  return path;
}

inline void put16(Bytes& b, size_t v) {
  b.push_back(static_cast<uint8_t>(v >> 8));
  b.push_back(static_cast<uint8_t>(v));
}
inline void put32(Bytes& b, uint32_t v) {
  put16(b, v >> 16);
  put16(b, v & 0xffff);
}

/// RFC 1071, bytewise; 0xffff for data that includes a right checksum.
inline uint32_t sum16(const Bytes& data, uint32_t sum = 0) {
  for (size_t i = 0; i < data.size(); ++i) sum += uint32_t{data[i]} << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

inline Bytes pseudoHeader(const Path& path, size_t length) {
  Bytes b = path.local;
  b.insert(b.end(), path.remote.begin(), path.remote.end());
  put16(b, 6);
  put16(b, length >> 16);
  put16(b, length & 0xffff);
  return b;
}

struct Built {
  Bytes frame;
  nic::FrameOffload offload;
  size_t payload;  // offset
};

/// A data segment. `partial`: the checksum is left to the device, as Linux does. `segmentSize`: TSO.
inline Built build(const Path& path, uint32_t sequence, uint8_t flags, const Bytes& payload, bool partial, uint16_t segmentSize = 0) {
  Bytes b(12, 0x02);
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
    b.insert(b.end(), path.local.begin(), path.local.end());
    b.insert(b.end(), path.remote.begin(), path.remote.end());
    b.insert(b.end(), path.ipOptions.begin(), path.ipOptions.end());
  } else {
    b.push_back(static_cast<uint8_t>(0x45 + path.ipOptions.size() / 4));
    b.push_back(0);
    put16(b, 20 + path.ipOptions.size() + tcpLength);
    put32(b, 0x12344000);
    b.push_back(64);
    b.push_back(6);
    put16(b, 0);
    b.insert(b.end(), path.local.begin(), path.local.end());
    b.insert(b.end(), path.remote.begin(), path.remote.end());
    b.insert(b.end(), path.ipOptions.begin(), path.ipOptions.end());
    const uint32_t sum = sum16(Bytes(b.begin() + static_cast<long>(ip), b.end()));
    b[ip + 10] = static_cast<uint8_t>(~sum >> 8);
    b[ip + 11] = static_cast<uint8_t>(~sum);
  }
  const size_t tcp = b.size();
  put16(b, path.localPort);
  put16(b, path.remotePort);
  put32(b, sequence);
  put32(b, 0x01020304);
  b.push_back(static_cast<uint8_t>((20 + path.tcpOptions.size()) / 4 << 4));
  b.push_back(flags);
  put16(b, 500);
  put16(b, 0);
  put16(b, 0);
  b.insert(b.end(), path.tcpOptions.begin(), path.tcpOptions.end());
  Built built;
  built.payload = b.size();
  b.insert(b.end(), payload.begin(), payload.end());
  uint32_t sum = sum16(pseudoHeader(path, tcpLength));
  if (!partial) sum = ~sum16(Bytes(b.begin() + static_cast<long>(tcp), b.end()), sum);
  b[tcp + 16] = static_cast<uint8_t>(sum >> 8);
  b[tcp + 17] = static_cast<uint8_t>(sum);
  built.frame = std::move(b);
  if (partial) built.offload = {nic::FrameOffload::Checksum::Partial, static_cast<uint16_t>(tcp), 16, segmentSize, true};
  return built;
}

struct Taken {
  uint32_t sequence;
  uint8_t flags;
  Bytes payload;
};

/// Takes a frame of `path` apart and checks everything that a receiver would: lengths, both checksums.
inline Taken take(const Path& path, const Bytes& b) {
  size_t ip = 14;
  for (int i = 0; i < path.vlanTags; ++i) ip += 4;
  REQUIRE(b.size() >= ip + 40);
  size_t tcp;
  size_t end;
  if (path.ipv6) {
    end = ip + 40 + (size_t{b[ip + 4]} << 8 | b[ip + 5]);
    tcp = ip + 40 + path.ipOptions.size();
  } else {
    end = ip + (size_t{b[ip + 2]} << 8 | b[ip + 3]);
    tcp = ip + 20 + path.ipOptions.size();
    REQUIRE(sum16(Bytes(b.begin() + static_cast<long>(ip), b.begin() + static_cast<long>(tcp))) == 0xffff);
  }
  REQUIRE(end == b.size());
  const Bytes segment(b.begin() + static_cast<long>(tcp), b.end());
  REQUIRE(sum16(segment, sum16(pseudoHeader(path, segment.size()))) == 0xffff);
  const size_t header = size_t{segment[12]} / 16 * 4;
  REQUIRE(header == 20 + path.tcpOptions.size());
  return {uint32_t{segment[4]} << 24 | uint32_t{segment[5]} << 16 | uint32_t{segment[6]} << 8 | segment[7], segment[13],
          Bytes(segment.begin() + static_cast<long>(header), segment.end())};
}

/// Collects what the device puts on the wire.
class Wire final : public nic::FrameSink {
 public:
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    Bytes b(head.begin(), head.end());
    b.insert(b.end(), rest.begin(), rest.end());
    frames.push_back(std::move(b));
    return true;
  }
  std::vector<Bytes> frames;
};

}  // namespace frames
