// AES-CBC and AES-CTR of the provider: whole blocks go to the daemon, what hangs over and padding stay here.
#pragma once

#include <openssl/core.h>

#include <array>
#include <cstdint>
#include <memory>

#include "provider/offload.hpp"
#include "provider/software.hpp"

namespace socrypt::provider {

struct BlockFacts {
  const char* name;
  ocf::AlgId alg;
  size_t keyBytes;
  unsigned mode;      // EVP_CIPH_*_MODE
  size_t blockBytes;  // as EVP has it: 1 for CTR
};

class Block {
 public:
  explicit Block(const BlockFacts& facts) : facts_(facts) {}
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();
  [[nodiscard]] std::unique_ptr<Block> duplicate() const;

  [[nodiscard]] bool init(bool encrypting, Bytes key, Bytes iv, const OSSL_PARAM* params);
  [[nodiscard]] bool update(uint8_t* out, size_t* outBytes, size_t room, Bytes in);
  [[nodiscard]] bool final(uint8_t* out, size_t* outBytes, size_t room);
  /// One call, without padding or state that is carried over.
  [[nodiscard]] bool whole(uint8_t* out, size_t* outBytes, size_t room, Bytes in);
  [[nodiscard]] bool get(OSSL_PARAM* params) const;
  [[nodiscard]] bool set(const OSSL_PARAM* params);
  [[nodiscard]] const BlockFacts& facts() const noexcept { return facts_; }

  static constexpr size_t kBlock = 16;

 private:
  [[nodiscard]] bool ctr() const noexcept { return facts_.blockBytes == 1; }
  [[nodiscard]] Bytes key() const noexcept { return Bytes(key_).first(facts_.keyBytes); }
  [[nodiscard]] bool startSoftware();
  [[nodiscard]] bool blocks(const uint8_t* in, uint8_t* out, size_t bytes);
  [[nodiscard]] bool stream(uint8_t* out, Bytes in);

  const BlockFacts& facts_;
  RemoteSession remote_;
  CipherContext software_;
  bool softwareKeyed_ = false;

  std::array<uint8_t, 32> key_{};
  std::array<uint8_t, kBlock> iv_{}, original_{};  // of the next block; of the first
  std::array<uint8_t, kBlock> held_{};             // CBC: input that waits. CTR: the block of key stream that is in use
  size_t heldBytes_ = 0;                           // CTR: bytes of it that are used; 0: none
  bool encrypting_ = true, keyed_ = false, ivSet_ = false, padding_ = true;
  // libssl's CBC records of TLS 1.2 (padding and MAC in constant time) are the default provider's from beginning to end.
  bool delegated_ = false;
};

}  // namespace socrypt::provider
