// Four multiplications of a ladder step at a time, each in one lane of a vector (Nath, Sarkar, "Efficient 4-way
// vectorizations of the Montgomery ladder", IEEE Transactions on Computers 71, 2022), by the 52-bit multiplier of AVX-512 IFMA.
#include "ocf/x25519_ladder.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#define SOCRYPT_IFMA __attribute__((target("avx2,avx512f,avx512vl,avx512ifma")))
#define SOCRYPT_IFMA_INLINE __attribute__((target("avx2,avx512f,avx512vl,avx512ifma"), always_inline)) inline

namespace socrypt::x25519 {
namespace {

using namespace field25519;

// Four elements: limb i of all of them in limb[i]. The multiplier takes 52 bits, so a factor's limbs are below 2^52; carried,
// they are below 2^51 + 2^15.
struct Four {
  __m256i limb[5];
};

SOCRYPT_IFMA_INLINE __m256i times19(__m256i x) {
  return _mm256_add_epi64(_mm256_add_epi64(_mm256_slli_epi64(x, 4), _mm256_slli_epi64(x, 1)), x);
}

// Every limb hands what is above its 51 bits to the next, once and all together: enough for limbs below 2^61.
SOCRYPT_IFMA_INLINE Four carry(const Four& x) {
  const __m256i mask = _mm256_set1_epi64x(static_cast<int64_t>(kMask));
  Four out;
  out.limb[0] = _mm256_add_epi64(_mm256_and_si256(x.limb[0], mask), times19(_mm256_srli_epi64(x.limb[4], 51)));
  for (int i = 1; i < 5; ++i)
    out.limb[i] = _mm256_add_epi64(_mm256_and_si256(x.limb[i], mask), _mm256_srli_epi64(x.limb[i - 1], 51));
  return out;
}

// A product's low 52 bits belong to limb i + j, what is above them to the next, twice, since limbs have 51 bits.
SOCRYPT_IFMA_INLINE Four multiply(const Four& a, const Four& b) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i low[10], high[10];
  for (int k = 0; k < 10; ++k) low[k] = high[k] = zero;
  for (int i = 0; i < 5; ++i)
    for (int j = 0; j < 5; ++j) {
      low[i + j] = _mm256_madd52lo_epu64(low[i + j], a.limb[i], b.limb[j]);
      high[i + j + 1] = _mm256_madd52hi_epu64(high[i + j + 1], a.limb[i], b.limb[j]);
    }
  for (int k = 0; k < 10; ++k) low[k] = _mm256_add_epi64(low[k], _mm256_slli_epi64(high[k], 1));
  Four out;
  for (int k = 0; k < 5; ++k) out.limb[k] = _mm256_add_epi64(low[k], times19(low[k + 5]));
  return carry(out);
}

template <int kLanes>
SOCRYPT_IFMA_INLINE Four permute(const Four& x) {
  Four out;
  for (int i = 0; i < 5; ++i) out.limb[i] = _mm256_permute4x64_epi64(x.limb[i], kLanes);
  return out;
}

SOCRYPT_IFMA_INLINE Four permute(const Four& x, __m256i lanes) {
  Four out;
  for (int i = 0; i < 5; ++i) out.limb[i] = _mm256_permutexvar_epi64(lanes, x.limb[i]);
  return out;
}

constexpr int lanes(int a, int b, int c, int d) { return a | b << 2 | c << 4 | d << 6; }

// (a, b, c, d) to (a + b, a - b, c + d, c - d); 2p keeps the differences positive.
SOCRYPT_IFMA_INLINE Four sumsAndDifferences(const Four& x) {
  constexpr int64_t first = 0xfffffffffffda, other = 0xffffffffffffe;
  const Four left = permute<lanes(0, 0, 2, 2)>(x), right = permute<lanes(1, 1, 3, 3)>(x);
  Four out;
  for (int i = 0; i < 5; ++i) {
    const __m256i raised = _mm256_add_epi64(left.limb[i], _mm256_set1_epi64x(i == 0 ? first : other));
    out.limb[i] = _mm256_mask_sub_epi64(_mm256_add_epi64(left.limb[i], right.limb[i]), 0b1010, raised, right.limb[i]);
  }
  return carry(out);
}

}  // namespace

bool haveIfma() noexcept {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512ifma") != 0;
}

SOCRYPT_IFMA Fraction ladderIfma(const Scalar& scalar, std::span<const uint8_t, 32> peer) noexcept {
  const Element u = load(peer);
  const __m256i factor = _mm256_setr_epi64x(0, 121665, 0, 0);
  Four state, last;  // x2, z2, x3, z3; the factors of a step's last multiplication: 1, 1, 1, u
  for (int i = 0; i < 5; ++i) {
    const int64_t one = i == 0 ? 1 : 0, limb = static_cast<int64_t>(u.limb[i]);
    state.limb[i] = _mm256_setr_epi64x(one, 0, limb, one);
    last.limb[i] = _mm256_setr_epi64x(one, one, one, limb);
  }
  uint64_t swap = 0;
  for (int at = 254; at >= 0; --at) {
    const uint64_t bit = (scalar[static_cast<size_t>(at) / 8] >> (at % 8)) & 1;
    // To swap (x2, z2) with (x3, z3) is to take the other half: of every lane's number, one bit.
    const __m256i other = _mm256_set1_epi64x(static_cast<int64_t>((swap ^ bit) << 1));
    swap = bit;
    // A = x2 + z2, B = x2 - z2, C = x3 + z3, D = x3 - z3, in RFC 7748's letters.
    const Four abcd = sumsAndDifferences(state);
    // AA, BB, DA, CB.
    const Four first = multiply(permute(abcd, _mm256_xor_si256(_mm256_setr_epi64x(0, 1, 0, 1), other)),
                                permute(abcd, _mm256_xor_si256(_mm256_setr_epi64x(0, 1, 3, 2), other)));
    // AA + BB, E = AA - BB, DA + CB, DA - CB.
    const Four sums = sumsAndDifferences(first);
    const Four crossed = permute<lanes(1, 0, 3, 2)>(first);
    Four left, right;
    for (int i = 0; i < 5; ++i) {
      left.limb[i] = _mm256_mask_blend_epi64(0b0001, sums.limb[i], first.limb[i]);     // AA, E, DA + CB, DA - CB
      right.limb[i] = _mm256_mask_blend_epi64(0b0011, sums.limb[i], crossed.limb[i]);  // BB, AA, DA + CB, DA - CB
    }
    // AA + 121665 E.
    __m256i above[5];
    for (int i = 0; i < 5; ++i) {
      right.limb[i] = _mm256_madd52lo_epu64(right.limb[i], left.limb[i], factor);
      above[i] = _mm256_slli_epi64(_mm256_madd52hi_epu64(_mm256_setzero_si256(), left.limb[i], factor), 1);
    }
    right.limb[0] = _mm256_add_epi64(right.limb[0], times19(above[4]));
    for (int i = 1; i < 5; ++i) right.limb[i] = _mm256_add_epi64(right.limb[i], above[i - 1]);
    state = multiply(multiply(left, carry(right)), last);
  }
  Fraction out;
  for (int i = 0; i < 5; ++i) {
    alignas(32) uint64_t words[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(words), state.limb[i]);
    out.x.limb[i] = words[0];
    out.z.limb[i] = words[1];
    out.x.limb[i] ^= (0 - swap) & (words[0] ^ words[2]);
    out.z.limb[i] ^= (0 - swap) & (words[1] ^ words[3]);
  }
  return out;
}

}  // namespace socrypt::x25519

#else

namespace socrypt::x25519 {

bool haveIfma() noexcept { return false; }
Fraction ladderIfma(const Scalar& scalar, std::span<const uint8_t, 32> peer) noexcept { return ladderPortable(scalar, peer); }

}  // namespace socrypt::x25519

#endif
