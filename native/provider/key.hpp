// Keys of the provider: the default provider's own, held in a library context of our own, which does everything with them
// but sign. A private key that signs has a session in the daemon for each of a process's connections.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "provider/offload.hpp"
#include "provider/software.hpp"

namespace socrypt::provider {

struct KeyFacts {
  const char* name;  // as the default provider has it
  bool rsa;
};

class Key {
 public:
  explicit Key(const KeyFacts& facts) noexcept : facts_(facts) {}
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  ~Key();

  [[nodiscard]] const KeyFacts& facts() const noexcept { return facts_; }
  [[nodiscard]] EVP_PKEY* software() const noexcept { return key_.get(); }
  void set(SoftwareKey key) noexcept { key_ = std::move(key); }
  [[nodiscard]] bool import(int selection, const OSSL_PARAM* params);
  [[nodiscard]] bool has(int selection) const;
  [[nodiscard]] std::unique_ptr<Key> duplicate(int selection) const;

  /// A signature over a message, by the daemon. `scheme` is a TLS SignatureScheme.
  [[nodiscard]] Channel::Outcome sign(uint16_t scheme, Bytes message, std::span<uint8_t> out, size_t* produced);

 private:
  // A lock that is taken is another thread's, or the parent's at a fork and never free again here: software signs then.
  // Threads have up to so many connections, and a session belongs to one.
  struct Slot {
    std::mutex mutex;
    RemoteSession session;
  };
  [[nodiscard]] bool describe();
  [[nodiscard]] ocf::AlgId look();

  const KeyFacts& facts_;
  SoftwareKey key_;
  std::mutex mutex_;
  ocf::AlgId alg_ = ocf::AlgId::Null;  // Null: not looked at yet, or no key that the daemon signs with
  std::atomic<bool> described_{false};
  std::vector<uint8_t> pkcs8_;
  std::array<Slot, kChannels> slots_;
};

}  // namespace socrypt::provider
