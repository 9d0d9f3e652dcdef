// A driver with a thread of its own, made of the software driver, that can be told to be slow, full, wrong, or dead.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "ocf/drivers/soft.hpp"

namespace harness {

using namespace socrypt;

/// What a test tells the driver, from its own thread.
struct Knobs {
  std::atomic<bool> hold{false};      // accepted ops wait
  std::atomic<bool> full{false};      // nothing is accepted
  std::atomic<bool> dead{false};      // unplugged: what it has ends with Gone, half written; it accepts nothing
  std::atomic<bool> lies{false};      // one bit of every result is wrong
  std::atomic<uint32_t> depth{4096};  // ops that it holds at most
  std::atomic<uint64_t> sealed{0}, opened{0}, gone{0}, lied{0};
  std::atomic<uint32_t> most{0};      // ops that it had at once
  /// What the known-answer tests left in the counts.
  void forget() noexcept {
    sealed = opened = gone = lied = 0;
    most = 0;
  }
};

class HelperDriver final : public ocf::Driver {
 public:
  HelperDriver(std::shared_ptr<Knobs> knobs, uint64_t seed, ocf::AlgId without = ocf::AlgId::Null)
      : knobs_(std::move(knobs)), soft_(ocf::makeSoftDriver()), random_(seed), without_(without) {
    caps_ = soft_->caps();
    caps_.flags = (caps_.flags & ~(ocf::Caps::Sync | ocf::Caps::Soft | ocf::Caps::Rng)) | ocf::Caps::Accel | ocf::Caps::OutOfPlace | ocf::Caps::Verify;
    thread_ = std::thread([this] { run(); });
  }
  ~HelperDriver() override { stop(); }

  [[nodiscard]] std::string_view name() const noexcept override { return "helper"; }
  [[nodiscard]] const ocf::Caps& caps() const noexcept override { return caps_; }
  [[nodiscard]] int probe(const ocf::SessionParams& params, ocf::Cost& cost) const noexcept override {
    if (params.chain[0].id == without_) return -EOPNOTSUPP;
    const int rank = soft_->probe(params, cost);
    return rank < 0 ? rank : 300;
  }
  [[nodiscard]] size_t sessionBytes(const ocf::SessionParams& params) const noexcept override { return soft_->sessionBytes(params); }
  [[nodiscard]] ocf::Status newSession(const ocf::SessionParams& params, std::span<std::byte> priv) noexcept override {
    return soft_->newSession(params, priv);
  }
  void freeSession(std::span<std::byte> priv) noexcept override { soft_->freeSession(priv); }
  void attach(ocf::Waker* waker) noexcept override { waker_ = waker; }
  void stop() noexcept override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  size_t submit(ocf::Op* const* ops, size_t n, bool) noexcept override {
    const std::lock_guard lock(mutex_);
    if (knobs_->full || knobs_->dead || stopping_) return 0;
    size_t accepted = 0;
    while (accepted < n && held_ < knobs_->depth) {
      queue_.push_back(ops[accepted++]);
      ++held_;
    }
    knobs_->most = std::max<uint32_t>(knobs_->most, static_cast<uint32_t>(held_));
    wake_.notify_one();
    return accepted;
  }
  size_t poll(ocf::Op** done, size_t max, bool) noexcept override {
    const std::lock_guard lock(mutex_);
    size_t n = 0;
    while (n < max && !done_.empty()) {
      done[n++] = done_.front();
      done_.pop_front();
      --held_;
    }
    return n;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (queue_.empty() || (knobs_->hold && !knobs_->dead)) {
        wake_.wait_for(lock, std::chrono::milliseconds(1));
        continue;
      }
      // Any of those it has: order within a driver is promised by nobody.
      const size_t which = random_() % queue_.size();
      ocf::Op* op = queue_[which];
      queue_.erase(queue_.begin() + static_cast<ptrdiff_t>(which));
      if (knobs_->dead) {
        op->out->p[0] = static_cast<uint8_t>(op->out->p[0] ^ 0x55);
        op->status = ocf::Status::Gone;
        ++knobs_->gone;
      } else {
        lock.unlock();
        soft_->submit(&op, 1, false);
        if (knobs_->lies && op->status == ocf::Status::Ok && op->len != 0) {
          uint8_t& byte = op->out->p[op->outSkip + random_() % op->len];
          byte = static_cast<uint8_t>(byte ^ 1u << random_() % 8);
          ++knobs_->lied;
        }
        ++(op->kind == ocf::Kind::Seal ? knobs_->sealed : knobs_->opened);
        lock.lock();
      }
      done_.push_back(op);
      if (waker_ != nullptr) waker_->ready(this);
    }
  }

  const std::shared_ptr<Knobs> knobs_;
  const std::unique_ptr<ocf::Driver> soft_;
  ocf::Caps caps_;
  std::mt19937_64 random_;
  const ocf::AlgId without_;
  ocf::Waker* waker_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<ocf::Op*> queue_, done_;
  size_t held_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace harness
