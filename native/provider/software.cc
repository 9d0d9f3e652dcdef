#include "provider/software.hpp"

#include <openssl/provider.h>

#include <map>
#include <mutex>
#include <string>

namespace socrypt::provider {

OSSL_LIB_CTX* softwareContext() {
  static OSSL_LIB_CTX* const context = [] {
    OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
    // By name: the configuration file of the process is not read into this context.
    if (made != nullptr && OSSL_PROVIDER_load(made, "default") == nullptr) {
      OSSL_LIB_CTX_free(made);
      made = nullptr;
    }
    return made;
  }();
  return context;
}

const EVP_CIPHER* softwareCipher(const char* name) {
  static std::mutex mutex;
  static std::map<std::string, EVP_CIPHER*> known;
  OSSL_LIB_CTX* const context = softwareContext();
  if (context == nullptr) return nullptr;
  const std::lock_guard lock(mutex);
  EVP_CIPHER*& cipher = known[name];
  if (cipher == nullptr) cipher = EVP_CIPHER_fetch(context, name, nullptr);
  return cipher;
}

}  // namespace socrypt::provider
