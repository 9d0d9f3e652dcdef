// Health tests of a driver's source of random bytes, as NIST SP 800-90B section 4.4 has them for any noise source: whether a
// byte is repeated, and whether one takes more than its share.
#pragma once

#include <cstdint>
#include <span>

namespace socrypt::ocf {

class RandomHealth {
 public:
  /// Bytes that are looked at before a driver is published (section 4.3: at least 1,024 samples).
  static constexpr size_t kAtStart = 1024;

  /// Looks at more bytes; false from the first on that a source with half its claimed entropy gives once in 2^30.
  [[nodiscard]] bool take(std::span<const uint8_t> bytes) noexcept;
  [[nodiscard]] bool failed() const noexcept { return failed_; }

 private:
  // 4 bits of entropy per byte are claimed: sections 4.4.1 (1 + 30 / 4) and 4.4.2 (the binomial distribution's tail).
  static constexpr uint32_t kRepeats = 9, kWindow = 512, kShare = 70;

  uint8_t last_ = 0, watched_ = 0;
  uint32_t repeats_ = 0, seen_ = 0, share_ = 0;
  bool failed_ = false;
};

}  // namespace socrypt::ocf
