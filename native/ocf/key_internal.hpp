// Shared by hkdf.cc, agreement.cc, private_key.cc and verify.cc.
#pragma once

#include <openssl/evp.h>

#include "ocf/key.hpp"

namespace socrypt::key {

/// The fetched hash; held for the life of the process.
[[nodiscard]] const EVP_MD* md(Hash hash) noexcept;

enum class Padding : uint8_t { None, Pss, Pkcs1 };

struct Scheme {
  uint16_t code;  // TLS SignatureScheme, RFC 8446 4.2.3
  PrivateKey::Type type;
  Hash hash;
  Padding padding;
};
/// nullptr for a code point that is not implemented.
[[nodiscard]] const Scheme* findScheme(uint16_t code) noexcept;
/// Of an RSA scheme; true at once for the others.
[[nodiscard]] bool setPadding(EVP_PKEY_CTX* context, const Scheme& scheme) noexcept;

/// A public key from an uncompressed point, the caller's to free; nullptr: not on the curve. P256 and P384 only.
[[nodiscard]] EVP_PKEY* importPoint(Group group, View point) noexcept;

}  // namespace socrypt::key
