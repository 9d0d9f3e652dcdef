// The ladder of RFC 7748 5: a multiple of any point, by its u-coordinate alone.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ocf/field25519.hpp"

namespace socrypt::x25519 {

/// u = x / z, of a point of the Montgomery curve.
struct Fraction {
  field25519::Element x, z;
};

using Scalar = std::array<uint8_t, 32>;

/// By the fastest arithmetic of this CPU. `scalar`: clamped.
[[nodiscard]] Fraction ladder(const Scalar& scalar, std::span<const uint8_t, 32> peer) noexcept;

[[nodiscard]] Fraction ladderPortable(const Scalar& scalar, std::span<const uint8_t, 32> peer) noexcept;

/// Whether the CPU has 52-bit multiply-and-add on vectors of four (AVX-512 IFMA, VL).
[[nodiscard]] bool haveIfma() noexcept;
/// Only where haveIfma().
[[nodiscard]] Fraction ladderIfma(const Scalar& scalar, std::span<const uint8_t, 32> peer) noexcept;

}  // namespace socrypt::x25519
