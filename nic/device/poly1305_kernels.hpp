// The kernels of PolyKey, and what they share; for nic/device itself.
#pragma once

#include <cstring>

#include "nic/device/poly1305.hpp"

namespace socrypt::nic {

/// As in PolyKey::share(), with power 1. There is at least one block.
struct PolyRange {
  const uint8_t* data;
  size_t length;
  size_t lead;
};

constexpr size_t kPolyBlock = 16;
constexpr uint64_t kMask44 = (uint64_t{1} << 44) - 1;
constexpr uint64_t kMask42 = (uint64_t{1} << 42) - 1;

__extension__ using PolyWide = unsigned __int128;

/// Limbs up to 2^45 in, up to 2^44 + a little out.
inline PolyNumber multiply(const PolyNumber& a, const PolyNumber& b) noexcept {
  // 2^132 is 20 modulo 2^130 - 5: what runs over the third limb comes back times 5, in units of 4.
  const uint64_t b1 = b[1] * 20, b2 = b[2] * 20;
  const PolyWide d0 = PolyWide{a[0]} * b[0] + PolyWide{a[1]} * b2 + PolyWide{a[2]} * b1;
  PolyWide d1 = PolyWide{a[0]} * b[1] + PolyWide{a[1]} * b[0] + PolyWide{a[2]} * b2;
  PolyWide d2 = PolyWide{a[0]} * b[2] + PolyWide{a[1]} * b[1] + PolyWide{a[2]} * b[0];
  PolyNumber r;
  r[0] = static_cast<uint64_t>(d0) & kMask44;
  d1 += d0 >> 44;
  r[1] = static_cast<uint64_t>(d1) & kMask44;
  d2 += d1 >> 44;
  r[2] = static_cast<uint64_t>(d2) & kMask42;
  r[0] += static_cast<uint64_t>(d2 >> 42) * 5;
  r[1] += r[0] >> 44;
  r[0] &= kMask44;
  return r;
}

/// Where a range's blocks stand when the last of them is the last of a group, and zeros fill the first group.
struct PolyLayout {
  size_t groups;
  size_t begin;  // of the range's bytes, from the first group's on
  size_t end;
  size_t full;  // the first block with its 2^128: the range has that block's first byte
};

template <size_t kLanes>
PolyLayout layoutOf(const PolyRange& range) noexcept {
  const size_t blocks = (range.lead + range.length + kPolyBlock - 1) / kPolyBlock;
  const size_t groups = (blocks + kLanes - 1) / kLanes;
  const size_t before = groups * kLanes - blocks;
  const size_t begin = before * kPolyBlock + range.lead;
  return {groups, begin, begin + range.length, before + (range.lead != 0 ? 1 : 0)};
}

/// r^1 to r^8, then r^16, r^24 and r^32.
using PolyPowers = std::array<PolyNumber, 11>;

void prepareNarrowPoly(const PolyPowers& powers, PolyKey::Factors& factors) noexcept;
[[nodiscard]] PolyNumber narrowPolyRange(const PolyKey::Factors& factors, const PolyRange& range) noexcept;

void prepareWidePoly(const PolyPowers& powers, PolyKey::Factors& factors) noexcept;
[[nodiscard]] PolyNumber widePolyRange(const PolyKey::Factors& factors, const PolyRange& range) noexcept;

}  // namespace socrypt::nic
