// AES-GCM and ChaCha20-Poly1305 of the provider.
//
// EVP has an AEAD come in pieces: iv, AAD, any number of updates, tag. The daemon does whole ops. So the first update is
// sent as if it were all there is, which it is in TLS and nearly everywhere; its input is kept, and should another piece
// come after all, software catches up from there and does the rest.
#pragma once

#include <openssl/core.h>

#include <array>
#include <cstdint>
#include <vector>

#include "provider/offload.hpp"
#include "provider/software.hpp"

namespace socrypt::provider {

struct AeadFacts {
  const char* name;
  ocf::AlgId alg;
  size_t keyBytes;
  unsigned mode;  // EVP_CIPH_*_MODE
  /// In TLS 1.2: bytes of the nonce that stand in the record (RFC 5288; none for RFC 7905).
  size_t explicitBytes;
};

class Aead {
 public:
  explicit Aead(const AeadFacts& facts) : facts_(facts) {}
  Aead(const Aead&) = delete;
  Aead& operator=(const Aead&) = delete;
  ~Aead();
  [[nodiscard]] std::unique_ptr<Aead> duplicate() const;

  [[nodiscard]] bool init(bool sealing, Bytes key, Bytes iv, const OSSL_PARAM* params);
  [[nodiscard]] bool update(uint8_t* out, size_t* outBytes, size_t room, Bytes in);
  [[nodiscard]] bool final(size_t* outBytes);
  [[nodiscard]] bool get(OSSL_PARAM* params) const;
  [[nodiscard]] bool set(const OSSL_PARAM* params);
  [[nodiscard]] const AeadFacts& facts() const noexcept { return facts_; }

  static constexpr size_t kIv = 12, kTag = 16;

 private:
  enum class State : uint8_t { NoIv, Fresh, Whole, Streaming, Finished };

  [[nodiscard]] Bytes key() const noexcept { return Bytes(key_).first(facts_.keyBytes); }
  [[nodiscard]] bool prepare();
  [[nodiscard]] bool startSoftware(const uint8_t* iv, size_t ivBytes, Bytes aad);
  [[nodiscard]] bool stream(uint8_t* out, size_t* outBytes, Bytes in);
  [[nodiscard]] bool sealWhole(const uint8_t* iv, Bytes aad, Bytes in, uint8_t* out, uint8_t* tag);
  [[nodiscard]] bool openWhole(const uint8_t* iv, Bytes aad, Bytes in, uint8_t* out, const uint8_t* tag);
  [[nodiscard]] bool record(uint8_t* out, size_t* outBytes, size_t room, Bytes in);
  [[nodiscard]] bool setRecordAad(Bytes aad);
  [[nodiscard]] bool setFixedIv(Bytes fixed);

  const AeadFacts& facts_;
  RemoteSession remote_;
  CipherContext software_;
  bool softwareKeyed_ = false;

  std::array<uint8_t, 32> key_{};
  std::array<uint8_t, 64> iv_{};
  size_t ivBytes_ = kIv;
  std::vector<uint8_t> aad_, kept_;
  std::array<uint8_t, kTag> tag_{};       // made, or to be compared
  std::array<uint8_t, kTag> verified_{};  // with which the whole was opened
  size_t tagBytes_ = 0;                   // 0: none given
  bool sealing_ = true, keyed_ = false;
  State state_ = State::NoIv;
  // A record of TLS 1.2: set for one update.
  std::array<uint8_t, 13> recordAad_{};
  bool recordPending_ = false, fixedSet_ = false;
  size_t recordPayload_ = 0;
};

}  // namespace socrypt::provider
