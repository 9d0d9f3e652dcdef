// AVX2: eight blocks at once.
#include "nic/device/chacha20.hpp"
#include "nic/device/chacha20_kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "ocf/ocf.hpp"

#define SOCRYPT_CHACHA __attribute__((target("avx2")))
#define SOCRYPT_CHACHA_INLINE __attribute__((target("avx2"), always_inline)) inline

namespace socrypt::nic {
namespace {

using Words = __m256i;

SOCRYPT_CHACHA_INLINE Words add(Words a, Words b) noexcept { return _mm256_add_epi32(a, b); }
SOCRYPT_CHACHA_INLINE Words exclusiveOr(Words a, Words b) noexcept { return _mm256_xor_si256(a, b); }
template <int kBits>
SOCRYPT_CHACHA_INLINE Words rotated(Words x) noexcept {
  // Whole bytes move in one instruction.
  if constexpr (kBits == 16) {
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,  //
                                                   2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  } else if constexpr (kBits == 8) {
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14,  //
                                                   3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
  } else {
    return _mm256_or_si256(_mm256_slli_epi32(x, kBits), _mm256_srli_epi32(x, 32 - kBits));
  }
}

}  // namespace
}  // namespace socrypt::nic

#include "nic/device/chacha20_rounds.hpp"

namespace socrypt::nic {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kStep = kLanes * ChaChaKey::kBlock;

// Four words of eight blocks, each in a vector: half i of vector s gets those of block 4i + s.
SOCRYPT_CHACHA_INLINE void transpose(Words& a, Words& b, Words& c, Words& d) noexcept {
  const Words ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
  const Words ef = _mm256_unpackhi_epi32(a, b), gh = _mm256_unpackhi_epi32(c, d);
  a = _mm256_unpacklo_epi64(ab, cd);
  b = _mm256_unpackhi_epi64(ab, cd);
  c = _mm256_unpacklo_epi64(ef, gh);
  d = _mm256_unpackhi_epi64(ef, gh);
}

// The keystream of eight blocks: XORed to `text`, or stored where that is null.
SOCRYPT_CHACHA_INLINE void put(Words stream, const uint8_t* text, uint8_t* to, size_t at) noexcept {
  if (text != nullptr) stream = _mm256_xor_si256(stream, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text + at)));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at), stream);
}

SOCRYPT_CHACHA void keystream(const uint32_t* state, uint32_t counter, const uint8_t* text, uint8_t* to) noexcept {
  Words x[16];
  const Words counters = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(counter)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = i == 12 ? counters : _mm256_set1_epi32(static_cast<int>(state[i]));
  rounds(x);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = _mm256_add_epi32(x[i], i == 12 ? counters : _mm256_set1_epi32(static_cast<int>(state[i])));
#pragma GCC unroll 4
  for (int q = 0; q < 16; q += 4) transpose(x[q], x[q + 1], x[q + 2], x[q + 3]);
#pragma GCC unroll 4
  for (size_t s = 0; s < 4; ++s) {
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half) {
      put(_mm256_permute2x128_si256(x[s + 8 * half], x[s + 8 * half + 4], 0x20), text, to, ChaChaKey::kBlock * s + 32 * half);
      put(_mm256_permute2x128_si256(x[s + 8 * half], x[s + 8 * half + 4], 0x31), text, to, ChaChaKey::kBlock * (4 + s) + 32 * half);
    }
  }
}

SOCRYPT_CHACHA_INLINE void exclusiveOr(uint8_t* data, const uint8_t* stream, size_t n) noexcept {
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const auto at = reinterpret_cast<__m256i*>(data + i);
    _mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(stream + i))));
  }
  if (i + 16 <= n) {
    const auto at = reinterpret_cast<__m128i*>(data + i);
    _mm_storeu_si128(at, _mm_xor_si128(_mm_loadu_si128(at), _mm_loadu_si128(reinterpret_cast<const __m128i*>(stream + i))));
    i += 16;
  }
  for (; i < n; ++i) data[i] ^= stream[i];
}

}  // namespace

SOCRYPT_CHACHA void narrowChaChaRange(const ChaChaRange& range) noexcept {
  uint8_t* data = range.data;
  size_t n = range.length;
  size_t skip = range.skip;
  uint32_t counter = range.state[12];
  alignas(32) uint8_t stream[kStep];
  bool stored = false;
  do {
    const size_t take = n < kStep - skip ? n : kStep - skip;
    if (take == kStep) {
      keystream(range.state, counter, data, data);
    } else {
      keystream(range.state, counter, nullptr, stream);
      if (skip == ChaChaKey::kBlock) std::memcpy(range.first, stream, ChaChaKey::kBlock);
      exclusiveOr(data, stream + skip, take);
      stored = true;
    }
    counter += kLanes;
    data += take;
    n -= take;
    skip = 0;
  } while (n != 0);
  if (stored) ocf::wipe(stream, sizeof stream);
}

}  // namespace socrypt::nic
#endif
