#include "nic/device/aes_gcm.hpp"

#include "nic/device/aes_gcm_kernels.hpp"
#include "ocf/ocf.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define SOCRYPT_AES __attribute__((target("aes,sse2")))
#endif

namespace socrypt::nic {
namespace {

constexpr size_t kBlock = 16;

#if defined(__x86_64__)
// FIPS 197 5.2: each word of the key schedule is the XOR of two before it.
SOCRYPT_AES inline __m128i chained(__m128i words) noexcept {
  words = _mm_xor_si128(words, _mm_slli_si128(words, 4));
  return _mm_xor_si128(words, _mm_slli_si128(words, 8));
}

// The round constant has to be an immediate operand.
#define SOCRYPT_ROTATED(key, constant) _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, constant), 0xff)
#define SOCRYPT_PLAIN(key) _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, 0), 0xaa)

SOCRYPT_AES void expand128(const uint8_t* key, __m128i* out) noexcept {
  __m128i k = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  *out++ = k;
#define SOCRYPT_ROUND(constant) *out++ = k = _mm_xor_si128(chained(k), SOCRYPT_ROTATED(k, constant))
  SOCRYPT_ROUND(0x01);
  SOCRYPT_ROUND(0x02);
  SOCRYPT_ROUND(0x04);
  SOCRYPT_ROUND(0x08);
  SOCRYPT_ROUND(0x10);
  SOCRYPT_ROUND(0x20);
  SOCRYPT_ROUND(0x40);
  SOCRYPT_ROUND(0x80);
  SOCRYPT_ROUND(0x1b);
  SOCRYPT_ROUND(0x36);
#undef SOCRYPT_ROUND
}

SOCRYPT_AES void expand256(const uint8_t* key, __m128i* out) noexcept {
  __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key + kBlock));
  *out++ = a;
  *out++ = b;
#define SOCRYPT_EVEN(constant) *out++ = a = _mm_xor_si128(chained(a), SOCRYPT_ROTATED(b, constant))
#define SOCRYPT_ODD() *out++ = b = _mm_xor_si128(chained(b), SOCRYPT_PLAIN(a))
  SOCRYPT_EVEN(0x01);
  SOCRYPT_ODD();
  SOCRYPT_EVEN(0x02);
  SOCRYPT_ODD();
  SOCRYPT_EVEN(0x04);
  SOCRYPT_ODD();
  SOCRYPT_EVEN(0x08);
  SOCRYPT_ODD();
  SOCRYPT_EVEN(0x10);
  SOCRYPT_ODD();
  SOCRYPT_EVEN(0x20);
  SOCRYPT_ODD();
  SOCRYPT_EVEN(0x40);
#undef SOCRYPT_EVEN
#undef SOCRYPT_ODD
}
#undef SOCRYPT_ROTATED
#undef SOCRYPT_PLAIN
#endif

FieldElement runKernel(AesKernel kernel, const AesKey::Schedule& schedule, const AesRange& range) noexcept {
#if defined(__x86_64__)
  if (kernel == AesKernel::Wide) return wideAesRange(schedule, range);
  if (kernel == AesKernel::Narrow) return narrowAesRange(schedule, range);
#endif
  static_cast<void>(kernel), static_cast<void>(schedule), static_cast<void>(range);
  __builtin_unreachable();  // there is no key for a processor without a kernel
}

#if defined(__x86_64__)
// CPUID leaf 7, ECX bit 9. Clang 14's __builtin_cpu_supports does not know the name.
bool hasVaes() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & 1u << 9) != 0;
}
#endif

}  // namespace

bool hasAesKernel(AesKernel kernel) noexcept {
#if defined(__x86_64__)
  const bool narrow = __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("ssse3") != 0;
  if (kernel == AesKernel::Narrow) return narrow;
  if (kernel == AesKernel::Wide)
    return narrow && __builtin_cpu_supports("avx2") != 0 && hasVaes() && __builtin_cpu_supports("vpclmulqdq") != 0;
#endif
  return kernel == AesKernel::None;
}

AesKernel bestAesKernel() noexcept {
  static const AesKernel best = hasAesKernel(AesKernel::Wide)     ? AesKernel::Wide
                                : hasAesKernel(AesKernel::Narrow) ? AesKernel::Narrow
                                                                  : AesKernel::None;
  return best;
}

AesKey::AesKey(std::span<const uint8_t> key, AesKernel kernel) noexcept : kernel_(kernel) {
  schedule_.rounds = key.size() == 32 ? 14 : 10;
#if defined(__x86_64__)
  auto* const out = reinterpret_cast<__m128i*>(schedule_.bytes.data());
  if (schedule_.rounds == 14) {
    expand256(key.data(), out);
  } else {
    expand128(key.data(), out);
  }
#endif
}

AesKey::~AesKey() { ocf::wipe(schedule_.bytes.data(), schedule_.bytes.size()); }

void AesKey::crypt(const uint8_t* counter, size_t skip, std::span<uint8_t> data) const noexcept {
  static_cast<void>(runKernel(kernel_, schedule_, {counter, skip, data.data(), data.size(), nullptr}));
}

FieldElement AesKey::seal(const uint8_t* counter, size_t skip, std::span<uint8_t> data, const GhashKey& ghash, size_t power) const noexcept {
  const FieldElement hash = runKernel(kernel_, schedule_, {counter, skip, data.data(), data.size(), ghash.powersEnd()});
  return ghash.times(hash, power - 1);
}

}  // namespace socrypt::nic
