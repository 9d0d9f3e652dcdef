// The bytes that an op names.
#pragma once

#include "ocf/op.hpp"

namespace socrypt::ocf {

/// Ok, or what is wrong with an op of a session of these algorithms. Looks at no payload.
[[nodiscard]] Status checkOp(const Op& op, AlgId alg, AlgId mac, uint8_t tagLength) noexcept;

/// Copies between scattered segments and one piece. The region lies within, as checkOp() found.
void copyFrom(const Seg* segments, uint16_t n, uint32_t at, std::span<uint8_t> to) noexcept;
void copyTo(const Seg* segments, uint16_t n, uint32_t at, std::span<const uint8_t> from) noexcept;

}  // namespace socrypt::ocf
