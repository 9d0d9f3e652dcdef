// Consumer API of the crypto framework.
//
// One Framework per thread that dispatches; nothing here is thread-safe but Waker::ready(), and nothing
// throws. Ops of a synchronous driver run inside dispatch(): no queue, no thread hop, no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ocf/clock.hpp"
#include "ocf/driver.hpp"
#include "ocf/session.hpp"
#include "ocf/session_pool.hpp"

namespace socrypt::ocf {

struct OwnParams;
struct Candidate;
class OpList;

/// How the framework chooses among several drivers.
struct Policy {
  enum class Balance : uint8_t {
    LeastTime,      // smallest predicted completion, what is queued included
    LeastOps,       // fewest ops pending
    LeastSessions,  // OCF's: a new session goes to the driver with the fewest, and stays
    RoundRobin,
  } balance = Balance::LeastTime;
  /// Payloads of at most this length go to software; -1: what the costs say; 0: software is the last resort.
  int32_t smallMax = -1;
  /// A driver that serves only what no other can, whatever the times say; 0: none, see smallMax.
  uint32_t lastResort = 0;
  /// A session may be bound to several drivers at once.
  bool replicate = true;
  /// A session moves unnoticed; otherwise, as in OCF, its next op ends with Again and it has a new id.
  bool transparent = true;
  /// Costs follow what is measured.
  bool learn = true;
  /// Ops wait until there are `burst` of them or the oldest waits for `holdNs`.
  uint16_t burst = 32;
  uint32_t holdNs = 0;
  /// Ops that wait per driver, besides what it holds itself; beyond that dispatch() accepts no more.
  uint32_t queueLimit = 1024;
  /// Known-answer tests of a published driver at this interval; 0: none.
  uint64_t checkEveryNs = 0;
  /// Every n-th op of a driver is done again by a synchronous one and compared; 0: none.
  uint32_t spotEvery = 0;
};

enum class UnitState : uint8_t { Running, Draining, Quarantined };

struct DriverStats {
  uint64_t ops = 0, bytes = 0;
  uint64_t failed = 0;    // completed with an error that is the driver's
  uint64_t refused = 0;   // submissions of which not all was accepted
  uint64_t rescued = 0;   // ops taken from it and done elsewhere
  uint64_t checks = 0;    // known-answer tests since it was published
  uint64_t wrong = 0;     // wrong answers found by tests and spot checks
};

/// What a consumer, an operator, or a metric wants to know about a driver.
struct DriverInfo {
  struct Offer {
    AlgId alg, mac;  // mac: Null unless it is a chain
    Cost cost;
    float learned = 1;  // what measurement since made of the cost, as a factor
    bool withdrawn = false;
    uint64_t ops = 0, bytes = 0, failed = 0;
    size_t sessions = 0;
  };
  uint32_t id = 0;
  std::string name;
  Caps caps;
  UnitState state = UnitState::Running;
  std::vector<Offer> offers;
  size_t sessions = 0, inFlight = 0, queued = 0;
  DriverStats stats;
};

class Framework {
 public:
  explicit Framework(Clock& clock = steadyClock());
  Framework(const Framework&) = delete;
  Framework& operator=(const Framework&) = delete;
  ~Framework();

  // ── Producers ──

  /// Publishes a driver once it has given the right answers for every algorithm that it ranks, and
  /// measures its cost. Returns its id, 0 when it was refused: Invalid (wrong answers, or no
  /// driver given), NoDriver (it ranks no algorithm).
  uint32_t attach(std::unique_ptr<Driver> driver, Status* status);
  /// The same for a driver that cannot answer while this thread waits for it: what it offers was tested and measured by
  /// the caller. check() says Full of it.
  uint32_t attachExamined(std::unique_ptr<Driver> driver, std::span<const DriverInfo::Offer> offers, Status* status);
  /// A driver that has given the right answers, and what it offers and costs.
  struct Examined {
    std::unique_ptr<Driver> driver;
    std::vector<DriverInfo::Offer> offers;
  };
  /// What attach() does before it publishes, in any thread, while this framework's own goes on. No driver: it was refused.
  [[nodiscard]] Examined examineApart(std::unique_ptr<Driver> driver, Status* status) const;
  /// Publishes a driver that examineApart() of this framework gave.
  uint32_t attach(Examined examined, Status* status);
  /// Takes one algorithm back; its sessions move with their next op. NoDriver: it is not offered.
  Status withdraw(uint32_t driver, AlgId alg) noexcept;
  /// Takes a driver back. What it has not started goes elsewhere at once; what it has is waited for until
  /// `deadlineNs` from now, by poll(). Ok: gone. Pending: it will be, see drivers().
  Status detach(uint32_t driver, uint64_t deadlineNs = 0) noexcept;
  /// Known-answer tests now. A driver that fails is quarantined: Invalid. Of an asynchronous driver the
  /// answers come in with poll().
  Status check(uint32_t driver) noexcept;

  // ── Consumers ──

  /// Empty when there is none, with the reason in `status`: which parameter is wrong, NoDriver, NoMemory.
  /// The keys are copied.
  [[nodiscard]] SessionHandle open(const SessionParams& params, Status* status) noexcept;
  /// Another session with the algorithms and keys of this one, for drivers with the Caps flags `needs`.
  [[nodiscard]] SessionHandle openLike(const Session& session, uint32_t needs, Status* status) noexcept;

  /// Copies the key of the session's first algorithm, for somebody else who is to go on with it; the caller wipes it. How
  /// long it is; 0: `to` has no room for it.
  [[nodiscard]] size_t copyKey(const Session& session, std::span<uint8_t> to) const noexcept;

  /// Hands ops to drivers. Accepts a prefix and returns its length; the rest was not touched. It never
  /// waits. An accepted op whose status is not Pending on return, and which has no done(), is complete
  /// and not reported again; any other is reported once by poll().
  size_t dispatch(Op* const* ops, size_t n) noexcept;
  /// Completed ops: calls done(), or returns them in `done`, at most `max`. Not to be called in done().
  size_t poll(Op** done, size_t max) noexcept;
  /// Dispatches one op and waits for it. Other ops that complete meanwhile are left to poll().
  Status call(Op& op) noexcept;

  /// Random bytes of all drivers that have a source (Caps::Rng), mixed: as good as the best of them. NoDriver: none has one;
  /// Full: none has so many now. A source that fails its health tests (SP 800-90B 4.4) puts its driver in quarantine.
  [[nodiscard]] Status random(std::span<uint8_t> out) noexcept;

  void setPolicy(const Policy& policy) noexcept;
  [[nodiscard]] const Policy& policy() const noexcept { return policy_; }
  /// Becomes readable when poll() has something to do; an eventfd, made when first asked for. -1: none.
  [[nodiscard]] int wakeFd() noexcept;
  /// For a thread that does not wait for descriptors: `notify` instead, from any thread, once until the next poll(). To be
  /// said before drivers are attached.
  void onWake(void (*notify)(void*), void* argument) noexcept;

  // ── Operators ──

  [[nodiscard]] std::vector<DriverInfo> drivers() const;
  /// What `driver` costs for `alg`, as measured when it was attached; all zero when it has it not.
  [[nodiscard]] Cost cost(uint32_t driver, AlgId alg) const noexcept;
  [[nodiscard]] std::string_view driverName(uint32_t driver) const noexcept;
  /// Bytes of payload from which `accelerator` is predicted to beat `software` at this burst; UINT32_MAX: never.
  [[nodiscard]] uint32_t crossover(uint32_t accelerator, uint32_t software, AlgId alg, uint32_t burst) const noexcept;
  [[nodiscard]] size_t openSessions() const noexcept { return openSessions_; }
  /// Ops accepted and not yet reported.
  [[nodiscard]] size_t pending() const noexcept { return pending_; }
  /// Bytes of memory held for sessions, free slots included.
  [[nodiscard]] size_t poolBytes() const noexcept { return pool_.bytes(); }

 private:
  friend class SessionHandle;
  friend class Examiner;
  class WakeLine;

  // framework.cc: drivers and sessions
  [[nodiscard]] Unit* find(uint32_t id) const noexcept;
  [[nodiscard]] std::unique_ptr<Unit> unitOf(std::unique_ptr<Driver> driver);
  uint32_t publish(std::unique_ptr<Unit> unit);
  [[nodiscard]] Session* makeSession(const SessionParams& params, Status* status) noexcept;
  void paramsOf(const Session& session, OwnParams& out) const noexcept;
  void reconsider() noexcept;
  void close(Session* session) noexcept;
  void destroy(Session* session) noexcept;
  void retire(Unit& unit) noexcept;
  Status examine(Unit& unit) noexcept;
  void returned(Unit& unit) noexcept;
  void release(Unit& unit) noexcept;

  // binding.cc
  [[nodiscard]] SessionClass* classOf(const SessionParams& params, Status* status) noexcept;
  void listCandidates(SessionClass& of, const SessionParams& params) noexcept;
  void refresh(const Session& session) noexcept;
  void aim(Session& session) noexcept;
  [[nodiscard]] Binding* bind(Session& session, Unit& unit, Status* status) noexcept;
  void unbind(Binding* binding) noexcept;
  [[nodiscard]] bool makeRoom(Unit& unit) noexcept;

  // dispatch.cc
  enum class Placed : uint8_t { Yes, Settled, NoRoom };
  static void count(Unit& unit, std::span<Op* const> ops) noexcept;
  static void count(Unit& unit, const Session& session, size_t ops, uint64_t bytes) noexcept;
  [[nodiscard]] size_t straight(std::span<Op* const> ops) const noexcept;
  [[nodiscard]] bool belongs(Op& op) noexcept;
  [[nodiscard]] Placed begin(Op& op, uint8_t role, bool mayRefuse) noexcept;
  static void append(Session& session, Op& op) noexcept;
  [[nodiscard]] double scoreOf(const Candidate& candidate, const Session& session, const Op& op, float costNs, size_t index) const noexcept;
  [[nodiscard]] Placed assign(Op& op, const Unit* avoid, bool mayRefuse) noexcept;
  void enqueue(Op& op, Unit& unit, Binding& binding, float costNs) noexcept;
  void kickAll() noexcept;
  void kick(Unit& unit) noexcept;
  void giveUp(Unit& unit) noexcept;

  // complete.cc
  void harvest(Unit& unit) noexcept;
  void finished(Op& op, Unit& unit) noexcept;
  void noteLeft(const Op& op, Unit& unit) const noexcept;
  void rescue(Op& op, Status why) noexcept;
  void settle(Op& op, Status result) noexcept;
  void deliver(Op& op, Status result) noexcept;
  void leave(Session& session) noexcept;
  static void learn(Op& op, Unit& unit) noexcept;
  void takeBack(Unit& unit) noexcept;
  void tend(Unit& unit) noexcept;

  // stages.cc: chains that no single driver has
  [[nodiscard]] bool openStages(Session& session) noexcept;
  [[nodiscard]] bool isStaged(Session& session) noexcept;
  void startStages(Op& op) noexcept;
  void stageDone(Op& stage) noexcept;

  // trust.cc: what is kept of ops, and answers that are looked at twice
  static void keepInput(Op& op) noexcept;
  static void restoreInput(Op& op) noexcept;
  static void dropInput(Op& op) noexcept;
  void spotCheck(Op& op, Unit& unit) noexcept;

  SessionPool pool_;
  Clock& clock_;
  Policy policy_;
  std::vector<std::unique_ptr<Unit>> units_;
  std::vector<std::unique_ptr<SessionClass>> classes_;
  std::unique_ptr<WakeLine> wake_;
  Session* sessions_ = nullptr;
  std::unique_ptr<OpList> ready_;  // complete, to be reported
  size_t openSessions_ = 0;
  size_t pending_ = 0;
  uint64_t now_ = 0;
  uint32_t call_ = 0;
  uint32_t lastSessionId_ = 0;
  uint32_t lastDriverId_ = 0;
  uint32_t turn_ = 0;  // of RoundRobin
  bool polling_ = false;
};

}  // namespace socrypt::ocf
