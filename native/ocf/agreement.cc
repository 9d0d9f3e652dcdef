// Ephemeral key agreement.
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>

#include <array>
#include <memory>

#include "ocf/key.hpp"
#include "ocf/key_internal.hpp"
#include "ocf/ocf.hpp"
#include "ocf/x25519.hpp"

namespace socrypt::key {
namespace {

struct Free {
  void operator()(EVP_PKEY* p) const noexcept { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const noexcept { EVP_PKEY_CTX_free(p); }
  void operator()(BIGNUM* p) const noexcept { BN_clear_free(p); }
  void operator()(OSSL_PARAM_BLD* p) const noexcept { OSSL_PARAM_BLD_free(p); }
  void operator()(OSSL_PARAM* p) const noexcept { OSSL_PARAM_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

struct GroupFacts {
  const char* curve;  // libcrypto's name; nullptr: X25519, which is our own
  size_t publicLength, secretLength;
};

const GroupFacts* facts(Group group) noexcept {
  static constexpr GroupFacts kX25519{nullptr, 32, 32};
  static constexpr GroupFacts kP256{"P-256", 65, 32};
  static constexpr GroupFacts kP384{"P-384", 97, 48};
  switch (group) {
    case Group::X25519: return &kX25519;
    case Group::P256: return &kP256;
    case Group::P384: return &kP384;
  }
  return nullptr;
}

// What is made once per curve and thread: a context that generates, and a key of parameters only.
// Copying that and setting its point takes a third of the time of EVP_PKEY_fromdata, which builds the
// group anew (3.5 us against 11.6 us for P-256).
struct Tools {
  Owned<EVP_PKEY_CTX> generator;
  Owned<EVP_PKEY> parameters;
  explicit Tools(const char* curve) noexcept {
    generator.reset(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    if (generator == nullptr || EVP_PKEY_keygen_init(generator.get()) != 1 ||
        EVP_PKEY_CTX_set_group_name(generator.get(), curve) != 1)
      generator.reset();
    const Owned<EVP_PKEY_CTX> maker(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* made = nullptr;
    if (maker != nullptr && EVP_PKEY_paramgen_init(maker.get()) == 1 &&
        EVP_PKEY_CTX_set_group_name(maker.get(), curve) == 1 && EVP_PKEY_paramgen(maker.get(), &made) == 1)
      parameters.reset(made);
  }
};

Tools& tools(Group group) noexcept {
  thread_local Tools p256(facts(Group::P256)->curve);
  thread_local Tools p384(facts(Group::P384)->curve);
  return group == Group::P256 ? p256 : p384;
}

// Reading the octets checks that the point is on the curve (SEC 1, 2.3.4). With that and cofactor 1
// the point is of the right order, so the costly order check of EVP_PKEY_public_check is not made.
// RFC 8446 4.2.8.2: "peers MUST validate each other's public value Q by ensuring that the point is a valid point".
// RFC 8422 5.11: "each party MUST validate the public key sent by its peer"; RFC 8422 5.11: "MUST check that the x
// and y parameters from the peer's public value satisfy the curve equation".
Owned<EVP_PKEY> importPeer(Group group, View bytes) noexcept {
  const EVP_PKEY* parameters = tools(group).parameters.get();
  // EVP_PKEY_dup takes a non-const pointer in 3.0 and changes nothing.
  Owned<EVP_PKEY> peer(parameters == nullptr ? nullptr : EVP_PKEY_dup(const_cast<EVP_PKEY*>(parameters)));
  if (peer == nullptr || EVP_PKEY_set1_encoded_public_key(peer.get(), bytes.data(), bytes.size()) != 1) return nullptr;
  return peer;
}

Agreement derive(const GroupFacts& of, EVP_PKEY* own, EVP_PKEY* peer, KeyShare& out) noexcept {
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
  if (context == nullptr || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer_ex(context.get(), peer, 0) != 1)
    return Agreement::Failed;
  out.secretLength = of.secretLength;
  // RFC 8446 7.4.2: "leading zeros found in this octet string MUST NOT be truncated"; RFC 8422 5.10: "leading zeros
  // found in this octet string MUST NOT be truncated"; hence the length.
  const bool good = EVP_PKEY_derive(context.get(), out.secret.data(), &out.secretLength) == 1 && out.secretLength == of.secretLength;
  return good ? Agreement::Ok : Agreement::Failed;
}

// RFC 8446 7.4.2: "MUST check whether the computed Diffie-Hellman shared secret is the all-zero value and abort if
// so". RFC 8422 5.11: "MUST check whether the computed premaster secret is the all-zero value"; RFC 8422 5.10:
// "obtains all-zeroes x_S, it MUST abort the handshake".
Agreement agreeX25519(View secret, View peer, KeyShare& out) noexcept {
  out.secretLength = 32;
  return x25519::agree(secret.first<32>(), peer.first<32>(), std::span(out.secret).first<32>()) ? Agreement::Ok
                                                                                              : Agreement::InvalidShare;
}

Agreement shareX25519(View peer, KeyShare& out) noexcept {
  std::array<uint8_t, 32> secret;
  if (RAND_priv_bytes(secret.data(), secret.size()) != 1) return Agreement::Failed;
  out.publicLength = out.secretLength = 32;
  const bool good = x25519::keyShare(secret, peer.first<32>(), std::span(out.publicKey).first<32>(), std::span(out.secret).first<32>());
  ocf::wipe(secret.data(), secret.size());
  return good ? Agreement::Ok : Agreement::InvalidShare;
}

bool wellFormed(const GroupFacts& of, View share) noexcept {
  // RFC 8446 4.2.8.2: uncompressed points only.
  // RFC 8422 5.1.2: "MUST NOT support other formats for curves defined in this specification".
  return share.size() == of.publicLength && (of.curve == nullptr || share[0] == 4);
}

Agreement finish(Agreement result, KeyShare& out) noexcept {
  if (result != Agreement::Ok) {
    ocf::wipe(out.secret.data(), out.secret.size());
    ERR_clear_error();
  }
  return result;
}

Owned<EVP_PKEY> generateKey(Group group, const GroupFacts& of, std::span<uint8_t> publicKey, size_t& publicLength) noexcept {
  EVP_PKEY_CTX* generator = tools(group).generator.get();
  EVP_PKEY* made = nullptr;
  if (generator == nullptr || EVP_PKEY_generate(generator, &made) != 1) return nullptr;
  Owned<EVP_PKEY> own(made);
  if (EVP_PKEY_get_octet_string_param(made, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, publicKey.data(), publicKey.size(),
                                      &publicLength) != 1 ||
      publicLength != of.publicLength)
    return nullptr;
  return own;
}

Owned<EVP_PKEY> importPrivate(const GroupFacts& of, View bytes) noexcept {
  const Owned<EVP_PKEY_CTX> importer(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  const Owned<BIGNUM> scalar(BN_secure_new());
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (importer == nullptr || EVP_PKEY_fromdata_init(importer.get()) != 1 || scalar == nullptr || builder == nullptr ||
      BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), scalar.get()) == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, of.curve, 0) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, scalar.get()) != 1)
    return nullptr;
  const Owned<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder.get()));
  EVP_PKEY* own = nullptr;
  if (params == nullptr || EVP_PKEY_fromdata(importer.get(), &own, EVP_PKEY_KEYPAIR, params.get()) != 1) return nullptr;
  return Owned<EVP_PKEY>(own);
}

}  // namespace

KeyShare::~KeyShare() { ocf::wipe(secret.data(), secret.size()); }

Agreement keyShare(Group group, View peerPublic, KeyShare& out) noexcept {
  const GroupFacts* of = facts(group);
  if (of == nullptr) return Agreement::Failed;
  if (!wellFormed(*of, peerPublic)) return Agreement::InvalidShare;
  if (group == Group::X25519) return finish(shareX25519(peerPublic, out), out);
  // Before a key is made: a share that is refused costs no curve arithmetic of ours.
  const Owned<EVP_PKEY> peer = importPeer(group, peerPublic);
  if (peer == nullptr) return finish(Agreement::InvalidShare, out);
  const Owned<EVP_PKEY> own = generateKey(group, *of, out.publicKey, out.publicLength);
  if (own == nullptr) return finish(Agreement::Failed, out);
  return finish(derive(*of, own.get(), peer.get(), out), out);
}

EVP_PKEY* importPoint(Group group, View point) noexcept { return importPeer(group, point).release(); }

void EphemeralKey::FreeKey::operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
EphemeralKey::~EphemeralKey() { ocf::wipe(secret_.data(), secret_.size()); }

std::optional<EphemeralKey> EphemeralKey::generate(Group group) noexcept {
  const GroupFacts* of = facts(group);
  if (of == nullptr) return std::nullopt;
  EphemeralKey key;
  key.group_ = group;
  if (group == Group::X25519) {
    if (RAND_priv_bytes(key.secret_.data(), key.secret_.size()) != 1) return std::nullopt;
    key.publicLength_ = of->publicLength;
    x25519::publicKey(key.secret_, std::span(key.publicKey_).first<32>());
    return key;
  }
  key.key_.reset(generateKey(group, *of, key.publicKey_, key.publicLength_).release());
  if (key.key_ != nullptr) return key;
  ERR_clear_error();
  return std::nullopt;
}

Agreement EphemeralKey::agree(View peerPublic, KeyShare& out) const noexcept {
  const GroupFacts* of = facts(group_);
  if (!wellFormed(*of, peerPublic)) return Agreement::InvalidShare;
  if (group_ == Group::X25519) return finish(agreeX25519(secret_, peerPublic, out), out);
  const Owned<EVP_PKEY> peer = importPeer(group_, peerPublic);
  if (peer == nullptr) return finish(Agreement::InvalidShare, out);
  return finish(derive(*of, key_.get(), peer.get(), out), out);
}

Agreement agree(Group group, View privateKey, View peerPublic, KeyShare& out) noexcept {
  const GroupFacts* of = facts(group);
  if (of == nullptr || privateKey.size() != of->secretLength) return Agreement::Failed;
  if (!wellFormed(*of, peerPublic)) return Agreement::InvalidShare;
  if (group == Group::X25519) return finish(agreeX25519(privateKey, peerPublic, out), out);
  const Owned<EVP_PKEY> peer = importPeer(group, peerPublic);
  if (peer == nullptr) return finish(Agreement::InvalidShare, out);
  const Owned<EVP_PKEY> own = importPrivate(*of, privateKey);
  if (own == nullptr) return finish(Agreement::Failed, out);
  return finish(derive(*of, own.get(), peer.get(), out), out);
}

}  // namespace socrypt::key
