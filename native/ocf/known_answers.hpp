// Known-answer tests that a driver passes before it is published, and may be put to again later.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ocf/op.hpp"

namespace socrypt::ocf {

/// One vector. For symmetric algorithms `plaintext`, `ciphertext` (empty for a MAC) and `tag` (empty
/// for a cipher); `longTag` is the tag, or the last block of a cipher, over kLongPattern bytes (byte i is
/// i * 7 + 3 mod 256) under the same key, iv and aad: long inputs take other code than short ones in every
/// fast library. Key operations have key_known_answers.hpp.
struct KnownAnswer {
  AlgId alg;
  AlgId mac = AlgId::Null;
  Kind kind = Kind::Seal;
  std::span<const uint8_t> key, macKey, iv, aad, plaintext, ciphertext, tag, longTag;
};

/// A multiple of no algorithm's block but one byte more, for those that have none.
inline constexpr uint32_t kLongPattern = 16401;
/// How much of a buffer's `bytes` is payload: a cipher wants whole blocks.
[[nodiscard]] inline uint32_t payloadOf(const KnownAnswer& known, size_t bytes) noexcept {
  return static_cast<uint32_t>(bytes - bytes % factsOf(known.alg).blockBytes);
}

/// AEADs and null.
[[nodiscard]] std::span<const KnownAnswer> knownAnswersOfAeads() noexcept;
/// Ciphers, MACs and chains of both.
[[nodiscard]] std::span<const KnownAnswer> knownAnswersOfCiphers() noexcept;

/// Calls `body(const KnownAnswer&)` for each, until it returns false.
template <typename Body>
void eachKnownAnswer(Body body) {
  for (const auto& answers : {knownAnswersOfAeads(), knownAnswersOfCiphers()}) {
    for (const KnownAnswer& known : answers) {
      if (!body(known)) return;
    }
  }
}

}  // namespace socrypt::ocf
