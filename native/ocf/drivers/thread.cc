#include "ocf/drivers/thread.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ocf/clock.hpp"
#include "ocf/drivers/spsc_ring.hpp"

namespace socrypt::ocf {
namespace {

class ThreadDriver final : public Driver {
 public:
  ThreadDriver(std::unique_ptr<Driver> inner, const ThreadOptions& options)
      : inner_(std::move(inner)), options_(options), slots_(options.queueDepth), todo_(options.queueDepth), done_(options.queueDepth) {
    for (uint32_t i = 0; i < options.queueDepth; ++i) free_.push_back(i);
    name_ = "thread (" + std::string(inner_->name()) + ")";
    caps_ = inner_->caps();
    caps_.flags &= ~(Caps::Sync | Caps::Soft | Caps::Rng);
    caps_.flags |= Caps::Accel | Caps::Ordered;
    caps_.queueDepth = options.queueDepth;
    caps_.bestBurst = kBurst;
    thread_ = std::thread([this] { work(); });
  }
  ~ThreadDriver() override { ThreadDriver::stop(); }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] const Caps& caps() const noexcept override { return caps_; }
  [[nodiscard]] int probe(const SessionParams& params, Cost& cost) const noexcept override {
    const int rank = inner_->probe(params, cost);
    return rank < 0 ? rank : rank + 100;
  }
  [[nodiscard]] size_t sessionBytes(const SessionParams& params) const noexcept override { return inner_->sessionBytes(params); }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override {
    return inner_->newSession(params, priv);
  }
  void freeSession(std::span<std::byte> priv) noexcept override { inner_->freeSession(priv); }
  void attach(Waker* waker) noexcept override { waker_.store(waker, std::memory_order_release); }

  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    n = std::min(n, free_.size());
    uint32_t taken[kBurst];
    for (size_t at = 0; at < n;) {
      size_t m = 0;
      for (; m < kBurst && at < n; ++m, ++at) {
        taken[m] = free_.back();
        free_.pop_back();
        slots_[taken[m]] = {*ops[at], ops[at]};
      }
      todo_.push(taken, m);
    }
    // Either the thread sees what was pushed, or it is seen to sleep.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (n != 0 && asleep_.load(std::memory_order_seq_cst)) {
      const std::lock_guard lock(mutex_);
      awake_.notify_one();
    }
    return n;
  }
  size_t poll(Op** done, size_t max, bool) noexcept override {
    return take(done_, done, max, [](Slot& slot) {
      slot.original->status = slot.copy.status;
      slot.original->fw.serviceNs = slot.copy.fw.serviceNs;
    });
  }
  size_t cancel(Op** back, size_t max) noexcept override {
    // The ring's other end is the thread's, until it has stopped.
    return thread_.joinable() ? 0 : take(todo_, back, max, [](Slot&) {});
  }
  void stop() noexcept override {
    if (!thread_.joinable()) return;
    ending_.store(true, std::memory_order_seq_cst);
    {
      const std::lock_guard lock(mutex_);
      awake_.notify_one();
    }
    thread_.join();
  }

 private:
  static constexpr size_t kBurst = 32;
  // The thread works on a copy: the consumer may look at the status of its own before poll() reports it.
  struct Slot {
    Op copy;
    Op* original;
  };

  template <typename Finish>
  size_t take(SpscRing<uint32_t>& from, Op** out, size_t max, Finish finish) noexcept {
    size_t n = 0;
    uint32_t index;
    for (; n < max && from.pop(&index, 1) == 1; ++n) {
      finish(slots_[index]);
      out[n] = slots_[index].original;
      free_.push_back(index);
    }
    return n;
  }

  void work() noexcept {
    pthread_setname_np(pthread_self(), "socrypt-crypto");
    if (options_.cpu >= 0) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(options_.cpu, &set);
      pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    }
    Clock& clock = steadyClock();
    while (!ending_.load(std::memory_order_relaxed)) {
      uint32_t taken[kBurst];
      Op* ops[kBurst];
      const size_t n = todo_.pop(taken, kBurst);
      if (n == 0) {
        idle();
        continue;
      }
      for (size_t i = 0; i < n; ++i) ops[i] = &slots_[taken[i]].copy;
      const uint64_t start = clock.now();
      for (size_t given = 0; given < n;) {
        const size_t accepted = inner_->submit(ops + given, n - given, false);
        if (accepted == 0) {  // a synchronous driver that refuses: whoever asked may try another
          ops[given++]->status = Status::Again;
          continue;
        }
        given += accepted;
      }
      const auto each = static_cast<float>(clock.now() - start) / static_cast<float>(n);
      for (size_t i = 0; i < n; ++i) ops[i]->fw.serviceNs = each;
      done_.push(taken, n);
      if (Waker* waker = waker_.load(std::memory_order_acquire); waker != nullptr) waker->ready(this);
    }
  }

  // Watches the ring for a while, then sleeps until somebody rings.
  void idle() noexcept {
    Clock& clock = steadyClock();
    for (const uint64_t start = clock.now(); clock.now() - start < options_.spinNs;) {
      if (!todo_.empty() || ending_.load(std::memory_order_relaxed)) return;
      sched_yield();
    }
    std::unique_lock lock(mutex_);
    asleep_.store(true, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    awake_.wait(lock, [this] { return !todo_.empty() || ending_.load(std::memory_order_relaxed); });
    asleep_.store(false, std::memory_order_relaxed);
  }

  std::unique_ptr<Driver> inner_;
  ThreadOptions options_;
  std::string name_;
  Caps caps_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;  // its memory is all there from the start
  SpscRing<uint32_t> todo_, done_;
  std::atomic<Waker*> waker_{nullptr};
  std::atomic<bool> ending_{false}, asleep_{false};
  std::mutex mutex_;
  std::condition_variable awake_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Driver> makeThreadDriver(std::unique_ptr<Driver> inner, const ThreadOptions& options) {
  if (inner == nullptr || (inner->caps().flags & Caps::Sync) == 0 || options.queueDepth == 0) return nullptr;
  return std::make_unique<ThreadDriver>(std::move(inner), options);
}

}  // namespace socrypt::ocf
