#include "provider/software.hpp"

#include <openssl/provider.h>

#include <map>
#include <mutex>
#include <string>

namespace socrypt::provider {

namespace {

struct Software {
  OSSL_LIB_CTX* context = OSSL_LIB_CTX_new();
  // By name: the configuration file of the process is not read into this context.
  OSSL_PROVIDER* provider = context == nullptr ? nullptr : OSSL_PROVIDER_load(context, "default");
  Software() {
    if (provider != nullptr) return;
    OSSL_LIB_CTX_free(context);
    context = nullptr;
  }
};
// For the life of the process.
const Software& software() {
  static const Software made;
  return made;
}

}  // namespace

OSSL_LIB_CTX* softwareContext() { return software().context; }
const OSSL_PROVIDER* softwareProvider() { return software().provider; }

namespace {

// A fetch takes locks and microseconds; what it gave is kept.
template <class Fetched, Fetched* (*fetch)(OSSL_LIB_CTX*, const char*, const char*)>
Fetched* kept(const char* name) {
  static std::mutex mutex;
  static std::map<std::string, Fetched*> known;
  OSSL_LIB_CTX* const context = softwareContext();
  if (context == nullptr) return nullptr;
  const std::lock_guard lock(mutex);
  // Names come from callers: those that are none are not kept.
  if (const auto at = known.find(name); at != known.end()) return at->second;
  Fetched* const found = fetch(context, name, nullptr);
  if (found != nullptr) known.emplace(name, found);
  return found;
}

}  // namespace

const EVP_CIPHER* softwareCipher(const char* name) { return kept<EVP_CIPHER, EVP_CIPHER_fetch>(name); }
const EVP_MD* softwareDigest(const char* name) { return kept<EVP_MD, EVP_MD_fetch>(name); }
EVP_MAC* softwareHmac() { return kept<EVP_MAC, EVP_MAC_fetch>("HMAC"); }

}  // namespace socrypt::provider
