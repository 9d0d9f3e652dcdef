// The kernels of ChaChaKey; for nic/device itself.
#pragma once

#include <cstddef>
#include <cstdint>

namespace socrypt::nic {

/// A range of a text. `state`: the sixteen words of its first block (RFC 8439 2.3). With `first` the text begins
/// behind that block (`skip` is 64), and the block's keystream goes to `first`.
struct ChaChaRange {
  const uint32_t* state;
  size_t skip;
  uint8_t* data;
  size_t length;
  uint8_t* first;
};

void portableChaChaRange(const ChaChaRange& range) noexcept;
void narrowChaChaRange(const ChaChaRange& range) noexcept;
void wideChaChaRange(const ChaChaRange& range) noexcept;

}  // namespace socrypt::nic
