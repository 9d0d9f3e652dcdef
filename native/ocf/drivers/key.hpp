// Key operations on libcrypto: signatures, key agreement, modular exponentiation.
//
// Two drivers with the same answers. `key` has a pool of threads, which all its instances in the process share,
// and completes ops later: a signature with an RSA key keeps no event loop. `key-inline` works in the caller's
// thread, at once: what takes less time than the way to a thread and back is better done there. Which of them an op
// goes to is for the framework's arithmetic to say.
//
// What an op takes, by algorithm (op.hpp has the kinds), big integers big-endian:
//   rsa, ecdsa-*, ed25519   Sign {message} -> {signature}, VerifySig {message, signature}; `scheme` as in TLS
//   dsa                     Sign {digest, p, q, g, x} -> {r, s}, VerifySig {digest, p, q, g, y, r, s}
//   x25519, ecdh-*          Derive {peer} -> {secret}, or {secret, own public} where the session has no key
//   dh                      Derive {private, peer's public, p} -> {secret}
//   modexp, modexp-crt      {base, exponent, modulus}, {base, p, q, dp, dq, qInverse} -> {result}
#pragma once

#include <cstdint>
#include <memory>

#include "ocf/driver.hpp"
#include "ocf/drivers/key_pool.hpp"

namespace socrypt::ocf {

struct KeyDriverOptions {
  /// Ops that are accepted and not yet harvested.
  uint32_t queueDepth = 512;
  /// nullptr: the process's.
  std::shared_ptr<KeyPool> pool = nullptr;
};

/// nullptr: no thread, or no memory.
[[nodiscard]] std::unique_ptr<Driver> makeKeyDriver(const KeyDriverOptions& options = {}) noexcept;
[[nodiscard]] std::unique_ptr<Driver> makeInlineKeyDriver() noexcept;

}  // namespace socrypt::ocf
