// AVX2: four blocks at once in lanes of 64 bits, five limbs of 26 bits, since the multiplier takes 32.
#include "nic/device/poly1305_kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#define SOCRYPT_AVX2 __attribute__((target("avx2")))
#define SOCRYPT_AVX2_INLINE __attribute__((target("avx2"), always_inline)) inline

namespace socrypt::nic {
namespace {

constexpr size_t kLanes = 4;
constexpr size_t kGroup = kLanes * kPolyBlock;
constexpr uint64_t kMask26 = (uint64_t{1} << 26) - 1;
// Two loads of two blocks, their low and their high words sorted out by pairs: this is the block of each lane.
constexpr int kBlockOf[kLanes] = {0, 2, 1, 3};

struct Lanes {
  __m256i limb[5];
};

// Of a factor, what a product needs: its limbs, and those but the first times 5 (2^130 is 5).
struct Factor {
  __m256i limb[5];
  __m256i over[5];
};

SOCRYPT_AVX2_INLINE __m256i all(uint64_t x) noexcept { return _mm256_set1_epi64x(static_cast<long long>(x)); }

SOCRYPT_AVX2_INLINE Factor everywhere(const std::array<uint64_t, 9>& x) noexcept {
  Factor factor;
  factor.limb[0] = factor.over[0] = all(x[0]);
#pragma GCC unroll 4
  for (int i = 1; i < 5; ++i) {
    factor.limb[i] = all(x[i]);
    factor.over[i] = all(x[4 + i]);
  }
  return factor;
}

SOCRYPT_AVX2_INLINE void multiplyAdd(Lanes& sum, const Lanes& a, const Factor& b) noexcept {
#pragma GCC unroll 5
  for (int i = 0; i < 5; ++i) {
#pragma GCC unroll 5
    for (int j = 0; j < 5; ++j) {
      const __m256i factor = i + j < 5 ? b.limb[j] : b.over[j];
      sum.limb[(i + j) % 5] = _mm256_add_epi64(sum.limb[(i + j) % 5], _mm256_mul_epu32(a.limb[i], factor));
    }
  }
}

SOCRYPT_AVX2_INLINE void clear(Lanes& sum) noexcept {
#pragma GCC unroll 5
  for (auto& limb : sum.limb) limb = _mm256_setzero_si256();
}

// What is above 26 bits of limb `from` goes to the next.
SOCRYPT_AVX2_INLINE void carry(Lanes& x, int from) noexcept {
  __m256i over = _mm256_srli_epi64(x.limb[from], 26);
  x.limb[from] = _mm256_and_si256(x.limb[from], all(kMask26));
  if (from == 4) over = _mm256_add_epi64(over, _mm256_slli_epi64(over, 2));
  x.limb[(from + 1) % 5] = _mm256_add_epi64(x.limb[(from + 1) % 5], over);
}

// Limbs below 2^61 in; below 2^26 + 2^11 out. Two chains of carries side by side.
SOCRYPT_AVX2_INLINE void reduce(Lanes& x) noexcept {
  carry(x, 0), carry(x, 3);
  carry(x, 1), carry(x, 4);
  carry(x, 2), carry(x, 0);
  carry(x, 3);
}

SOCRYPT_AVX2_INLINE Lanes load(const uint8_t* group) noexcept {
  const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group));
  const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group + 32));
  const __m256i low = _mm256_unpacklo_epi64(first, second);
  const __m256i high = _mm256_unpackhi_epi64(first, second);
  const __m256i mask = all(kMask26);
  return {{_mm256_and_si256(low, mask), _mm256_and_si256(_mm256_srli_epi64(low, 26), mask),
           _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12)), mask),
           _mm256_and_si256(_mm256_srli_epi64(high, 14), mask), _mm256_srli_epi64(high, 40)}};
}
// 2^128 in the lanes of block `full` and those behind it.
SOCRYPT_AVX2_INLINE void addTop(Lanes& x, size_t full) noexcept {
  const __m256i block = _mm256_setr_epi64x(kBlockOf[0], kBlockOf[1], kBlockOf[2], kBlockOf[3]);
  const __m256i without = _mm256_cmpgt_epi64(all(full), block);
  x.limb[4] = _mm256_or_si256(x.limb[4], _mm256_andnot_si256(without, all(uint64_t{1} << 24)));
}

SOCRYPT_AVX2_INLINE Lanes loadWhole(const uint8_t* group) noexcept {
  Lanes x = load(group);
  addTop(x, 0);
  return x;
}

SOCRYPT_AVX2_INLINE void add(Lanes& a, const Lanes& b) noexcept {
#pragma GCC unroll 5
  for (int i = 0; i < 5; ++i) a.limb[i] = _mm256_add_epi64(a.limb[i], b.limb[i]);
}

SOCRYPT_AVX2_INLINE uint64_t total(__m256i x) noexcept {
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_add_epi64(half, _mm_unpackhi_epi64(half, half))));
}

std::array<uint64_t, 5> limbsOf(const PolyNumber& x) noexcept {
  // The second limb may run over.
  const PolyWide low = x[0] + (PolyWide{x[1]} << 44);
  const uint64_t high = x[2] + static_cast<uint64_t>(low >> 88);
  const PolyWide middle = low & ((PolyWide{1} << 88) - 1);
  return {static_cast<uint64_t>(middle) & kMask26, static_cast<uint64_t>(middle >> 26) & kMask26, static_cast<uint64_t>(middle >> 52) & kMask26,
          (static_cast<uint64_t>(middle >> 78) | high << 10) & kMask26, high >> 16};
}

}  // namespace

void prepareNarrowPoly(const PolyPowers& powers, PolyKey::Factors& factors) noexcept {
  for (size_t i = 0; i < kLanes; ++i) {
    const auto limbs = limbsOf(powers[kLanes - 1 - kBlockOf[i]]);
    for (size_t limb = 0; limb < 5; ++limb) factors.lanes[kLanes * limb + i] = limbs[limb];
  }
  const auto put = [](std::array<uint64_t, 9>& to, const PolyNumber& x) {
    const auto limbs = limbsOf(x);
    for (size_t i = 0; i < 5; ++i) to[i] = limbs[i];
    for (size_t i = 1; i < 5; ++i) to[4 + i] = limbs[i] * 5;
  };
  put(factors.groups[0], powers[kLanes - 1]);
  put(factors.groups[1], powers[2 * kLanes - 1]);
}

SOCRYPT_AVX2 PolyNumber narrowPolyRange(const PolyKey::Factors& factors, const PolyRange& range) noexcept {
  const PolyLayout layout = layoutOf<kLanes>(range);
  // Zeros stand around the range in its first and its last group.
  alignas(32) uint8_t edge[kGroup] = {};
  const uint8_t* data = range.data;
  size_t length = range.length;
  const size_t inFirst = std::min(length, kGroup - layout.begin);
  std::memcpy(edge + layout.begin, data, inFirst);
  data += inFirst;
  length -= inFirst;
  Lanes h = load(edge);
  addTop(h, layout.full);
  size_t left = layout.groups - 1;
  if (left != 0) {
    const size_t inLast = length - kGroup * (left - 1);
    std::memset(edge, 0, kGroup);
    std::memcpy(edge, data + kGroup * (left - 1), inLast);
  }
  for (; left >= 2; left -= 2) {
    Lanes sum;
    clear(sum);
    multiplyAdd(sum, loadWhole(data), everywhere(factors.groups[0]));
    multiplyAdd(sum, h, everywhere(factors.groups[1]));
    reduce(sum);
    add(sum, loadWhole(left == 2 ? edge : data + kGroup));
    h = sum;
    if (left > 2) data += 2 * kGroup;
  }
  if (left != 0) {
    Lanes sum;
    clear(sum);
    multiplyAdd(sum, h, everywhere(factors.groups[0]));
    reduce(sum);
    add(sum, loadWhole(edge));
    h = sum;
  }
  Factor last;
#pragma GCC unroll 5
  for (int i = 0; i < 5; ++i) {
    last.limb[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(factors.lanes.data()) + i);
    last.over[i] = _mm256_add_epi64(last.limb[i], _mm256_slli_epi64(last.limb[i], 2));
  }
  Lanes sum;
  clear(sum);
  multiplyAdd(sum, h, last);
  reduce(sum);
  uint64_t limb[5];
#pragma GCC unroll 5
  for (int i = 0; i < 5; ++i) limb[i] = total(sum.limb[i]);
  const PolyWide low = limb[0] + (PolyWide{limb[1]} << 26) + (PolyWide{limb[2]} << 52) + (PolyWide{limb[3]} << 78);
  PolyNumber result{};
  PolyKey::add(result, {static_cast<uint64_t>(low) & kMask44, static_cast<uint64_t>(low >> 44) & kMask44,
                        static_cast<uint64_t>(low >> 88) + (limb[4] << 16)});
  return result;
}

}  // namespace socrypt::nic
#endif
