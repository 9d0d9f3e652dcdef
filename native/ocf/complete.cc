// The way of an op back to its consumer.
#include <algorithm>

#include "ocf/unit.hpp"
#include "ocf/wake_line.hpp"

namespace socrypt::ocf {

size_t Framework::poll(Op** done, size_t max) noexcept {
  if (polling_) return 0;
  polling_ = true;
  wake_->clear();
  ++call_;
  now_ = clock_.now();
  for (auto& unit : units_) {
    if (!unit->flight.empty()) harvest(*unit);
    if (!unit->queue.empty()) unit->dirty = true;
  }
  kickAll();
  for (size_t i = 0; i < units_.size();) {
    // It may be gone after this.
    const size_t before = units_.size();
    tend(*units_[i]);
    if (units_.size() == before) ++i;
  }
  size_t n = 0;
  while (!ready_->empty() && (n < max || ready_->front()->done != nullptr)) {
    Op* op = ready_->pop();
    --pending_;
    op->fw.state = kReported;
    op->status = op->fw.result;
    if (op->fw.role != kOrphan) {
      if (op->ses->ordered_) --op->ses->ready_;
      leave(*op->ses);
    }
    if (op->done == nullptr) done[n++] = op;
    else op->done(op);
  }
  polling_ = false;
  return n;
}

// Looks after what time does to a driver.
void Framework::tend(Unit& unit) noexcept {
  constexpr uint64_t kPatienceNs = 1'000'000'000;
  if (unit.state != UnitState::Running && !unit.retired) retire(unit);
  if (unit.state != UnitState::Running) {
    if (unit.state == UnitState::Draining && (unit.flight.empty() || now_ >= unit.deadline)) release(unit);
    return;
  }
  if (unit.stuckSince != 0 && now_ - unit.stuckSince > kPatienceNs) {
    unit.state = UnitState::Quarantined;
    retire(unit);
    return;
  }
  if (policy_.checkEveryNs == 0 || now_ - unit.checkedAt < policy_.checkEveryNs) return;
  // One that is never idle by itself gets no more ops until it is.
  unit.resting = unit.resting || now_ - unit.checkedAt > 2 * policy_.checkEveryNs;
  if (examine(unit) != Status::Full) unit.resting = false;
}

void Framework::harvest(Unit& unit) noexcept {
  constexpr size_t kBurst = 64;
  Op* done[kBurst];
  for (size_t n = kBurst; n == kBurst;) {
    n = unit.driver->poll(done, kBurst, unit.queue.empty());
    for (size_t i = 0; i < n; ++i) {
      Op& op = *done[i];
      // Reported before, or never given to it: there is nothing to complete.
      if (op.fw.at != &unit || op.fw.state != kInFlight) {
        ++unit.stats.wrong;
        continue;
      }
      unit.flight.remove(op);
      finished(op, unit);
    }
  }
}

// A driver has answered.
void Framework::finished(Op& op, Unit& unit) noexcept {
  unit.pendingNs = unit.queue.empty() && unit.flight.empty() ? 0 : std::max(0.0, unit.pendingNs - static_cast<double>(op.fw.costNs));
  ++unit.stats.ops;
  unit.stats.bytes += op.len;
  Unit::Offer* offer = op.fw.binding->offer;
  if (offer != nullptr) {
    ++offer->ops;
    offer->bytes += op.len;
  }
  if (policy_.learn && !unit.sync) learn(op, unit);
  unit.progressAt = now_;
  --op.fw.binding->inFlight;
  if (op.status == Status::Gone) noteLeft(op, unit);
  switch (op.status) {
    case Status::Gone:
    case Status::Again:
    case Status::Canceled:
    case Status::Full:
    case Status::NoMemory:
      ++unit.stats.failed;
      if (offer != nullptr) ++offer->failed;
      rescue(op, op.status);
      break;
    // What is not trusted any more is done again.
    default:
      if (op.fw.spot && unit.state != UnitState::Quarantined) spotCheck(op, unit);
      else if (unit.state == UnitState::Quarantined) rescue(op, Status::Gone);
      else settle(op, op.status);
  }
}

// A driver that does not offer any more what it had a session for: its device was pulled out, and tend() detaches it.
void Framework::noteLeft(const Op& op, Unit& unit) const noexcept {
  constexpr uint64_t kDeadlineNs = 1'000'000'000;
  OwnParams own;
  paramsOf(*op.ses, own);
  Cost cost;
  if (unit.state != UnitState::Running || unit.driver->probe(own.params, cost) >= 0) return;
  unit.state = UnitState::Draining;
  unit.deadline = now_ + kDeadlineNs;
}

// How far from its prediction a driver was: slowly followed, so that one odd op moves little.
void Framework::learn(Op& op, Unit& unit) noexcept {
  if (op.fw.costNs <= 0 || op.fw.serviceNs <= 0) return;
  Unit::Offer* offer = unit.offer(op.ses->alg_, op.ses->mac_);
  if (offer == nullptr) return;
  const float base = op.fw.costNs / offer->scale;
  const float seen = std::clamp(op.fw.serviceNs / base, 0.01F, 100.0F);
  offer->scale += (seen - offer->scale) / 32;
}

// The op comes back undone. It is done elsewhere, unless its input is lost or there is nobody.
void Framework::rescue(Op& op, Status why) noexcept {
  Unit& unit = *op.fw.at;
  Session& session = *op.ses;
  if (op.fw.state != kSettled) op.fw.state = kSettled;
  const bool untouched = why == Status::Canceled || why == Status::Again || why == Status::Full || why == Status::NoMemory;
  if (!untouched && !isKeyKind(op.kind) && op.inPlace()) {
    if (op.fw.guard == nullptr) {
      settle(op, Status::Gone);
      return;
    }
    restoreInput(op);
  }
  if (!policy_.transparent && unit.state != UnitState::Running) {
    if (session.moved_) {
      session.moved_ = false;
      session.id_ = ++lastSessionId_;
    }
    settle(op, Status::Again);
    return;
  }
  if (++op.fw.tries > kMaxTries || assign(op, &unit, false) != Placed::Yes) {
    settle(op, op.fw.tries > kMaxTries || why == Status::Gone ? Status::Gone : op.fw.result);
    return;
  }
  ++unit.stats.rescued;
}

// The op is complete. It is told to the consumer now, or when those before it are.
void Framework::settle(Op& op, Status result) noexcept {
  op.fw.state = kSettled;
  op.fw.result = result;
  if (op.fw.guard != nullptr) dropInput(op);
  Session& session = *op.ses;
  if (!session.ordered_) {
    deliver(op, result);
    return;
  }
  op.status = Status::Pending;
  while (session.oldest_ != nullptr && session.oldest_->fw.state == kSettled) {
    Op& oldest = *session.oldest_;
    session.oldest_ = oldest.fw.nextInOrder;
    if (session.oldest_ == nullptr) session.newest_ = nullptr;
    // The session may end with its last op.
    const bool last = session.oldest_ == nullptr;
    deliver(oldest, oldest.fw.result);
    if (last) break;
  }
}

// Complete within the call that brought it, its caller sees that by the status; else poll() reports it.
void Framework::deliver(Op& op, Status result) noexcept {
  Session& session = *op.ses;
  const bool atOnce = op.done == nullptr && op.fw.call == call_ && session.ready_ == 0;
  if (op.fw.role == kUser && !atOnce) {
    op.fw.state = kReady;
    op.fw.result = result;
    op.status = Status::Pending;
    ready_->push(op);
    if (!session.ordered_) return;
    // Nobody overtakes it.
    ++session.ready_;
    session.direct_ = nullptr;
    session.aimed_ = false;
    return;
  }
  op.status = result;
  op.fw.state = kReported;
  --pending_;
  leave(session);
  if (op.fw.role == kStage) stageDone(op);
}

// One op less is the framework's.
void Framework::leave(Session& session) noexcept {
  if (--session.inFlight_ != 0) return;
  if (session.closed_) destroy(&session);
  else if (session.direct_ == nullptr) session.aimed_ = false;
}

Status Framework::call(Op& op) noexcept {
  ++call_;
  now_ = 0;
  if (!belongs(op)) return op.status;
  if (!op.ses->aimed_) aim(*op.ses);
  Op* list[] = {&op};
  if (Unit* unit = op.ses->direct_; unit != nullptr && op.flags == 0 && (!op.ses->shared_ || straight(list) == 1)) {
    op.fw.priv = op.ses->directPriv_;
    if (unit->driver->submit(list, 1, false) == 1) {
      count(*unit, list);
      return op.status;
    }
  }
  if (begin(op, kAwaited, true) == Placed::NoRoom) return op.status = Status::Full;
  kickAll();
  for (uint32_t idle = 0; op.fw.state != kReported; ++idle) {
    now_ = clock_.now();
    for (auto& unit : units_) {
      if (!unit->flight.empty()) harvest(*unit);
      if (!unit->queue.empty()) unit->dirty = true;
    }
    kickAll();
    if (op.fw.state == kReported) break;
    if (!clock_.wait()) break;  // simulated cards that will never answer
    if (idle > 200 && &clock_ == &steadyClock()) wake_->sleep();
  }
  return op.status;
}

}  // namespace socrypt::ocf
