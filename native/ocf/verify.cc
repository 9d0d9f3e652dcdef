// Signatures of peers.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "ocf/key.hpp"
#include "ocf/key_internal.hpp"

namespace socrypt::key {
namespace {

struct Free {
  void operator()(EVP_PKEY* p) const noexcept { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const noexcept { EVP_PKEY_CTX_free(p); }
  void operator()(EVP_MD_CTX* p) const noexcept { EVP_MD_CTX_free(p); }
  void operator()(BIGNUM* p) const noexcept { BN_free(p); }
  void operator()(OSSL_PARAM_BLD* p) const noexcept { OSSL_PARAM_BLD_free(p); }
  void operator()(OSSL_PARAM* p) const noexcept { OSSL_PARAM_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// SubjectPublicKeyInfo up to the key itself: the one form that DER and RFC 5480, RFC 8410 and RFC 4055 give it.
constexpr uint8_t kP256[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                             0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
constexpr uint8_t kP384[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                             0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00};
constexpr uint8_t kEd25519[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr uint8_t kRsaAlgorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                     0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
constexpr size_t kPoint256 = 65, kPoint384 = 97, kEd25519Length = 32;
// NIST SP 800-131A below, what a verification may cost above; of the exponent ring's bound. As src/x509 has them.
constexpr int kMinRsaBits = 2048, kMaxRsaBits = 8192, kMaxExponentBits = 33;

template <size_t N>
bool hasForm(View spki, const uint8_t (&prefix)[N], size_t keyLength) noexcept {
  return spki.size() == N + keyLength && std::equal(prefix, prefix + N, spki.begin());
}

// Reads DER of definite length in its shortest form; empty and bad() once something else came.
class DerReader {
 public:
  explicit DerReader(View bytes) noexcept : left_(bytes) {}
  View element(uint8_t tag) noexcept {
    if (left_.size() < 2 || left_[0] != tag) return fail();
    size_t length = left_[1], header = 2;
    if (length >= 0x80) {
      const size_t octets = length & 0x7f;
      if (octets == 0 || octets > 2 || left_.size() < 2 + octets) return fail();
      length = octets == 1 ? left_[2] : size_t{left_[2]} << 8 | left_[3];
      if (length < (octets == 1 ? 0x80u : 0x100u)) return fail();
      header += octets;
    }
    if (left_.size() - header < length) return fail();
    const View content = left_.subspan(header, length);
    left_ = left_.subspan(header + length);
    return content;
  }
  /// A positive INTEGER without its sign octet.
  View positive() noexcept {
    View number = element(0x02);
    if (number.empty() || (number[0] & 0x80) != 0) return fail();
    if (number[0] != 0) return number;
    if (number.size() < 2 || (number[1] & 0x80) == 0) return fail();
    return number.subspan(1);
  }
  [[nodiscard]] bool atEnd() const noexcept { return !bad_ && left_.empty(); }
  [[nodiscard]] bool bad() const noexcept { return bad_; }

 private:
  View fail() noexcept {
    bad_ = true;
    left_ = {};
    return {};
  }
  View left_;
  bool bad_ = false;
};

enum class Import : uint8_t { Ok, Refused, NotOurs };

Import importRsa(View spki, Owned<EVP_PKEY>& key) noexcept {
  DerReader outer(spki);
  DerReader inner(outer.element(0x30));
  if (!outer.atEnd()) return Import::NotOurs;
  const View algorithm = inner.element(0x30);
  const View bits = inner.element(0x03);
  constexpr size_t kContent = sizeof kRsaAlgorithm - 2;
  if (!inner.atEnd() || algorithm.size() != kContent || !std::equal(algorithm.begin(), algorithm.end(), kRsaAlgorithm + 2))
    return Import::NotOurs;
  if (bits.empty() || bits[0] != 0) return Import::Refused;
  DerReader sequence(bits.subspan(1));
  DerReader numbers(sequence.element(0x30));
  const View modulus = numbers.positive();
  const View exponent = numbers.positive();
  if (!sequence.atEnd() || !numbers.atEnd() || exponent.size() > 5) return Import::Refused;
  const Owned<BIGNUM> n(BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr));
  const Owned<BIGNUM> e(BN_bin2bn(exponent.data(), static_cast<int>(exponent.size()), nullptr));
  if (n == nullptr || e == nullptr || BN_num_bits(n.get()) < kMinRsaBits || BN_num_bits(n.get()) > kMaxRsaBits ||
      BN_num_bits(e.get()) > kMaxExponentBits || BN_num_bits(e.get()) < 2 || BN_is_odd(e.get()) == 0)
    return Import::Refused;
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  const Owned<EVP_PKEY_CTX> importer(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  if (builder == nullptr || importer == nullptr || EVP_PKEY_fromdata_init(importer.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return Import::Refused;
  const Owned<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder.get()));
  EVP_PKEY* made = nullptr;
  if (params != nullptr && EVP_PKEY_fromdata(importer.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) == 1) key.reset(made);
  return key == nullptr ? Import::Refused : Import::Ok;
}

Import importSpki(View spki, PrivateKey::Type& type, Owned<EVP_PKEY>& key) noexcept {
  if (hasForm(spki, kP256, kPoint256) || hasForm(spki, kP384, kPoint384)) {
    type = PrivateKey::Type::Ec;
    const bool p256 = spki.size() == sizeof kP256 + kPoint256;
    const View point = spki.subspan(p256 ? sizeof kP256 : sizeof kP384);
    if (point[0] != 4) return Import::NotOurs;
    key.reset(importPoint(p256 ? Group::P256 : Group::P384, point));
    return key == nullptr ? Import::Refused : Import::Ok;
  }
  if (hasForm(spki, kEd25519, kEd25519Length)) {
    type = PrivateKey::Type::Ed25519;
    key.reset(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, spki.data() + sizeof kEd25519, kEd25519Length));
    return key == nullptr ? Import::Refused : Import::Ok;
  }
  type = PrivateKey::Type::Rsa;
  return importRsa(spki, key);
}

}  // namespace

bool describePublicKey(View spki, PublicKeyFacts& facts) noexcept {
  Owned<EVP_PKEY> key;
  const bool good = importSpki(spki, facts.type, key) == Import::Ok;
  if (facts.type == PrivateKey::Type::Ec) facts.curve = spki.size() == sizeof kP256 + kPoint256 ? "P-256" : "P-384";
  ERR_clear_error();
  return good;
}

Verdict verify(uint16_t code, View spki, View data, View signature) noexcept {
  const Scheme* scheme = findScheme(code);
  if (scheme == nullptr) return Verdict::NotOurs;
  PrivateKey::Type type{};
  Owned<EVP_PKEY> key;
  const Import imported = importSpki(spki, type, key);
  if (imported == Import::NotOurs) return Verdict::NotOurs;
  bool good = imported == Import::Ok && type == scheme->type;
  if (good && type == PrivateKey::Type::Ed25519) {
    const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
    good = context != nullptr && EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key.get(), nullptr) == 1 &&
           EVP_DigestVerify(context.get(), signature.data(), signature.size(), data.data(), data.size()) == 1;
  } else if (good) {
    const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
    Digest hashed;
    good = context != nullptr && EVP_PKEY_verify_init(context.get()) == 1 &&
           EVP_PKEY_CTX_set_signature_md(context.get(), md(scheme->hash)) == 1 && setPadding(context.get(), *scheme) &&
           digest(scheme->hash, data, hashed) &&
           EVP_PKEY_verify(context.get(), signature.data(), signature.size(), hashed.bytes.data(), hashed.length) == 1;
  }
  ERR_clear_error();
  return good ? Verdict::Good : Verdict::Bad;
}

}  // namespace socrypt::key
