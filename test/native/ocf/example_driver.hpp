// The driver of docs/ocf.md, "Write a driver"; test/ocf/example.test.ts compares the two.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <new>

#include "ocf/ocf.hpp"
#include "ocf/regions.hpp"

namespace socrypt::ocf {

// <example>
class ExampleDriver final : public Driver {
  struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
  };
  using State = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;
  static State& stateAt(std::byte* priv) noexcept { return *std::launder(reinterpret_cast<State*>(priv)); }

 public:
  std::string_view name() const noexcept override { return "example"; }
  const Caps& caps() const noexcept override {
    static constexpr Caps caps{.flags = Caps::Soft | Caps::Sync | Caps::Ordered | Caps::OutOfPlace, .maxLen = 1 << 30};
    return caps;
  }
  // A rank, for exactly these parameters: 400 hardware, 300 accelerated software, 100 plain software.
  int probe(const SessionParams& params, Cost&) const noexcept override {
    return params.chain.size() == 1 && params.chain[0].id == AlgId::Aes128Ctr ? 100 : -EOPNOTSUPP;
  }
  size_t sessionBytes(const SessionParams&) const noexcept override { return sizeof(State); }
  Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override {
    State context(EVP_CIPHER_CTX_new());
    if (context == nullptr) return Status::NoMemory;
    const uint8_t* key = params.chain[0].key.data();
    if (EVP_EncryptInit_ex(context.get(), EVP_aes_128_ctr(), nullptr, key, nullptr) != 1) return Status::BadKey;
    new (priv.data()) State(std::move(context));
    return Status::Ok;
  }
  void freeSession(std::span<std::byte> priv) noexcept override { std::destroy_at(&stateAt(priv.data())); }
  // A synchronous driver sets the status of each op that it accepts.
  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    for (size_t i = 0; i < n; ++i) ops[i]->status = run(*ops[i]);
    return n;
  }

 private:
  static Status run(Op& op) noexcept {
    if (const Status wrong = checkOp(op, AlgId::Aes128Ctr, AlgId::Null, 0); wrong != Status::Ok) return wrong;
    EVP_CIPHER_CTX* const context = stateAt(op.fw.priv).get();
    int n = 0;
    const bool done = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, op.iv) == 1 &&
                      EVP_EncryptUpdate(context, op.out->p + op.outSkip, &n, op.in->p + op.skip, static_cast<int>(op.len)) == 1;
    return done ? Status::Ok : Status::Invalid;
  }
};
// </example>

}  // namespace socrypt::ocf
