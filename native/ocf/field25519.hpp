// Arithmetic modulo 2^255 - 19, five limbs of 51 bits. No branch and no address depends on a value.
//
// Bounds, since nothing is reduced before it has to be: a product has limbs below 2^51 + 2^13. Factors may have limbs
// below 2^54, so sums and differences of products are multiplied as they are.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace socrypt::field25519 {

__extension__ using Wide = unsigned __int128;

inline constexpr uint64_t kMask = (uint64_t{1} << 51) - 1;

struct Element {
  uint64_t limb[5];
};

inline constexpr Element kZero{{0, 0, 0, 0, 0}};
inline constexpr Element kOne{{1, 0, 0, 0, 0}};

[[nodiscard]] inline Element add(const Element& a, const Element& b) noexcept {
  Element out;
  for (int i = 0; i < 5; ++i) out.limb[i] = a.limb[i] + b.limb[i];
  return out;
}

// a - b + 2p. `b`: a product.
[[nodiscard]] inline Element subtract(const Element& a, const Element& b) noexcept {
  constexpr uint64_t first = 0xfffffffffffda, other = 0xffffffffffffe;
  return {{a.limb[0] + first - b.limb[0], a.limb[1] + other - b.limb[1], a.limb[2] + other - b.limb[2],
           a.limb[3] + other - b.limb[3], a.limb[4] + other - b.limb[4]}};
}

// a - b + 4p. `b`: a product, or a sum or difference of two.
[[nodiscard]] inline Element subtractSum(const Element& a, const Element& b) noexcept {
  constexpr uint64_t first = 0x1fffffffffffb4, other = 0x1ffffffffffffc;
  return {{a.limb[0] + first - b.limb[0], a.limb[1] + other - b.limb[1], a.limb[2] + other - b.limb[2],
           a.limb[3] + other - b.limb[3], a.limb[4] + other - b.limb[4]}};
}

[[nodiscard]] inline Element carry(Wide t0, Wide t1, Wide t2, Wide t3, Wide t4) noexcept {
  Element out;
  t1 += static_cast<uint64_t>(t0 >> 51);
  t2 += static_cast<uint64_t>(t1 >> 51);
  t3 += static_cast<uint64_t>(t2 >> 51);
  t4 += static_cast<uint64_t>(t3 >> 51);
  const uint64_t low = (static_cast<uint64_t>(t0) & kMask) + 19 * static_cast<uint64_t>(t4 >> 51);
  out.limb[0] = low & kMask;
  out.limb[1] = (static_cast<uint64_t>(t1) & kMask) + (low >> 51);
  out.limb[2] = static_cast<uint64_t>(t2) & kMask;
  out.limb[3] = static_cast<uint64_t>(t3) & kMask;
  out.limb[4] = static_cast<uint64_t>(t4) & kMask;
  return out;
}

[[nodiscard]] inline Element multiply(const Element& x, const Element& y) noexcept {
  const auto& a = x.limb;
  const auto& b = y.limb;
  const uint64_t b1 = 19 * b[1], b2 = 19 * b[2], b3 = 19 * b[3], b4 = 19 * b[4];
  const auto wide = [](uint64_t p, uint64_t q) { return static_cast<Wide>(p) * q; };
  return carry(wide(a[0], b[0]) + wide(a[1], b4) + wide(a[2], b3) + wide(a[3], b2) + wide(a[4], b1),
               wide(a[0], b[1]) + wide(a[1], b[0]) + wide(a[2], b4) + wide(a[3], b3) + wide(a[4], b2),
               wide(a[0], b[2]) + wide(a[1], b[1]) + wide(a[2], b[0]) + wide(a[3], b4) + wide(a[4], b3),
               wide(a[0], b[3]) + wide(a[1], b[2]) + wide(a[2], b[1]) + wide(a[3], b[0]) + wide(a[4], b4),
               wide(a[0], b[4]) + wide(a[1], b[3]) + wide(a[2], b[2]) + wide(a[3], b[1]) + wide(a[4], b[0]));
}

[[nodiscard]] inline Element square(const Element& x) noexcept {
  const auto& a = x.limb;
  const uint64_t d0 = 2 * a[0], d1 = 2 * a[1], d2 = 38 * a[2], d3 = 19 * a[3], d4 = 19 * a[4], dd4 = 2 * d4;
  const auto wide = [](uint64_t p, uint64_t q) { return static_cast<Wide>(p) * q; };
  return carry(wide(a[0], a[0]) + wide(dd4, a[1]) + wide(d2, a[3]),
               wide(d0, a[1]) + wide(dd4, a[2]) + wide(d3, a[3]),
               wide(d0, a[2]) + wide(a[1], a[1]) + wide(dd4, a[3]),
               wide(d0, a[3]) + wide(d1, a[2]) + wide(d4, a[4]),
               wide(d0, a[4]) + wide(d1, a[3]) + wide(a[2], a[2]));
}

[[nodiscard]] inline Element squareTimes(Element x, int times) noexcept {
  while (times-- > 0) x = square(x);
  return x;
}

[[nodiscard]] inline Element multiplySmall(const Element& x, uint32_t factor) noexcept {
  const auto wide = [&](int i) { return static_cast<Wide>(x.limb[i]) * factor; };
  return carry(wide(0), wide(1), wide(2), wide(3), wide(4));
}

// x^(p - 2); 0 of 0.
[[nodiscard]] inline Element invert(const Element& x) noexcept {
  const Element x2 = square(x);
  const Element x9 = multiply(squareTimes(x2, 2), x);
  const Element x11 = multiply(x9, x2);
  // xN_0: x^(2^N - 1).
  const Element x5_0 = multiply(square(x11), x9);
  const Element x10_0 = multiply(squareTimes(x5_0, 5), x5_0);
  const Element x20_0 = multiply(squareTimes(x10_0, 10), x10_0);
  const Element x40_0 = multiply(squareTimes(x20_0, 20), x20_0);
  const Element x50_0 = multiply(squareTimes(x40_0, 10), x10_0);
  const Element x100_0 = multiply(squareTimes(x50_0, 50), x50_0);
  const Element x200_0 = multiply(squareTimes(x100_0, 100), x100_0);
  const Element x250_0 = multiply(squareTimes(x200_0, 50), x50_0);
  return multiply(squareTimes(x250_0, 5), x11);
}

inline void swapIf(uint64_t bit, Element& a, Element& b) noexcept {
  const uint64_t mask = 0 - bit;
  for (int i = 0; i < 5; ++i) {
    const uint64_t difference = mask & (a.limb[i] ^ b.limb[i]);
    a.limb[i] ^= difference;
    b.limb[i] ^= difference;
  }
}

// Little-endian; the highest bit is not looked at, and values from p on are taken (RFC 7748 5).
[[nodiscard]] inline Element load(std::span<const uint8_t, 32> bytes) noexcept {
  const auto word = [&](size_t at) {
    uint64_t value;
    std::memcpy(&value, bytes.data() + at, 8);
    return value;
  };
  return {{word(0) & kMask, (word(6) >> 3) & kMask, (word(12) >> 6) & kMask, (word(19) >> 1) & kMask, (word(24) >> 12) & kMask}};
}

inline void store(Element x, std::span<uint8_t, 32> bytes) noexcept {
  auto& a = x.limb;
  const auto pass = [&] {
    for (int i = 0; i < 4; ++i) {
      a[i + 1] += a[i] >> 51;
      a[i] &= kMask;
    }
    a[0] += 19 * (a[4] >> 51);
    a[4] &= kMask;
  };
  pass();
  pass();
  // Now below 2^255, and only values from p on are left to be reduced: adding 19 carries out of them.
  uint64_t over = (a[0] + 19) >> 51;
  for (int i = 1; i < 5; ++i) over = (a[i] + over) >> 51;
  a[0] += 19 * over;
  for (int i = 0; i < 4; ++i) {
    a[i + 1] += a[i] >> 51;
    a[i] &= kMask;
  }
  a[4] &= kMask;
  const uint64_t words[4] = {a[0] | a[1] << 51, a[1] >> 13 | a[2] << 38, a[2] >> 26 | a[3] << 25, a[3] >> 39 | a[4] << 12};
  std::memcpy(bytes.data(), words, 32);
}

}  // namespace socrypt::field25519
