#include "ocf/random.hpp"

#include <algorithm>

#include "ocf/unit.hpp"
#include "ocf/wake_line.hpp"

namespace socrypt::ocf {

bool RandomHealth::take(std::span<const uint8_t> bytes) noexcept {
  for (const uint8_t byte : bytes) {
    repeats_ = repeats_ != 0 && byte == last_ ? repeats_ + 1 : 1;
    last_ = byte;
    if (seen_ == 0) {
      watched_ = byte;
      share_ = 0;
    }
    if (byte == watched_) ++share_;
    seen_ = (seen_ + 1) % kWindow;
    failed_ = failed_ || repeats_ >= kRepeats || share_ >= kShare;
  }
  return !failed_;
}

// Every source is mixed in: the result is as good as the best of them, whatever the others give.
Status Framework::random(std::span<uint8_t> out) noexcept {
  constexpr size_t kPiece = 256;
  uint8_t piece[kPiece];
  std::fill(out.begin(), out.end(), uint8_t{0});
  bool any = false, covered = false;
  for (auto& unit : units_) {
    if (unit->state != UnitState::Running || (unit->caps().flags & Caps::Rng) == 0) continue;
    any = true;
    size_t at = 0;
    while (at < out.size()) {
      const std::span<uint8_t> got = std::span(piece).first(unit->driver->random(std::span(piece).first(std::min(kPiece, out.size() - at))));
      if (got.empty()) break;
      // Its answers are wrong: nothing of it is believed any more. tend() moves its sessions.
      if (!unit->random.take(got)) {
        ++unit->stats.wrong;
        unit->state = UnitState::Quarantined;
        wake_->ready(nullptr);
        break;
      }
      for (const uint8_t byte : got) out[at++] ^= byte;
    }
    covered = covered || (at == out.size() && unit->state == UnitState::Running);
  }
  wipe(piece, sizeof piece);
  if (covered) return Status::Ok;
  wipe(out.data(), out.size());
  return any ? Status::Full : Status::NoDriver;
}

}  // namespace socrypt::ocf
