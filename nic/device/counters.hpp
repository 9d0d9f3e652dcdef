#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace socrypt::nic {

/// Written by any thread, read by any; see counters.def for what each counts.
struct Counters {
#define COUNTER(name, help) std::atomic<uint64_t> name{0};
#include "nic/device/counters.def"
#undef COUNTER

  static void add(std::atomic<uint64_t>& counter, uint64_t n = 1) noexcept { counter.fetch_add(n, std::memory_order_relaxed); }

  /// Calls `visit(name, help, value)` for each.
  template <typename Visit>
  void each(Visit visit) const {
#define COUNTER(name, help) visit(std::string_view(#name), std::string_view(help), name.load(std::memory_order_relaxed));
#include "nic/device/counters.def"
#undef COUNTER
  }
};

}  // namespace socrypt::nic
