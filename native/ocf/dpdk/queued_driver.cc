// A cryptodev behind a queue pair: bursts in, bursts out, over mbufs that lie on the caller's memory (external buffers),
// so that nothing is copied. Poll mode: nobody tells when an op is complete, so the framework is woken as long as any is out.
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <array>
#include <atomic>
#include <vector>

#include "ocf/dpdk/make.hpp"
#include "ocf/dpdk/regions.hpp"
#include "ocf/dpdk/session.hpp"

namespace socrypt::ocf::dpdk {
namespace {

constexpr unsigned kSlots = 256;
constexpr uint16_t kBurst = 32;
// An mbuf counts its bytes in 16 bits.
constexpr uint32_t kMaxLen = 65'520;
// Looks at the queue before a device that does not give ops back is left to itself.
constexpr unsigned kPatience = 10'000'000;
constexpr uint16_t kIvRoom = 16;
constexpr uint16_t kSlotOffset = kIvOffset + kIvRoom;

struct Slot {
  rte_crypto_op* crypto;
  rte_mbuf *source, *destination;
  rte_mbuf_ext_shared_info sharedSource, sharedDestination;
  Op* op;
  Variant* variant;
};

void nothingToFree(void*, void*) {}

rte_mbuf* lay(rte_mbuf* over, uint8_t* p, uint32_t n, rte_mbuf_ext_shared_info& shared) noexcept {
  shared.free_cb = &nothingToFree;
  shared.fcb_opaque = nullptr;
  rte_mbuf_ext_refcnt_set(&shared, 1);
  // IOVA as VA: true for every virtual device, and for real ones behind an IOMMU.
  rte_pktmbuf_attach_extbuf(over, p, reinterpret_cast<rte_iova_t>(p), static_cast<uint16_t>(n), &shared);
  over->data_off = 0;
  over->data_len = static_cast<uint16_t>(n);
  over->pkt_len = n;
  return over;
}

class QueuedDriver final : public Driver {
 public:
  QueuedDriver(std::string name, std::shared_ptr<Device> device) : name_(std::move(name)), device_(std::move(device)) {
    const uint64_t features = device_->features();
    outOfPlace_ = (features & RTE_CRYPTODEV_FF_OOP_LB_IN_LB_OUT) != 0;
    caps_.flags = Caps::OutOfPlace | Caps::Verify | ((features & RTE_CRYPTODEV_FF_HW_ACCELERATED) != 0 ? uint32_t{Caps::Hardware} : uint32_t{Caps::Soft});
    caps_.maxLen = kMaxLen;
    caps_.queueDepth = kSlots;
    caps_.bestBurst = kBurst;
    caps_.maxSessions = Device::kSessions / 2;
  }
  ~QueuedDriver() override {
    stop();
    for (Slot& slot : slots_) {
      rte_pktmbuf_free(slot.source);
      rte_pktmbuf_free(slot.destination);
      rte_crypto_op_free(slot.crypto);
    }
    if (ops_ != nullptr) rte_mempool_free(ops_);
    if (mbufs_ != nullptr) rte_mempool_free(mbufs_);
    if (pair_ >= 0) device_->giveQueuePair(pair_);
  }

  [[nodiscard]] bool open(std::string& why) {
    pair_ = device_->takeQueuePair();
    if (pair_ < 0) return why = name_ + ": all queue pairs are in use", false;
    static std::atomic<unsigned> made{0};
    const std::string id = std::to_string(made.fetch_add(1));
    ops_ = rte_crypto_op_pool_create(("socrypt-op" + id).c_str(), RTE_CRYPTO_OP_TYPE_SYMMETRIC, kSlots, 0, kIvRoom + sizeof(Slot*), SOCKET_ID_ANY);
    mbufs_ = rte_pktmbuf_pool_create(("socrypt-mb" + id).c_str(), 2 * kSlots, 0, 0, 0, SOCKET_ID_ANY);
    if (ops_ == nullptr || mbufs_ == nullptr) return why = name_ + ": no memory for ops", false;
    slots_.resize(kSlots);
    stopped_.reserve(kSlots);
    for (Slot& slot : slots_) {
      slot = {};
      slot.crypto = rte_crypto_op_alloc(ops_, RTE_CRYPTO_OP_TYPE_SYMMETRIC);
      slot.source = rte_pktmbuf_alloc(mbufs_);
      slot.destination = rte_pktmbuf_alloc(mbufs_);
      if (slot.crypto == nullptr || slot.source == nullptr || slot.destination == nullptr) return why = name_ + ": no memory for ops", false;
      *rte_crypto_op_ctod_offset(slot.crypto, Slot**, kSlotOffset) = &slot;
      free_.push_back(&slot);
    }
    return true;
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] const Caps& caps() const noexcept override { return caps_; }
  [[nodiscard]] int probe(const SessionParams& params, Cost&) const noexcept override {
    if (params.chain.size() != 1 || !supports(*device_, params.chain[0])) return -EOPNOTSUPP;
    return (caps_.flags & Caps::Hardware) != 0 ? 400 : 200;
  }
  [[nodiscard]] size_t sessionBytes(const SessionParams&) const noexcept override { return sizeof(Private); }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override { return openPrivate(params, priv); }
  void freeSession(std::span<std::byte> priv) noexcept override { release(*device_, privateOf(priv.data())); }
  void attach(Waker* waker) noexcept override { waker_ = waker; }

  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    size_t accepted = 0;
    while (accepted < n) {
      rte_crypto_op* burst[kBurst];
      uint16_t filled = 0;
      while (filled < kBurst && accepted + filled < n && !free_.empty() && fill(*ops[accepted + filled], burst[filled])) ++filled;
      if (filled == 0) break;
      const uint16_t taken = rte_cryptodev_enqueue_burst(device_->id(), static_cast<uint16_t>(pair_), burst, filled);
      for (uint16_t i = filled; i-- > taken;) giveBack(slotOf(burst[i]));
      accepted += taken;
      if (taken < filled) break;
    }
    wakeIfOut();
    return accepted;
  }

  // What is out is written to until it is back.
  void stop() noexcept override {
    for (unsigned turns = 0; free_.size() < slots_.size() && turns < kPatience; ++turns) {
      rte_crypto_op* burst[kBurst];
      const uint16_t got = rte_cryptodev_dequeue_burst(device_->id(), static_cast<uint16_t>(pair_), burst, kBurst);
      for (uint16_t i = 0; i < got; ++i) stopped_.push_back(finish(slotOf(burst[i])));
    }
  }

  size_t poll(Op** done, size_t max, bool) noexcept override {
    size_t n = 0;
    for (; n < max && !stopped_.empty(); ++n) {
      done[n] = stopped_.back();
      stopped_.pop_back();
    }
    while (n < max) {
      rte_crypto_op* burst[kBurst];
      const uint16_t room = static_cast<uint16_t>(std::min<size_t>(max - n, kBurst));
      const uint16_t got = rte_cryptodev_dequeue_burst(device_->id(), static_cast<uint16_t>(pair_), burst, room);
      for (uint16_t i = 0; i < got; ++i) done[n++] = finish(slotOf(burst[i]));
      if (got < room) break;
    }
    wakeIfOut();
    return n;
  }

 private:
  // The op's private bytes: the iv, and the slot behind it.
  // It follows the op. (In DPDK's header it is an array of no elements, at which compilers warn.)
  [[nodiscard]] static rte_crypto_sym_op& symOf(rte_crypto_op& crypto) noexcept { return *reinterpret_cast<rte_crypto_sym_op*>(&crypto + 1); }
  [[nodiscard]] static Slot& slotOf(rte_crypto_op* crypto) noexcept { return **rte_crypto_op_ctod_offset(crypto, Slot**, kSlotOffset); }

  // False: it cannot be taken now.
  [[nodiscard]] bool fill(Op& op, rte_crypto_op*& out) noexcept {
    Variant* const variant = variantFor(*device_, privateOf(op.fw.priv), isForward(op.kind), op.aad.n);
    uint8_t* const from = piece(op.in, op.nIn, op.skip, op.len);
    uint8_t* const to = piece(op.out, op.nOut, op.outSkip, op.len);
    if (variant == nullptr || (op.len != 0 && (from == nullptr || to == nullptr))) return false;
    Slot& slot = *free_.back();
    free_.pop_back();
    slot.op = &op;
    slot.variant = variant;
    ++variant->inFlight;
    rte_crypto_op& crypto = *slot.crypto;
    crypto.status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
    crypto.sess_type = RTE_CRYPTO_OP_WITH_SESSION;
    rte_crypto_sym_op& sym = symOf(crypto);
    sym.m_dst = nullptr;
    (void)rte_crypto_op_attach_sym_session(&crypto, variant->session);
    // A device that works in place gets a copy to work on.
    if (!outOfPlace_ && op.len != 0 && from != to) std::memcpy(to, from, op.len);
    sym.m_src = lay(slot.source, outOfPlace_ && from != nullptr ? from : to != nullptr ? to : op.iv, op.len, slot.sharedSource);
    if (outOfPlace_ && op.len != 0 && from != to) sym.m_dst = lay(slot.destination, to, op.len, slot.sharedDestination);
    const uint8_t ivBytes = factsOf(op.ses->alg()).ivBytes;
    std::memcpy(rte_crypto_op_ctod_offset(&crypto, uint8_t*, kIvOffset), op.iv, ivBytes);
    if (op.kind == Kind::Seal || op.kind == Kind::Open) {
      uint8_t* const tag = op.kind == Kind::Seal ? piece(op.out, op.nOut, op.tagAt, op.ses->tagLength()) : piece(op.in, op.nIn, op.tagAt, op.ses->tagLength());
      if (tag == nullptr) {
        giveBack(slot);
        return false;
      }
      sym.aead.data.offset = 0;
      sym.aead.data.length = op.len;
      sym.aead.digest = {.data = tag, .phys_addr = reinterpret_cast<rte_iova_t>(tag)};
      sym.aead.aad = {.data = op.aad.p, .phys_addr = reinterpret_cast<rte_iova_t>(op.aad.p)};
    } else {
      sym.cipher.data.offset = 0;
      sym.cipher.data.length = op.len;
    }
    out = &crypto;
    return true;
  }

  void giveBack(Slot& slot) noexcept {
    rte_pktmbuf_detach(slot.source);
    if (symOf(*slot.crypto).m_dst != nullptr) rte_pktmbuf_detach(slot.destination);
    --slot.variant->inFlight;
    slot.op = nullptr;
    free_.push_back(&slot);
  }

  [[nodiscard]] Op* finish(Slot& slot) noexcept {
    Op& op = *slot.op;
    switch (slot.crypto->status) {
      case RTE_CRYPTO_OP_STATUS_SUCCESS: op.status = Status::Ok; break;
      case RTE_CRYPTO_OP_STATUS_AUTH_FAILED:
        op.status = Status::BadTag;
        if (op.len != 0) wipe(piece(op.out, op.nOut, op.outSkip, op.len), op.len);
        break;
      default: op.status = Status::Gone;
    }
    giveBack(slot);
    return &op;
  }

  void wakeIfOut() noexcept {
    if (waker_ != nullptr && free_.size() < slots_.size()) waker_->ready(this);
  }

  const std::string name_;
  const std::shared_ptr<Device> device_;
  Caps caps_;
  bool outOfPlace_ = false;
  int pair_ = -1;
  rte_mempool *ops_ = nullptr, *mbufs_ = nullptr;
  std::vector<Slot> slots_;
  std::vector<Slot*> free_;
  std::vector<Op*> stopped_;  // complete when the driver was stopped, and still to be polled
  Waker* waker_ = nullptr;
};

}  // namespace

std::unique_ptr<Driver> makeQueued(std::string name, std::shared_ptr<Device> device, std::string& why) {
  auto driver = std::make_unique<QueuedDriver>(std::move(name), std::move(device));
  if (!driver->open(why)) return nullptr;
  return driver;
}

}  // namespace socrypt::ocf::dpdk
