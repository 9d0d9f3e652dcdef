// intel-ipsec-mb, loaded at run time. Its direct functions take a key schedule and a scratch context
// and touch no manager, so one table of function pointers serves every thread.
#include "ocf/drivers/backends.hpp"
#include "ocf/drivers/soft.hpp"

#ifdef SOCRYPT_HAVE_IPSEC_MB

#include <dlfcn.h>
#include <intel-ipsec-mb.h>

#include <cstring>

#include "ocf/drivers/general.hpp"
#include "ocf/drivers/soft_op.hpp"

namespace socrypt::ocf {
namespace {

struct Library {
  aes_gcm_pre_t expand128 = nullptr, expand256 = nullptr;
  aes_gcm_enc_dec_t seal128 = nullptr, open128 = nullptr, seal256 = nullptr, open256 = nullptr;
  chacha_poly_init_t chachaInit = nullptr;
  chacha_poly_enc_dec_update_t chachaSeal = nullptr, chachaOpen = nullptr;
  chacha_poly_finalize_t chachaFinal = nullptr;
  std::string name;
  std::string absence;
};

const char* architectureName(const IMB_MGR& manager) noexcept {
  switch (manager.used_arch) {
    case IMB_ARCH_SSE: return "SSE";
    case IMB_ARCH_AVX: return "AVX";
    case IMB_ARCH_AVX2: return "AVX2";
    case IMB_ARCH_AVX512: {
      constexpr uint64_t kWide = IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
      return (manager.features & kWide) == kWide ? "VAES" : "AVX512";
    }
    default: return nullptr;  // without AES-NI it emulates AES, and not in constant time
  }
}

template <typename Function>
Function symbol(void* handle, const char* name) noexcept {
  return reinterpret_cast<Function>(dlsym(handle, name));
}

Library load() {
  Library library;
  const auto unusable = [&library](std::string why) {
    library = {};
    library.absence = std::move(why);
    return library;
  };
  // Never closed: sessions of every thread point into it. RTLD_LOCAL keeps its symbols out of node.
  void* handle = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return unusable("libIPSec_MB.so.1 was not found; install libipsec-mb1 (or libipsec-mb-dev)");
  const auto version = symbol<decltype(&imb_get_version)>(handle, "imb_get_version");
  const auto versionText = symbol<decltype(&imb_get_version_str)>(handle, "imb_get_version_str");
  const auto allocate = symbol<decltype(&alloc_mb_mgr)>(handle, "alloc_mb_mgr");
  const auto initialise = symbol<decltype(&init_mb_mgr_auto)>(handle, "init_mb_mgr_auto");
  const auto release = symbol<decltype(&free_mb_mgr)>(handle, "free_mb_mgr");
  if (version == nullptr || versionText == nullptr || allocate == nullptr || initialise == nullptr || release == nullptr)
    return unusable("libIPSec_MB.so.1 lacks a function that every version has");
  // The manager's layout, from which the functions are read, belongs to one minor version.
  if ((version() >> 8) != (IMB_VERSION_NUM >> 8))
    return unusable(std::string("libIPSec_MB.so.1 is version ") + versionText() + ", this was built for " + IMB_VERSION_STR);
  IMB_MGR* manager = allocate(0);
  if (manager == nullptr) return unusable("libIPSec_MB.so.1 had no memory for its manager");
  IMB_ARCH used = IMB_ARCH_NONE;
  initialise(manager, &used);
  const char* architecture = architectureName(*manager);
  const bool selfTestFailed = (manager->features & IMB_FEATURE_SELF_TEST) != 0 && (manager->features & IMB_FEATURE_SELF_TEST_PASS) == 0;
  if (architecture == nullptr || selfTestFailed) {
    release(manager);
    return unusable(selfTestFailed ? "libIPSec_MB.so.1 failed its own self-test" : "this CPU lacks AES-NI, PCLMULQDQ or SSE4.2");
  }
  library.expand128 = manager->gcm128_pre;
  library.expand256 = manager->gcm256_pre;
  library.seal128 = manager->gcm128_enc;
  library.open128 = manager->gcm128_dec;
  library.seal256 = manager->gcm256_enc;
  library.open256 = manager->gcm256_dec;
  library.chachaInit = manager->chacha20_poly1305_init;
  library.chachaSeal = manager->chacha20_poly1305_enc_update;
  library.chachaOpen = manager->chacha20_poly1305_dec_update;
  library.chachaFinal = manager->chacha20_poly1305_finalize;
  library.name = std::string("ipsec-mb ") + versionText() + " (" + architecture + ")";
  release(manager);
  return library;
}

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

class IpsecMbDriver final : public Driver {
 public:
  explicit IpsecMbDriver(const Library& lib) noexcept : lib_(lib) {}
  ~IpsecMbDriver() override {
    wipe(&gcm_, sizeof gcm_);
    wipe(&chacha_, sizeof chacha_);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return lib_.name; }
  [[nodiscard]] const Caps& caps() const noexcept override { return kCaps; }
  [[nodiscard]] int probe(const SessionParams& params, Cost&) const noexcept override {
    return isAead(params) || general::offers(params) ? 100 : -EOPNOTSUPP;
  }
  [[nodiscard]] size_t sessionBytes(const SessionParams& params) const noexcept override {
    if (!isAead(params)) return general::sessionBytes();
    return params.chain[0].id == AlgId::ChaCha20Poly1305 ? kChaChaBytes : sizeof(gcm_key_data);
  }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override {
    const Alg& alg = params.chain[0];
    switch (alg.id) {
      case AlgId::Aes128Gcm: lib_.expand128(alg.key.data(), schedule(priv.data())); break;
      case AlgId::Aes256Gcm: lib_.expand256(alg.key.data(), schedule(priv.data())); break;
      case AlgId::ChaCha20Poly1305: std::memcpy(priv.data(), alg.key.data(), 32); break;
      default: return general::newSession(params, priv);
    }
    return Status::Ok;
  }
  void freeSession(std::span<std::byte> priv) noexcept override {
    // The sizes tell them apart.
    if (priv.size() == general::sessionBytes()) general::freeSession(priv);
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
  static constexpr size_t kChaChaBytes = 64;  // more than its key, so that no other session is as large
  static bool isAead(const SessionParams& params) noexcept { return factsOf(params.chain[0].id).family == Family::Aead; }
  static gcm_key_data* schedule(std::byte* priv) noexcept { return reinterpret_cast<gcm_key_data*>(priv); }

  Status run(Op& op) noexcept {
    const bool scattered = op.nIn > 1 || op.nOut > 1;
    const auto gathered = [this, &op] { return runGathered(op, [this](Op& one) { return run(one); }); };
    if (op.ses->alg() > AlgId::ChaCha20Poly1305) return scattered ? gathered() : general::run(op);
    SoftRegions at;
    // Payload and tag in one segment each need no gathering.
    if (const Status status = at.resolve(op, op.ses->tagLength()); status != Status::Ok) return scattered ? gathered() : status;
    std::byte* const priv = op.fw.priv;
    alignas(16) uint8_t computed[16];
    uint8_t* tag = op.kind == Kind::Seal ? at.tag : computed;
    switch (op.ses->alg()) {
      case AlgId::Aes128Gcm:
        (op.kind == Kind::Seal ? lib_.seal128 : lib_.open128)(schedule(priv), &gcm_, at.to, at.from, op.len, op.iv, op.aad.p,
                                                            op.aad.n, tag, 16);
        break;
      case AlgId::Aes256Gcm:
        (op.kind == Kind::Seal ? lib_.seal256 : lib_.open256)(schedule(priv), &gcm_, at.to, at.from, op.len, op.iv, op.aad.p,
                                                            op.aad.n, tag, 16);
        break;
      case AlgId::ChaCha20Poly1305:
        lib_.chachaInit(priv, &chacha_, op.iv, op.aad.p, op.aad.n);
        (op.kind == Kind::Seal ? lib_.chachaSeal : lib_.chachaOpen)(priv, &chacha_, at.to, at.from, op.len);
        lib_.chachaFinal(&chacha_, tag, 16);
        break;
      default: return Status::Invalid;
    }
    if (op.kind == Kind::Seal) return Status::Ok;
    const bool genuine = equalTags(computed, at.tag);
    wipe(computed, sizeof computed);  // the right tag of a forged record is an oracle
    if (genuine) return Status::Ok;
    wipe(at.to, op.len);
    return Status::BadTag;
  }

  const Library& lib_;
  gcm_context_data gcm_{};  // scratch; holds key stream, so wiped at the end
  chacha20_poly1305_context_data chacha_{};
};

}  // namespace

bool ipsecMbUsable() noexcept { return !library().name.empty(); }
const std::string& ipsecMbName() { return library().name; }
const std::string& ipsecMbAbsence() { return library().absence; }
std::unique_ptr<Driver> makeIpsecMbDriver() {
  return ipsecMbUsable() ? std::make_unique<IpsecMbDriver>(library()) : nullptr;
}

}  // namespace socrypt::ocf

#else

namespace socrypt::ocf {

bool ipsecMbUsable() noexcept { return false; }
const std::string& ipsecMbName() {
  static const std::string none;
  return none;
}
const std::string& ipsecMbAbsence() {
  static const std::string why = "this was built without intel-ipsec-mb.h; install libipsec-mb-dev and build again";
  return why;
}
std::unique_ptr<Driver> makeIpsecMbDriver() { return nullptr; }

}  // namespace socrypt::ocf

#endif
