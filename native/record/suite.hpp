// The cipher suites whose records are made here, and what of a suite shows in its records.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ocf/ocf.hpp"

namespace socrypt::record {

/// By TLS code point: RFC 8446 appendix B.4; of TLS 1.2 those of RFC 5289 and RFC 7905. Since no suite
/// belongs to both versions, the suite says which version the records are of.
enum class Suite : uint16_t {
  Aes128GcmSha256 = 0x1301,
  Aes256GcmSha384 = 0x1302,
  ChaCha20Poly1305Sha256 = 0x1303,
  EcdheEcdsaAes128GcmSha256 = 0xc02b,
  EcdheEcdsaAes256GcmSha384 = 0xc02c,
  EcdheRsaAes128GcmSha256 = 0xc02f,
  EcdheRsaAes256GcmSha384 = 0xc030,
  EcdheRsaChaCha20Poly1305Sha256 = 0xcca8,
  EcdheEcdsaChaCha20Poly1305Sha256 = 0xcca9,
};

inline constexpr size_t kHeaderLength = 5;
inline constexpr size_t kTagLength = 16;
/// The part of a TLS 1.2 AES-GCM nonce that goes on the wire, and the part that does not (RFC 5288 3).
inline constexpr size_t kExplicitNonceLength = 8;
inline constexpr size_t kSaltLength = 4;

/// Bytes that a record has around its payload.
struct Framing {
  uint8_t before;  // header; in TLS 1.2 the explicit nonce of AES-GCM
  uint8_t after;   // tag; in TLS 1.3 the content type before it
  [[nodiscard]] constexpr size_t overhead() const noexcept { return size_t{before} + after; }
};

inline constexpr Framing kFraming13{kHeaderLength, 1 + kTagLength};
inline constexpr Framing kFraming12Gcm{kHeaderLength + kExplicitNonceLength, kTagLength};
inline constexpr Framing kFraming12ChaCha20{kHeaderLength, kTagLength};
/// The most of any suite.
inline constexpr size_t kMaxOverhead = kFraming12Gcm.overhead();
/// What a TLS 1.3 record adds to its payload.
inline constexpr size_t kOverhead = kFraming13.overhead();
static_assert(kOverhead <= kMaxOverhead);

/// What a code point means; `known` is false for any that is not in Suite.
struct SuiteFacts {
  bool known = false;
  bool tls12 = false;
  ocf::AlgId alg = ocf::AlgId::Aes128Gcm;
  /// Of the iv that comes with the key: the salt only for AES-GCM in TLS 1.2.
  uint8_t ivLength = 12;
  Framing framing = kFraming13;
};

[[nodiscard]] constexpr SuiteFacts factsOf(Suite suite) noexcept {
  using ocf::AlgId;
  switch (suite) {
    case Suite::Aes128GcmSha256: return {true, false, AlgId::Aes128Gcm, 12, kFraming13};
    case Suite::Aes256GcmSha384: return {true, false, AlgId::Aes256Gcm, 12, kFraming13};
    case Suite::ChaCha20Poly1305Sha256: return {true, false, AlgId::ChaCha20Poly1305, 12, kFraming13};
    case Suite::EcdheEcdsaAes128GcmSha256:
    case Suite::EcdheRsaAes128GcmSha256: return {true, true, AlgId::Aes128Gcm, kSaltLength, kFraming12Gcm};
    case Suite::EcdheEcdsaAes256GcmSha384:
    case Suite::EcdheRsaAes256GcmSha384: return {true, true, AlgId::Aes256Gcm, kSaltLength, kFraming12Gcm};
    case Suite::EcdheRsaChaCha20Poly1305Sha256:
    case Suite::EcdheEcdsaChaCha20Poly1305Sha256: return {true, true, AlgId::ChaCha20Poly1305, 12, kFraming12ChaCha20};
  }
  return {};
}

}  // namespace socrypt::record
