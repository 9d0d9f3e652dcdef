#include "ocf/dpdk/session.hpp"

#include <string_view>

namespace socrypt::ocf::dpdk {

namespace {

bool aeadOf(AlgId alg, rte_crypto_aead_algorithm& out) noexcept {
  switch (alg) {
    case AlgId::Aes128Gcm:
    case AlgId::Aes256Gcm: out = RTE_CRYPTO_AEAD_AES_GCM; return true;
    case AlgId::ChaCha20Poly1305: out = RTE_CRYPTO_AEAD_CHACHA20_POLY1305; return true;
    default: return false;
  }
}

bool cipherOf(AlgId alg, rte_crypto_cipher_algorithm& out) noexcept {
  switch (alg) {
    case AlgId::Aes128Cbc:
    case AlgId::Aes256Cbc: out = RTE_CRYPTO_CIPHER_AES_CBC; return true;
    case AlgId::Aes128Ctr:
    case AlgId::Aes256Ctr: out = RTE_CRYPTO_CIPHER_AES_CTR; return true;
    case AlgId::TripleDesCbc: out = RTE_CRYPTO_CIPHER_3DES_CBC; return true;
    case AlgId::Null: out = RTE_CRYPTO_CIPHER_NULL; return true;
    default: return false;
  }
}

// ipsec-mb counts in the last 32 bits of a counter block alone, and begins anew behind 2^32 - 1 (seen with 1.3); SP 800-38A B.1
// and everybody else carry into the rest.
bool countsIn32Bits(const Device& device) noexcept {
  rte_cryptodev_info info{};
  rte_cryptodev_info_get(device.id(), &info);
  return info.driver_name != nullptr && std::string_view(info.driver_name) == "crypto_aesni_mb";
}

rte_crypto_sym_xform transform(const Private& priv, bool forward, uint32_t aadBytes) noexcept {
  rte_crypto_sym_xform xform{};
  const AlgFacts& facts = factsOf(priv.alg);
  if (rte_crypto_aead_algorithm aead{}; aeadOf(priv.alg, aead)) {
    xform.type = RTE_CRYPTO_SYM_XFORM_AEAD;
    xform.aead.op = forward ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
    xform.aead.algo = aead;
    xform.aead.key = {priv.key.data(), priv.keyBytes};
    xform.aead.iv = {kIvOffset, facts.ivBytes};
    xform.aead.digest_length = facts.tagBytes;
    xform.aead.aad_length = static_cast<uint16_t>(aadBytes);
    return xform;
  }
  xform.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
  xform.cipher.op = forward ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT;
  (void)cipherOf(priv.alg, xform.cipher.algo);
  xform.cipher.key = {priv.key.data(), priv.keyBytes};
  xform.cipher.iv = {kIvOffset, facts.ivBytes};
  return xform;
}

}  // namespace

bool supports(const Device& device, const Alg& alg) noexcept {
  rte_cryptodev_sym_capability_idx which{};
  const AlgFacts& facts = factsOf(alg.id);
  if (aeadOf(alg.id, which.algo.aead)) {
    which.type = RTE_CRYPTO_SYM_XFORM_AEAD;
    const auto* const capability = rte_cryptodev_sym_capability_get(device.id(), &which);
    return capability != nullptr && rte_cryptodev_sym_capability_check_aead(capability, facts.keyBytes, facts.tagBytes, 13, facts.ivBytes) == 0;
  }
  which.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
  if (!cipherOf(alg.id, which.algo.cipher)) return false;
  if (which.algo.cipher == RTE_CRYPTO_CIPHER_AES_CTR && countsIn32Bits(device)) return false;
  const auto* const capability = rte_cryptodev_sym_capability_get(device.id(), &which);
  return capability != nullptr && rte_cryptodev_sym_capability_check_cipher(capability, facts.keyBytes, facts.ivBytes) == 0;
}

Variant* variantFor(const Device& device, Private& priv, bool forward, uint32_t aadBytes) noexcept {
  for (Variant& variant : priv.variants)
    if (variant.session != nullptr && variant.forward == forward && variant.aadBytes == aadBytes) return &variant;
  Variant* place = nullptr;
  for (size_t i = 0; i < priv.variants.size() && place == nullptr; ++i) {
    Variant& next = priv.variants[(priv.next + i) % priv.variants.size()];
    if (next.inFlight == 0) place = &next;
  }
  if (place == nullptr) return nullptr;
  priv.next = static_cast<uint8_t>((static_cast<size_t>(place - priv.variants.data()) + 1) % priv.variants.size());
  rte_crypto_sym_xform xform = transform(priv, forward, aadBytes);
  void* const session = rte_cryptodev_sym_session_create(device.id(), &xform, device.sessions());
  if (session == nullptr) return nullptr;
  if (place->session != nullptr) rte_cryptodev_sym_session_free(device.id(), place->session);
  *place = {session, aadBytes, 0, forward};
  return place;
}

void release(const Device& device, Private& priv) noexcept {
  for (Variant& variant : priv.variants) {
    if (variant.session != nullptr) rte_cryptodev_sym_session_free(device.id(), variant.session);
    variant = {};
  }
}

}  // namespace socrypt::ocf::dpdk
