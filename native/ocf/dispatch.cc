// The way of an op to a driver.
#include <algorithm>
#include <cstring>

#include "ocf/unit.hpp"

namespace socrypt::ocf {

size_t Framework::dispatch(Op* const* ops, size_t n) noexcept {
  ++call_;
  now_ = 0;
  size_t placed = 0;
  bool queued = false;
  while (placed < n) {
    // The straight way: a run of ops that one synchronous driver takes as they are.
    Session* session = ops[placed]->ses;
    Unit* unit = session != nullptr && session->framework_ == this && !session->closed_ ? session->direct_ : nullptr;
    size_t limit = n;
    if (unit != nullptr && session->shared_) {
      limit = queued ? placed : placed + straight({ops + placed, n - placed});
      if (limit == placed) unit = nullptr;
    }
    if (unit != nullptr) {
      size_t end = placed;
      uint64_t bytes = 0;
      bool several = false;
      for (; end < limit; ++end) {
        Op& op = *ops[end];
        if (op.ses != session) {
          Session* other = op.ses;
          if (other == nullptr || other->framework_ != this || other->direct_ != unit || other->closed_) break;
          session = other;
          several = true;
        }
        if (op.flags != 0 || op.done != nullptr) break;
        op.fw.priv = session->directPriv_;
        bytes += op.len;
      }
      if (end > placed) {
        const size_t accepted = unit->driver->submit(ops + placed, end - placed, end < n);
        if (several || placed + accepted != end) count(*unit, {ops + placed, accepted});
        else count(*unit, *session, accepted, bytes);
        placed += accepted;
        if (placed == end) continue;
        ++unit->stats.refused;
      }
    }
    Op& op = *ops[placed];
    if (belongs(op)) {
      if (unit == nullptr && !op.ses->aimed_) {
        aim(*op.ses);
        if (op.ses->direct_ != nullptr && !queued) continue;
      }
      const Placed where = begin(op, kUser, true);
      if (where == Placed::NoRoom) break;
      queued = queued || where == Placed::Yes;
    }
    ++placed;
  }
  if (queued) kickAll();
  ++call_;  // what completes from here on is reported by poll()
  return placed;
}

// How many of these ops go straight to their session's synchronous driver, though others are in question: all that are
// left, or none. They do when the last of them is done there before the first of them could be done elsewhere, whatever is
// queued there: choosing one by one would come to the same, and takes as long as a short op does.
size_t Framework::straight(std::span<Op* const> ops) const noexcept {
  const Session& session = *ops[0]->ses;
  const SessionClass& of = *session.class_;
  const Unit& unit = *session.direct_;
  if (of.stale || !unit.queue.empty() || (session.ordered_ && session.inFlight_ != 0)) return 0;
  double elsewhereNs = 1e18;
  for (const Candidate& each : of.candidates) {
    if (!each.unit->sync) elsewhereNs = std::min<double>(elsewhereNs, each.offer->scale * ((each.unit->dirty ? 0 : each.cost.batchNs) + each.cost.opNs));
  }
  const Candidate& here = of.candidates[of.here];
  double hereNs = here.offer->scale * here.cost.batchNs;
  for (const Op* op : ops) {
    if (op->ses != &session && (op->ses == nullptr || op->ses->framework_ != this || op->ses->class_ != &of || op->ses->direct_ != &unit ||
                                op->ses->closed_ || (op->ses->ordered_ && op->ses->inFlight_ != 0)))
      return 0;
    hereNs += here.offer->scale * (here.cost.opNs + static_cast<float>(op->len) * here.cost.byteNs);
    if (op->flags != 0 || op->done != nullptr || hereNs > elsewhereNs) return 0;
  }
  return ops.size();
}

// Ops that went straight to their driver.
void Framework::count(Unit& unit, std::span<Op* const> ops) noexcept {
  for (const Op* op : ops) count(unit, *op->ses, 1, op->len);
}

void Framework::count(Unit& unit, const Session& session, size_t ops, uint64_t bytes) noexcept {
  unit.stats.ops += ops;
  unit.stats.bytes += bytes;
  const Binding* binding = session.bindings_;
  while (binding->unit != &unit) binding = binding->next;
  if (binding->offer == nullptr) return;
  binding->offer->ops += ops;
  binding->offer->bytes += bytes;
}

// False: it is complete, with what is wrong with its session.
bool Framework::belongs(Op& op) noexcept {
  const Session* session = op.ses;
  const Status status = session == nullptr || session->framework_ == nullptr || session->closed_ ? Status::Closed
                        : session->framework_ != this                                            ? Status::Foreign
                                                                                                 : Status::Ok;
  if (status == Status::Ok) return true;
  op.status = status;
  if (op.done != nullptr) {
    op.fw.role = kOrphan;
    op.fw.result = status;
    ++pending_;
    ready_->push(op);
  }
  return false;
}

// Accepts an op, unless there is no room for it.
Framework::Placed Framework::begin(Op& op, uint8_t role, bool mayRefuse) noexcept {
  Session& session = *op.ses;
  op.fw.role = role;
  op.fw.call = call_;
  op.fw.tries = 0;
  op.fw.guard = nullptr;
  Status status = checkOp(op, session.alg_, session.mac_, session.tagLength_);
  if (status == Status::Ok && session.moved_) {
    session.moved_ = false;
    if (!policy_.transparent) {
      session.id_ = ++lastSessionId_;
      status = Status::Again;
    }
  }
  if (now_ == 0) now_ = clock_.now();
  const bool staged = status == Status::Ok && isStaged(session);
  if (status == Status::Ok && !staged) {
    const Placed where = assign(op, nullptr, mayRefuse);
    if (where == Placed::NoRoom) return where;
    if (where == Placed::Yes) {
      op.status = Status::Pending;
      ++pending_;
      ++session.inFlight_;
      append(session, op);
      return where;
    }
    status = op.fw.result;
  }
  ++pending_;
  ++session.inFlight_;
  append(session, op);
  if (staged) {
    op.status = Status::Pending;
    startStages(op);
    return Placed::Yes;
  }
  settle(op, status);
  return Placed::Settled;
}

void Framework::append(Session& session, Op& op) noexcept {
  if (!session.ordered_) return;
  op.fw.nextInOrder = nullptr;
  (session.newest_ != nullptr ? session.newest_->fw.nextInOrder : session.oldest_) = &op;
  session.newest_ = &op;
}

namespace {

// What a driver must have for this very op.
bool serves(const Unit& unit, const Op& op) noexcept {
  const Caps& caps = unit.caps();
  if (caps.maxLen != 0 && op.len > caps.maxLen) return false;
  if (isKeyKind(op.kind)) return true;
  if ((op.nIn > 1 || op.nOut > 1) && (caps.flags & Caps::Sgl) == 0) return false;
  return (caps.flags & Caps::OutOfPlace) != 0 || op.inPlace();
}

}  // namespace

// Chooses a driver and queues the op there. Settled: nobody can, with the reason in op.fw.result.
// NoRoom: those who can are full (only if it `mayRefuse`).
Framework::Placed Framework::assign(Op& op, const Unit* avoid, bool mayRefuse) noexcept {
  Session& session = *op.ses;
  SessionClass& of = *session.class_;
  refresh(session);
  if (of.candidates.empty() && session.algs_ == 2) {
    startStages(op);
    return Placed::Yes;
  }
  bool tooBig = false, full = false;
  // A driver whose session cannot be made is no candidate either: try the next best.
  // Those that refused just now are asked last, so that two of them do not send an op to and fro.
  bool patient = true;
  for (uint64_t passed = 0;;) {
    const Candidate* best = nullptr;
    size_t bestAt = 0;
    double bestScore = 0;
    float bestCost = 0;
    for (size_t i = 0; i < of.candidates.size() && i < 64; ++i) {
      const auto& each = of.candidates[i];
      Unit& unit = *each.unit;
      if (&unit == avoid || (passed >> i & 1) != 0 || unit.state != UnitState::Running) continue;
      if (patient && (unit.resting || unit.refusedIn == call_)) continue;
      if (!serves(unit, op)) {
        tooBig = tooBig || (unit.caps().maxLen != 0 && op.len > unit.caps().maxLen);
        continue;
      }
      if (mayRefuse && unit.queue.size() >= policy_.queueLimit) {
        full = true;
        continue;
      }
      const float costNs =
          each.offer->scale * ((unit.dirty ? 0 : each.cost.batchNs) + each.cost.opNs + static_cast<float>(op.len) * each.cost.byteNs);
      const double score = scoreOf(each, session, op, costNs, i);
      if (best == nullptr || score < bestScore) {
        best = &each;
        bestAt = i;
        bestScore = score;
        bestCost = costNs;
      }
    }
    if (best == nullptr) {
      if (!patient) break;
      patient = false;
      continue;
    }
    Status status;
    if (Binding* binding = bind(session, *best->unit, &status); binding != nullptr) {
      enqueue(op, *best->unit, *binding, bestCost);
      return Placed::Yes;
    }
    passed |= uint64_t{1} << bestAt;
    full = full || status == Status::Full;
  }
  if (full && mayRefuse) return Placed::NoRoom;
  op.fw.result = full ? Status::Full : tooBig ? Status::TooBig : Status::NoDriver;
  return Placed::Settled;
}

// The smaller the better.
double Framework::scoreOf(const Candidate& candidate, const Session& session, const Op& op, float costNs,
                          size_t index) const noexcept {
  const Unit& unit = *candidate.unit;
  // What several drivers have failed at is not tried out on the next one.
  constexpr uint8_t kTired = kMaxTries / 2;
  if (op.fw.tries >= kTired && unit.sync) return -1;
  constexpr double kLastResort = 1e18;
  double penalty = 0;
  if (policy_.lastResort != 0) {
    if (unit.id == policy_.lastResort) penalty = kLastResort;
  } else if (unit.plainSoftware()) {
    if (policy_.smallMax == 0 || (policy_.smallMax > 0 && op.len > static_cast<uint32_t>(policy_.smallMax))) penalty = kLastResort;
  } else if (policy_.smallMax > 0 && op.len <= static_cast<uint32_t>(policy_.smallMax)) {
    penalty = kLastResort;
  }
  // A session that stays where it is, while it can.
  if (!policy_.replicate || policy_.balance == Policy::Balance::LeastSessions) {
    for (const Binding* binding = session.bindings_; binding != nullptr; binding = binding->next) {
      if (binding->unit == &unit) return penalty - 1;
    }
  }
  switch (policy_.balance) {
    case Policy::Balance::LeastTime: return penalty + unit.waitNs(now_, candidate.cost.lanes) + static_cast<double>(costNs);
    case Policy::Balance::LeastOps: return penalty + static_cast<double>(unit.queue.size() + unit.flight.size());
    case Policy::Balance::LeastSessions: return penalty + static_cast<double>(unit.bound);
    case Policy::Balance::RoundRobin: break;
  }
  const size_t n = session.class_->candidates.size();
  return penalty + static_cast<double>((index + n - turn_ % n) % n);
}

void Framework::enqueue(Op& op, Unit& unit, Binding& binding, float costNs) noexcept {
  const auto& facts = factsOf(op.ses->alg_);
  if ((op.flags & Op::IvInInput) != 0) copyFrom(op.in, op.nIn, op.ivAt, {op.iv, facts.ivBytes});
  if ((op.flags & Op::IvToOutput) != 0) copyTo(op.out, op.nOut, op.ivAt, {op.iv, facts.ivBytes});
  op.fw.at = &unit;
  op.fw.binding = &binding;
  op.fw.priv = binding.priv;
  op.fw.costNs = costNs;
  op.fw.serviceNs = 0;
  // What a synchronous driver does is not done twice, unless another one is the reference.
  const bool doubtful = policy_.lastResort != 0 ? unit.id != policy_.lastResort : !unit.sync;
  op.fw.spot = policy_.spotEvery != 0 && doubtful && !isKeyKind(op.kind) && ++unit.sinceSpot % policy_.spotEvery == 0;
  if (op.fw.guard == nullptr && (!unit.sync || op.fw.spot) && ((op.flags & Op::Guard) != 0 || op.fw.spot) && !isKeyKind(op.kind) && op.inPlace())
    keepInput(op);
  op.fw.state = kQueued;
  op.fw.startedNs = now_;
  if (unit.pendingNs <= 0) unit.progressAt = now_;
  if (unit.queue.empty()) unit.heldSince = now_;
  unit.pendingNs += static_cast<double>(costNs);
  ++binding.inFlight;
  unit.queue.push(op);
  unit.dirty = true;
  ++turn_;
}

// Others first: they work while a synchronous driver keeps this thread.
void Framework::kickAll() noexcept {
  for (bool again = true; again;) {
    again = false;
    for (const bool sync : {false, true}) {
      for (size_t i = 0; i < units_.size(); ++i) {
        Unit& unit = *units_[i];
        if (unit.sync != sync || !unit.dirty) continue;
        unit.dirty = false;
        kick(unit);
        again = true;
      }
    }
  }
}

void Framework::kick(Unit& unit) noexcept {
  constexpr size_t kBurst = 64;
  if (policy_.holdNs != 0 && !unit.sync && unit.queue.size() < policy_.burst && now_ - unit.heldSince < policy_.holdNs) return;
  size_t taken = 0;
  while (!unit.queue.empty()) {
    Op* burst[kBurst];
    size_t n = 0;
    for (Op* op = unit.queue.front(); op != nullptr && n < kBurst; op = op->fw.next) {
      op->status = Status::Pending;
      burst[n++] = op;
    }
    const size_t accepted = unit.driver->submit(burst, n, n < unit.queue.size());
    taken += accepted;
    for (size_t i = 0; i < accepted; ++i) {
      Op& op = *burst[i];
      unit.queue.remove(op);
      op.fw.state = kInFlight;
      if (!unit.sync) unit.flight.push(op);
    }
    if (unit.sync) {
      for (size_t i = 0; i < accepted; ++i) finished(*burst[i], unit);
    }
    if (accepted < n) {
      ++unit.stats.refused;
      break;
    }
  }
  if (unit.queue.empty() || taken != 0 || !unit.flight.empty()) {
    unit.stuckSince = 0;
  } else {
    unit.refusedIn = call_;
    if (unit.stuckSince == 0) unit.stuckSince = now_ != 0 ? now_ : 1;
    giveUp(unit);
  }
}

// It refuses although it has nothing to do: others may be more willing.
void Framework::giveUp(Unit& unit) noexcept {
  noteLeft(*unit.queue.front(), unit);
  const size_t n = unit.queue.size();
  for (size_t i = 0; i < n; ++i) {
    Op& op = *unit.queue.pop();
    unit.pendingNs -= static_cast<double>(op.fw.costNs);
    --op.fw.binding->inFlight;
    const bool elsewhere = op.fw.tries < kMaxTries && assign(op, &unit, false) == Placed::Yes;
    if (elsewhere) {
      ++op.fw.tries;
      ++unit.stats.rescued;
      continue;
    }
    // It waits here until the driver changes its mind, or poll() loses patience with it.
    unit.pendingNs += static_cast<double>(op.fw.costNs);
    ++op.fw.binding->inFlight;
    op.fw.state = kQueued;
    unit.queue.push(op);
  }
  if (unit.queue.empty()) unit.stuckSince = 0;
}

}  // namespace socrypt::ocf
