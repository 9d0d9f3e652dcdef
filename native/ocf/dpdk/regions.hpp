// The payload and the tag of an op, as one piece of memory each.
#pragma once

#include <cstring>

#include "ocf/ocf.hpp"

namespace socrypt::ocf::dpdk {

/// `n` bytes at offset `at` of a list of segments; nullptr when they are not in one.
[[nodiscard]] inline uint8_t* piece(const Seg* segments, uint16_t count, uint64_t at, uint64_t n) noexcept {
  for (uint16_t i = 0; i < count; ++i) {
    if (at + n <= segments[i].n) return segments[i].p + at;
    if (at < segments[i].n) return nullptr;
    at -= segments[i].n;
  }
  return nullptr;
}

inline void gather(const Seg* segments, uint16_t count, uint64_t at, uint8_t* to, size_t n) noexcept {
  for (uint16_t i = 0; i < count && n != 0; ++i) {
    if (at >= segments[i].n) {
      at -= segments[i].n;
      continue;
    }
    const size_t here = std::min<size_t>(n, segments[i].n - at);
    std::memcpy(to, segments[i].p + at, here);
    to += here, n -= here, at = 0;
  }
}

inline void scatter(const uint8_t* from, size_t n, const Seg* segments, uint16_t count, uint64_t at) noexcept {
  for (uint16_t i = 0; i < count && n != 0; ++i) {
    if (at >= segments[i].n) {
      at -= segments[i].n;
      continue;
    }
    const size_t here = std::min<size_t>(n, segments[i].n - at);
    std::memcpy(segments[i].p + at, from, here);
    from += here, n -= here, at = 0;
  }
}

[[nodiscard]] inline bool isForward(Kind kind) noexcept { return kind == Kind::Seal || kind == Kind::Cipher || kind == Kind::Null; }

}  // namespace socrypt::ocf::dpdk
