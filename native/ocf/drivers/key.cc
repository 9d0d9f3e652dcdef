#include "ocf/drivers/key.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <new>
#include <vector>

#include "ocf/drivers/key_costs.hpp"
#include "ocf/drivers/key_session.hpp"

namespace socrypt::ocf {
namespace {

// The longest big integer is 2,048 bytes; a message to be signed may be longer.
constexpr uint32_t kMaxLength = 1u << 20;

using Clock = std::chrono::steady_clock;
// How long an op may be done before its owner is told, if others are done meanwhile.
constexpr std::chrono::microseconds kCoalesce{1000};

KeySession& sessionAt(std::byte* priv) noexcept { return *std::launder(reinterpret_cast<KeySession*>(priv)); }

// What does not depend on where the work is done.
class KeyDriverBase : public Driver {
 public:
  KeyDriverBase(unsigned lanes, const Caps& caps) noexcept : caps_(caps), lanes_(lanes) {}
  [[nodiscard]] const Caps& caps() const noexcept override { return caps_; }
  [[nodiscard]] size_t sessionBytes(const SessionParams&) const noexcept override { return sizeof(KeySession); }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override {
    try {
      auto* const session = new (priv.data()) KeySession(lanes_);
      const Status status = session->open(params.chain[0]);
      if (status != Status::Ok) session->~KeySession();
      return status;
    } catch (const std::bad_alloc&) {
      return Status::NoMemory;
    }
  }
  void freeSession(std::span<std::byte> priv) noexcept override { sessionAt(priv.data()).~KeySession(); }

 protected:
  static int rank(const SessionParams& params) noexcept {
    return params.chain.size() == 1 && KeySession::check(params.chain[0]) == Status::Ok ? 100 : -EOPNOTSUPP;
  }

 private:
  Caps caps_;
  unsigned lanes_;
};

class InlineKeyDriver final : public KeyDriverBase {
 public:
  InlineKeyDriver() noexcept : KeyDriverBase(1, {.flags = Caps::Soft | Caps::Sync | Caps::Ordered | Caps::Verify | Caps::Asym, .maxLen = kMaxLength}) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "key-inline"; }
  [[nodiscard]] int probe(const SessionParams& params, Cost& cost) const noexcept override {
    const int ranked = rank(params);
    if (ranked >= 0) cost = {.opNs = keyOpNs(params.chain[0])};
    return ranked;
  }
  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    for (size_t i = 0; i < n; ++i) ops[i]->status = sessionAt(ops[i]->fw.priv).run(*ops[i], 0);
    return n;
  }
};

class KeyDriver final : public KeyDriverBase, private KeyPool::Owner {
 public:
  KeyDriver(std::shared_ptr<KeyPool> pool, uint32_t depth)
      : KeyDriverBase(pool->lanes(), {.flags = Caps::Accel | Caps::Verify | Caps::Asym,
                                      .maxLen = kMaxLength,
                                      .queueDepth = depth,
                                      .bestBurst = pool->lanes()}),
        pool_(std::move(pool)),
        slots_(depth),
        done_(depth) {
    free_.reserve(depth);
    halted_.reserve(depth);
    for (size_t i = depth; i-- > 0;) {
      slots_[i].job.owner = this;
      slots_[i].job.index = i;
      free_.push_back(i);
    }
  }
  ~KeyDriver() override { halt(); }

  [[nodiscard]] std::string_view name() const noexcept override { return "key"; }
  [[nodiscard]] int probe(const SessionParams& params, Cost& cost) const noexcept override {
    const int ranked = rank(params);
    if (ranked >= 0)
      cost = {.batchNs = keyHopNs(), .opNs = keyOpNs(params.chain[0]), .lanes = static_cast<uint16_t>(pool_->lanes())};
    return ranked;
  }

  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    std::array<KeyPool::Job*, 64> jobs;
    size_t accepted = 0;
    while (accepted < n && !free_.empty()) {
      size_t count = 0;
      for (; count < jobs.size() && accepted < n && !free_.empty(); ++count, ++accepted) {
        Slot& slot = slots_[free_.back()];
        free_.pop_back();
        slot.op = ops[accepted];
        jobs[count] = &slot.job;
      }
      pool_->add(jobs.data(), count);
    }
    return accepted;
  }

  size_t poll(Op** done, size_t max, bool) noexcept override {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (; count < max && doneCount_ > 0; ++count, --doneCount_) {
      const size_t index = done_[doneFirst_];
      doneFirst_ = (doneFirst_ + 1) % done_.size();
      done[count] = slots_[index].op;
      done[count]->status = slots_[index].status;
      done[count]->fw.serviceNs = slots_[index].serviceNs;
      free_.push_back(index);
    }
    if (doneCount_ == 0) told_ = false;
    return count;
  }

  size_t cancel(Op** back, size_t max) noexcept override {
    size_t count = 0;
    for (; count < max; ++count) {
      KeyPool::Job* job = pool_->takeBackFirst(*this);
      if (job == nullptr && !halted_.empty()) {
        job = halted_.front();
        halted_.erase(halted_.begin());
      }
      if (job == nullptr) break;
      back[count] = slots_[job->index].op;
      free_.push_back(job->index);
    }
    tell();  // these were to tell of those before them
    return count;
  }

  void stop() noexcept override { halt(); }

  void attach(Waker* waker) noexcept override { waker_ = waker; }

 private:
  struct Slot {
    KeyPool::Job job;
    Op* op = nullptr;
    // The op gets them when it is harvested: until then its owner may be reading it.
    Status status = Status::Pending;
    float serviceNs = 0;
  };

  // Nothing more is begun, and what was begun is over.
  void halt() noexcept {
    while (KeyPool::Job* const job = pool_->takeBackFirst(*this)) halted_.push_back(job);
    pool_->awaitIdle(*this);
  }

  // In a thread of the pool.
  void run(size_t index, unsigned lane) noexcept override {
    Slot& slot = slots_[index];
    const auto start = Clock::now();
    slot.status = sessionAt(slot.op->fw.priv).run(*slot.op, lane);
    const auto end = Clock::now();
    slot.serviceNs = std::chrono::duration<float, std::nano>(end - start).count();
    {
      const std::lock_guard lock(mutex_);
      done_[(doneFirst_ + doneCount_) % done_.size()] = index;
      if (doneCount_++ == 0) oldest_ = end;
      // The next op is in time to tell of this one. It is asked under the lock: cancel() tells afterwards.
      if (end - oldest_ + (end - start) < kCoalesce && pool_->goesOnWith(*this, pool_->lanes())) return;
    }
    tell();
  }

  // Waking an event loop costs it some 10 microseconds, and the thread whose processor it takes its caches: one is
  // not woken for each op while there are many. It is before threads have nothing left to do.
  void tell() noexcept {
    {
      const std::lock_guard lock(mutex_);
      // Whoever was told of the first finds the others as well.
      if (doneCount_ == 0 || told_) return;
      told_ = true;
    }
    if (waker_ != nullptr) waker_->ready(this);
  }

  std::shared_ptr<KeyPool> pool_;
  std::vector<Slot> slots_;
  std::vector<size_t> free_;  // of the framework's thread
  std::vector<KeyPool::Job*> halted_;
  Waker* waker_ = nullptr;
  std::mutex mutex_;
  std::vector<size_t> done_;  // a ring; no more jobs than slots
  size_t doneFirst_ = 0, doneCount_ = 0;
  Clock::time_point oldest_;  // when the first of them was done
  bool told_ = false;
};

}  // namespace

std::unique_ptr<Driver> makeKeyDriver(const KeyDriverOptions& options) noexcept {
  try {
    std::shared_ptr<KeyPool> pool = options.pool == nullptr ? KeyPool::shared() : options.pool;
    if (pool == nullptr || options.queueDepth == 0) return nullptr;
    return std::make_unique<KeyDriver>(std::move(pool), options.queueDepth);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

std::unique_ptr<Driver> makeInlineKeyDriver() noexcept {
  try {
    return std::make_unique<InlineKeyDriver>();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace socrypt::ocf
