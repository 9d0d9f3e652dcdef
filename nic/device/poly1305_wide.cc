// AVX-512 IFMA: eight blocks at once in lanes of 64 bits, limbs of 44, 44 and 42 bits as in PolyNumber. The
// multiplier gives the low or the high 52 bits of a product of 52-bit factors and adds them to a sum.
#include "nic/device/poly1305_kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#define SOCRYPT_IFMA __attribute__((target("avx512f,avx512bw,avx512ifma")))
#define SOCRYPT_IFMA_INLINE __attribute__((target("avx512f,avx512bw,avx512ifma"), always_inline)) inline

namespace socrypt::nic {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kGroup = kLanes * kPolyBlock;
// Two loads of four blocks, their low and their high words sorted out by pairs: this is the block of each lane.
constexpr int kBlockOf[kLanes] = {0, 4, 1, 5, 2, 6, 3, 7};

struct Lanes {
  __m512i limb[3];
};

// Of a factor, what a product needs: its limbs, and the second and third times 20 (see multiply()).
struct Factor {
  __m512i limb[3];
  __m512i over1;
  __m512i over2;
};

struct Sum {
  __m512i low[3];
  __m512i high[3];
};

SOCRYPT_IFMA_INLINE __m512i all(uint64_t x) noexcept { return _mm512_set1_epi64(static_cast<long long>(x)); }
// The masked forms, here and below: GCC 12 warns of the undefined register in the plain ones.
SOCRYPT_IFMA_INLINE __m512i shiftedRight(__m512i x, unsigned bits) noexcept { return _mm512_maskz_srli_epi64(0xff, x, bits); }
SOCRYPT_IFMA_INLINE __m512i shiftedLeft(__m512i x, unsigned bits) noexcept { return _mm512_maskz_slli_epi64(0xff, x, bits); }

SOCRYPT_IFMA_INLINE Factor everywhere(const std::array<uint64_t, 9>& x) noexcept {
  return {{all(x[0]), all(x[1]), all(x[2])}, all(x[3]), all(x[4])};
}

SOCRYPT_IFMA_INLINE void multiplyAdd(Sum& sum, int limb, __m512i a, __m512i b) noexcept {
  sum.low[limb] = _mm512_madd52lo_epu64(sum.low[limb], a, b);
  sum.high[limb] = _mm512_madd52hi_epu64(sum.high[limb], a, b);
}

SOCRYPT_IFMA_INLINE void multiplyAdd(Sum& sum, const Lanes& a, const Factor& b) noexcept {
  multiplyAdd(sum, 0, a.limb[2], b.over1);
  multiplyAdd(sum, 1, a.limb[2], b.over2);
  multiplyAdd(sum, 2, a.limb[2], b.limb[0]);
  multiplyAdd(sum, 0, a.limb[0], b.limb[0]);
  multiplyAdd(sum, 1, a.limb[0], b.limb[1]);
  multiplyAdd(sum, 2, a.limb[0], b.limb[2]);
  multiplyAdd(sum, 0, a.limb[1], b.over2);
  multiplyAdd(sum, 1, a.limb[1], b.limb[0]);
  multiplyAdd(sum, 2, a.limb[1], b.limb[1]);
}

SOCRYPT_IFMA_INLINE void clear(Sum& sum) noexcept {
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) sum.low[i] = sum.high[i] = _mm512_setzero_si512();
}

// A limb's high half belongs to the next limb, 2^8 times, limbs having 44 bits; the third's to the first, 5 * 2^10
// times. Limbs below 2^46 in, of up to four products: below 2^44 + 2^14 out.
SOCRYPT_IFMA_INLINE Lanes reduced(const Sum& sum) noexcept {
  const __m512i mask44 = all(kMask44), mask42 = all(kMask42);
  const __m512i d1 = _mm512_add_epi64(_mm512_add_epi64(sum.low[1], shiftedLeft(sum.high[0], 8)), shiftedRight(sum.low[0], 44));
  const __m512i d2 = _mm512_add_epi64(_mm512_add_epi64(sum.low[2], shiftedLeft(sum.high[1], 8)), shiftedRight(d1, 44));
  const __m512i over = _mm512_add_epi64(shiftedLeft(sum.high[2], 10), shiftedRight(d2, 42));
  const __m512i d0 = _mm512_add_epi64(_mm512_add_epi64(_mm512_and_si512(sum.low[0], mask44), over), shiftedLeft(over, 2));
  return {{_mm512_and_si512(d0, mask44), _mm512_add_epi64(_mm512_and_si512(d1, mask44), shiftedRight(d0, 44)), _mm512_and_si512(d2, mask42)}};
}

// Eight blocks' words as limbs. `top`: the lanes whose block has its 2^128.
SOCRYPT_IFMA_INLINE Lanes split(__m512i first, __m512i second, __mmask8 top) noexcept {
  const __m512i low = _mm512_maskz_unpacklo_epi64(0xff, first, second);
  const __m512i high = _mm512_maskz_unpackhi_epi64(0xff, first, second);
  const __m512i mask = all(kMask44);
  const __m512i middle = _mm512_or_si512(shiftedRight(low, 44), shiftedLeft(high, 20));
  return {{_mm512_and_si512(low, mask), _mm512_and_si512(middle, mask),
           _mm512_or_si512(shiftedRight(high, 24), _mm512_maskz_set1_epi64(top, int64_t{1} << 40))}};
}

SOCRYPT_IFMA_INLINE __mmask64 bytes(size_t begin, size_t end) noexcept {
  const auto before = [](size_t n) { return n < 64 ? (uint64_t{1} << n) - 1 : ~uint64_t{0}; };
  return before(end) & ~before(begin);
}

SOCRYPT_IFMA_INLINE Lanes load(uintptr_t group) noexcept {
  const auto* const from = reinterpret_cast<const void*>(group);
  return split(_mm512_loadu_si512(from), _mm512_loadu_si512(reinterpret_cast<const void*>(group + 64)), 0xff);
}
// Bytes [begin, end) only, zeros for the rest; 2^128 from block `full` on.
SOCRYPT_IFMA_INLINE Lanes loadPart(uintptr_t group, size_t begin, size_t end, size_t full) noexcept {
  const __m512i first = _mm512_maskz_loadu_epi8(bytes(begin, end), reinterpret_cast<const void*>(group));
  const __m512i second =
      _mm512_maskz_loadu_epi8(bytes(begin > 64 ? begin - 64 : 0, end > 64 ? end - 64 : 0), reinterpret_cast<const void*>(group + 64));
  const __m512i block = _mm512_setr_epi64(kBlockOf[0], kBlockOf[1], kBlockOf[2], kBlockOf[3], kBlockOf[4], kBlockOf[5], kBlockOf[6], kBlockOf[7]);
  return split(first, second, _mm512_cmpge_epu64_mask(block, all(full)));
}

SOCRYPT_IFMA_INLINE Lanes operator+(const Lanes& a, const Lanes& b) noexcept {
  return {{_mm512_add_epi64(a.limb[0], b.limb[0]), _mm512_add_epi64(a.limb[1], b.limb[1]), _mm512_add_epi64(a.limb[2], b.limb[2])}};
}

SOCRYPT_IFMA_INLINE uint64_t total(__m512i x) noexcept {
  const __m256i half = _mm256_add_epi64(_mm512_maskz_extracti64x4_epi64(0xf, x, 0), _mm512_maskz_extracti64x4_epi64(0xf, x, 1));
  const __m128i quarter = _mm_add_epi64(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_add_epi64(quarter, _mm_unpackhi_epi64(quarter, quarter))));
}

}  // namespace

void prepareWidePoly(const PolyPowers& powers, PolyKey::Factors& factors) noexcept {
  for (size_t i = 0; i < kLanes; ++i)
    for (size_t limb = 0; limb < 3; ++limb) factors.lanes[kLanes * limb + i] = powers[kLanes - 1 - kBlockOf[i]][limb];
  const auto put = [](std::array<uint64_t, 9>& to, const PolyNumber& x) { to = {x[0], x[1], x[2], x[1] * 20, x[2] * 20}; };
  for (size_t i = 0; i < factors.groups.size(); ++i) put(factors.groups[i], powers[kLanes - 1 + i]);
}

SOCRYPT_IFMA PolyNumber widePolyRange(const PolyKey::Factors& factors, const PolyRange& range) noexcept {
  const PolyLayout layout = layoutOf<kLanes>(range);
  // An address, not a pointer, since the first group may begin before what `data` points into.
  uintptr_t group = reinterpret_cast<uintptr_t>(range.data) - layout.begin;
  Lanes h = loadPart(group, layout.begin, layout.end, layout.full);
  group += kGroup;
  size_t left = layout.groups - 1;
  const size_t rest = layout.end - kGroup * left;  // bytes in the last group
  const auto& factor = factors.groups;
  // Of several groups one product each, first those that need not wait for h; one reduction for all.
  for (; left >= 4; left -= 4, group += 4 * kGroup) {
    Sum sum;
    clear(sum);
    multiplyAdd(sum, load(group), everywhere(factor[2]));
    multiplyAdd(sum, load(group + kGroup), everywhere(factor[1]));
    multiplyAdd(sum, load(group + 2 * kGroup), everywhere(factor[0]));
    multiplyAdd(sum, h, everywhere(factor[3]));
    h = reduced(sum) + (left == 4 ? loadPart(group + 3 * kGroup, 0, rest, 0) : load(group + 3 * kGroup));
  }
  if (left >= 2) {
    Sum sum;
    clear(sum);
    multiplyAdd(sum, load(group), everywhere(factor[0]));
    multiplyAdd(sum, h, everywhere(factor[1]));
    h = reduced(sum) + (left == 2 ? loadPart(group + kGroup, 0, rest, 0) : load(group + kGroup));
    left -= 2;
    group += 2 * kGroup;
  }
  if (left != 0) {
    Sum sum;
    clear(sum);
    multiplyAdd(sum, h, everywhere(factor[0]));
    h = reduced(sum) + loadPart(group, 0, rest, 0);
  }
  Factor last;
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) last.limb[i] = _mm512_load_si512(factors.lanes.data() + kLanes * i);
  last.over1 = _mm512_add_epi64(shiftedLeft(last.limb[1], 4), shiftedLeft(last.limb[1], 2));
  last.over2 = _mm512_add_epi64(shiftedLeft(last.limb[2], 4), shiftedLeft(last.limb[2], 2));
  Sum sum;
  clear(sum);
  multiplyAdd(sum, h, last);
  h = reduced(sum);
  PolyNumber result{};
  PolyKey::add(result, {total(h.limb[0]), total(h.limb[1]), total(h.limb[2])});
  return result;
}

}  // namespace socrypt::nic
#endif
