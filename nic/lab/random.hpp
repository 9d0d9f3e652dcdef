// Chance from a seed: the same numbers on every machine (SplitMix64; Steele, Lea, Flood, "Fast Splittable
// Pseudorandom Number Generators", 2014).
#pragma once

#include <cstdint>

namespace socrypt::nic::lab {

class Random {
 public:
  using result_type = uint64_t;
  explicit Random(uint64_t seed) noexcept : state_(seed) {}
  static constexpr uint64_t min() noexcept { return 0; }
  static constexpr uint64_t max() noexcept { return UINT64_MAX; }

  uint64_t operator()() noexcept { return mix(state_ += kGamma); }
  /// From 0 to n - 1; 0 when n is 0.
  uint64_t below(uint64_t n) noexcept { return n == 0 ? 0 : static_cast<uint64_t>(Wide{(*this)()} * n >> 64); }
  uint64_t between(uint64_t low, uint64_t high) noexcept { return low + below(high - low + 1); }
  bool chance(uint32_t perMillion) noexcept { return below(1000000) < perMillion; }

  /// A source of its own for what `label` names: what it gives does not depend on what else is drawn, so
  /// that a fault can be taken out of a plan and the others stay as they were.
  [[nodiscard]] Random fork(uint64_t label) const noexcept { return Random(mix(state_ ^ mix(label + kGamma))); }

 private:
  static constexpr uint64_t kGamma = 0x9e3779b97f4a7c15;
  __extension__ using Wide = unsigned __int128;
  static uint64_t mix(uint64_t z) noexcept {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint64_t state_;
};

}  // namespace socrypt::nic::lab
