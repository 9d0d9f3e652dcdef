#include "provider/key.hpp"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include <cstring>
#include <string_view>

namespace socrypt::provider {

namespace {

bool hasNumber(const EVP_PKEY* key, const char* name) noexcept {
  BIGNUM* number = nullptr;
  const bool there = EVP_PKEY_get_bn_param(key, name, &number) == 1;
  BN_clear_free(number);
  return there;
}

}  // namespace

Key::~Key() { OPENSSL_cleanse(pkcs8_.data(), pkcs8_.size()); }

bool Key::import(int selection, const OSSL_PARAM* params) {
  const KeyContext context(EVP_PKEY_CTX_new_from_name(softwareContext(), facts_.name, nullptr));
  EVP_PKEY* made = nullptr;
  if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, selection, const_cast<OSSL_PARAM*>(params)) != 1)
    return false;
  key_.reset(made);
  return true;
}

bool Key::has(int selection) const {
  if (key_ == nullptr) return false;
  if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && !hasNumber(key_.get(), facts_.rsa ? OSSL_PKEY_PARAM_RSA_D : OSSL_PKEY_PARAM_PRIV_KEY)) return false;
  size_t bytes = 0;
  if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 &&
      !(facts_.rsa ? hasNumber(key_.get(), OSSL_PKEY_PARAM_RSA_N) : EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0, &bytes) == 1))
    return false;
  char group[80];
  return (selection & OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS) == 0 || facts_.rsa ||
         EVP_PKEY_get_utf8_string_param(key_.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &bytes) == 1;
}

std::unique_ptr<Key> Key::duplicate(int selection) const {
  auto copy = std::make_unique<Key>(facts_);
  if (key_ == nullptr) return copy;
  OSSL_PARAM* params = nullptr;
  const bool good = EVP_PKEY_todata(key_.get(), selection, &params) == 1 && copy->import(selection, params);
  OSSL_PARAM_free(params);
  return good ? std::move(copy) : nullptr;
}

// What the daemon needs of a private key, once.
bool Key::describe() {
  if (described_.load(std::memory_order_acquire)) return alg_ != ocf::AlgId::Null;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  if (!described_.load(std::memory_order_relaxed)) {
    alg_ = look();
    described_.store(true, std::memory_order_release);
  }
  return alg_ != ocf::AlgId::Null;
}

ocf::AlgId Key::look() {
  if (!has(OSSL_KEYMGMT_SELECT_PRIVATE_KEY)) return ocf::AlgId::Null;
  ocf::AlgId alg = ocf::AlgId::Rsa;
  if (!facts_.rsa) {
    char group[80];
    size_t bytes = 0;
    if (EVP_PKEY_get_utf8_string_param(key_.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &bytes) != 1) return ocf::AlgId::Null;
    const std::string_view name(group, bytes);
    if (name == "prime256v1" || name == "P-256") alg = ocf::AlgId::EcdsaP256;
    else if (name == "secp384r1" || name == "P-384") alg = ocf::AlgId::EcdsaP384;
    else return ocf::AlgId::Null;
  }
  PKCS8_PRIV_KEY_INFO* const info = EVP_PKEY2PKCS8(key_.get());
  unsigned char* der = nullptr;
  const int length = info == nullptr ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);
  if (length > 0) pkcs8_.assign(der, der + length);
  OPENSSL_clear_free(der, length > 0 ? static_cast<size_t>(length) : 0);
  PKCS8_PRIV_KEY_INFO_free(info);
  return length > 0 ? alg : ocf::AlgId::Null;
}

Channel::Outcome Key::sign(uint16_t scheme, Bytes message, std::span<uint8_t> out, size_t* produced) {
  if (!describe()) return Channel::Outcome::Failed;
  Slot& slot = slots_[channelNumber()];
  const std::unique_lock lock(slot.mutex, std::try_to_lock);
  if (!lock.owns_lock()) return Channel::Outcome::Failed;
  return slot.session.run(alg_, pkcs8_, 0, {.kind = ocf::Kind::Sign, .in = message, .tag = out, .scheme = scheme, .produced = produced});
}

}  // namespace socrypt::provider
