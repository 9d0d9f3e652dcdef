// What both software backends do with libcrypto: ciphers, hashes, HMAC, and encrypt-then-MAC chains. One
// piece of memory per op; ops over several are brought into one first.
#pragma once

#include "ocf/driver.hpp"

namespace socrypt::ocf::general {

/// Whether it does these algorithms.
[[nodiscard]] bool offers(const SessionParams& params) noexcept;
[[nodiscard]] size_t sessionBytes() noexcept;
[[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept;
void freeSession(std::span<std::byte> priv) noexcept;
/// libcrypto's generator, which the system seeds.
[[nodiscard]] size_t random(std::span<uint8_t> out) noexcept;
/// Of an op with one segment on either side.
[[nodiscard]] Status run(Op& op) noexcept;

}  // namespace socrypt::ocf::general
