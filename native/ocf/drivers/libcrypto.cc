// libcrypto through EVP. In the addon this is the one inside node, by symbol look-up; the API level
// is 3.0. Ciphers are fetched once: a fetch takes locks and microseconds (openssl issue 20286).
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "ocf/drivers/backends.hpp"
#include "ocf/drivers/general.hpp"
#include "ocf/drivers/soft_op.hpp"

namespace socrypt::ocf {
namespace {

const EVP_CIPHER* cipherOf(AlgId alg) noexcept {
  // Held for the life of the process; EVP_CIPHER is reference-counted and safe to share.
  static EVP_CIPHER* const aes128 = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  static EVP_CIPHER* const aes256 = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  static EVP_CIPHER* const chacha = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  switch (alg) {
    case AlgId::Aes128Gcm: return aes128;
    case AlgId::Aes256Gcm: return aes256;
    case AlgId::ChaCha20Poly1305: return chacha;
    default: return nullptr;
  }
}

// A session's private bytes: one context with the key in it, so that an op sets the nonce only.
struct Private {
  EVP_CIPHER_CTX* context;
};

class LibcryptoDriver final : public Driver {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return libcryptoName(); }
  [[nodiscard]] const Caps& caps() const noexcept override { return kCaps; }
  [[nodiscard]] int probe(const SessionParams& params, Cost&) const noexcept override {
    return isAead(params) || general::offers(params) ? 100 : -EOPNOTSUPP;
  }
  [[nodiscard]] size_t sessionBytes(const SessionParams& params) const noexcept override {
    return isAead(params) ? sizeof(Private) : general::sessionBytes();
  }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override {
    if (!isAead(params)) return general::newSession(params, priv);
    const Alg& alg = params.chain[0];
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    if (context == nullptr) return Status::NoMemory;
    if (EVP_CipherInit_ex2(context, cipherOf(alg.id), alg.key.data(), nullptr, 1, nullptr) != 1) {
      EVP_CIPHER_CTX_free(context);
      ERR_clear_error();
      return Status::Invalid;
    }
    at(priv).context = context;
    return Status::Ok;
  }
  // EVP_CIPHER_CTX_free cleanses the key schedule.
  void freeSession(std::span<std::byte> priv) noexcept override {
    // The sizes tell them apart.
    if (priv.size() == general::sessionBytes()) general::freeSession(priv);
    else EVP_CIPHER_CTX_free(at(priv).context);
  }

  size_t random(std::span<uint8_t> out) noexcept override { return general::random(out); }
  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    for (size_t i = 0; i < n; ++i) ops[i]->status = run(*ops[i]);
    return n;
  }

 private:
  static constexpr Caps kCaps{
      .flags = Caps::Soft | Caps::Sync | Caps::Ordered | Caps::Sgl | Caps::OutOfPlace | Caps::Verify | Caps::Rng,
      .maxLen = kSoftMaxLength,
  };
  static bool isAead(const SessionParams& params) noexcept {
    return params.chain.size() == 1 && cipherOf(params.chain[0].id) != nullptr;
  }
  static Private& at(std::span<std::byte> priv) noexcept { return *reinterpret_cast<Private*>(priv.data()); }

  static Status run(Op& op) noexcept {
    const bool scattered = op.nIn > 1 || op.nOut > 1;
    const auto gathered = [&op] { return runGathered(op, [](Op& one) { return run(one); }); };
    if (op.ses->alg() > AlgId::ChaCha20Poly1305) return scattered ? gathered() : general::run(op);
    SoftRegions regions;
    // Payload and tag in one segment each need no gathering.
    if (const Status status = regions.resolve(op, op.ses->tagLength()); status != Status::Ok) return scattered ? gathered() : status;
    EVP_CIPHER_CTX* context = reinterpret_cast<Private*>(op.fw.priv)->context;
    const int sealing = op.kind == Kind::Seal ? 1 : 0;
    int length = 0;
    bool good = EVP_CipherInit_ex2(context, nullptr, nullptr, op.iv, sealing, nullptr) == 1 &&
                (sealing == 1 || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, regions.tag) == 1) &&
                (op.aad.n == 0 || EVP_CipherUpdate(context, nullptr, &length, op.aad.p, static_cast<int>(op.aad.n)) == 1) &&
                (op.len == 0 || EVP_CipherUpdate(context, regions.to, &length, regions.from, static_cast<int>(op.len)) == 1);
    if (!good) {
      wipe(regions.to, op.len);
      ERR_clear_error();
      return Status::Invalid;
    }
    // libcrypto compares the tag in constant time.
    uint8_t rest[16];
    good = EVP_CipherFinal_ex(context, rest, &length) == 1;
    if (sealing == 1) {
      if (good && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, regions.tag) == 1) return Status::Ok;
      wipe(regions.to, op.len);
      ERR_clear_error();
      return Status::Invalid;
    }
    if (good) return Status::Ok;
    wipe(regions.to, op.len);
    ERR_clear_error();
    return Status::BadTag;
  }
};

}  // namespace

const std::string& libcryptoName() {
  static const std::string name = std::string("libcrypto ") + OpenSSL_version(OPENSSL_VERSION_STRING);
  return name;
}

std::unique_ptr<Driver> makeLibcryptoDriver() { return std::make_unique<LibcryptoDriver>(); }

}  // namespace socrypt::ocf
