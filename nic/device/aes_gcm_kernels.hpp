// The kernels of AesKey; for nic/device itself.
#pragma once

#include "nic/device/aes_gcm.hpp"

namespace socrypt::nic {

/// A range of a text: `counter` is the first block's counter block.
struct AesRange {
  const uint8_t* counter;
  size_t skip;
  uint8_t* data;
  size_t length;
  /// Behind H^1 in descending powers of H; null: no share is wanted.
  const FieldElement* powersEnd;
};

/// Encrypts the range in place. The result: its share of GHASH, its last block multiplied with H.
using AesRangeKernel = FieldElement (*)(const AesKey::Schedule& schedule, const AesRange& range) noexcept;

[[nodiscard]] FieldElement narrowAesRange(const AesKey::Schedule& schedule, const AesRange& range) noexcept;
[[nodiscard]] FieldElement wideAesRange(const AesKey::Schedule& schedule, const AesRange& range) noexcept;

}  // namespace socrypt::nic
