// What the kernels that multiply without carries share. x86-64 only; for nic/device itself.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#define SOCRYPT_CLMUL __attribute__((target("pclmul,ssse3"), always_inline)) inline

namespace socrypt::nic {

/// A block as a number (FieldElement), and back.
SOCRYPT_CLMUL __m128i reversed(__m128i block) noexcept {
  return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/// Reduces low + middle x^64 + high x^128, as reduce() in ghash.cc, two words at once: swap the halves, add
/// the low one times the middle of the polynomial.
SOCRYPT_CLMUL __m128i fold(__m128i low, __m128i middle, __m128i high) noexcept {
  const __m128i polynomial = _mm_set_epi64x(0, static_cast<long long>(0xc200000000000000));
  low = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
  high = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
  low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, polynomial, 0x00));
  low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, polynomial, 0x00));
  return _mm_xor_si128(low, high);
}

}  // namespace socrypt::nic
#endif
