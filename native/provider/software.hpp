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

/// nullptr when there is no default provider.
[[nodiscard]] OSSL_LIB_CTX* softwareContext();
/// Held for the life of the process.
[[nodiscard]] const EVP_CIPHER* softwareCipher(const char* name);

}  // namespace socrypt::provider
