// Signatures of the provider. Everything is the default provider's, by a context of its own that sees every parameter; but
// when a message is to be signed and the daemon has the scheme, the daemon signs.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>

#include "provider/digest.hpp"
#include "provider/key.hpp"
#include "provider/software.hpp"

namespace socrypt::provider {

class Signature {
 public:
  explicit Signature(bool rsa) noexcept : rsa_(rsa) {}
  [[nodiscard]] std::unique_ptr<Signature> duplicate() const;

  // Of a digest that the caller made.
  enum class Act : uint8_t { None, Sign, Verify, Recover };
  [[nodiscard]] bool init(Act act, Key& key, const OSSL_PARAM* params);
  [[nodiscard]] bool sign(uint8_t* out, size_t* outBytes, size_t room, Bytes digest);
  [[nodiscard]] bool verify(Bytes signature, Bytes digest);
  [[nodiscard]] bool recover(uint8_t* out, size_t* outBytes, size_t room, Bytes signature);

  // Of a message.
  [[nodiscard]] bool initMessage(bool signs, const char* digest, Key& key, const OSSL_PARAM* params);
  [[nodiscard]] bool update(Bytes message);
  [[nodiscard]] bool finalSign(uint8_t* out, size_t* outBytes, size_t room);
  [[nodiscard]] bool finalVerify(Bytes signature);

  [[nodiscard]] bool get(OSSL_PARAM* params) const;
  [[nodiscard]] bool set(const OSSL_PARAM* params);
  [[nodiscard]] const OSSL_PARAM* gettable() const;
  [[nodiscard]] const OSSL_PARAM* settable() const;

 private:
  [[nodiscard]] EVP_PKEY_CTX* context() const noexcept { return message_ != nullptr ? EVP_MD_CTX_get_pkey_ctx(message_.get()) : plain_.get(); }
  [[nodiscard]] uint16_t scheme() const;

  const bool rsa_;
  Key* key_ = nullptr;  // EVP holds it for as long as this
  KeyContext plain_;
  DigestContext message_;
  Held held_;
  bool signs_ = false, streaming_ = false;
};

}  // namespace socrypt::provider
