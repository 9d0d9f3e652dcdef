// Poly1305 (RFC 8439 2.5) over any part of a text, in any order, for texts padded to whole blocks as the
// AEAD construction does (RFC 8439 2.8).
//
// The authenticator is the sum of block i times r^(m-i) modulo 2^130 - 5, so shares of ranges add up in
// any order, as with GHASH. What a block has beyond its bytes, 2^128, is counted with its first byte.
// Constant time in key and data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace socrypt::nic {

/// A number modulo 2^130 - 5 in limbs of 44, 44 and 42 bits (the last may run over a little).
using PolyNumber = std::array<uint64_t, 3>;

enum class PolyKernel : uint8_t {
  Portable,  // multiplications of 64-bit integers
  Narrow,    // AVX2: four blocks at once
  Wide,      // AVX-512 IFMA: eight blocks at once
};

/// The fastest kernel of this processor.
[[nodiscard]] PolyKernel bestPolyKernel() noexcept;
[[nodiscard]] bool hasPolyKernel(PolyKernel kernel) noexcept;

/// The one-time key of one record; wiped when it goes.
class PolyKey {
 public:
  /// `key`: 32 bytes, r and s (RFC 8439 2.6). `kernel`: one that this processor has.
  explicit PolyKey(const uint8_t* key, PolyKernel kernel = bestPolyKernel()) noexcept;
  PolyKey(const PolyKey&) = delete;
  PolyKey& operator=(const PolyKey&) = delete;
  ~PolyKey();

  /// As GhashKey::share(): the last block is the one that is multiplied with r^power, power from 1 to kMaxPower.
  [[nodiscard]] PolyNumber share(const uint8_t* data, size_t length, size_t lead, size_t power) noexcept;

  static void add(PolyNumber& sum, const PolyNumber& share) noexcept;

  /// The 16 bytes of a tag: the sum, fully reduced, plus s modulo 2^128.
  void finish(const PolyNumber& sum, uint8_t* tag) const noexcept;

  /// Of a power, in base 4.
  static constexpr size_t kDigits = 6;
  static constexpr size_t kMaxPower = size_t{1} << 2 * kDigits;

  /// What a kernel multiplies with, in its own form: for the lanes of a last group of blocks, down to r^1; for one
  /// group of blocks and more, the same for all lanes.
  struct Factors {
    alignas(64) std::array<uint64_t, 24> lanes;
    std::array<std::array<uint64_t, 9>, 4> groups;
  };

 private:
  [[nodiscard]] PolyNumber power(size_t exponent) noexcept;
  [[nodiscard]] PolyNumber shareOfOne(const uint8_t* data, size_t length, size_t lead) noexcept;

  PolyKernel kernel_;
  bool prepared_ = false;
  uint8_t digits_ = 1;
  // For the digits 0 to 3 in the places of r, r^4, r^16, ...: `digits_` of them, made when they are needed, since
  // they serve one record only.
  std::array<std::array<PolyNumber, 4>, kDigits> digit_;
  uint64_t s_[2];
  Factors factors_;
};

}  // namespace socrypt::nic
