// Which drivers are in question for a session, and what a session keeps with one of them.
#include <algorithm>
#include <new>

#include "ocf/unit.hpp"

namespace socrypt::ocf {
namespace {

bool acceptable(const Unit& unit, const SessionParams& params) noexcept {
  const uint32_t flags = unit.caps().flags;
  if ((flags & params.needs) != params.needs) return false;
  switch (params.where) {
    case SessionParams::Where::Any: return true;
    case SessionParams::Where::Hardware: return (flags & Caps::Hardware) != 0;
    case SessionParams::Where::Software: return (flags & (Caps::Soft | Caps::Accel)) != 0;
    case SessionParams::Where::Accelerator: return (flags & (Caps::Hardware | Caps::Accel)) != 0;
    case SessionParams::Where::Exact: return unit.id == params.driver;
  }
  return false;
}

SessionClass::Key keyOf(const SessionParams& params) noexcept {
  size_t bytes = params.chain[0].key.size();
  // RSA-2048 and RSA-3072 are 1.19 and 1.79 KB in PKCS#8, give or take their leading zeros.
  if (factsOf(params.chain[0].id).family == Family::Key) bytes = (bytes + 64) / 128;
  return {
      .alg = params.chain[0].id,
      .mac = params.chain.size() == 2 ? params.chain[1].id : AlgId::Null,
      .keySize = static_cast<uint16_t>(bytes),
      .ivLen = params.chain[0].ivLen,
      .tagLen = params.chain.back().tagLen,
      .needs = params.needs,
      .driver = params.driver,
      .where = params.where,
  };
}

}  // namespace

SessionClass* Framework::classOf(const SessionParams& params, Status* status) noexcept {
  const SessionClass::Key key = keyOf(params);
  SessionClass* found = nullptr;
  for (auto& each : classes_) {
    if (each->key == key) found = each.get();
  }
  if (found == nullptr) {
    found = classes_.emplace_back(std::make_unique<SessionClass>()).get();
    found->key = key;
  }
  if (found->stale) listCandidates(*found, params);
  const bool chain = params.chain.size() == 2;
  *status = found->candidates.empty() && !chain ? Status::NoDriver : Status::Ok;
  return *status == Status::Ok ? found : nullptr;
}

void Framework::listCandidates(SessionClass& of, const SessionParams& params) noexcept {
  of.candidates.clear();
  for (auto& unit : units_) {
    Unit::Offer* offer = unit->offer(of.key.alg, of.key.mac);
    if (unit->state != UnitState::Running || offer == nullptr || offer->withdrawn || !acceptable(*unit, params)) continue;
    Cost stated;
    const int rank = unit->driver->probe(params, stated);
    if (rank < 0) continue;
    // Key operations cost what their key's size says, which the driver knows; all else was measured.
    const bool measured = offer->cost.opNs > 0 || offer->cost.byteNs > 0;
    const bool key = factsOf(of.key.alg).family == Family::Key;
    of.candidates.push_back({unit.get(), offer, rank, measured && !(key && stated.opNs > 0) ? offer->cost : stated});
  }
  std::stable_sort(of.candidates.begin(), of.candidates.end(), [](const auto& a, const auto& b) { return a.rank > b.rank; });
  of.stale = false;
}

// Who may serve the session, if that has changed.
void Framework::refresh(const Session& session) noexcept {
  if (!session.class_->stale) return;
  OwnParams own;
  paramsOf(session, own);
  listCandidates(*session.class_, own.params);
}

// Finds out whether the session's ops can go straight to one synchronous driver.
void Framework::aim(Session& session) noexcept {
  session.direct_ = nullptr;
  refresh(session);
  const auto& candidates = session.class_->candidates;
  if (session.inFlight_ != 0 || session.moved_) return;
  session.aimed_ = true;
  if (candidates.empty()) return;
  const auto isSync = [](const Candidate& each) { return each.unit->sync; };
  const auto sync = std::count_if(candidates.begin(), candidates.end(), isSync);
  const bool byTime = policy_.balance == Policy::Balance::LeastTime;
  const bool all = sync == static_cast<std::ptrdiff_t>(candidates.size());
  auto best = candidates.begin();
  if (all && (byTime || sync == 1)) {
    // The best rank; among equals the cheapest for a kilobyte.
    best = std::min_element(candidates.begin(), candidates.end(), [last = policy_.lastResort](const auto& a, const auto& b) {
      if ((a.unit->id == last) != (b.unit->id == last)) return b.unit->id == last;
      return a.rank != b.rank ? a.rank > b.rank : a.cost.predict(1, 1024) < b.cost.predict(1, 1024);
    });
  } else if (sync == 1 && byTime && policy_.smallMax < 0 && policy_.lastResort == 0 && policy_.replicate) {
    best = std::find_if(candidates.begin(), candidates.end(), isSync);
    session.class_->here = static_cast<size_t>(best - candidates.begin());
  } else {
    return;
  }
  Status status;
  const Binding* binding = bind(session, *best->unit, &status);
  if (binding == nullptr) return;
  session.direct_ = best->unit;
  session.directPriv_ = binding->priv;
  session.shared_ = !all;
}

Binding* Framework::bind(Session& session, Unit& unit, Status* status) noexcept {
  for (Binding* binding = session.bindings_; binding != nullptr; binding = binding->next) {
    if (binding->unit == &unit) return binding;
  }
  if (unit.caps().maxSessions != 0 && unit.bound >= unit.caps().maxSessions && !makeRoom(unit)) {
    *status = Status::Full;
    return nullptr;
  }
  OwnParams own;
  paramsOf(session, own);
  // The driver's bytes first, since they want to be aligned.
  const size_t privBytes = unit.driver->sessionBytes(own.params);
  const size_t privRoom = (privBytes + alignof(Binding) - 1) & ~(alignof(Binding) - 1);
  const size_t bytes = privRoom + sizeof(Binding);
  auto* slot = static_cast<std::byte*>(pool_.allocate(bytes));
  if (slot == nullptr) {
    *status = Status::NoMemory;
    return nullptr;
  }
  *status = unit.driver->newSession(own.params, {slot, privBytes});
  if (*status != Status::Ok) {
    pool_.release(slot, bytes);
    return nullptr;
  }
  auto* binding = new (slot + privRoom) Binding{};
  binding->session = &session;
  binding->unit = &unit;
  binding->offer = unit.offer(session.alg_, session.mac_);
  if (binding->offer != nullptr) ++binding->offer->bound;
  binding->priv = slot;
  binding->privBytes = static_cast<uint32_t>(privBytes);
  binding->slotBytes = static_cast<uint32_t>(bytes);
  binding->next = session.bindings_;
  session.bindings_ = binding;
  binding->unitNext = unit.bindings;
  if (unit.bindings != nullptr) unit.bindings->unitPrevious = binding;
  unit.bindings = binding;
  ++unit.bound;
  return binding;
}

void Framework::unbind(Binding* binding) noexcept {
  Session& session = *binding->session;
  Unit& unit = *binding->unit;
  Binding** at = &session.bindings_;
  while (*at != binding) at = &(*at)->next;
  *at = binding->next;
  (binding->unitPrevious != nullptr ? binding->unitPrevious->unitNext : unit.bindings) = binding->unitNext;
  if (binding->unitNext != nullptr) binding->unitNext->unitPrevious = binding->unitPrevious;
  --unit.bound;
  if (binding->offer != nullptr) --binding->offer->bound;
  if (session.direct_ == &unit) session.direct_ = nullptr;
  if (unit.driver != nullptr) unit.driver->freeSession({binding->priv, binding->privBytes});
  pool_.release(binding->priv, binding->slotBytes);
}

// Session slots are scarce: the binding that is idle and oldest goes, and is made anew when needed.
bool Framework::makeRoom(Unit& unit) noexcept {
  Binding* oldest = nullptr;
  for (Binding* binding = unit.bindings; binding != nullptr; binding = binding->unitNext) {
    if (binding->inFlight == 0) oldest = binding;
  }
  if (oldest == nullptr) return false;
  unbind(oldest);
  return true;
}

}  // namespace socrypt::ocf
