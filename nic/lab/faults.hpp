// The rules of one seam: what becomes of the next frame. Knows nothing of frames, so that the same rules work
// on a simulated wire and on a real one.
#pragma once

#include <vector>

#include "nic/lab/plan.hpp"
#include "nic/lab/random.hpp"

namespace socrypt::nic::lab {

struct Fate {
  bool drop = false;
  bool corrupt = false;
  bool coalesce = false;
  uint32_t copies = 1;
  uint32_t pieces = 1;
  uint32_t reversed = 0;   // that many frames from this one on come last first
  uint64_t wait = 0;       // microseconds, for this one and what is behind it
  uint64_t overtaken = 0;  // microseconds, for this one alone
  uint64_t stray = 0;      // bytes
  uint64_t stale = 0;      // bytes
  bool noise = false;
  bool forgedAck = false;
  bool spoofedRst = false;
};

class SeamRules {
 public:
  /// Takes the rules of `seam` out of `plan`; each draws from a source of its own.
  SeamRules(const Plan& plan, Seam seam, const Random& random) {
    for (size_t i = 0; i < plan.rules.size(); ++i)
      // By what the rule is, not by its place in the list: taking one out leaves the others as they are.
      if (const Rule& r = plan.rules[i]; r.seam == seam)
        rules_.push_back({r, random.fork(uint64_t{0x10000} * (static_cast<uint64_t>(seam) + 1) + 256 * static_cast<uint64_t>(r.fault) + r.amount % 256)});
  }
  [[nodiscard]] bool empty() const noexcept { return rules_.empty(); }

  [[nodiscard]] Fate next(uint64_t now) noexcept {
    Fate fate;
    for (Live& live : rules_) {
      const Rule& r = live.rule;
      if (live.left != 0 && now < live.until) {
        --live.left;
        fate.drop = true;
      }
      if (now < r.from || now >= r.to || !live.random.chance(r.perMillion)) continue;
      const uint64_t amount = r.amount;
      switch (r.fault) {
        case Fault::Drop: fate.drop = true; break;
        case Fault::Burst:
          fate.drop = true;
          live.left = live.random.below(2 * amount);
          live.until = now + kLongestBurst;
          break;
        case Fault::Duplicate: fate.copies += static_cast<uint32_t>(amount); break;
        case Fault::Delay: fate.wait += live.random.below(amount + 1); break;
        case Fault::Reorder: fate.overtaken += 1 + live.random.below(amount); break;
        case Fault::Corrupt: fate.corrupt = true; break;
        case Fault::Resegment: fate.pieces = static_cast<uint32_t>(live.random.between(2, amount < 2 ? 2 : amount)); break;
        case Fault::Coalesce: fate.coalesce = true; break;
        case Fault::TailFirst: fate.reversed = static_cast<uint32_t>(live.random.between(2, amount < 2 ? 2 : amount)); break;
        case Fault::Stray: fate.stray = amount; break;
        case Fault::Noise: fate.noise = true; break;
        case Fault::ForgedAck: fate.forgedAck = true; break;
        case Fault::SpoofedRst: fate.spoofedRst = true; break;
        case Fault::Stale: fate.stale = amount; break;
      }
    }
    return fate;
  }

 private:
  // Microseconds: with frames alone, a sender that has backed off to one in two minutes would see hours of it.
  static constexpr uint64_t kLongestBurst = 1'000'000;
  struct Live {
    Rule rule;
    Random random;
    uint64_t left = 0;  // of a burst
    uint64_t until = 0;
  };
  std::vector<Live> rules_;
};

}  // namespace socrypt::nic::lab
