// A cryptodev that does ops at once, on the calling thread (RTE_CRYPTODEV_FF_SYM_CPU_CRYPTO): no queue, no mbufs.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "ocf/dpdk/make.hpp"
#include "ocf/dpdk/regions.hpp"
#include "ocf/dpdk/session.hpp"
#include "ocf/unit.hpp"

namespace socrypt::ocf::dpdk {
namespace {

constexpr size_t kBurst = 32;

class SyncDriver final : public Driver {
 public:
  SyncDriver(std::string name, std::shared_ptr<Device> device) : name_(std::move(name)), device_(std::move(device)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] const Caps& caps() const noexcept override { return kCaps; }
  [[nodiscard]] int probe(const SessionParams& params, Cost&) const noexcept override {
    return params.chain.size() == 1 && supports(*device_, params.chain[0]) ? 300 : -EOPNOTSUPP;
  }
  [[nodiscard]] size_t sessionBytes(const SessionParams&) const noexcept override { return sizeof(Private); }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override { return openPrivate(params, priv); }
  void freeSession(std::span<std::byte> priv) noexcept override { release(*device_, privateOf(priv.data())); }

  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    size_t done = 0;
    while (done < n) {
      // A vector is for one session: ops of one session in a row go together.
      Variant* const variant = good(*ops[done]) ? variantFor(*device_, privateOf(ops[done]->fw.priv), isForward(ops[done]->kind), ops[done]->aad.n) : nullptr;
      if (variant == nullptr) {
        ++done;
        continue;
      }
      size_t end = done + 1;
      while (end < n && end - done < kBurst && good(*ops[end]) && ops[end]->fw.priv == ops[done]->fw.priv && ops[end]->aad.n == ops[done]->aad.n &&
             isForward(ops[end]->kind) == variant->forward)
        ++end;
      run(ops + done, end - done, *variant);
      done = end;
    }
    return n;
  }

 private:
  static constexpr Caps kCaps{
      .flags = Caps::Soft | Caps::Sync | Caps::Ordered | Caps::Sgl | Caps::OutOfPlace | Caps::Verify,
      // ipsec-mb's multi-buffer ciphers count a job's bytes in 16 bits, and do not say when they are more.
      .maxLen = 65'520,
      .bestBurst = kBurst,
      .maxSessions = Device::kSessions / 2,
  };

  // Ops come here as they are: nobody has looked at them. False: the status says what is wrong.
  [[nodiscard]] static bool good(Op& op) noexcept {
    op.status = checkOp(op, op.ses->alg(), op.ses->mac(), op.ses->tagLength());
    if (op.status == Status::Ok && op.len > kCaps.maxLen) op.status = Status::TooBig;
    if (op.status != Status::Ok) return false;
    op.status = Status::NoMemory;  // until it is done
    return true;
  }

  void run(Op* const* ops, size_t n, const Variant& variant) noexcept {
    std::array<rte_crypto_vec, kBurst> data;
    std::array<rte_crypto_sgl, kBurst> lists;
    std::array<rte_crypto_va_iova_ptr, kBurst> iv{}, digest{}, aad{};
    std::array<int32_t, kBurst> status{};
    std::array<std::array<uint8_t, 64>, kBurst> tags;
    std::array<bool, kBurst> bounced{};
    if (scattered_.size() < n) scattered_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      Op& op = *ops[i];
      const bool tagInOutput = op.kind == Kind::Seal;
      // The PMDs work in place on one segment: what is not so is copied first.
      uint8_t* const from = piece(op.in, op.nIn, op.skip, op.len);
      uint8_t* at = piece(op.out, op.nOut, op.outSkip, op.len);
      if (op.len == 0) at = tags[i].data();
      bounced[i] = at == nullptr;
      if (bounced[i]) {
        scattered_[i].resize(op.len);
        at = scattered_[i].data();
      }
      if (op.len != 0 && from != at) {
        if (from != nullptr) std::memcpy(at, from, op.len);
        else gather(op.in, op.nIn, op.skip, at, op.len);
      }
      const uint32_t tagBytes = op.ses->tagLength();
      uint8_t* tag = tagInOutput || op.kind == Kind::Open ? piece(tagInOutput ? op.out : op.in, tagInOutput ? op.nOut : op.nIn, op.tagAt, tagBytes) : nullptr;
      if (tag == nullptr) {
        tag = tags[i].data();
        if (op.kind == Kind::Open) gather(op.in, op.nIn, op.tagAt, tag, tagBytes);
      }
      data[i] = {.base = at, .iova = reinterpret_cast<rte_iova_t>(at), .len = op.len, .tot_len = op.len};
      lists[i] = {.vec = &data[i], .num = 1};
      iv[i].va = op.iv;
      digest[i].va = tag;
      aad[i].va = op.aad.p;
    }
    rte_crypto_sym_vec vector{};
    vector.num = static_cast<uint32_t>(n);
    vector.src_sgl = lists.data();
    vector.iv = iv.data();
    vector.digest = digest.data();
    vector.aad = aad.data();
    vector.status = status.data();
    (void)rte_cryptodev_sym_cpu_crypto_process(device_->id(), variant.session, rte_crypto_sym_ofs{}, &vector);
    for (size_t i = 0; i < n; ++i) {
      Op& op = *ops[i];
      op.status = status[i] == 0 ? Status::Ok : op.kind == Kind::Open && status[i] == EBADMSG ? Status::BadTag : Status::Gone;
      if (op.status != Status::Ok && op.len != 0) wipe(data[i].base, op.len);
      if (bounced[i]) {
        scatter(scattered_[i].data(), op.len, op.out, op.nOut, op.outSkip);
        wipe(scattered_[i].data(), op.len);
      }
      if (op.kind == Kind::Seal && digest[i].va == tags[i].data() && op.status == Status::Ok)
        scatter(tags[i].data(), op.ses->tagLength(), op.out, op.nOut, op.tagAt);
    }
  }

  const std::string name_;
  const std::shared_ptr<Device> device_;
  std::vector<std::vector<uint8_t>> scattered_;
};

}  // namespace

std::unique_ptr<Driver> makeSync(std::string name, std::shared_ptr<Device> device) {
  return std::make_unique<SyncDriver>(std::move(name), std::move(device));
}

}  // namespace socrypt::ocf::dpdk
