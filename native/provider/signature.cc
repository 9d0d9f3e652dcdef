#include "provider/signature.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <cstring>
#include <string_view>

namespace socrypt::provider {

std::unique_ptr<Signature> Signature::duplicate() const {
  auto copy = std::make_unique<Signature>(rsa_);
  copy->key_ = key_;
  copy->held_ = held_;
  copy->signs_ = signs_;
  copy->streaming_ = streaming_;
  if (plain_ != nullptr) {
    copy->plain_.reset(EVP_PKEY_CTX_dup(plain_.get()));
    if (copy->plain_ == nullptr) return nullptr;
  }
  if (message_ != nullptr) {
    copy->message_.reset(EVP_MD_CTX_new());
    if (copy->message_ == nullptr || EVP_MD_CTX_copy_ex(copy->message_.get(), message_.get()) != 1) return nullptr;
  }
  return copy;
}

bool Signature::init(Act act, Key& key, const OSSL_PARAM* params) {
  key_ = &key;
  message_.reset();
  plain_.reset(EVP_PKEY_CTX_new_from_pkey(softwareContext(), key.software(), nullptr));
  if (plain_ == nullptr) return false;
  switch (act) {
    case Act::Sign: return EVP_PKEY_sign_init_ex(plain_.get(), params) == 1;
    case Act::Verify: return EVP_PKEY_verify_init_ex(plain_.get(), params) == 1;
    case Act::Recover: return EVP_PKEY_verify_recover_init_ex(plain_.get(), params) == 1;
    case Act::None: break;
  }
  return false;
}

bool Signature::sign(uint8_t* out, size_t* outBytes, size_t room, Bytes digest) {
  *outBytes = room;
  return plain_ != nullptr && EVP_PKEY_sign(plain_.get(), out, outBytes, digest.data(), digest.size()) == 1;
}

bool Signature::verify(Bytes signature, Bytes digest) {
  return plain_ != nullptr && EVP_PKEY_verify(plain_.get(), signature.data(), signature.size(), digest.data(), digest.size()) == 1;
}

bool Signature::recover(uint8_t* out, size_t* outBytes, size_t room, Bytes signature) {
  *outBytes = room;
  return plain_ != nullptr && EVP_PKEY_verify_recover(plain_.get(), out, outBytes, signature.data(), signature.size()) == 1;
}

bool Signature::initMessage(bool signs, const char* digest, Key& key, const OSSL_PARAM* params) {
  key_ = &key;
  plain_.reset();
  held_.clear();
  streaming_ = false;
  signs_ = signs;
  message_.reset(EVP_MD_CTX_new());
  if (message_ == nullptr) return false;
  if (digest != nullptr && *digest == '\0') digest = nullptr;
  return (signs ? EVP_DigestSignInit_ex(message_.get(), nullptr, digest, softwareContext(), nullptr, key.software(), params)
                : EVP_DigestVerifyInit_ex(message_.get(), nullptr, digest, softwareContext(), nullptr, key.software(), params)) == 1;
}

bool Signature::update(Bytes message) {
  if (message_ == nullptr) return false;
  if (!signs_) return EVP_DigestVerifyUpdate(message_.get(), message.data(), message.size()) == 1;
  if (!streaming_ && held_.take(message)) return true;
  if (!streaming_ && EVP_DigestSignUpdate(message_.get(), held_.view().data(), held_.view().size()) != 1) return false;
  streaming_ = true;
  held_.clear();
  return EVP_DigestSignUpdate(message_.get(), message.data(), message.size()) == 1;
}

// The TLS SignatureScheme (RFC 8446 4.2.3) of what the parameters say; 0: there is none.
uint16_t Signature::scheme() const {
  char name[50] = {}, mask[50] = {}, salt[20] = {};
  int padding = 0;
  OSSL_PARAM params[5];
  size_t n = 0;
  params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, name, sizeof name);
  if (rsa_) params[n++] = OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &padding);
  params[n] = OSSL_PARAM_construct_end();
  if (EVP_PKEY_CTX_get_params(context(), params) != 1) return 0;
  const EVP_MD* const digest = softwareDigest(name);
  if (digest == nullptr) return 0;
  const int bits = EVP_MD_is_a(digest, "SHA2-256") == 1 ? 256 : EVP_MD_is_a(digest, "SHA2-384") == 1 ? 384 : EVP_MD_is_a(digest, "SHA2-512") == 1 ? 512 : 0;
  if (bits == 0) return 0;
  const auto strength = static_cast<uint16_t>(bits / 128 - 2);  // 0, 1, 2
  if (!rsa_) return static_cast<uint16_t>(0x0403 + 0x100 * strength);
  if (padding == RSA_PKCS1_PADDING) return static_cast<uint16_t>(0x0401 + 0x100 * strength);
  if (padding != RSA_PKCS1_PSS_PADDING) return 0;
  params[0] = OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, mask, sizeof mask);
  params[1] = OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, salt, sizeof salt);
  params[2] = OSSL_PARAM_construct_end();
  if (EVP_PKEY_CTX_get_params(context(), params) != 1) return 0;
  const EVP_MD* const masking = *mask == '\0' ? digest : softwareDigest(mask);
  const bool asLong = std::string_view(salt) == OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST || std::string_view(salt) == std::to_string(bits / 8);
  return asLong && masking != nullptr && EVP_MD_is_a(masking, EVP_MD_get0_name(digest)) == 1 ? static_cast<uint16_t>(0x0804 + strength) : 0;
}

bool Signature::finalSign(uint8_t* out, size_t* outBytes, size_t room) {
  if (message_ == nullptr || key_ == nullptr) return false;
  const auto most = static_cast<size_t>(EVP_PKEY_get_size(key_->software()));
  if (out == nullptr) {
    *outBytes = most;
    return true;
  }
  if (!streaming_ && room >= most) {
    const uint16_t wanted = scheme();
    if (wanted != 0 && key_->sign(wanted, held_.view(), {out, room}, outBytes) == Channel::Outcome::Ok) return true;
  }
  if (!streaming_ && EVP_DigestSignUpdate(message_.get(), held_.view().data(), held_.view().size()) != 1) return false;
  streaming_ = true;
  held_.clear();
  *outBytes = room;
  return EVP_DigestSignFinal(message_.get(), out, outBytes) == 1;
}

bool Signature::finalVerify(Bytes signature) { return message_ != nullptr && EVP_DigestVerifyFinal(message_.get(), signature.data(), signature.size()) == 1; }

bool Signature::get(OSSL_PARAM* params) const { return context() != nullptr && EVP_PKEY_CTX_get_params(context(), params) == 1; }
bool Signature::set(const OSSL_PARAM* params) { return context() != nullptr && EVP_PKEY_CTX_set_params(context(), params) == 1; }
const OSSL_PARAM* Signature::gettable() const { return context() == nullptr ? nullptr : EVP_PKEY_CTX_gettable_params(context()); }
const OSSL_PARAM* Signature::settable() const { return context() == nullptr ? nullptr : EVP_PKEY_CTX_settable_params(context()); }

}  // namespace socrypt::provider
