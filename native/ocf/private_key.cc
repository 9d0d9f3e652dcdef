// Private keys and signatures.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>

#include "ocf/key.hpp"
#include "ocf/key_internal.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::key {
namespace {

constexpr uint16_t kEd25519 = 0x0807;
// Which curve an ECDSA scheme goes with is the caller's to know: TLS 1.3 ties them, TLS 1.2 does not.
constexpr Scheme kSchemes[] = {
    {0x0403, PrivateKey::Type::Ec, Hash::Sha256, Padding::None},
    {0x0503, PrivateKey::Type::Ec, Hash::Sha384, Padding::None},
    {0x0804, PrivateKey::Type::Rsa, Hash::Sha256, Padding::Pss},
    {0x0805, PrivateKey::Type::Rsa, Hash::Sha384, Padding::Pss},
    {0x0806, PrivateKey::Type::Rsa, Hash::Sha512, Padding::Pss},
    {0x0401, PrivateKey::Type::Rsa, Hash::Sha256, Padding::Pkcs1},
    {0x0501, PrivateKey::Type::Rsa, Hash::Sha384, Padding::Pkcs1},
    {0x0601, PrivateKey::Type::Rsa, Hash::Sha512, Padding::Pkcs1},
    {kEd25519, PrivateKey::Type::Ed25519, Hash::Sha512, Padding::None},
};

struct FreeMdContext {
  void operator()(EVP_MD_CTX* p) const noexcept { EVP_MD_CTX_free(p); }
};
struct FreePkcs8 {
  void operator()(PKCS8_PRIV_KEY_INFO* p) const noexcept { PKCS8_PRIV_KEY_INFO_free(p); }
};

}  // namespace

const Scheme* findScheme(uint16_t code) noexcept {
  const auto* at = std::find_if(std::begin(kSchemes), std::end(kSchemes), [code](const Scheme& s) { return s.code == code; });
  return at == std::end(kSchemes) ? nullptr : at;
}

bool setPadding(EVP_PKEY_CTX* context, const Scheme& scheme) noexcept {
  // rsa_pss_rsae: MGF1 with the same hash, a salt of the hash's length (RFC 8446 4.2.3).
  // RFC 8446 4.2.3: "The length of the Salt MUST be equal to the length of the output of the digest algorithm."
  if (scheme.padding == Padding::Pss)
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, md(scheme.hash)) == 1;
  return scheme.padding == Padding::None || EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
}

void PrivateKey::FreeKey::operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
void PrivateKey::FreeContext::operator()(EVP_PKEY_CTX* context) const noexcept { EVP_PKEY_CTX_free(context); }
PrivateKey::~PrivateKey() = default;

std::optional<PrivateKey> PrivateKey::fromPkcs8(View der, std::string& why) {
  const uint8_t* at = der.data();
  const std::unique_ptr<PKCS8_PRIV_KEY_INFO, FreePkcs8> info(
      d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(der.size())));
  if (info == nullptr || at != der.data() + der.size()) {
    ERR_clear_error();
    why = "expected one PKCS#8 PrivateKeyInfo in DER, received something else";
    return std::nullopt;
  }
  PrivateKey key;
  key.key_.reset(EVP_PKCS82PKEY(info.get()));
  ERR_clear_error();
  if (key.key_ == nullptr) {
    why = "the PKCS#8 structure holds no key that libcrypto can read";
    return std::nullopt;
  }
  key.bits_ = EVP_PKEY_get_bits(key.key_.get());
  if (EVP_PKEY_is_a(key.key_.get(), "EC") == 1) {
    char group[80] = {};
    EVP_PKEY_get_utf8_string_param(key.key_.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, nullptr);
    const std::string_view name = group;
    key.type_ = Type::Ec;
    if (name == "prime256v1" || name == "P-256") {
      key.curve_ = "P-256";
    } else if (name == "secp384r1" || name == "P-384") {
      key.curve_ = "P-384";
    } else {
      ERR_clear_error();
      why = "expected an EC key on P-256 or P-384, received one on " + std::string(name.empty() ? "unnamed parameters" : name);
      return std::nullopt;
    }
  } else if (EVP_PKEY_is_a(key.key_.get(), "RSA") == 1) {
    key.type_ = Type::Rsa;
    if (key.bits_ < 1024) {
      why = "expected an RSA key of 1024 bits or more, received " + std::to_string(key.bits_) + " bits";
      return std::nullopt;
    }
  } else if (EVP_PKEY_is_a(key.key_.get(), "ED25519") == 1) {
    key.type_ = Type::Ed25519;
  } else {
    const char* name = EVP_PKEY_get0_type_name(key.key_.get());
    why = "expected an EC, RSA or Ed25519 key, received " + std::string(name == nullptr ? "an unknown type" : name);
    return std::nullopt;
  }
  if (!key.verifiesItself()) {
    why = "the private key does not fit the public key that stands beside it";
    return std::nullopt;
  }
  return key;
}

PrivateKey PrivateKey::share() const noexcept {
  PrivateKey other;
  EVP_PKEY_up_ref(key_.get());
  other.key_.reset(key_.get());
  other.type_ = type_;
  other.curve_ = curve_;
  other.bits_ = bits_;
  return other;
}

bool PrivateKey::verifiesItself() {
  const uint16_t scheme = type_ == Type::Rsa ? 0x0401 : type_ == Type::Ed25519 ? kEd25519 : curve_ == "P-256" ? 0x0403 : 0x0503;
  static constexpr uint8_t kText[] = {'s', 'o', 'c', 'r', 'y', 'p', 't'};
  std::vector<uint8_t> signature;
  if (sign(scheme, kText, signature) != SignResult::Ok) return false;
  const std::unique_ptr<EVP_MD_CTX, FreeMdContext> context(EVP_MD_CTX_new());
  const bool good =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, type_ == Type::Ed25519 ? nullptr : md(findScheme(scheme)->hash), nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), kText, sizeof kText) == 1;
  ERR_clear_error();
  return good;
}

std::vector<uint8_t> PrivateKey::publicKey() const {
  uint8_t* der = nullptr;
  const int length = i2d_PUBKEY(key_.get(), &der);
  std::vector<uint8_t> bytes;
  if (length > 0) bytes.assign(der, der + length);
  OPENSSL_free(der);
  ERR_clear_error();
  return bytes;
}

size_t PrivateKey::signatureRoom() const noexcept { return static_cast<size_t>(EVP_PKEY_get_size(key_.get())); }

std::vector<uint8_t> PrivateKey::pkcs8() const {
  const std::unique_ptr<PKCS8_PRIV_KEY_INFO, FreePkcs8> info(EVP_PKEY2PKCS8(key_.get()));
  std::vector<uint8_t> bytes;
  const int length = info == nullptr ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info.get(), nullptr);
  if (length > 0) {
    bytes.resize(static_cast<size_t>(length));
    uint8_t* at = bytes.data();
    i2d_PKCS8_PRIV_KEY_INFO(info.get(), &at);
  }
  ERR_clear_error();
  return bytes;
}

bool PrivateKey::fits(uint16_t code) const noexcept {
  const Scheme* scheme = findScheme(code);
  return scheme != nullptr && scheme->type == type_;
}

EVP_PKEY_CTX* PrivateKey::signer(uint16_t code) noexcept {
  for (const Signer& one : signers_) {
    if (one.scheme == code) return one.context.get();
  }
  const Scheme& scheme = *findScheme(code);
  Signer made{code, std::unique_ptr<EVP_PKEY_CTX, FreeContext>(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr))};
  EVP_PKEY_CTX* context = made.context.get();
  if (context == nullptr || EVP_PKEY_sign_init(context) != 1 || EVP_PKEY_CTX_set_signature_md(context, md(scheme.hash)) != 1)
    return nullptr;
  if (!setPadding(context, scheme)) return nullptr;
  signers_.push_back(std::move(made));
  return context;
}

PrivateKey::SignResult PrivateKey::sign(uint16_t code, View data, std::vector<uint8_t>& signature) noexcept {
  if (!fits(code)) return SignResult::WrongScheme;
  size_t length = signatureRoom();
  signature.resize(length);
  bool good = false;
  if (code == kEd25519) {
    // Ed25519 hashes twice, so it takes the data and not a digest; libcrypto wants a new set-up per signature.
    const std::unique_ptr<EVP_MD_CTX, FreeMdContext> context(EVP_MD_CTX_new());
    good = context != nullptr && EVP_DigestSignInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key_.get(), nullptr) == 1 &&
           EVP_DigestSign(context.get(), signature.data(), &length, data.data(), data.size()) == 1;
  } else {
    EVP_PKEY_CTX* context = signer(code);
    Digest hashed;
    good = context != nullptr && digest(findScheme(code)->hash, data, hashed) &&
           EVP_PKEY_sign(context, signature.data(), &length, hashed.bytes.data(), hashed.length) == 1;
  }
  ERR_clear_error();
  signature.resize(good ? length : 0);
  return good ? SignResult::Ok : SignResult::Failed;
}

}  // namespace socrypt::key
