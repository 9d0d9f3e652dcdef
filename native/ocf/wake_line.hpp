// How drivers on other threads wake the framework's.
#pragma once

#include <atomic>

#include "ocf/framework.hpp"

namespace socrypt::ocf {

class Framework::WakeLine final : public Waker {
 public:
  WakeLine() = default;
  WakeLine(const WakeLine&) = delete;
  WakeLine& operator=(const WakeLine&) = delete;
  ~WakeLine();
  void ready(Driver*) noexcept override;
  /// Of the framework's thread: makes the descriptor when there is none yet.
  [[nodiscard]] int descriptor() noexcept;
  /// Before anybody may signal.
  void setCall(void (*call)(void*), void* argument) noexcept {
    call_ = call;
    argument_ = argument;
  }
  /// Of the framework's thread: what was signalled so far is being looked at.
  void clear() noexcept;
  /// Sleeps until something is signalled, or for a millisecond.
  void sleep() noexcept;

 private:
  void (*call_)(void*) = nullptr;
  void* argument_ = nullptr;
  std::atomic<int> fd_{-1};
  std::atomic<bool> signalled_{false};
};

}  // namespace socrypt::ocf
