// An engine's counters: one writer (the engine thread), any reader, no locks.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/paths/kind.hpp"

namespace socrypt::engine {

enum class Counter : uint16_t {
#define COUNTER(name) name,
#define HISTOGRAM(name, buckets) name##_first, name##_last = name##_first + (buckets), name##_sum,
#define PATHED(name) name, name##_last = name + kPathNames.size() - 1,
#define REASON(name, text) not_taken_##name,
#include "engine/counters.def"
#undef COUNTER
#undef HISTOGRAM
#undef PATHED
#undef REASON
  count
};

inline constexpr size_t kCounters = static_cast<size_t>(Counter::count);

inline constexpr std::array<uint64_t, 17> kDurationBounds = {  // nanoseconds
    50'000,      100'000,     250'000,     500'000,       1'000'000,     2'500'000,     5'000'000,     10'000'000, 25'000'000,
    50'000'000,  100'000'000, 250'000'000, 500'000'000,   1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};
inline constexpr std::array<uint64_t, 10> kSizeBounds = {256,     1 << 10, 1 << 12, 1 << 14, 1 << 16,
                                                         1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26};
inline constexpr std::array<uint64_t, 8> kConnectionBounds = {  // nanoseconds
    10'000'000,     100'000'000,    1'000'000'000,     10'000'000'000,
    60'000'000'000, 300'000'000'000, 1'800'000'000'000, 3'600'000'000'000};
inline constexpr std::array<uint64_t, 9> kRequestBounds = {1, 2, 5, 10, 20, 50, 100, 500, 1000};

class Counters {
 public:
  void add(Counter which, uint64_t n = 1) noexcept {
    auto& cell = cells_[static_cast<size_t>(which)];
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(Counter which, uint64_t n = 1) noexcept { add(which, 0 - n); }
  /// Of a PATHED counter.
  void add(Counter which, PathKind path, uint64_t n = 1) noexcept {
    add(static_cast<Counter>(static_cast<size_t>(which) + static_cast<size_t>(path)), n);
  }
  void set(Counter which, uint64_t n) noexcept { cells_[static_cast<size_t>(which)].store(n, std::memory_order_relaxed); }

  void addNotTaken(WhyNot reason) noexcept {
    switch (reason) {
#define REASON(name, text) \
  case WhyNot::name: return add(Counter::not_taken_##name);
#include "engine/paths/reasons.def"
#undef REASON
      case WhyNot::Taken:
      case WhyNot::Elsewhere: return;
    }
  }
  void sub(Counter which, PathKind path) noexcept { add(which, path, 0 - uint64_t{1}); }

  /// Adds one observation to a histogram whose first bucket is `first`; the sum stands after the last.
  void observe(Counter first, std::span<const uint64_t> bounds, uint64_t value) noexcept {
    size_t bucket = 0;
    while (bucket < bounds.size() && value > bounds[bucket]) ++bucket;
    const auto base = static_cast<size_t>(first);
    add(static_cast<Counter>(base + bucket));
    add(static_cast<Counter>(base + bounds.size() + 1), value);
  }

  [[nodiscard]] uint64_t get(Counter which) const noexcept {
    return cells_[static_cast<size_t>(which)].load(std::memory_order_relaxed);
  }
  void snapshot(std::span<double> out) const noexcept {
    for (size_t i = 0; i < kCounters && i < out.size(); ++i)
      out[i] = static_cast<double>(cells_[i].load(std::memory_order_relaxed));
  }

  /// Names in the order of snapshot().
  static std::vector<std::string> names() {
    std::vector<std::string> all;
#define COUNTER(name) all.emplace_back(#name);
#define HISTOGRAM(name, buckets)                                                              \
  for (int i = 0; i <= (buckets); ++i) all.push_back(std::string(#name "_") + std::to_string(i)); \
  all.emplace_back(#name "_sum");
#define PATHED(name) \
  for (const auto path : kPathNames) all.push_back(#name "_" + std::string(path));
#define REASON(name, text) all.emplace_back("not_taken_" #name);
#include "engine/counters.def"
#undef COUNTER
#undef HISTOGRAM
#undef PATHED
#undef REASON
    return all;
  }

 private:
  alignas(64) std::array<std::atomic<uint64_t>, kCounters> cells_{};
};

}  // namespace socrypt::engine
