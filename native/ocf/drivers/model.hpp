// A simulated card, described by a small data file: what it costs, how much it holds, how it interrupts,
// and how it breaks. Its answers are the software driver's; its time is that of a clock, real or virtual.
#pragma once

#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "ocf/clock.hpp"
#include "ocf/driver.hpp"

namespace socrypt::ocf {

/// Time that passes when somebody waits: simulated cards, benchmarks and tests run as fast as they can.
class VirtualClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now() noexcept override { return now_; }
  bool wait() noexcept override {
    while (!events_.empty() && events_.top() <= now_) events_.pop();
    if (events_.empty()) return false;
    now_ = events_.top();
    events_.pop();
    return true;
  }
  /// Something will happen then.
  void schedule(uint64_t at) { events_.push(at); }
  void advance(uint64_t ns) noexcept { now_ += ns; }

 private:
  uint64_t now_ = 1;
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> events_;
};

/// A bus that several cards share: every byte crosses it twice, and one card at a time has it.
struct ModelBus {
  double bytesPerNs = 0;  // 0: as fast as you like
  uint64_t freeAt = 0;
  uint64_t busyNs = 0;
};

struct ModelCard {
  std::string name = "model";
  std::vector<std::string> algorithms;  // "des-ede3-cbc", "aes-128-cbc+hmac-sha1"
  Cost cost;
  uint32_t queueDepth = 64;
  uint32_t maxSessions = 0;
  uint32_t maxLen = 262140;  // what OpenBSD's /dev/crypto and the cards behind it took at most
  double interruptNs = 0;    // from completion to notice
  uint32_t coalesceOps = 1;  // ops per interrupt
  double coalesceNs = 0;     // at the latest after
  double busBytesPerNs = 0;  // of a bus of its own
  // How it breaks: after so many ops of consumers (not of known-answer tests) it is pulled out, or turns over a bit of each
  // answer. UINT64_MAX: never.
  uint64_t unplugAfterOps = UINT64_MAX;
  uint64_t lieAfterOps = UINT64_MAX;
};

/// Reads a data file's text (JSON). Empty `why` on success; else what was expected and what came.
[[nodiscard]] ModelCard parseModelCard(std::string_view json, std::string& why);

/// What goes wrong with a card. Of the framework's thread.
struct ModelFaults {
  bool unplugged = false;     // answers no more; what it holds is Gone or, not begun, Again
  uint32_t wrongAnswers = 0;  // so many ops get one bit turned over
  uint32_t refuseBursts = 0;  // so many submissions are refused
  uint64_t interrupts = 0;    // counted, not a fault
};

/// With a VirtualClock it is driven by whoever polls, else by its own alarm. `bus`: shared with other
/// cards; nullptr: its own. `faults` and `bus` live as long as the driver.
/// `engine`: a synchronous driver that has the answers; unless given the software driver, or the one for key operations
/// where the card has such.
[[nodiscard]] std::unique_ptr<Driver> makeModelDriver(ModelCard card, Clock& clock, ModelFaults* faults = nullptr,
                                                      ModelBus* bus = nullptr, std::unique_ptr<Driver> engine = nullptr);

}  // namespace socrypt::ocf
