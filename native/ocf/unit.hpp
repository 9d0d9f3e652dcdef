// Inside of the framework: a published driver with what is queued for it, what a session has with a
// driver, and what sessions with equal parameters have in common.
#pragma once

#include <memory>
#include <vector>

#include "ocf/framework.hpp"
#include "ocf/random.hpp"
#include "ocf/regions.hpp"

namespace socrypt::ocf {

/// Ops by their fw.next and fw.previous; an op is in one list at most.
class OpList {
 public:
  [[nodiscard]] Op* front() const noexcept { return head_; }
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] size_t size() const noexcept { return size_; }
  void push(Op& op) noexcept {
    op.fw.next = nullptr;
    op.fw.previous = tail_;
    (tail_ != nullptr ? tail_->fw.next : head_) = &op;
    tail_ = &op;
    ++size_;
  }
  void remove(Op& op) noexcept {
    (op.fw.previous != nullptr ? op.fw.previous->fw.next : head_) = op.fw.next;
    (op.fw.next != nullptr ? op.fw.next->fw.previous : tail_) = op.fw.previous;
    --size_;
  }
  Op* pop() noexcept {
    Op* op = head_;
    if (op != nullptr) remove(*op);
    return op;
  }

 private:
  Op *head_ = nullptr, *tail_ = nullptr;
  size_t size_ = 0;
};

/// Where an op is, in fw.state.
enum OpState : uint8_t { kQueued = 1, kInFlight, kSettled, kReady, kReported };
/// On whose behalf it runs, in fw.role.
enum OpRole : uint8_t { kUser, kAwaited, kStage, kOrphan };

/// A published driver.
struct Unit {
  struct Offer {
    AlgId alg, mac;
    Cost cost;
    float scale = 1;  // of what was learned
    bool withdrawn = false;
    uint64_t ops = 0, bytes = 0, failed = 0;  // of consumers
    uint32_t bound = 0;                       // sessions
  };
  uint32_t id = 0;
  std::unique_ptr<Driver> driver;
  bool sync = false;
  bool deferred = false;  // does not answer while somebody waits for it in this thread
  bool dirty = false;     // ops were queued since the last kick
  bool resting = false;   // gets no ops, so that it can be examined
  bool retired = false;   // its sessions and what it had not begun have moved
  UnitState state = UnitState::Running;
  std::vector<Offer> offers;
  OpList queue, flight;
  double pendingNs = 0;      // predicted work of both
  uint64_t progressAt = 0;   // when it last took up or finished work
  uint64_t heldSince = 0;    // since when ops wait for company
  uint32_t refusedIn = 0;    // the call in which it last refused though idle
  uint64_t stuckSince = 0;   // since when it refuses though idle
  uint64_t deadline = 0;     // of a detach
  uint64_t checkedAt = 0;
  uint32_t sinceSpot = 0;
  RandomHealth random;
  Binding* bindings = nullptr;
  uint32_t bound = 0;
  DriverStats stats;

  [[nodiscard]] const Caps& caps() const noexcept { return driver->caps(); }
  [[nodiscard]] bool plainSoftware() const noexcept { return (caps().flags & (Caps::Hardware | Caps::Accel)) == 0; }
  [[nodiscard]] Offer* offer(AlgId alg, AlgId mac) noexcept {
    for (Offer& each : offers) {
      if (each.alg == alg && each.mac == mac) return &each;
    }
    return nullptr;
  }
  /// Nanoseconds until an op that is queued now is begun.
  [[nodiscard]] double waitNs(uint64_t now, uint16_t lanes) const noexcept {
    if (pendingNs <= 0) return 0;
    const double left = pendingNs / lanes - static_cast<double>(now - progressAt);
    return left > 0 ? left : 0;
  }
};

/// What one session has with one driver. Lies behind the driver's private bytes.
struct Binding {
  Session* session;
  Unit* unit;
  Unit::Offer* offer;              // nullptr while the driver is examined
  std::byte* priv;
  Binding* next;                   // of the session
  Binding *unitNext, *unitPrevious;  // of the unit
  uint32_t privBytes, slotBytes;
  uint32_t inFlight;
};

/// A driver that can serve a class of sessions.
struct Candidate {
  Unit* unit;
  Unit::Offer* offer;
  int rank;
  Cost cost;
};

/// Sessions with equal parameters but keys share who may serve them.
struct SessionClass {
  struct Key {
    AlgId alg, mac;
    uint16_t keySize;  // coarse for key pairs: their DER varies by a byte or two
    uint8_t ivLen, tagLen;
    uint32_t needs, driver;
    SessionParams::Where where;
    bool operator==(const Key&) const noexcept = default;
  };
  Key key;
  std::vector<Candidate> candidates;
  bool stale = true;
  /// The index of the one that is synchronous, where there is one of these, and others besides.
  size_t here = 0;
};

/// Params of a session, or of what was asked for; the algorithms lie in `algs`.
struct OwnParams {
  Alg algs[2];
  SessionParams params;
};

/// How often an op may move from one driver to another.
inline constexpr uint8_t kMaxTries = 64;

/// Ok, or which parameter is wrong.
[[nodiscard]] Status checkParams(const SessionParams& params) noexcept;

}  // namespace socrypt::ocf
