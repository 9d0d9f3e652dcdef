// Frames made and taken apart byte by byte, apart from the device's own code.
#pragma once

#include <optional>
#include <string>

#include "nic/device/segmenter.hpp"
#include "nic/lab/sealer.hpp"

namespace socrypt::nic::lab {

/// What the frames of one direction of one connection have in common.
struct Path {
  bool ipv6 = false;
  int vlanTags = 0;
  Bytes tcpOptions;  // a multiple of four
  Bytes ipOptions;   // of IPv4, a multiple of four; of IPv6 one destination options header, a multiple of eight
  Bytes local;
  Bytes remote;
  uint16_t localPort = 443;
  uint16_t remotePort = 50000;

  [[nodiscard]] FlowKey key() const;
  /// The way back.
  [[nodiscard]] Path reversed() const;
};

template <typename Source>
Bytes randomBytes(Source& random, size_t n) {
  Bytes bytes(n);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

template <typename Source>
Path randomPath(Source& random) {
  Path path;
  path.ipv6 = random() % 2 == 0;
  path.vlanTags = static_cast<int>(random() % 8 == 0 ? 2 : random() % 4 == 0 ? 1 : 0);
  path.local = randomBytes(random, path.ipv6 ? 16 : 4);
  path.remote = randomBytes(random, path.ipv6 ? 16 : 4);
  path.localPort = static_cast<uint16_t>(random());
  path.remotePort = static_cast<uint16_t>(random());
  // Time stamps as Linux sends them; sometimes SACK blocks behind.
  if (random() % 4 != 0) path.tcpOptions = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  if (random() % 4 == 0) path.tcpOptions.insert(path.tcpOptions.end(), {1, 1, 5, 10, 9, 9, 9, 9, 8, 8, 8, 8});
  if (random() % 8 == 0) path.ipOptions = path.ipv6 ? Bytes{6, 0, 1, 4, 0, 0, 0, 0} : Bytes{1, 1, 1, 0};
  return path;
}

struct Built {
  Bytes frame;
  FrameOffload offload;
  size_t payload = 0;  // offset
};

struct TcpFields {
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0x01020304;
  uint8_t flags = 0x10;
  uint16_t window = 500;
};

/// A segment, into `built`, whose memory is used again. `partial`: the checksum is left to the device, as Linux
/// does. `segmentSize`: TSO.
void build(const Path& path, const TcpFields& fields, std::span<const uint8_t> payload, bool partial, uint16_t segmentSize, Built& built);
[[nodiscard]] Built build(const Path& path, uint32_t sequence, uint8_t flags, const Bytes& payload, bool partial, uint16_t segmentSize = 0);

struct Taken {
  uint32_t sequence;
  uint8_t flags;
  std::span<const uint8_t> payload;  // in the frame
};

/// Takes a frame of `path` apart and checks everything that a receiver would: addresses, lengths, both
/// checksums. None: `why` says what is wrong.
[[nodiscard]] std::optional<Taken> take(const Path& path, std::span<const uint8_t> frame, std::string& why);

}  // namespace socrypt::nic::lab
