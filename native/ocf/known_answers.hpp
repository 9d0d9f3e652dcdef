// Known-answer tests that a driver passes before it is published.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ocf/ocf.hpp"

namespace socrypt::ocf {

/// One AEAD vector. `longTag` is the tag over kLongPattern bytes (byte i is i * 7 + 3 mod 256) under
/// the same key, iv and aad: long inputs take other code than short ones in every fast library.
struct KnownAnswer {
  AlgId alg;
  std::span<const uint8_t> key, iv, aad, plaintext, ciphertext, tag, longTag;
};

inline constexpr uint32_t kLongPattern = 16401;

[[nodiscard]] std::span<const KnownAnswer, 3> knownAnswers() noexcept;

}  // namespace socrypt::ocf
