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

/// The one-time key of one record; wiped when it goes.
class PolyKey {
 public:
  /// `key`: 32 bytes, r and s (RFC 8439 2.6).
  explicit PolyKey(const uint8_t* key) noexcept;
  PolyKey(const PolyKey&) = delete;
  PolyKey& operator=(const PolyKey&) = delete;
  ~PolyKey();

  /// As GhashKey::share(): the last block is the one that is multiplied with r^power, power at least 1.
  [[nodiscard]] PolyNumber share(const uint8_t* data, size_t length, size_t lead, size_t power) const noexcept;

  static void add(PolyNumber& sum, const PolyNumber& share) noexcept;

  /// The 16 bytes of a tag: the sum, fully reduced, plus s modulo 2^128.
  void finish(const PolyNumber& sum, uint8_t* tag) const noexcept;

 private:
  PolyNumber r_;
  uint64_t s_[2];
};

}  // namespace socrypt::nic
