#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ocf/key.hpp"

using namespace socrypt;
using Bytes = std::vector<uint8_t>;

namespace {

using Owned = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Owned generate(const std::string& type, const char* curve = nullptr, size_t bits = 2048) {
  if (curve != nullptr) return {EVP_PKEY_Q_keygen(nullptr, nullptr, type.c_str(), curve), EVP_PKEY_free};
  if (type == "RSA" || type == "RSA-PSS") {
    return {EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits), EVP_PKEY_free};
  }
  return {EVP_PKEY_Q_keygen(nullptr, nullptr, type.c_str()), EVP_PKEY_free};
}

Bytes pkcs8(EVP_PKEY* key) {
  PKCS8_PRIV_KEY_INFO* info = EVP_PKEY2PKCS8(key);
  uint8_t* der = nullptr;
  const int length = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
  REQUIRE(length > 0);
  Bytes bytes(der, der + length);
  OPENSSL_free(der);
  PKCS8_PRIV_KEY_INFO_free(info);
  return bytes;
}

bool verifies(EVP_PKEY* key, const char* hash, int padding, const Bytes& text, const Bytes& signature) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* inner = nullptr;
  bool good = EVP_DigestVerifyInit_ex(context, &inner, hash, nullptr, nullptr, key, nullptr) == 1;
  if (padding != 0) good = good && EVP_PKEY_CTX_set_rsa_padding(inner, padding) == 1;
  if (padding == RSA_PKCS1_PSS_PADDING) good = good && EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, RSA_PSS_SALTLEN_DIGEST) == 1;
  good = good && EVP_DigestVerify(context, signature.data(), signature.size(), text.data(), text.size()) == 1;
  EVP_MD_CTX_free(context);
  return good;
}

struct Case {
  uint16_t scheme;
  const char* hash;
  int padding;
};
const Case kAll[] = {{0x0403, "SHA256", 0},
                     {0x0503, "SHA384", 0},
                     {0x0804, "SHA256", RSA_PKCS1_PSS_PADDING},
                     {0x0805, "SHA384", RSA_PKCS1_PSS_PADDING},
                     {0x0806, "SHA512", RSA_PKCS1_PSS_PADDING},
                     {0x0401, "SHA256", RSA_PKCS1_PADDING},
                     {0x0501, "SHA384", RSA_PKCS1_PADDING},
                     {0x0601, "SHA512", RSA_PKCS1_PADDING},
                     {0x0807, nullptr, 0}};

void check(const Owned& made, key::PrivateKey::Type type, const std::string& curve, std::vector<uint16_t> fitting) {
  std::string why;
  auto key = key::PrivateKey::fromPkcs8(pkcs8(made.get()), why);
  CAPTURE(why);
  REQUIRE(key.has_value());
  CHECK(key->type() == type);
  CHECK(std::string(key->curve()) == curve);
  uint8_t* der = nullptr;
  const int length = i2d_PUBKEY(made.get(), &der);
  CHECK(key->publicKey() == Bytes(der, der + length));
  OPENSSL_free(der);
  for (const Case& scheme : kAll) {
    CAPTURE(scheme.scheme);
    const bool fits = std::find(fitting.begin(), fitting.end(), scheme.scheme) != fitting.end();
    for (const size_t size : {0, 1, 200}) {
      const Bytes text(size, 0x5a);
      Bytes signature;
      const auto result = key->sign(scheme.scheme, text, signature);
      REQUIRE(result == (fits ? key::PrivateKey::SignResult::Ok : key::PrivateKey::SignResult::WrongScheme));
      if (fits) CHECK(verifies(made.get(), scheme.hash, scheme.padding, text, signature));
    }
  }
  Bytes signature;
  CHECK(key->sign(0x0603, {}, signature) == key::PrivateKey::SignResult::WrongScheme);
}

}  // namespace

TEST_CASE("private keys sign what fits them and nothing else") {
  check(generate("EC", "P-256"), key::PrivateKey::Type::Ec, "P-256", {0x0403, 0x0503});
  check(generate("EC", "P-384"), key::PrivateKey::Type::Ec, "P-384", {0x0403, 0x0503});
  check(generate("RSA"), key::PrivateKey::Type::Rsa, "", {0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601});
  check(generate("ED25519"), key::PrivateKey::Type::Ed25519, "", {0x0807});
}

TEST_CASE("what is not a usable private key is refused with a reason") {
  const auto refused = [](const Bytes& der, const char* reason) {
    std::string why;
    CHECK_FALSE(key::PrivateKey::fromPkcs8(der, why).has_value());
    CAPTURE(why);
    CHECK(why.find(reason) != std::string::npos);
  };
  refused({}, "PKCS#8");
  refused({0x30, 0x03, 0x02, 0x01, 0x00}, "PKCS#8");
  Bytes good = pkcs8(generate("EC", "P-256").get());
  Bytes longer = good;
  longer.push_back(0);
  refused(longer, "PKCS#8");
  for (size_t n = 0; n < good.size(); ++n) refused(Bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(n)), "PKCS#8");
  refused(pkcs8(generate("EC", "P-521").get()), "P-256 or P-384");
  refused(pkcs8(generate("X25519").get()), "EC, RSA or Ed25519");
  refused(pkcs8(generate("RSA", nullptr, 512).get()), "1024");
  // Another key's public point beside the private scalar: it stands at the end of both.
  const Bytes other = pkcs8(generate("EC", "P-256").get());
  Bytes mixed = good;
  std::copy(other.end() - 64, other.end(), mixed.end() - 64);
  refused(mixed, "does not fit");
}

TEST_CASE("key shares agree, both ways round, and bad ones are refused") {
  using key::Agreement;
  using key::Group;
  for (const auto group : {Group::X25519, Group::P256, Group::P384}) {
    const char* name = group == Group::X25519 ? "X25519" : "EC";
    const Owned peer = generate(name, group == Group::P256 ? "P-256" : group == Group::P384 ? "P-384" : nullptr);
    uint8_t* point = nullptr;
    const size_t length = EVP_PKEY_get1_encoded_public_key(peer.get(), &point);
    Bytes share(point, point + length);
    OPENSSL_free(point);
    key::KeyShare ours;
    key::KeyShare again;
    REQUIRE(key::keyShare(group, share, ours) == Agreement::Ok);
    REQUIRE(key::keyShare(group, share, again) == Agreement::Ok);
    CHECK(ours.publicKey != again.publicKey);
    CHECK(ours.secret != again.secret);

    Owned mine(EVP_PKEY_dup(peer.get()), EVP_PKEY_free);
    REQUIRE(EVP_PKEY_set1_encoded_public_key(mine.get(), ours.publicKey.data(), ours.publicLength) == 1);
    EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_pkey(nullptr, peer.get(), nullptr);
    Bytes secret(66);
    size_t secretLength = secret.size();
    REQUIRE(EVP_PKEY_derive_init(context) == 1);
    REQUIRE(EVP_PKEY_derive_set_peer(context, mine.get()) == 1);
    REQUIRE(EVP_PKEY_derive(context, secret.data(), &secretLength) == 1);
    EVP_PKEY_CTX_free(context);
    secret.resize(secretLength);
    CHECK(secret == Bytes(ours.secret.begin(), ours.secret.begin() + static_cast<ptrdiff_t>(ours.secretLength)));

    key::KeyShare none;
    for (size_t n = 0; n < share.size(); ++n)
      REQUIRE(key::keyShare(group, std::span(share).first(n), none) == Agreement::InvalidShare);
    Bytes longer = share;
    longer.push_back(0);
    CHECK(key::keyShare(group, longer, none) == Agreement::InvalidShare);
    CHECK(key::keyShare(group, Bytes(share.size()), none) == Agreement::InvalidShare);
    if (group == Group::X25519) continue;
    Bytes off = share;
    off.back() ^= 1;
    CHECK(key::keyShare(group, off, none) == Agreement::InvalidShare);
    Bytes hybrid = share;
    hybrid[0] = static_cast<uint8_t>(6 + (share.back() & 1));
    CHECK(key::keyShare(group, hybrid, none) == Agreement::InvalidShare);
  }
}

TEST_CASE("HKDF bounds") {
  const Bytes secret(32, 1);
  const Bytes context(255, 2);
  Bytes out(255 * 32);
  CHECK(key::hkdfExpandLabel(key::Hash::Sha256, secret, std::string(249, 'x'), context, out));
  CHECK_FALSE(key::hkdfExpandLabel(key::Hash::Sha256, secret, std::string(250, 'x'), {}, out));
  CHECK_FALSE(key::hkdfExpandLabel(key::Hash::Sha256, secret, "", {}, out));
  CHECK_FALSE(key::hkdfExpandLabel(key::Hash::Sha256, secret, "x", Bytes(256), out));
  out.resize(255 * 32 + 1);
  CHECK_FALSE(key::hkdfExpandLabel(key::Hash::Sha256, secret, "x", {}, out));
}

TEST_CASE("keys that are shared sign in several threads at once") {
  for (const auto& [key, scheme] : {std::pair{generate("RSA"), 0x0804}, {generate("EC", "P-256"), 0x0403}, {generate("ED25519"), 0x0807}}) {
    std::string why;
    auto own = key::PrivateKey::fromPkcs8(pkcs8(key.get()), why);
    REQUIRE(own.has_value());
    const Bytes text(100, 7);
    std::vector<Bytes> signatures(4);
    std::vector<std::thread> threads;
    for (auto& signature : signatures)
      threads.emplace_back([&signature, &text, shared = own->share(), scheme = scheme]() mutable {
        for (int i = 0; i < 10; ++i) (void)shared.sign(static_cast<uint16_t>(scheme), text, signature);
      });
    own.reset();
    for (auto& thread : threads) thread.join();
    const int padding = scheme == 0x0804 ? RSA_PKCS1_PSS_PADDING : 0;
    for (const auto& signature : signatures)
      CHECK(verifies(key.get(), scheme == 0x0807 ? nullptr : "SHA256", padding, text, signature));
  }
}
