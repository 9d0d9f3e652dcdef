// Four blocks at once, in the compiler's own vectors of 128 bits: SSE2 or NEON where there is one of them.
#include <cstring>

#include "nic/device/chacha20.hpp"
#include "nic/device/chacha20_kernels.hpp"
#include "ocf/ocf.hpp"

#define SOCRYPT_CHACHA_INLINE __attribute__((always_inline)) inline

namespace socrypt::nic {
namespace {

using Words = uint32_t __attribute__((vector_size(16)));

SOCRYPT_CHACHA_INLINE Words add(Words a, Words b) noexcept { return a + b; }
SOCRYPT_CHACHA_INLINE Words exclusiveOr(Words a, Words b) noexcept { return a ^ b; }
template <int kBits>
SOCRYPT_CHACHA_INLINE Words rotated(Words x) noexcept {
  return x << kBits | x >> (32 - kBits);
}

}  // namespace
}  // namespace socrypt::nic

#include "nic/device/chacha20_rounds.hpp"

namespace socrypt::nic {
namespace {

constexpr size_t kLanes = 4;
constexpr size_t kStep = kLanes * ChaChaKey::kBlock;

// Words 4q to 4q + 3 of four blocks, from vectors of one word of each to vectors of one block's.
SOCRYPT_CHACHA_INLINE void transpose(const Words (&x)[16], int q, uint8_t* to) noexcept {
  const Words &a = x[4 * q], &b = x[4 * q + 1], &c = x[4 * q + 2], &d = x[4 * q + 3];
  const Words ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Words ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Words block[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                          __builtin_shufflevector(ef, gh, 0, 1, 4, 5), __builtin_shufflevector(ef, gh, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(to + ChaChaKey::kBlock * i + 16 * q, &block[i], 16);
}

// The keystream of four blocks.
void keystream(const uint32_t* state, uint32_t counter, uint8_t* to) noexcept {
  Words start[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) start[i] = Words{} + state[i];
  start[12] = Words{} + counter + Words{0, 1, 2, 3};
  Words x[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = start[i];
  rounds(x);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] += start[i];
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) transpose(x, q, to);
}

}  // namespace

void portableChaChaRange(const ChaChaRange& range) noexcept {
  uint8_t* data = range.data;
  size_t n = range.length;
  size_t skip = range.skip;
  uint32_t counter = range.state[12];
  alignas(16) uint8_t stream[kStep];
  do {
    keystream(range.state, counter, stream);
    if (skip == ChaChaKey::kBlock) std::memcpy(range.first, stream, ChaChaKey::kBlock);
    counter += kLanes;
    const size_t take = n < kStep - skip ? n : kStep - skip;
    const uint8_t* from = stream + skip;
    size_t i = 0;
    for (; i + 16 <= take; i += 16) {
      Words text, key;
      std::memcpy(&text, data + i, 16);
      std::memcpy(&key, from + i, 16);
      text ^= key;
      std::memcpy(data + i, &text, 16);
    }
    for (; i < take; ++i) data[i] ^= from[i];
    data += take;
    n -= take;
    skip = 0;
  } while (n != 0);
  ocf::wipe(stream, sizeof stream);
}

}  // namespace socrypt::nic
