// The provider's algorithms as libcrypto asks for them (provider-digest(7), provider-mac(7), provider-keymgmt(7),
// provider-signature(7)).
#pragma once

#include <openssl/core.h>

#include <new>

namespace socrypt::provider {

inline constexpr const char* kProperties = "provider=socrypt";

/// Of one operation; nullptr: none of it is ours.
[[nodiscard]] const OSSL_ALGORITHM* digestAlgorithms();
[[nodiscard]] const OSSL_ALGORITHM* macAlgorithms();
[[nodiscard]] const OSSL_ALGORITHM* keyAlgorithms();
[[nodiscard]] const OSSL_ALGORITHM* signatureAlgorithms();

/// TLS groups of elliptic curves: libssl takes a group from the provider alone that manages its keys.
int capabilities(void* context, const char* capability, OSSL_CALLBACK* callback, void* argument);

using Function = void (*)();

/// No exception of ours leaves through C.
template <class Body>
int guarded(Body body) noexcept {
  try {
    return body() ? 1 : 0;
  } catch (...) {
    return 0;
  }
}
/// A new context, or nullptr.
template <class Body>
void* made(Body body) noexcept {
  try {
    return body();
  } catch (...) {
    return nullptr;
  }
}

}  // namespace socrypt::provider
