// VAES and VPCLMULQDQ on 256 bits: two blocks per instruction, sixteen per step, which hides the latency of
// both; the reductions of one step overlap with the encryption of the next.
#include "nic/device/aes_gcm_kernels.hpp"

#if defined(__x86_64__)
#include "nic/device/clmul.hpp"

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

// Sixteen blocks of ciphertext that were stored, but not added yet.
struct Pending {
  const uint8_t* data;
  __m128i before;  // what stands before them, to be multiplied with one power more
};

SOCRYPT_VAES_INLINE void addPair(Sum& sum, const Pending& pending, const FieldElement* end, int pair) noexcept {
  __m256i x = reversed(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(pending.data) + pair));
  if (pair == 0) x = _mm256_xor_si256(x, _mm256_zextsi128_si256(pending.before));
  multiplyAdd(sum, x, end - 2 * kPairs + 2 * pair);
}

// The keystream of eight pairs of blocks; meanwhile the pending blocks are added, one pair per round: AES and
// multiplication take different units, and neither waits for its own latency. `counter`: of both blocks of
// the first pair, reversed, so that it counts in the lowest 32 bits; moved behind them.
template <int kRounds, bool kAdd>
SOCRYPT_VAES_INLINE void keystream(const AesKey::Schedule& schedule, __m256i& counter, __m256i (&out)[kPairs], const Pending& pending,
                                   const FieldElement* end, Sum& sum) noexcept {
  static_assert(kRounds > kPairs);
  const __m256i two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
  const __m256i first = both(roundKey(schedule, 0));
#pragma GCC unroll 8
  for (int i = 0; i < kPairs; ++i) {
    out[i] = _mm256_xor_si256(reversed(counter), first);
    counter = _mm256_add_epi32(counter, two);
  }
#pragma GCC unroll 14
  for (int round = 1; round < kRounds; ++round) {
    const __m256i key = both(roundKey(schedule, round));
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) out[i] = _mm256_aesenc_epi128(out[i], key);
    if (kAdd && round <= kPairs) addPair(sum, pending, end, round - 1);
  }
  const __m256i last = both(roundKey(schedule, kRounds));
#pragma GCC unroll 8
  for (int i = 0; i < kPairs; ++i) out[i] = _mm256_aesenclast_epi128(out[i], last);
}

// For moving the bytes of a block by 0 to 16 places, zeros coming in.
alignas(32) constexpr uint8_t kPlaces[48] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                             0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,
                                             0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
SOCRYPT_VAES_INLINE __m128i towardsEnd(__m128i block, size_t places) noexcept {
  return _mm_shuffle_epi8(block, _mm_loadu_si128(reinterpret_cast<const __m128i*>(kPlaces + 16 - places)));
}
SOCRYPT_VAES_INLINE __m128i towardsFront(__m128i block, size_t places) noexcept {
  return _mm_shuffle_epi8(block, _mm_loadu_si128(reinterpret_cast<const __m128i*>(kPlaces + 16 + places)));
}

// Each encrypts a part of a block in place and gives the block with zeros around the part.
// Bytes [skip, 16): there are 16 bytes behind `data`.
SOCRYPT_VAES_INLINE __m128i cryptFirst(__m128i stream, uint8_t* data, size_t skip) noexcept {
  const auto at = reinterpret_cast<__m128i*>(data);
  const __m128i x = _mm_xor_si128(_mm_loadu_si128(at), towardsFront(stream, skip));
  _mm_storeu_si128(at, x);
  return towardsEnd(x, skip);
}
// Bytes [0, n): there are 16 bytes before data + n.
SOCRYPT_VAES_INLINE __m128i cryptLast(__m128i stream, uint8_t* data, size_t n) noexcept {
  const auto at = reinterpret_cast<__m128i*>(data + n - kBlock);
  const __m128i x = _mm_xor_si128(_mm_loadu_si128(at), towardsEnd(stream, kBlock - n));
  _mm_storeu_si128(at, x);
  return towardsFront(x, kBlock - n);
}

template <int kRounds>
SOCRYPT_VAES_INLINE __m128i oneBlock(const AesKey::Schedule& schedule, __m128i counter) noexcept {
  __m128i stream = _mm_xor_si128(nic::reversed(counter), roundKey(schedule, 0));
#pragma GCC unroll 14
  for (int round = 1; round < kRounds; ++round) stream = _mm_aesenc_si128(stream, roundKey(schedule, round));
  return _mm_aesenclast_si128(stream, roundKey(schedule, kRounds));
}

// The last up to 255 bytes, by a keystream that is there already; the result: y, with the share added.
template <bool kAdd>
SOCRYPT_VAES_INLINE __m128i finish(const __m256i* stream, uint8_t* data, size_t n, __m128i y, const FieldElement* end) noexcept {
  const auto* block = reinterpret_cast<const __m128i*>(stream);
  const size_t whole = n / kBlock;
  const size_t rest = n % kBlock;
  // Without a share to add there are no powers.
  const FieldElement* power = kAdd ? end - whole - (rest != 0 ? 1 : 0) : nullptr;
  // First, since it reads bytes that the whole blocks are going to write.
  __m128i last = _mm_setzero_si128();
  if (rest != 0) last = cryptLast(block[whole], data + whole * kBlock, rest);
  Sum sum;
  clear(sum);
  __m256i before = _mm256_zextsi128_si256(y);
  for (size_t i = 0; i + 2 <= whole; i += 2, power += kAdd ? 2 : 0) {
    const auto at = reinterpret_cast<__m256i*>(data + i * kBlock);
    const __m256i x = _mm256_xor_si256(_mm256_loadu_si256(at), stream[i / 2]);
    _mm256_storeu_si256(at, x);
    if (kAdd) multiplyAdd(sum, _mm256_xor_si256(reversed(x), before), power);
    before = _mm256_setzero_si256();
  }
  if (n % kPair != 0) {
    __m256i x = _mm256_zextsi128_si256(last);
    if (whole % 2 != 0) {
      const auto at = reinterpret_cast<__m128i*>(data + (whole - 1) * kBlock);
      const __m128i odd = _mm_xor_si128(_mm_loadu_si128(at), block[whole - 1]);
      _mm_storeu_si128(at, odd);
      x = _mm256_inserti128_si256(_mm256_castsi128_si256(odd), last, 1);
    }
    if (kAdd) multiplyAdd(sum, _mm256_xor_si256(reversed(x), before), power);
  }
  return kAdd ? reduced(sum) : y;
}

template <int kRounds, bool kAdd>
SOCRYPT_VAES FieldElement range(const AesKey::Schedule& schedule, const AesRange& range) noexcept {
  __m128i start = nic::reversed(_mm_loadu_si128(reinterpret_cast<const __m128i*>(range.counter)));
  const __m128i one = _mm_set_epi32(0, 0, 0, 1);
  uint8_t* data = range.data;
  size_t n = range.length;
  const FieldElement* const end = range.powersEnd;
  Pending pending{nullptr, _mm_setzero_si128()};
  if (range.skip != 0) {
    const __m128i x = cryptFirst(oneBlock<kRounds>(schedule, start), data, range.skip);
    if (kAdd) {
      Sum sum;
      clear(sum);
      // H^1 and, behind it, what zeros may be multiplied with.
      multiplyAdd(sum, _mm256_zextsi128_si256(nic::reversed(x)), end - 1);
      pending.before = reduced(sum);
    }
    data += kBlock - range.skip;
    n -= kBlock - range.skip;
    start = _mm_add_epi32(start, one);
  }
  __m256i counter = _mm256_inserti128_si256(_mm256_castsi128_si256(start), _mm_add_epi32(start, one), 1);
  alignas(32) __m256i stream[kPairs];
  while (n != 0) {
    Sum sum;
    clear(sum);
    if (kAdd && pending.data != nullptr) {
      keystream<kRounds, true>(schedule, counter, stream, pending, end, sum);
      pending.before = reduced(sum);
    } else {
      keystream<kRounds, false>(schedule, counter, stream, pending, end, sum);
    }
    pending.data = nullptr;
    if (n < kStep) {
      pending.before = finish<kAdd>(stream, data, n, pending.before, end);
      break;
    }
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) {
      const auto at = reinterpret_cast<__m256i*>(data) + i;
      _mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), stream[i]));
    }
    pending.data = data;
    data += kStep;
    n -= kStep;
  }
  if (kAdd && pending.data != nullptr) {
    Sum sum;
    clear(sum);
#pragma GCC unroll 8
    for (int i = 0; i < kPairs; ++i) addPair(sum, pending, end, i);
    pending.before = reduced(sum);
  }
#pragma GCC unroll 8
  for (auto& pair : stream) pair = _mm256_setzero_si256();
  __asm__ volatile("" : : "r"(stream) : "memory");
  FieldElement result;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&result), pending.before);
  return result;
}

}  // namespace

FieldElement wideAesRange(const AesKey::Schedule& schedule, const AesRange& r) noexcept {
  // Less than that has no whole block to be read around its ends.
  if (r.length < kBlock) return narrowAesRange(schedule, r);
  if (r.powersEnd != nullptr) return schedule.rounds == 14 ? range<14, true>(schedule, r) : range<10, true>(schedule, r);
  return schedule.rounds == 14 ? range<14, false>(schedule, r) : range<10, false>(schedule, r);
}

}  // namespace socrypt::nic
#endif
