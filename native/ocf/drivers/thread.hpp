// A processor set aside as an accelerator: a thread of its own that does what another driver can.
// Keromytis et al. propose it for asymmetric use of SMP machines; to the framework it is a driver like
// any card.
#pragma once

#include <memory>

#include "ocf/driver.hpp"

namespace socrypt::ocf {

struct ThreadOptions {
  uint32_t queueDepth = 256;  // a power of two
  int cpu = -1;               // pins the thread when not negative
  /// Nanoseconds that the idle thread watches its ring before it sleeps: waking it costs a consumer
  /// microseconds, watching costs a processor.
  uint32_t spinNs = 20'000;
};

/// `inner` is a synchronous driver whose newSession() may run while submit() does for other sessions, as
/// those of the software driver. nullptr: no inner driver, or no thread.
[[nodiscard]] std::unique_ptr<Driver> makeThreadDriver(std::unique_ptr<Driver> inner, const ThreadOptions& options = {});

}  // namespace socrypt::ocf
