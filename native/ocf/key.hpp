// Handshake cryptography on libcrypto (X25519 is our own): hashes, HKDF, ephemeral key agreement, private keys.
//
// Everything that OpenSSL 3 looks up by name is fetched once and kept: a fetch per call costs more
// than the hash. Contexts are per thread. Nothing throws; no failure leaves a secret behind.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using EVP_PKEY = struct evp_pkey_st;
using EVP_PKEY_CTX = struct evp_pkey_ctx_st;

namespace socrypt::key {

using View = std::span<const uint8_t>;

enum class Hash : uint8_t { Sha256, Sha384, Sha512 };
inline constexpr size_t kMaxHash = 64;

[[nodiscard]] constexpr size_t hashLength(Hash hash) noexcept {
  return hash == Hash::Sha256 ? 32 : hash == Hash::Sha384 ? 48 : 64;
}

/// A hash value or a secret of that size; wiped when it goes.
struct Digest {
  std::array<uint8_t, kMaxHash> bytes{};
  size_t length = 0;
  Digest() = default;
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  ~Digest();
  [[nodiscard]] View view() const noexcept { return {bytes.data(), length}; }
};

// False: libcrypto failed, or a length is out of range.
[[nodiscard]] bool digest(Hash hash, View data, Digest& out) noexcept;
[[nodiscard]] bool hmac(Hash hash, View key, View data, Digest& out) noexcept;
/// RFC 5869 2.2. An empty salt is a string of zeros, by the definition of HMAC.
[[nodiscard]] bool hkdfExtract(Hash hash, View salt, View ikm, Digest& out) noexcept;
/// RFC 5869 2.3. `info` at most 1024 bytes, `out` at most 255 hashes.
[[nodiscard]] bool hkdfExpand(Hash hash, View secret, View info, std::span<uint8_t> out) noexcept;
/// RFC 8446 7.1. `label` without "tls13 ", 1 to 249 bytes; `context` at most 255 bytes.
[[nodiscard]] bool hkdfExpandLabel(Hash hash, View secret, std::string_view label, View context,
                                   std::span<uint8_t> out) noexcept;

/// RFC 5246 5: the PRF of TLS 1.2 with this hash.
[[nodiscard]] bool prf12(Hash hash, View secret, std::string_view label, View seed, std::span<uint8_t> out) noexcept;

// One stage of the key schedule of RFC 8446 7.1 with all that is made of it, in one go. What is written, in this
// order, each secret as long as the hash:
//   handshake    Handshake Secret; client secret, finished key, key, iv; server secret, finished key, key, iv
//   application  Master Secret; client secret, key, iv; server secret, key, iv; exporter master secret
inline constexpr size_t kIvLength = 12;
[[nodiscard]] constexpr size_t handshakeStageLength(Hash hash, size_t keyLength) noexcept {
  return hashLength(hash) + 2 * (2 * hashLength(hash) + keyLength + kIvLength);
}
[[nodiscard]] constexpr size_t applicationStageLength(Hash hash, size_t keyLength) noexcept {
  return hashLength(hash) + 2 * (hashLength(hash) + keyLength + kIvLength) + hashLength(hash);
}
/// `salt`: Derive-Secret(Early Secret, "derived", ""); `transcript`: the hash of ClientHello to ServerHello. `out` is
/// handshakeStageLength() long, and wiped on failure.
[[nodiscard]] bool handshakeStage(Hash hash, size_t keyLength, View salt, View sharedSecret, View transcript,
                                  std::span<uint8_t> out) noexcept;
/// `transcript`: the hash of ClientHello to the server's Finished. `out` is applicationStageLength() long.
[[nodiscard]] bool applicationStage(Hash hash, size_t keyLength, View handshakeSecret, View transcript,
                                    std::span<uint8_t> out) noexcept;

/// TLS NamedGroup code points.
enum class Group : uint16_t { P256 = 0x0017, P384 = 0x0018, X25519 = 0x001d };

/// One side of an agreement: our public share as it goes on the wire, and the secret.
struct KeyShare {
  std::array<uint8_t, 97> publicKey{};
  size_t publicLength = 0;
  std::array<uint8_t, 48> secret{};
  size_t secretLength = 0;
  KeyShare() = default;
  KeyShare(const KeyShare&) = delete;
  KeyShare& operator=(const KeyShare&) = delete;
  ~KeyShare();
};

enum class Agreement : uint8_t { Ok, InvalidShare, Failed };

/// Makes an ephemeral key and combines it with the peer's share. InvalidShare: wrong length or form,
/// a point that is not on the curve, or an all-zero X25519 result (RFC 8446 7.4.2, RFC 7748 6.1).
[[nodiscard]] Agreement keyShare(Group group, View peerPublic, KeyShare& out) noexcept;
/// The same with a given private key (its fixed-length big-endian scalar, or X25519's 32 bytes); for
/// test vectors. `out.publicKey` stays empty.
[[nodiscard]] Agreement agree(Group group, View privateKey, View peerPublic, KeyShare& out) noexcept;

/// An ephemeral key of ours for which the peer's share is still to come: a client's.
class EphemeralKey {
 public:
  /// Empty: libcrypto failed.
  [[nodiscard]] static std::optional<EphemeralKey> generate(Group group) noexcept;
  EphemeralKey(EphemeralKey&&) noexcept = default;
  EphemeralKey& operator=(EphemeralKey&&) noexcept = default;
  ~EphemeralKey();

  /// Our share as it goes on the wire.
  [[nodiscard]] View publicKey() const noexcept { return {publicKey_.data(), publicLength_}; }
  /// `out.secret`; InvalidShare as keyShare() has it.
  [[nodiscard]] Agreement agree(View peerPublic, KeyShare& out) const noexcept;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const noexcept;  // libcrypto clears the private part
  };
  EphemeralKey() = default;
  Group group_ = Group::X25519;
  std::array<uint8_t, 97> publicKey_{};
  size_t publicLength_ = 0;
  std::unique_ptr<EVP_PKEY, FreeKey> key_;  // of a curve of libcrypto's
  std::array<uint8_t, 32> secret_{};        // of X25519
};

/// A private key held by libcrypto. One thread at a time; another thread signs with a share() of it.
class PrivateKey {
 public:
  enum class Type : uint8_t { Ec, Rsa, Ed25519 };
  enum class SignResult : uint8_t { Ok, WrongScheme, Failed };

  /// PKCS#8 DER, nothing before or after it. EC keys on P-256 and P-384, RSA of 1024 bits or more,
  /// Ed25519. The key must sign something that its own public half verifies. Empty: `why` says what
  /// was expected and what came, without a byte of the key.
  [[nodiscard]] static std::optional<PrivateKey> fromPkcs8(View der, std::string& why);

  PrivateKey(PrivateKey&&) noexcept = default;
  PrivateKey& operator=(PrivateKey&&) noexcept = default;
  ~PrivateKey();

  /// The same key for another thread: libcrypto counts who holds it, nothing is copied.
  [[nodiscard]] PrivateKey share() const noexcept;

  [[nodiscard]] Type type() const noexcept { return type_; }
  /// "P-256", "P-384"; empty when not EC.
  [[nodiscard]] std::string_view curve() const noexcept { return curve_; }
  [[nodiscard]] int bits() const noexcept { return bits_; }
  /// SubjectPublicKeyInfo, DER; empty: libcrypto failed.
  [[nodiscard]] std::vector<uint8_t> publicKey() const;
  /// Whether sign() takes this SignatureScheme.
  [[nodiscard]] bool fits(uint16_t scheme) const noexcept;
  /// No signature is longer.
  [[nodiscard]] size_t signatureRoom() const noexcept;
  /// PrivateKeyInfo, DER, for a driver; the caller wipes it. Empty: libcrypto failed.
  [[nodiscard]] std::vector<uint8_t> pkcs8() const;
  /// `scheme`: a TLS SignatureScheme code point: ecdsa_secp256r1_sha256, ecdsa_secp384r1_sha384,
  /// rsa_pss_rsae_sha256/384/512, rsa_pkcs1_sha256/384/512, ed25519. ECDSA hashes with either curve (TLS 1.2).
  [[nodiscard]] SignResult sign(uint16_t scheme, View data, std::vector<uint8_t>& signature) noexcept;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const noexcept;
  };
  struct FreeContext {
    void operator()(EVP_PKEY_CTX* context) const noexcept;
  };
  // A context set up for one scheme; setting one up costs more than an Ed25519 signature's hashing.
  struct Signer {
    uint16_t scheme;
    std::unique_ptr<EVP_PKEY_CTX, FreeContext> context;
  };
  PrivateKey() = default;
  [[nodiscard]] EVP_PKEY_CTX* signer(uint16_t scheme) noexcept;
  [[nodiscard]] bool verifiesItself();

  std::unique_ptr<EVP_PKEY, FreeKey> key_;
  std::vector<Signer> signers_;
  Type type_ = Type::Ec;
  std::string_view curve_;
  int bits_ = 0;
};

struct PublicKeyFacts {
  PrivateKey::Type type = PrivateKey::Type::Ec;
  /// "P-256", "P-384"; empty when not EC.
  std::string_view curve;
};
/// False: `spki` is not a key that verify() knows.
[[nodiscard]] bool describePublicKey(View spki, PublicKeyFacts& facts) noexcept;

enum class Verdict : uint8_t { Good, Bad, NotOurs };

/// Whether `signature` is that of the key `spki` (SubjectPublicKeyInfo, DER) over `data` in the SignatureScheme.
/// NotOurs: a scheme or a kind of key that is not known here, about which nothing is said. Keys: EC on P-256 and
/// P-384 by uncompressed points, Ed25519, RSA of 2048 to 8192 bits with an odd exponent of at most 33 bits.
[[nodiscard]] Verdict verify(uint16_t scheme, View spki, View data, View signature) noexcept;

}  // namespace socrypt::key
