#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace bench {

/** Histogram of nanoseconds with 32 steps per power of two (an error of at most 3 %), no allocation. */
class Latency {
 public:
  void add(uint64_t nanoseconds) {
    ++steps_[index(nanoseconds)];
    ++count_;
  }
  void clear() {
    steps_.fill(0);
    count_ = 0;
  }
  /** `share` in [0, 1]; nanoseconds, lower edge of the step; 0 when nothing was added. */
  [[nodiscard]] uint64_t quantile(double share) const {
    if (count_ == 0) return 0;
    const auto rank = static_cast<uint64_t>(share * static_cast<double>(count_ - 1));
    uint64_t seen = 0;
    for (size_t step = 0; step < steps_.size(); ++step) {
      seen += steps_[step];
      if (seen > rank) return lower_edge(step);
    }
    return lower_edge(steps_.size() - 1);
  }

 private:
  static constexpr unsigned kBits = 5;
  static constexpr uint64_t kPerOctave = 1U << kBits;

  static size_t index(uint64_t value) {
    if (value < kPerOctave) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
    return (shift + 1) * kPerOctave + ((value >> shift) - kPerOctave);
  }
  static uint64_t lower_edge(size_t step) {
    if (step < kPerOctave) return step;
    const auto shift = step / kPerOctave - 1;
    return (kPerOctave + step % kPerOctave) << shift;
  }

  std::array<uint64_t, (64 - kBits + 1) * kPerOctave> steps_{};
  uint64_t count_ = 0;
};

}  // namespace bench
