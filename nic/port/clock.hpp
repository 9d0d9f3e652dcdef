// The device's clock, in nanoseconds: it only runs forward, and now and then it leaps, as a guest's does that was suspended.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace socrypt::nic {

/// All calls from any thread.
class Clock {
 public:
  [[nodiscard]] uint64_t now() const noexcept {
    const std::chrono::nanoseconds steady = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(steady.count()) + ahead_.load(std::memory_order_relaxed);
  }
  /// For drills: the kernel's own leaps for the whole machine.
  void leap(uint64_t nanoseconds) noexcept { ahead_.fetch_add(nanoseconds, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> ahead_{0};
};

}  // namespace socrypt::nic
