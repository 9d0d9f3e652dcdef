#include "ocf/x25519.hpp"

#include <array>
#include <memory>

#include "ocf/field25519.hpp"
#include "ocf/ocf.hpp"
#include "ocf/x25519_ladder.hpp"

namespace socrypt::x25519 {
namespace {

using namespace field25519;

Scalar clamp(In secret) noexcept {
  Scalar scalar;
  std::memcpy(scalar.data(), secret.data(), scalar.size());
  scalar[0] &= 248;
  scalar[31] = static_cast<uint8_t>((scalar[31] & 127) | 64);
  return scalar;
}

// ── the base point, on the Edwards curve that it has in common with Ed25519 (RFC 7748 4.1), by multiples known beforehand ──

// X / Z, Y / Z and T = XY / Z (Hisil, Wong, Carter, Dawson, 2008).
struct Point {
  Element x, y, z, t;
};

// An affine point as an addition takes it, one vector of 4 words after the other. Padding is zero.
struct alignas(32) Multiple {
  using Words = uint64_t __attribute__((vector_size(32)));
  Words words[4];

  Multiple() noexcept : words{} {}
  Multiple(const Element& sum, const Element& difference, const Element& product) noexcept : words{} {
    std::memcpy(words, &sum, sizeof sum);
    std::memcpy(reinterpret_cast<uint8_t*>(words) + sizeof sum, &difference, sizeof difference);
    std::memcpy(reinterpret_cast<uint8_t*>(words) + 2 * sizeof sum, &product, sizeof product);
  }
  // y + x, y - x, 2dxy.
  [[nodiscard]] Element part(int which) const noexcept {
    Element out;
    std::memcpy(&out, reinterpret_cast<const uint8_t*>(words) + static_cast<size_t>(which) * sizeof out, sizeof out);
    return out;
  }
};

// What doubling and addition come to before the coordinates are multiplied out.
Point complete(const Element& e, const Element& f, const Element& g, const Element& h) noexcept {
  return {multiply(e, f), multiply(g, h), multiply(f, g), multiply(e, h)};
}

Point twice(const Point& p) noexcept {
  const Element xx = square(p.x), yy = square(p.y), zz = square(p.z);
  const Element h = add(xx, yy), g = subtract(yy, xx);
  return complete(subtractSum(square(add(p.x, p.y)), h), subtractSum(add(zz, zz), g), g, h);
}

Point plus(const Point& p, const Element& sum, const Element& difference, const Element& product) noexcept {
  const Element a = multiply(subtract(p.y, p.x), difference), b = multiply(add(p.y, p.x), sum);
  const Element c = multiply(p.t, product), d = add(p.z, p.z);
  return complete(subtract(b, a), subtract(d, c), add(d, c), add(b, a));
}

// d and 2d of -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032 5.1), and the base point.
constexpr uint8_t kD[32] = {0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00,
                            0x98, 0xe8, 0x79, 0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52};
constexpr uint8_t kBaseX[32] = {0x1a, 0xd5, 0x25, 0x8f, 0x60, 0x2d, 0x56, 0xc9, 0xb2, 0xa7, 0x25, 0x95, 0x60, 0xc7, 0x2c, 0x69,
                                0x5c, 0xdc, 0xd6, 0xfd, 0x31, 0xe2, 0xa4, 0xc0, 0xfe, 0x53, 0x6e, 0xcd, 0xd3, 0x36, 0x69, 0x21};
constexpr uint8_t kBaseY[32] = {0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66};

constexpr int kRows = 32, kColumns = 8;

// row[i][j]: (j + 1) 256^i times the base point. 32 KB, made once.
struct Table {
  Multiple row[kRows][kColumns];

  Table() noexcept {
    const Element d = load(kD), d2 = add(d, d);
    const Element x = load(kBaseX), y = load(kBaseY);
    Point power{x, y, kOne, multiply(x, y)};
    for (auto& columns : row) {
      const Multiple first = affine(power, d2);
      Point sum = power;
      columns[0] = first;
      for (int j = 1; j < kColumns; ++j) {
        sum = plus(sum, first.part(0), first.part(1), first.part(2));
        columns[j] = affine(sum, d2);
      }
      for (int i = 0; i < 8; ++i) power = twice(power);
    }
  }

  static Multiple affine(const Point& p, const Element& d2) noexcept {
    const Element inverse = invert(p.z);
    const Element x = multiply(p.x, inverse), y = multiply(p.y, inverse);
    // As products, of which everything else may be made.
    return {multiplySmall(add(y, x), 1), multiplySmall(subtract(y, x), 1), multiply(multiply(x, y), d2)};
  }
};

const Table& table() noexcept {
  static const Table made;
  return made;
}

// `digit` 256^row times the base point, -8 to 8, from all columns.
Point plusMultiple(const Point& p, const Multiple (&columns)[kColumns], int8_t digit) noexcept {
  const auto negative = static_cast<uint64_t>(static_cast<uint8_t>(digit) >> 7);
  const auto magnitude = static_cast<uint64_t>((digit ^ -static_cast<int>(negative)) + static_cast<int>(negative));
  Multiple chosen(kOne, kOne, kZero);  // the neutral element
  for (uint64_t j = 1; j <= kColumns; ++j) {
    const uint64_t difference = j ^ magnitude;
    const uint64_t mask = 0 - ((difference - 1) >> 63);
    const Multiple::Words wide{mask, mask, mask, mask};
    for (int i = 0; i < 4; ++i) chosen.words[i] ^= wide & (chosen.words[i] ^ columns[j - 1].words[i]);
  }
  Element sum = chosen.part(0), difference = chosen.part(1), product = chosen.part(2);
  Element negated = subtract(kZero, product);
  swapIf(negative, sum, difference);
  swapIf(negative, product, negated);
  return plus(p, sum, difference, product);
}

// In digits of -8 to 8, two for each row of the table: the odd ones first, then times 16, then the even ones.
Fraction baseMultiple(const Scalar& scalar) noexcept {
  std::array<int8_t, 64> digits;
  for (size_t i = 0; i < 32; ++i) {
    digits[2 * i] = static_cast<int8_t>(scalar[i] & 15);
    digits[2 * i + 1] = static_cast<int8_t>(scalar[i] >> 4);
  }
  int over = 0;
  for (size_t i = 0; i < 63; ++i) {
    const int digit = digits[i] + over;
    over = (digit + 8) >> 4;
    digits[i] = static_cast<int8_t>(digit - 16 * over);
  }
  digits[63] = static_cast<int8_t>(digits[63] + over);  // at most 8: the scalar is below 2^255

  const Table& multiples = table();
  Point sum{kZero, kOne, kOne, kZero};
  for (size_t i = 1; i < 64; i += 2) sum = plusMultiple(sum, multiples.row[i / 2], digits[i]);
  for (int i = 0; i < 4; ++i) sum = twice(sum);
  for (size_t i = 0; i < 64; i += 2) sum = plusMultiple(sum, multiples.row[i / 2], digits[i]);
  ocf::wipe(digits.data(), digits.size());
  // RFC 7748 4.1: u = (1 + y) / (1 - y).
  return {add(sum.z, sum.y), subtract(sum.z, sum.y)};
}

bool isZero(std::span<const uint8_t, 32> bytes) noexcept {
  uint8_t any = 0;
  for (const uint8_t byte : bytes) any = static_cast<uint8_t>(any | byte);
  return any == 0;
}

}  // namespace

void publicKey(In secret, Out share) noexcept {
  Scalar scalar = clamp(secret);
  const Fraction own = baseMultiple(scalar);
  store(multiply(own.x, invert(own.z)), share);
  ocf::wipe(scalar.data(), scalar.size());
}

bool agree(In secret, In peer, Out shared) noexcept {
  Scalar scalar = clamp(secret);
  Fraction result = ladder(scalar, peer);
  store(multiply(result.x, invert(result.z)), shared);
  ocf::wipe(scalar.data(), scalar.size());
  ocf::wipe(&result, sizeof result);
  return !isZero(shared);
}

bool keyShare(In secret, In peer, Out share, Out shared) noexcept {
  Scalar scalar = clamp(secret);
  Fraction result = ladder(scalar, peer);
  const Fraction own = baseMultiple(scalar);
  // One inversion for both denominators. That of ours is never zero; the other's is for a point of low order, which is no
  // secret of ours, and both results are zero then.
  Element both = invert(multiply(own.z, result.z));
  std::array<uint8_t, 32> made;
  store(multiply(multiply(result.x, own.z), both), made);
  const bool good = !isZero(made);
  if (good) {
    std::memcpy(shared.data(), made.data(), made.size());
    store(multiply(multiply(own.x, result.z), both), share);
  }
  ocf::wipe(scalar.data(), scalar.size());
  ocf::wipe(&result, sizeof result);
  ocf::wipe(&both, sizeof both);
  ocf::wipe(made.data(), made.size());
  return good;
}

}  // namespace socrypt::x25519
