// Known answers of key operations: what a driver has to get right before it is published.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ocf/op.hpp"

namespace socrypt::ocf {

/// One op with its answer. An operation that is randomised has none to compare: what it signed is verified.
struct KeyKnownAnswer {
  using View = std::span<const uint8_t>;
  AlgId alg;
  Kind kind;
  uint16_t scheme;
  View key;                 // of the session
  std::array<View, 7> in;   // empty from the first one that the op has not
  std::array<View, 2> out;  // expected; empty: to be verified with verifyKey
  uint16_t nOut;
  Status status;            // expected
  View verifyKey;           // SubjectPublicKeyInfo
  [[nodiscard]] uint16_t nIn() const noexcept;
};

/// Grouped by algorithm; the first of each is the one to measure, and is of usual size (RSA, DH, modexp: 2048 bits).
[[nodiscard]] std::span<const KeyKnownAnswer> keyKnownAnswers() noexcept;

/// Room for a result: no answer here is longer.
inline constexpr uint32_t kKeyAnswerRoom = 256;
/// Whether an op that is complete has the right status and results. `op.in` holds what `known.in` says.
[[nodiscard]] bool answersRight(const KeyKnownAnswer& known, const Op& op) noexcept;

}  // namespace socrypt::ocf
