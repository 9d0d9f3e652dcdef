// GHASH (NIST SP 800-38D 6.4) over any part of a text, in any order.
//
// GHASH is linear over GF(2^128): the hash of m blocks is the sum of block i times H^(m-i). So the share
// of any range of bytes can be computed by itself, other bytes taken as zero, and the shares added (XOR)
// in whatever order the ranges come. A sum that holds every byte once is the hash.
//
// Time does not depend on the key or on the data; it does depend on lengths and positions, which are
// public (they can be read off the packets).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace socrypt::nic {

/// A field element as POLYVAL has it (RFC 8452 3): a block's bytes reversed, as a little-endian number.
struct FieldElement {
  uint64_t low = 0;
  uint64_t high = 0;
  FieldElement& operator+=(const FieldElement& other) noexcept {
    low ^= other.low;
    high ^= other.high;
    return *this;
  }
  [[nodiscard]] bool operator==(const FieldElement&) const noexcept = default;
};

enum class GhashKernel : uint8_t {
  Portable,  // multiplications of 64-bit integers only
  Clmul,     // PCLMULQDQ
  WideClmul, // VPCLMULQDQ on 512 bits
};

/// The fastest kernel of this processor.
[[nodiscard]] GhashKernel bestGhashKernel() noexcept;
[[nodiscard]] bool hasGhashKernel(GhashKernel kernel) noexcept;

/// The hash key and its powers: key material, wiped when it goes. 1 KiB.
class GhashKey {
 public:
  /// Powers reach this far: a record of 2^14 + 256 bytes has 1040 blocks, additional data and lengths two.
  static constexpr size_t kMaxPower = 1055;

  GhashKey(const uint8_t* h, GhashKernel kernel = bestGhashKernel()) noexcept;
  GhashKey(const GhashKey&) = delete;
  GhashKey& operator=(const GhashKey&) = delete;
  ~GhashKey();

  /// The share of `length` bytes (at least 1) of which the first stands at byte `lead` (0 to 15) of its
  /// block, the last block being the one that is multiplied with H^power (1 to kMaxPower).
  [[nodiscard]] FieldElement share(const uint8_t* data, size_t length, size_t lead, size_t power) const noexcept;

  /// The 16 bytes of a hash.
  static void store(const FieldElement& value, uint8_t* to) noexcept;

  /// value * H^power.
  [[nodiscard]] FieldElement times(const FieldElement& value, size_t power) const noexcept;
  /// Behind H^1 in a list of descending powers from H^(kStep - 1) on; there is a zero.
  [[nodiscard]] const FieldElement* powersEnd() const noexcept { return low_.data() + kStep - 1; }

  static constexpr size_t kStep = 32;

 private:
  GhashKernel kernel_;
  // H^31 down to H^1: sixteen consecutive ones belong to sixteen consecutive blocks. Then a zero, so that
  // what reads in pairs may begin at H^1.
  alignas(64) std::array<FieldElement, kStep> low_{};
  // H^32, H^64, ...
  std::array<FieldElement, kMaxPower / kStep> high_;
};

}  // namespace socrypt::nic
