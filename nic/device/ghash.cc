#include "nic/device/ghash.hpp"

#include <algorithm>
#include <cstring>

#include "nic/device/clmul.hpp"
#include "ocf/ocf.hpp"

#if defined(__x86_64__)
#define SOCRYPT_NARROW __attribute__((target("pclmul,ssse3")))
#define SOCRYPT_WIDE __attribute__((target("pclmul,ssse3,avx512f,avx512bw,vpclmulqdq")))
#endif

namespace socrypt::nic {
namespace {

constexpr size_t kBlock = 16;
// Blocks per reduction.
constexpr size_t kChunk = 16;

FieldElement load(const uint8_t* block) noexcept {
  FieldElement e;
  std::memcpy(&e.high, block, 8);
  std::memcpy(&e.low, block + 8, 8);
  return {__builtin_bswap64(e.low), __builtin_bswap64(e.high)};
}

FieldElement operator^(const FieldElement& a, const FieldElement& b) noexcept {
  return {a.low ^ b.low, a.high ^ b.high};
}

struct Product {  // 256 bits, least significant word first
  uint64_t word[4] = {};
};

// The low half of a carry-less product. Integer multiplication of operands that have only every fourth
// bit set cannot carry from one kept bit into the next: up to 15 terms fit below the next kept bit, and 16
// meet only in the topmost place, where the carry falls off. (The method is Thomas Pornin's, described at
// https://bearssl.org/constanttime.html#ghash-for-gcm.)
uint64_t clmulLow(uint64_t x, uint64_t y) noexcept {
  constexpr uint64_t kMask[4] = {0x1111111111111111, 0x2222222222222222, 0x4444444444444444, 0x8888888888888888};
  uint64_t xs[4];
  uint64_t ys[4];
  for (int i = 0; i < 4; ++i) {
    xs[i] = x & kMask[i];
    ys[i] = y & kMask[i];
  }
  uint64_t result = 0;
  for (int i = 0; i < 4; ++i) {
    uint64_t sum = 0;
    for (int j = 0; j < 4; ++j) sum ^= xs[j] * ys[(i - j) & 3];
    result |= sum & kMask[i];
  }
  return result;
}

uint64_t reverseBits(uint64_t x) noexcept {
  x = (x & 0x5555555555555555) << 1 | (x >> 1 & 0x5555555555555555);
  x = (x & 0x3333333333333333) << 2 | (x >> 2 & 0x3333333333333333);
  x = (x & 0x0f0f0f0f0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0f);
  return __builtin_bswap64(x);
}

void multiplyAdd(Product& sum, const FieldElement& a, const FieldElement& b) noexcept {
  const auto word = [](uint64_t x, uint64_t y, uint64_t& low, uint64_t& high) {
    low = clmulLow(x, y);
    // The bit-reversed product of reversed operands is the product's upper 64 of 127 bits.
    high = reverseBits(clmulLow(reverseBits(x), reverseBits(y))) >> 1;
  };
  uint64_t lowLow, lowHigh, highLow, highHigh, midLow, midHigh;
  word(a.low, b.low, lowLow, lowHigh);
  word(a.high, b.high, highLow, highHigh);
  word(a.low ^ a.high, b.low ^ b.high, midLow, midHigh);
  midLow ^= lowLow ^ highLow;
  midHigh ^= lowHigh ^ highHigh;
  sum.word[0] ^= lowLow;
  sum.word[1] ^= lowHigh ^ midLow;
  sum.word[2] ^= highLow ^ midHigh;
  sum.word[3] ^= highHigh;
}

// Product / x^128 mod x^128 + x^127 + x^126 + x^121 + 1 (RFC 8452 3). The polynomial is 1 in its low 64
// bits, so adding word * polynomial clears that word.
FieldElement reduce(Product p) noexcept {
  for (int i = 0; i < 2; ++i) {
    const uint64_t w = p.word[i];
    p.word[i + 1] ^= w << 63 ^ w << 62 ^ w << 57;
    p.word[i + 2] ^= w ^ w >> 1 ^ w >> 2 ^ w >> 7;
  }
  return {p.word[2], p.word[3]};
}

// Each kernel: (y + block 0) H^n + block 1 H^(n-1) + ... + block n-1 H, for whole blocks. `end` points
// behind H^1 in the list of descending powers.
FieldElement portableBlocks(FieldElement y, const uint8_t* data, size_t blocks, const FieldElement* end) noexcept {
  while (blocks > 0) {
    const size_t n = std::min(blocks, kChunk);
    const FieldElement* power = end - n;
    Product p;
    multiplyAdd(p, y ^ load(data), power[0]);
    for (size_t i = 1; i < n; ++i) multiplyAdd(p, load(data + i * kBlock), power[i]);
    y = reduce(p);
    data += n * kBlock;
    blocks -= n;
  }
  return y;
}

#if defined(__x86_64__)
SOCRYPT_NARROW FieldElement clmulBlocks(FieldElement start, const uint8_t* data, size_t blocks, const FieldElement* end) noexcept {
  __m128i y = _mm_set_epi64x(static_cast<long long>(start.high), static_cast<long long>(start.low));
  while (blocks > 0) {
    const size_t n = std::min(blocks, kChunk);
    const FieldElement* power = end - n;
    __m128i low = _mm_setzero_si128(), middle = low, high = low;
    for (size_t i = 0; i < n; ++i) {
      __m128i x = reversed(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data + i * kBlock)));
      if (i == 0) x = _mm_xor_si128(x, y);
      const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(power + i));
      low = _mm_xor_si128(low, _mm_clmulepi64_si128(x, h, 0x00));
      high = _mm_xor_si128(high, _mm_clmulepi64_si128(x, h, 0x11));
      middle = _mm_xor_si128(middle, _mm_xor_si128(_mm_clmulepi64_si128(x, h, 0x01), _mm_clmulepi64_si128(x, h, 0x10)));
    }
    y = fold(low, middle, high);
    data += n * kBlock;
    blocks -= n;
  }
  FieldElement result;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&result), y);
  return result;
}

SOCRYPT_WIDE inline __m128i joined(__m512i v) noexcept {
  alignas(64) __m128i lane[4];
  _mm512_store_si512(lane, v);
  return _mm_xor_si128(_mm_xor_si128(lane[0], lane[1]), _mm_xor_si128(lane[2], lane[3]));
}

SOCRYPT_WIDE FieldElement wideBlocks(FieldElement start, const uint8_t* data, size_t blocks, const FieldElement* end) noexcept {
  if (blocks >= kChunk) {
    __m128i y = _mm_set_epi64x(static_cast<long long>(start.high), static_cast<long long>(start.low));
    // The masked form: GCC 12 warns of the undefined register in the plain one.
    const __m512i reverse = _mm512_maskz_broadcast_i32x4(0xffff, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    __m512i h[4];
    for (int i = 0; i < 4; ++i) h[i] = _mm512_loadu_si512(end - kChunk + 4 * i);
    for (; blocks >= kChunk; blocks -= kChunk, data += kChunk * kBlock) {
      __m512i low = _mm512_setzero_si512(), middle = low, high = low;
      for (int i = 0; i < 4; ++i) {
        __m512i x = _mm512_shuffle_epi8(_mm512_loadu_si512(data + 64 * i), reverse);
        if (i == 0) x = _mm512_xor_si512(x, _mm512_zextsi128_si512(y));
        low = _mm512_xor_si512(low, _mm512_clmulepi64_epi128(x, h[i], 0x00));
        high = _mm512_xor_si512(high, _mm512_clmulepi64_epi128(x, h[i], 0x11));
        middle = _mm512_xor_si512(middle, _mm512_xor_si512(_mm512_clmulepi64_epi128(x, h[i], 0x01), _mm512_clmulepi64_epi128(x, h[i], 0x10)));
      }
      y = fold(joined(low), joined(middle), joined(high));
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(&start), y);
    // GCC 12 leaves it out before a call in tail position; what follows in SSE is slow until it has come.
    _mm256_zeroupper();
  }
  return clmulBlocks(start, data, blocks, end);
}
#endif

FieldElement sumBlocks(GhashKernel kernel, FieldElement y, const uint8_t* data, size_t blocks, const FieldElement* end) noexcept {
#if defined(__x86_64__)
  if (kernel == GhashKernel::WideClmul) return wideBlocks(y, data, blocks, end);
  if (kernel == GhashKernel::Clmul) return clmulBlocks(y, data, blocks, end);
#endif
  static_cast<void>(kernel);
  return portableBlocks(y, data, blocks, end);
}

// h as the only power for an all-zero block: (y + 0) h.
FieldElement product(GhashKernel kernel, const FieldElement& y, const FieldElement* h) noexcept {
  static constexpr uint8_t kZero[kBlock] = {};
  return sumBlocks(kernel, y, kZero, 1, h + 1);
}

}  // namespace

bool hasGhashKernel(GhashKernel kernel) noexcept {
#if defined(__x86_64__)
  const bool narrow = __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("ssse3") != 0;
  const bool wide = narrow && __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("vpclmulqdq") != 0;
  if (kernel == GhashKernel::WideClmul) return wide;
  if (kernel == GhashKernel::Clmul) return narrow;
#endif
  return kernel == GhashKernel::Portable;
}

GhashKernel bestGhashKernel() noexcept {
  static const GhashKernel best = hasGhashKernel(GhashKernel::WideClmul) ? GhashKernel::WideClmul
                                  : hasGhashKernel(GhashKernel::Clmul)   ? GhashKernel::Clmul
                                                                         : GhashKernel::Portable;
  return best;
}

GhashKey::GhashKey(const uint8_t* h, GhashKernel kernel) noexcept : kernel_(kernel) {
  // RFC 8452 appendix A: GHASH(H, X) is POLYVAL with H times x and all blocks byte-reversed.
  FieldElement one = load(h);
  const uint64_t carry = 0 - (one.high >> 63);
  one.high = (one.high << 1 | one.low >> 63) ^ (carry & 0xc200000000000000);
  one.low = one.low << 1 ^ (carry & 1);
  FieldElement power = one;
  for (size_t i = kStep - 1; i-- > 0;) {
    low_[i] = power;
    power = product(kernel, power, &one);
  }
  const FieldElement step = power;  // H^32
  for (auto& entry : high_) {
    entry = power;
    power = product(kernel, power, &step);
  }
}

GhashKey::~GhashKey() {
  ocf::wipe(low_.data(), sizeof low_);
  ocf::wipe(high_.data(), sizeof high_);
}

FieldElement GhashKey::times(const FieldElement& value, size_t power) const noexcept {
  FieldElement result = value;
  if (power >= kStep) result = product(kernel_, result, &high_[power / kStep - 1]);
  if (power % kStep != 0) result = product(kernel_, result, powersEnd() - power % kStep);
  return result;
}

FieldElement GhashKey::share(const uint8_t* data, size_t length, size_t lead, size_t power) const noexcept {
  const FieldElement* end = powersEnd();
  FieldElement y;
  uint8_t edge[kBlock];
  if (lead != 0) {
    const size_t n = std::min(length, kBlock - lead);
    std::memset(edge, 0, kBlock);
    std::memcpy(edge + lead, data, n);
    y = sumBlocks(kernel_, y, edge, 1, end);
    data += n;
    length -= n;
  }
  y = sumBlocks(kernel_, y, data, length / kBlock, end);
  data += length / kBlock * kBlock;
  length %= kBlock;
  if (length != 0) {
    std::memset(edge, 0, kBlock);
    std::memcpy(edge, data, length);
    y = sumBlocks(kernel_, y, edge, 1, end);
  }
  return times(y, power - 1);
}

void GhashKey::store(const FieldElement& value, uint8_t* to) noexcept {
  const uint64_t high = __builtin_bswap64(value.high);
  const uint64_t low = __builtin_bswap64(value.low);
  std::memcpy(to, &high, 8);
  std::memcpy(to + 8, &low, 8);
}

}  // namespace socrypt::nic
