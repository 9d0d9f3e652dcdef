// The framework's clock: real time, or the virtual time of simulated cards.
#pragma once

#include <chrono>
#include <cstdint>

namespace socrypt::ocf {

class Clock {
 public:
  virtual ~Clock() = default;
  /// Nanoseconds since some moment.
  [[nodiscard]] virtual uint64_t now() noexcept = 0;
  /// Called when somebody waits for an op. A virtual clock moves on to its next event here; false when
  /// it has none, so that waiting is in vain.
  virtual bool wait() noexcept = 0;
};

/// The monotonic clock of the machine.
[[nodiscard]] Clock& steadyClock() noexcept;

}  // namespace socrypt::ocf
