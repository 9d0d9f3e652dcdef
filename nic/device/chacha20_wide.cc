// AVX-512: sixteen blocks side by side, a word of each in a vector, and eight more by rows, four blocks of one
// row in a vector. Sixteen alone do not fill the processor: a round is a chain of twelve instructions (two
// cycles each on Zen 5). 24 blocks are what a segment of 1448 bytes needs.
#include "nic/device/chacha20.hpp"
#include "nic/device/chacha20_kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#define SOCRYPT_CHACHA __attribute__((target("avx512f,avx512bw")))
#define SOCRYPT_CHACHA_INLINE __attribute__((target("avx512f,avx512bw"), always_inline)) inline

namespace socrypt::nic {
namespace {

using Words = __m512i;

SOCRYPT_CHACHA_INLINE Words add(Words a, Words b) noexcept { return _mm512_add_epi32(a, b); }
SOCRYPT_CHACHA_INLINE Words exclusiveOr(Words a, Words b) noexcept { return _mm512_xor_si512(a, b); }
// The masked forms, here and below: GCC 12 warns of the undefined register in the plain ones.
template <int kBits>
SOCRYPT_CHACHA_INLINE Words rotated(Words x) noexcept {
  return _mm512_maskz_rol_epi32(0xffff, x, kBits);
}

}  // namespace
}  // namespace socrypt::nic

#include "nic/device/chacha20_rounds.hpp"

namespace socrypt::nic {
namespace {

constexpr size_t kBlock = ChaChaKey::kBlock;
constexpr size_t kColumns = 16;
constexpr size_t kAll = 24;

// Four words of sixteen blocks, each in a vector: quarter i of vector s gets those of block 4i + s.
SOCRYPT_CHACHA_INLINE void transpose(Words& a, Words& b, Words& c, Words& d) noexcept {
  const Words ab = _mm512_maskz_unpacklo_epi32(0xffff, a, b), cd = _mm512_maskz_unpacklo_epi32(0xffff, c, d);
  const Words ef = _mm512_maskz_unpackhi_epi32(0xffff, a, b), gh = _mm512_maskz_unpackhi_epi32(0xffff, c, d);
  a = _mm512_maskz_unpacklo_epi64(0xff, ab, cd);
  b = _mm512_maskz_unpackhi_epi64(0xff, ab, cd);
  c = _mm512_maskz_unpacklo_epi64(0xff, ef, gh);
  d = _mm512_maskz_unpackhi_epi64(0xff, ef, gh);
}

// The same for quarters of vectors.
SOCRYPT_CHACHA_INLINE void transposeQuarters(Words& a, Words& b, Words& c, Words& d) noexcept {
  const Words ab = _mm512_maskz_shuffle_i32x4(0xffff, a, b, 0x44), cd = _mm512_maskz_shuffle_i32x4(0xffff, c, d, 0x44);
  const Words ef = _mm512_maskz_shuffle_i32x4(0xffff, a, b, 0xee), gh = _mm512_maskz_shuffle_i32x4(0xffff, c, d, 0xee);
  a = _mm512_maskz_shuffle_i32x4(0xffff, ab, cd, 0x88);
  b = _mm512_maskz_shuffle_i32x4(0xffff, ab, cd, 0xdd);
  c = _mm512_maskz_shuffle_i32x4(0xffff, ef, gh, 0x88);
  d = _mm512_maskz_shuffle_i32x4(0xffff, ef, gh, 0xdd);
}

SOCRYPT_CHACHA_INLINE Words wordOf(const uint32_t* state, int i, Words counters) noexcept {
  return i == 12 ? counters : _mm512_set1_epi32(static_cast<int>(state[i]));
}
SOCRYPT_CHACHA_INLINE Words rowOf(const uint32_t* state, int i, Words counters) noexcept {
  // Not a broadcast of a quarter: at -O1 that is an internal error of GCC 12.
  const Words quarter = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(state) + i));
  const Words row = _mm512_maskz_shuffle_i32x4(0xffff, quarter, quarter, 0);
  return i == 3 ? _mm512_mask_mov_epi32(row, 0x1111, counters) : row;
}

// A round of four blocks. What follows turns the rows, so that the next takes the diagonals, or the columns again.
template <bool kColumn>
SOCRYPT_CHACHA_INLINE void rowRound(Words (&x)[4]) noexcept {
  quarterRound(x[0], x[1], x[2], x[3]);
  x[1] = _mm512_maskz_shuffle_epi32(0xffff, x[1], kColumn ? _MM_PERM_ADCB : _MM_PERM_CBAD);
  x[2] = _mm512_maskz_shuffle_epi32(0xffff, x[2], _MM_PERM_BADC);
  x[3] = _mm512_maskz_shuffle_epi32(0xffff, x[3], kColumn ? _MM_PERM_CBAD : _MM_PERM_ADCB);
}

SOCRYPT_CHACHA_INLINE void finishColumns(Words (&x)[16], const uint32_t* state, Words counters) noexcept {
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = add(x[i], wordOf(state, i, counters));
#pragma GCC unroll 4
  for (int q = 0; q < 16; q += 4) transpose(x[q], x[q + 1], x[q + 2], x[q + 3]);
  // Vector 4q + s has words 4q to 4q + 3 of blocks s, 4 + s, 8 + s and 12 + s.
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) transposeQuarters(x[s], x[4 + s], x[8 + s], x[12 + s]);
}

SOCRYPT_CHACHA_INLINE Words countersFrom(uint32_t counter) noexcept {
  return _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(counter)), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

// The keystream of sixteen blocks.
SOCRYPT_CHACHA_INLINE void keystream(const uint32_t* state, uint32_t counter, Words (&x)[kColumns]) noexcept {
  const Words counters = countersFrom(counter);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = wordOf(state, i, counters);
  rounds(x);
  finishColumns(x, state, counters);
}

// The keystream of sixteen blocks, of four, and of four.
SOCRYPT_CHACHA_INLINE void keystream(const uint32_t* state, uint32_t counter, Words (&x)[kColumns], Words (&y)[4], Words (&z)[4]) noexcept {
  const Words counters = countersFrom(counter);
  // In the lowest word of each quarter: the numbers of four blocks.
  const Words first = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(counter)),
                                       _mm512_setr_epi32(16, 0, 0, 0, 17, 0, 0, 0, 18, 0, 0, 0, 19, 0, 0, 0));
  const Words second = _mm512_add_epi32(first, _mm512_set1_epi32(4));
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = wordOf(state, i, counters);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    y[i] = rowOf(state, i, first);
    z[i] = rowOf(state, i, second);
  }
  for (int i = 0; i < 10; ++i) {
    columnRound(x);
    rowRound<true>(y);
    rowRound<true>(z);
    diagonalRound(x);
    rowRound<false>(y);
    rowRound<false>(z);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    y[i] = add(y[i], rowOf(state, i, first));
    z[i] = add(z[i], rowOf(state, i, second));
  }
  finishColumns(x, state, counters);
  transposeQuarters(y[0], y[1], y[2], y[3]);
  transposeQuarters(z[0], z[1], z[2], z[3]);
}

// Bytes [from, to) of a block that begins at `block`.
SOCRYPT_CHACHA_INLINE void cryptPart(uintptr_t block, Words stream, size_t from, size_t to) noexcept {
  const __mmask64 mask = (to < kBlock ? (uint64_t{1} << to) - 1 : ~uint64_t{0}) & ~uint64_t{0} << from;
  auto* const at = reinterpret_cast<void*>(block);
  _mm512_mask_storeu_epi8(at, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, at), stream));
}

SOCRYPT_CHACHA_INLINE void cryptFirst(const ChaChaRange& range, uintptr_t block, Words stream, size_t from, size_t to) noexcept {
  if (from == kBlock) {
    _mm512_storeu_si512(range.first, stream);
  } else {
    cryptPart(block, stream, from, to);
  }
}

// The bytes before `to` of the blocks from number kFirst on, `to` being behind where they begin.
template <size_t kFirst, size_t kBlocks>
SOCRYPT_CHACHA_INLINE void crypt(uintptr_t blocks, const Words (&stream)[kBlocks], size_t to) noexcept {
  Words last = stream[kFirst];
  size_t done = 0;
#pragma GCC unroll 16
  for (size_t i = kFirst; i < kBlocks; ++i) {
    last = stream[i];
    if (to < done + kBlock) break;
    auto* const at = reinterpret_cast<void*>(blocks + done);
    _mm512_storeu_si512(at, _mm512_xor_si512(_mm512_loadu_si512(at), last));
    done += kBlock;
  }
  if (done < to && done < kBlock * (kBlocks - kFirst)) cryptPart(blocks + done, last, 0, to - done);
}

// Bytes [from, to) of the text's blocks, `from` in the first of them or at its end, `to` in one that the step has.
SOCRYPT_CHACHA void shortStep(const ChaChaRange& range, uint32_t counter, uintptr_t blocks, size_t from, size_t to) noexcept {
  Words x[kColumns];
  keystream(range.state, counter, x);
  cryptFirst(range, blocks, x[0], from, to);
  if (to > kBlock) crypt<1>(blocks + kBlock, x, to - kBlock);
}

SOCRYPT_CHACHA void longStep(const ChaChaRange& range, uint32_t counter, uintptr_t blocks, size_t from, size_t to) noexcept {
  Words x[kColumns], y[4], z[4];
  keystream(range.state, counter, x, y, z);
  cryptFirst(range, blocks, x[0], from, to);
  crypt<1>(blocks + kBlock, x, to - kBlock);
  if (to > 16 * kBlock) crypt<0>(blocks + 16 * kBlock, y, to - 16 * kBlock);
  if (to > 20 * kBlock) crypt<0>(blocks + 20 * kBlock, z, to - 20 * kBlock);
}

}  // namespace

void wideChaChaRange(const ChaChaRange& range) noexcept {
  // Where the first block would begin: an address, not a pointer, since that may be outside of what `data` points into.
  auto blocks = reinterpret_cast<uintptr_t>(range.data) - range.skip;
  size_t from = range.skip;
  size_t to = range.skip + range.length;
  uint32_t counter = range.state[12];
  while (to != 0) {
    const size_t count = to <= kBlock * kColumns ? kColumns : kAll;
    const size_t end = to < kBlock * count ? to : kBlock * count;
    if (count == kColumns) {
      shortStep(range, counter, blocks, from, end);
    } else {
      longStep(range, counter, blocks, from, end);
    }
    counter += static_cast<uint32_t>(count);
    blocks += kBlock * count;
    from = 0;
    to -= end;
  }
}

}  // namespace socrypt::nic
#endif
