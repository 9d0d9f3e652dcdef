// The default provider's software, in a library context of our own: what is done when cryptod does not do it. Ciphers are
// fetched from there once, so that they can never turn out to be ours.
#pragma once

#include <openssl/evp.h>

#include <memory>

namespace socrypt::provider {

struct FreeCipherContext {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeCipherContext>;
struct FreeDigestContext {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeDigestContext>;
struct FreeMacContext {
  void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
};
using MacContext = std::unique_ptr<EVP_MAC_CTX, FreeMacContext>;
struct FreeKey {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
using SoftwareKey = std::unique_ptr<EVP_PKEY, FreeKey>;
struct FreeKeyContext {
  void operator()(EVP_PKEY_CTX* context) const noexcept { EVP_PKEY_CTX_free(context); }
};
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeKeyContext>;

/// nullptr when there is no default provider.
[[nodiscard]] OSSL_LIB_CTX* softwareContext();
/// The default provider in it.
[[nodiscard]] const OSSL_PROVIDER* softwareProvider();
/// Held for the life of the process.
[[nodiscard]] const EVP_CIPHER* softwareCipher(const char* name);
[[nodiscard]] const EVP_MD* softwareDigest(const char* name);
[[nodiscard]] EVP_MAC* softwareHmac();

}  // namespace socrypt::provider
