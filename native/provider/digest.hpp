// A digest or an HMAC of the provider: what it is given is kept until the end, and goes to the daemon as a whole. What is
// longer than an op of the daemon's, and what the daemon does not do, is software's.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <vector>

#include "provider/offload.hpp"
#include "provider/software.hpp"

namespace socrypt::provider {

struct DigestFacts {
  const char* name;  // as the default provider has it
  ocf::AlgId alg, hmac;
  size_t bytes, block;
};
inline constexpr DigestFacts kDigests[] = {
    {"SHA1", ocf::AlgId::Sha1, ocf::AlgId::HmacSha1, 20, 64},
    {"SHA2-256", ocf::AlgId::Sha256, ocf::AlgId::HmacSha256, 32, 64},
    {"SHA2-384", ocf::AlgId::Sha384, ocf::AlgId::HmacSha384, 48, 128},
    {"SHA2-512", ocf::AlgId::Sha512, ocf::AlgId::HmacSha512, 64, 128},
};

/// Input that waits for its end, or for the moment when it gets too long.
class Held {
 public:
  ~Held() { clear(); }
  Held() = default;
  Held(const Held& other) = default;
  Held& operator=(const Held&) = default;
  /// False: it is longer than an op may be.
  [[nodiscard]] bool take(Bytes bytes);
  void clear() noexcept;
  [[nodiscard]] Bytes view() const noexcept { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

class Digest {
 public:
  explicit Digest(const DigestFacts& facts) noexcept : facts_(facts) {}
  [[nodiscard]] std::unique_ptr<Digest> duplicate() const;
  [[nodiscard]] bool init();
  [[nodiscard]] bool update(Bytes in);
  [[nodiscard]] bool final(uint8_t* out, size_t* outBytes, size_t room);

 private:
  const DigestFacts& facts_;
  Held held_;
  bool streaming_ = false;
  DigestContext software_;
};

class Hmac {
 public:
  ~Hmac();
  [[nodiscard]] std::unique_ptr<Hmac> duplicate() const;
  [[nodiscard]] bool init(Bytes key, const OSSL_PARAM* params);
  [[nodiscard]] bool update(Bytes in);
  [[nodiscard]] bool final(uint8_t* out, size_t* outBytes, size_t room);
  [[nodiscard]] bool get(OSSL_PARAM* params) const;
  [[nodiscard]] bool set(const OSSL_PARAM* params);

 private:
  [[nodiscard]] bool startSoftware();

  const DigestFacts* facts_ = nullptr;  // none: a digest that is the default provider's alone, or not chosen yet
  std::string digest_;
  std::vector<uint8_t> key_;
  bool keyed_ = false, streaming_ = false;
  size_t tlsDataBytes_ = 0;  // of a CBC record, whose MAC must not tell its padding: the default provider's
  Held held_;
  RemoteSession remote_;
  MacContext software_;
};

}  // namespace socrypt::provider
