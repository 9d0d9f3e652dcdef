// AES-NI and PCLMULQDQ on 128 bits, eight blocks per step.
#include "nic/device/aes_gcm_kernels.hpp"

#if defined(__x86_64__)
#include <cstring>

#include "nic/device/clmul.hpp"
#include "ocf/ocf.hpp"

#define SOCRYPT_AES __attribute__((target("aes,pclmul,ssse3")))
#define SOCRYPT_AES_INLINE __attribute__((target("aes,pclmul,ssse3"), always_inline)) inline

namespace socrypt::nic {
namespace {

constexpr size_t kBlock = 16;
constexpr size_t kBlocks = 8;
constexpr size_t kStep = kBlocks * kBlock;

struct Sum {
  __m128i low;
  __m128i middle;
  __m128i high;
};

SOCRYPT_AES_INLINE void clear(Sum& sum) noexcept { sum.low = sum.middle = sum.high = _mm_setzero_si128(); }

SOCRYPT_AES_INLINE void multiplyAdd(Sum& sum, __m128i x, const FieldElement* power) noexcept {
  const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(power));
  sum.low = _mm_xor_si128(sum.low, _mm_clmulepi64_si128(x, h, 0x00));
  sum.high = _mm_xor_si128(sum.high, _mm_clmulepi64_si128(x, h, 0x11));
  sum.middle = _mm_xor_si128(sum.middle, _mm_xor_si128(_mm_clmulepi64_si128(x, h, 0x01), _mm_clmulepi64_si128(x, h, 0x10)));
}

// `counter`: reversed, so that it counts in the lowest 32 bits; moved behind the blocks.
template <int kRounds>
SOCRYPT_AES_INLINE void keystream(const AesKey::Schedule& schedule, __m128i& counter, __m128i (&out)[kBlocks]) noexcept {
  const auto* key = reinterpret_cast<const __m128i*>(schedule.bytes.data());
#pragma GCC unroll 8
  for (auto& block : out) {
    block = _mm_xor_si128(reversed(counter), key[0]);
    counter = _mm_add_epi32(counter, _mm_set_epi32(0, 0, 0, 1));
  }
#pragma GCC unroll 14
  for (int round = 1; round < kRounds; ++round) {
#pragma GCC unroll 8
    for (auto& block : out) block = _mm_aesenc_si128(block, key[round]);
  }
#pragma GCC unroll 8
  for (auto& block : out) block = _mm_aesenclast_si128(block, key[kRounds]);
}

template <int kRounds>
SOCRYPT_AES FieldElement range(const AesKey::Schedule& schedule, const AesRange& range) noexcept {
  __m128i counter = reversed(_mm_loadu_si128(reinterpret_cast<const __m128i*>(range.counter)));
  uint8_t* data = range.data;
  size_t n = range.length;
  size_t skip = range.skip;
  __m128i y = _mm_setzero_si128();
  while (n != 0) {
    alignas(16) __m128i stream[kBlocks];
    keystream<kRounds>(schedule, counter, stream);
    const size_t take = n < kStep - skip ? n : kStep - skip;
    alignas(16) uint8_t text[kStep] = {};
    const bool whole = take == kStep;
    if (!whole) std::memcpy(text + skip, data, take);
    uint8_t* const from = whole ? data : text;
    const size_t blocks = (skip + take + kBlock - 1) / kBlock;
    Sum sum;
    clear(sum);
    for (size_t i = 0; i < blocks; ++i) {
      auto* const at = reinterpret_cast<__m128i*>(from + kBlock * i);
      __m128i x = _mm_xor_si128(_mm_loadu_si128(at), stream[i]);
      _mm_storeu_si128(at, x);
      if (range.powersEnd == nullptr) continue;
      if (!whole && (i == 0 || i + 1 == blocks)) {
        // What stands around the range is keystream now; it counts as zero.
        alignas(16) uint8_t edge[kBlock] = {};
        const size_t a = i == 0 ? skip : 0;
        const size_t b = i + 1 == blocks ? skip + take - kBlock * i : kBlock;
        std::memcpy(edge + a, text + kBlock * i + a, b - a);
        x = _mm_load_si128(reinterpret_cast<const __m128i*>(edge));
      }
      x = reversed(x);
      if (i == 0) x = _mm_xor_si128(x, y);
      multiplyAdd(sum, x, range.powersEnd - blocks + i);
    }
    if (range.powersEnd != nullptr) y = fold(sum.low, sum.middle, sum.high);
    if (!whole) {
      std::memcpy(data, text + skip, take);
      ocf::wipe(text, sizeof text);
      ocf::wipe(stream, sizeof stream);
    }
    data += take;
    n -= take;
    skip = 0;
  }
  FieldElement result;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&result), y);
  return result;
}

}  // namespace

FieldElement narrowAesRange(const AesKey::Schedule& schedule, const AesRange& r) noexcept {
  return schedule.rounds == 14 ? range<14>(schedule, r) : range<10>(schedule, r);
}

}  // namespace socrypt::nic
#endif
