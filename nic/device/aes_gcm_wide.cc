// VAES and VPCLMULQDQ on 256 bits: two blocks per instruction, sixteen per step, which hides the latency of
// both; the reductions of one step overlap with the encryption of the next.
#include "nic/device/aes_gcm_kernels.hpp"

#if defined(__x86_64__)
#include <cstring>

#include "nic/device/clmul.hpp"
#include "ocf/ocf.hpp"

#define SOCRYPT_VAES __attribute__((target("avx2,vaes,vpclmulqdq,aes,pclmul,ssse3")))
#define SOCRYPT_VAES_INLINE __attribute__((target("avx2,vaes,vpclmulqdq,aes,pclmul,ssse3"), always_inline)) inline

namespace socrypt::nic {
namespace {

constexpr size_t kBlock = 16;
constexpr size_t kPair = 32;
constexpr int kPairs = 8;
constexpr size_t kStep = kPairs * kPair;

SOCRYPT_VAES_INLINE __m256i both(__m128i v) noexcept { return _mm256_broadcastsi128_si256(v); }
SOCRYPT_VAES_INLINE __m256i reversed(__m256i v) noexcept {
  return _mm256_shuffle_epi8(v, both(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}
SOCRYPT_VAES_INLINE __m128i roundKey(const AesKey::Schedule& schedule, int round) noexcept {
  return _mm_load_si128(reinterpret_cast<const __m128i*>(schedule.bytes.data()) + round);
}

// Products of pairs of blocks, not reduced yet. Three multiplications each, after Karatsuba.
struct Sum {
  __m256i low;
  __m256i cross;
  __m256i high;
};

SOCRYPT_VAES_INLINE void clear(Sum& sum) noexcept { sum.low = sum.cross = sum.high = _mm256_setzero_si256(); }

SOCRYPT_VAES_INLINE void multiplyAdd(Sum& sum, __m256i x, const FieldElement* powers) noexcept {
  const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(powers));
  sum.low = _mm256_xor_si256(sum.low, _mm256_clmulepi64_epi128(x, h, 0x00));
  sum.high = _mm256_xor_si256(sum.high, _mm256_clmulepi64_epi128(x, h, 0x11));
  const __m256i xs = _mm256_xor_si256(x, _mm256_shuffle_epi32(x, 0x4e));
  const __m256i hs = _mm256_xor_si256(h, _mm256_shuffle_epi32(h, 0x4e));
  sum.cross = _mm256_xor_si256(sum.cross, _mm256_clmulepi64_epi128(xs, hs, 0x00));
}

SOCRYPT_VAES_INLINE __m128i reduced(const Sum& sum) noexcept {
  const __m256i middle = _mm256_xor_si256(sum.cross, _mm256_xor_si256(sum.low, sum.high));
  const __m128i low = _mm_xor_si128(_mm256_castsi256_si128(sum.low), _mm256_extracti128_si256(sum.low, 1));
  const __m128i high = _mm_xor_si128(_mm256_castsi256_si128(sum.high), _mm256_extracti128_si256(sum.high, 1));
  return fold(low, _mm_xor_si128(_mm256_castsi256_si128(middle), _mm256_extracti128_si256(middle, 1)), high);
}

// The keystream of kCount pairs of blocks. `counter`: of both blocks of the first pair, reversed, so that it
// counts in the lowest 32 bits.
template <int kRounds, int kCount>
SOCRYPT_VAES_INLINE void keystream(const AesKey::Schedule& schedule, __m256i counter, __m256i (&out)[kCount]) noexcept {
  const __m256i two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
  const __m256i first = both(roundKey(schedule, 0));
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    out[i] = _mm256_xor_si256(reversed(counter), first);
    counter = _mm256_add_epi32(counter, two);
  }
#pragma GCC unroll 14
  for (int round = 1; round < kRounds; ++round) {
    const __m256i key = both(roundKey(schedule, round));
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) out[i] = _mm256_aesenc_epi128(out[i], key);
  }
  const __m256i last = both(roundKey(schedule, kRounds));
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) out[i] = _mm256_aesenclast_epi128(out[i], last);
}

// Ones in the bytes from `from` on, and before `to`.
alignas(32) constexpr uint8_t kMask[64] = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
SOCRYPT_VAES_INLINE __m128i maskFrom(size_t from) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(kMask + 16 - from)); }
SOCRYPT_VAES_INLINE __m128i maskBefore(size_t to) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(kMask + 48 - to)); }

// Bytes [from, to) of one block, in place. The result: the block as it is now, with zeros around them.
SOCRYPT_VAES_INLINE __m128i partOfBlock(__m128i stream, uint8_t* data, size_t from, size_t to) noexcept {
  alignas(16) uint8_t block[kBlock];
  const auto at = reinterpret_cast<__m128i*>(block);
  _mm_store_si128(at, _mm_setzero_si128());
  std::memcpy(block + from, data, to - from);
  const __m128i x = _mm_and_si128(_mm_xor_si128(_mm_load_si128(at), stream), _mm_and_si128(maskFrom(from), maskBefore(to)));
  _mm_store_si128(at, x);
  std::memcpy(data, block + from, to - from);
  return x;
}

template <int kRounds, bool kSum>
SOCRYPT_VAES FieldElement range(const AesKey::Schedule& schedule, const AesRange& range) noexcept {
  __m128i start = nic::reversed(_mm_loadu_si128(reinterpret_cast<const __m128i*>(range.counter)));
  const __m128i one = _mm_set_epi32(0, 0, 0, 1);
  uint8_t* data = range.data;
  size_t n = range.length;
  const FieldElement* const end = range.powersEnd;
  __m128i y = _mm_setzero_si128();
  if (range.skip != 0) {
    __m128i stream = _mm_xor_si128(nic::reversed(start), roundKey(schedule, 0));
    for (int round = 1; round < kRounds; ++round) stream = _mm_aesenc_si128(stream, roundKey(schedule, round));
    stream = _mm_aesenclast_si128(stream, roundKey(schedule, kRounds));
    const size_t to = n < kBlock - range.skip ? range.skip + n : kBlock;
    const __m128i x = partOfBlock(stream, data, range.skip, to);
    if (kSum) {
      Sum sum;
      clear(sum);
      // H^1 and, behind it, what zeros may be multiplied with.
      multiplyAdd(sum, _mm256_zextsi128_si256(nic::reversed(x)), end - 1);
      y = reduced(sum);
    }
    data += to - range.skip;
    n -= to - range.skip;
    start = _mm_add_epi32(start, one);
  }
  __m256i counter = _mm256_inserti128_si256(_mm256_castsi128_si256(start), _mm_add_epi32(start, one), 1);
  const __m256i step = _mm256_set_epi32(0, 0, 0, 2 * kPairs, 0, 0, 0, 2 * kPairs);
  for (; n >= kStep; n -= kStep, data += kStep) {
    __m256i stream[kPairs];
    keystream<kRounds>(schedule, counter, stream);
    counter = _mm256_add_epi32(counter, step);
    Sum sum;
    clear(sum);
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const auto at = reinterpret_cast<__m256i*>(data + kPair * static_cast<size_t>(i));
      __m256i x = _mm256_xor_si256(_mm256_loadu_si256(at), stream[i]);
      _mm256_storeu_si256(at, x);
      if (!kSum) continue;
      x = reversed(x);
      if (i == 0) x = _mm256_xor_si256(x, _mm256_zextsi128_si256(y));
      multiplyAdd(sum, x, end - 2 * kPairs + 2 * i);
    }
    if (kSum) y = reduced(sum);
  }
  if (n != 0) {
    alignas(32) __m256i stream[kPairs];
    if (n > kStep / 2) {
      keystream<kRounds>(schedule, counter, stream);
    } else {
      __m256i half[kPairs / 2];
      keystream<kRounds>(schedule, counter, half);
      for (int i = 0; i < kPairs / 2; ++i) stream[i] = half[i];
    }
    const FieldElement* power = end - (n + kBlock - 1) / kBlock;
    Sum sum;
    clear(sum);
    __m256i before = _mm256_zextsi128_si256(y);
    size_t i = 0;
    for (; n >= kPair; n -= kPair, data += kPair, power += 2, ++i) {
      const auto at = reinterpret_cast<__m256i*>(data);
      const __m256i x = _mm256_xor_si256(_mm256_loadu_si256(at), stream[i]);
      _mm256_storeu_si256(at, x);
      if (kSum) multiplyAdd(sum, _mm256_xor_si256(reversed(x), before), power);
      before = _mm256_setzero_si256();
    }
    if (n != 0) {
      const size_t inFirst = n < kBlock ? n : kBlock;
      __m256i x = _mm256_zextsi128_si256(partOfBlock(_mm256_castsi256_si128(stream[i]), data, 0, inFirst));
      if (n > kBlock) x = _mm256_inserti128_si256(x, partOfBlock(_mm256_extracti128_si256(stream[i], 1), data + kBlock, 0, n - kBlock), 1);
      if (kSum) multiplyAdd(sum, _mm256_xor_si256(reversed(x), before), power);
    }
    if (kSum) y = reduced(sum);
    ocf::wipe(stream, sizeof stream);
  }
  FieldElement result;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&result), y);
  return result;
}

}  // namespace

FieldElement wideAesRange(const AesKey::Schedule& schedule, const AesRange& r) noexcept {
  if (r.powersEnd != nullptr) return schedule.rounds == 14 ? range<14, true>(schedule, r) : range<10, true>(schedule, r);
  return schedule.rounds == 14 ? range<14, false>(schedule, r) : range<10, false>(schedule, r);
}

}  // namespace socrypt::nic
#endif
