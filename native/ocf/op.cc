#include "ocf/op.hpp"

#include <cstring>

namespace socrypt::ocf {

std::string_view statusName(Status status) noexcept {
  switch (status) {
    case Status::Ok: return "Ok";
    case Status::Pending: return "Pending";
    case Status::Again: return "Again";
    case Status::NoDriver: return "NoDriver";
    case Status::Invalid: return "Invalid";
    case Status::UnknownAlg: return "UnknownAlg";
    case Status::BadKey: return "BadKey";
    case Status::BadTagLength: return "BadTagLength";
    case Status::BadIvLength: return "BadIvLength";
    case Status::BadLength: return "BadLength";
    case Status::Range: return "Range";
    case Status::Overlap: return "Overlap";
    case Status::Closed: return "Closed";
    case Status::Foreign: return "Foreign";
    case Status::BadTag: return "BadTag";
    case Status::TooBig: return "TooBig";
    case Status::Full: return "Full";
    case Status::NoMemory: return "NoMemory";
    case Status::Gone: return "Gone";
    case Status::Canceled: return "Canceled";
  }
  return "unknown";
}

namespace {

struct Entry {
  AlgId id;
  AlgFacts facts;
};

constexpr Entry kAlgs[] = {
    {AlgId::Aes128Gcm, {"aes-128-gcm", Family::Aead, 16, 12, 16, 1}},
    {AlgId::Aes256Gcm, {"aes-256-gcm", Family::Aead, 32, 12, 16, 1}},
    {AlgId::ChaCha20Poly1305, {"chacha20-poly1305", Family::Aead, 32, 12, 16, 1}},
    {AlgId::Aes128Cbc, {"aes-128-cbc", Family::Cipher, 16, 16, 0, 16}},
    {AlgId::Aes256Cbc, {"aes-256-cbc", Family::Cipher, 32, 16, 0, 16}},
    {AlgId::Aes128Ctr, {"aes-128-ctr", Family::Cipher, 16, 16, 0, 1}},
    {AlgId::Aes256Ctr, {"aes-256-ctr", Family::Cipher, 32, 16, 0, 1}},
    {AlgId::TripleDesCbc, {"des-ede3-cbc", Family::Cipher, 24, 8, 0, 8}},
    {AlgId::HmacSha1, {"hmac-sha1", Family::Mac, 0, 0, 20, 1}},
    {AlgId::HmacSha256, {"hmac-sha256", Family::Mac, 0, 0, 32, 1}},
    {AlgId::HmacSha384, {"hmac-sha384", Family::Mac, 0, 0, 48, 1}},
    {AlgId::HmacSha512, {"hmac-sha512", Family::Mac, 0, 0, 64, 1}},
    {AlgId::Sha1, {"sha1", Family::Mac, 0, 0, 20, 1, true}},
    {AlgId::Sha256, {"sha256", Family::Mac, 0, 0, 32, 1, true}},
    {AlgId::Sha384, {"sha384", Family::Mac, 0, 0, 48, 1, true}},
    {AlgId::Sha512, {"sha512", Family::Mac, 0, 0, 64, 1, true}},
    {AlgId::Null, {"null", Family::Null, 0, 0, 0, 1}},
    {AlgId::Rsa, {"rsa", Family::Key, 0, 0, 0, 1}},
    {AlgId::EcdsaP256, {"ecdsa-p256", Family::Key, 0, 0, 0, 1}},
    {AlgId::EcdsaP384, {"ecdsa-p384", Family::Key, 0, 0, 0, 1}},
    {AlgId::Ed25519, {"ed25519", Family::Key, 0, 0, 0, 1}},
    {AlgId::Dsa, {"dsa", Family::Key, 0, 0, 0, 1}},
    {AlgId::X25519, {"x25519", Family::Key, 0, 0, 0, 1}},
    {AlgId::EcdhP256, {"ecdh-p256", Family::Key, 0, 0, 0, 1}},
    {AlgId::EcdhP384, {"ecdh-p384", Family::Key, 0, 0, 0, 1}},
    {AlgId::Dh, {"dh", Family::Key, 0, 0, 0, 1}},
    {AlgId::ModExp, {"modexp", Family::Key, 0, 0, 0, 1}},
    {AlgId::ModExpCrt, {"modexp-crt", Family::Key, 0, 0, 0, 1}},
};
constexpr size_t kCount = std::size(kAlgs);

// AlgId -> index in kAlgs + 1.
struct Index {
  uint8_t at[128] = {};
  AlgId all[kCount] = {};
  constexpr Index() {
    for (size_t i = 0; i < kCount; ++i) {
      at[static_cast<size_t>(kAlgs[i].id)] = static_cast<uint8_t>(i + 1);
      all[i] = kAlgs[i].id;
    }
  }
};
constexpr Index kIndex;

}  // namespace

const AlgFacts& factsOf(AlgId id) noexcept {
  static constexpr AlgFacts kUnknown{};
  const auto value = static_cast<size_t>(id);
  const uint8_t at = value < std::size(kIndex.at) ? kIndex.at[value] : 0;
  return at == 0 ? kUnknown : kAlgs[at - 1].facts;
}

bool algByName(std::string_view name, AlgId& id) noexcept {
  for (const Entry& entry : kAlgs) {
    if (entry.facts.name != name) continue;
    id = entry.id;
    return true;
  }
  return false;
}

std::span<const AlgId> allAlgs() noexcept { return kIndex.all; }

Alg algOf(AlgId id, std::span<const uint8_t> key) noexcept {
  const AlgFacts& facts = factsOf(id);
  return {.id = id, .ivLen = facts.ivBytes, .tagLen = facts.tagBytes, .key = key};
}

void wipe(void* p, size_t n) noexcept {
  if (n != 0) explicit_bzero(p, n);  // its pointer may not be null, an empty region's may
}

bool equalConstantTime(const void* a, const void* b, size_t n) noexcept {
  const auto* x = static_cast<const volatile uint8_t*>(a);
  const auto* y = static_cast<const volatile uint8_t*>(b);
  uint8_t difference = 0;
  for (size_t i = 0; i < n; ++i) difference = static_cast<uint8_t>(difference | (x[i] ^ y[i]));
  return difference == 0;
}

}  // namespace socrypt::ocf
