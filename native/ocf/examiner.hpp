// Known-answer tests, and what a driver costs.
#pragma once

#include <memory>

#include "ocf/key_known_answers.hpp"
#include "ocf/known_answers.hpp"
#include "ocf/unit.hpp"

namespace socrypt::ocf {

/// Talks to one driver, past the framework's queues, before it is published or while it is idle.
class Examiner {
 public:
  Examiner(Framework& framework, Clock& clock) noexcept : framework_(framework), clock_(clock) {}

  /// Finds what a driver offers, tests every offer and measures it. Invalid: a wrong answer; NoDriver: no
  /// offer. The driver is stopped when it does not answer at all.
  [[nodiscard]] Status admit(Unit& unit) noexcept;
  /// Tests every offer again.
  [[nodiscard]] Status again(Unit& unit) noexcept;

 private:
  [[nodiscard]] SessionHandle open(Unit& unit, const KnownAnswer& known, Status* status) noexcept;
  [[nodiscard]] Status admitOne(Unit& unit, const KnownAnswer& known) noexcept;
  [[nodiscard]] bool answersRight(Unit& unit, Session* session, const KnownAnswer& known) noexcept;
  [[nodiscard]] bool answersRightLong(Unit& unit, Session* session, const KnownAnswer& known) noexcept;
  [[nodiscard]] Status admitKeys(Unit& unit) noexcept;
  [[nodiscard]] Status answersKey(Unit& unit, const KeyKnownAnswer& known) noexcept;
  [[nodiscard]] Cost measure(Unit& unit, Session* session, const KnownAnswer& known, Cost stated) noexcept;
  [[nodiscard]] double burstNs(Unit& unit, Session* session, const KnownAnswer& known, uint32_t n, uint32_t length) noexcept;
  [[nodiscard]] bool runAll(Unit& unit, Op* const* ops, size_t n) noexcept;
  [[nodiscard]] Status runOne(Unit& unit, Session* session, Kind kind, const KnownAnswer& known, std::span<uint8_t> in,
                              std::span<uint8_t> out) noexcept;
  [[nodiscard]] bool admitRandom(Unit& unit) noexcept;
  [[nodiscard]] bool makeBuffers() noexcept;

  Framework& framework_;
  Clock& clock_;
  std::unique_ptr<uint8_t[]> memory_;
  bool dead_ = false;  // it did not answer, and was stopped
};

}  // namespace socrypt::ocf
