// Drivers come and go, sessions open and close.
#include "ocf/framework.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <new>

#include "ocf/examiner.hpp"
#include "ocf/unit.hpp"
#include "ocf/wake_line.hpp"

namespace socrypt::ocf {

uint32_t Session::boundDrivers() const noexcept {
  uint32_t n = 0;
  for (const Binding* binding = bindings_; binding != nullptr; binding = binding->next) ++n;
  return n;
}

void SessionHandle::reset() noexcept {
  if (session_ == nullptr) return;
  Session* session = std::exchange(session_, nullptr);
  session->framework_->close(session);
}

Framework::Framework(Clock& clock) : clock_(clock), wake_(std::make_unique<WakeLine>()), ready_(std::make_unique<OpList>()) {}

Framework::~Framework() {
  assert(openSessions_ == 0 && "every SessionHandle dies before its Framework");
  // What is still in flight is the caller's memory: drivers let go of it first. Nobody is told any more.
  for (auto& unit : units_) takeBack(*unit);
  while (sessions_ != nullptr) destroy(sessions_);
}

// ── Drivers ──

Unit* Framework::find(uint32_t id) const noexcept {
  const auto at = std::find_if(units_.begin(), units_.end(), [id](const auto& unit) { return unit->id == id; });
  return at == units_.end() ? nullptr : at->get();
}

std::unique_ptr<Unit> Framework::unitOf(std::unique_ptr<Driver> driver) {
  auto unit = std::make_unique<Unit>();
  unit->id = lastDriverId_ + 1;
  unit->sync = (driver->caps().flags & Caps::Sync) != 0;
  unit->driver = std::move(driver);
  return unit;
}

uint32_t Framework::publish(std::unique_ptr<Unit> unit) {
  unit->checkedAt = clock_.now();
  units_.push_back(std::move(unit));
  reconsider();
  return ++lastDriverId_;
}

uint32_t Framework::attach(std::unique_ptr<Driver> driver, Status* status) {
  *status = Status::Invalid;
  if (driver == nullptr) return 0;
  auto unit = unitOf(std::move(driver));
  unit->driver->attach(wake_.get());
  *status = Examiner(*this, clock_).admit(*unit);
  return *status == Status::Ok ? publish(std::move(unit)) : 0;
}

uint32_t Framework::attachExamined(std::unique_ptr<Driver> driver, std::span<const DriverInfo::Offer> offers, Status* status) {
  *status = driver == nullptr ? Status::Invalid : offers.empty() ? Status::NoDriver : Status::Ok;
  if (*status != Status::Ok) return 0;
  driver->attach(wake_.get());
  const uint32_t id = attach(Examined{std::move(driver), {offers.begin(), offers.end()}}, status);
  find(id)->deferred = true;
  return id;
}

// The driver's waker is this framework's from the start: it may still ring for an answer that was taken already.
Framework::Examined Framework::examineApart(std::unique_ptr<Driver> driver, Status* status) const {
  *status = Status::Invalid;
  if (driver == nullptr) return {};
  Framework apart(clock_);
  auto unit = apart.unitOf(std::move(driver));
  unit->driver->attach(wake_.get());
  *status = Examiner(apart, clock_).admit(*unit);
  if (*status != Status::Ok) return {};
  Examined examined{std::move(unit->driver), {}};
  for (const Unit::Offer& offer : unit->offers) examined.offers.push_back({.alg = offer.alg, .mac = offer.mac, .cost = offer.cost});
  return examined;
}

uint32_t Framework::attach(Examined examined, Status* status) {
  *status = examined.driver == nullptr ? Status::Invalid : Status::Ok;
  if (*status != Status::Ok) return 0;
  auto unit = unitOf(std::move(examined.driver));
  for (const DriverInfo::Offer& offer : examined.offers) unit->offers.push_back({.alg = offer.alg, .mac = offer.mac, .cost = offer.cost});
  return publish(std::move(unit));
}

Status Framework::withdraw(uint32_t driver, AlgId alg) noexcept {
  Unit* unit = find(driver);
  if (unit == nullptr) return Status::NoDriver;
  bool any = false;
  for (Unit::Offer& offer : unit->offers) {
    if (offer.withdrawn || (offer.alg != alg && (offer.mac != alg || alg == AlgId::Null))) continue;
    offer.withdrawn = any = true;
  }
  if (!any) return Status::NoDriver;
  // Sessions that it served move with their next op. What is in flight completes.
  for (Binding *binding = unit->bindings, *next; binding != nullptr; binding = next) {
    next = binding->unitNext;
    Session& session = *binding->session;
    if (session.alg_ != alg && session.mac_ != alg) continue;
    session.moved_ = true;
    ++session.generation_;
    if (binding->inFlight == 0) unbind(binding);
  }
  reconsider();
  return Status::Ok;
}

Status Framework::detach(uint32_t driver, uint64_t deadlineNs) noexcept {
  Unit* unit = find(driver);
  if (unit == nullptr) return Status::NoDriver;
  now_ = clock_.now();
  if (unit->state != UnitState::Draining) {
    unit->state = UnitState::Draining;
    retire(*unit);
  }
  unit->deadline = now_ + deadlineNs;
  const bool gone = unit->flight.empty() || deadlineNs == 0;
  if (gone) release(*unit);
  // What was done elsewhere meanwhile waits to be reported, and whoever waits for it sleeps.
  if (!ready_->empty()) wake_->ready(nullptr);
  return gone ? Status::Ok : Status::Pending;
}

Status Framework::check(uint32_t driver) noexcept {
  Unit* unit = find(driver);
  if (unit == nullptr) return Status::NoDriver;
  now_ = clock_.now();
  const Status status = examine(*unit);
  if (!ready_->empty()) wake_->ready(nullptr);
  return status;
}

// An asynchronous driver is asked when it is idle: its answers would stand among those of others.
Status Framework::examine(Unit& unit) noexcept {
  if (unit.deferred || unit.state != UnitState::Running || !unit.flight.empty() || !unit.queue.empty()) return Status::Full;
  ++unit.stats.checks;
  unit.checkedAt = now_;
  const Status status = Examiner(*this, clock_).again(unit);
  if (status == Status::Invalid) {
    ++unit.stats.wrong;
    unit.state = UnitState::Quarantined;
    retire(unit);
  }
  return status;
}

// No more ops for this driver: its sessions move, and what it has not begun is done elsewhere.
void Framework::retire(Unit& unit) noexcept {
  unit.retired = true;
  for (Binding *binding = unit.bindings, *next; binding != nullptr; binding = next) {
    next = binding->unitNext;
    binding->session->moved_ = true;
    ++binding->session->generation_;
    if (binding->inFlight == 0) unbind(binding);
  }
  reconsider();
  returned(unit);
  while (Op* op = unit.queue.pop()) {
    --op->fw.binding->inFlight;
    rescue(*op, Status::Canceled);
  }
  kickAll();
}

// Takes what the driver has accepted and not begun.
void Framework::returned(Unit& unit) noexcept {
  Op* back[32];
  for (size_t n; (n = unit.driver->cancel(back, std::size(back))) != 0;) {
    for (size_t i = 0; i < n; ++i) {
      unit.flight.remove(*back[i]);
      --back[i]->fw.binding->inFlight;
      rescue(*back[i], Status::Canceled);
    }
  }
}

// The driver ends here. Whatever it did not report by now is done again where its input is intact.
void Framework::release(Unit& unit) noexcept {
  takeBack(unit);
  kickAll();
  std::erase_if(units_, [&unit](const auto& each) { return each.get() == &unit; });
}

void Framework::takeBack(Unit& unit) noexcept {
  unit.driver->stop();
  harvest(unit);
  returned(unit);
  while (Op* op = unit.flight.pop()) {
    --op->fw.binding->inFlight;
    rescue(*op, Status::Gone);
  }
  while (unit.bindings != nullptr) unbind(unit.bindings);
}

void Framework::setPolicy(const Policy& policy) noexcept {
  policy_ = policy;
  reconsider();
}

int Framework::wakeFd() noexcept { return wake_->descriptor(); }
void Framework::onWake(void (*notify)(void*), void* argument) noexcept { wake_->setCall(notify, argument); }

// Who may serve whom has changed.
void Framework::reconsider() noexcept {
  for (auto& each : classes_) each->stale = true;
  for (Session* session = sessions_; session != nullptr; session = session->next_) {
    session->direct_ = nullptr;
    session->aimed_ = false;
  }
}

// ── Sessions ──

Session* Framework::makeSession(const SessionParams& params, Status* status) noexcept {
  size_t keyBytes = 0;
  for (const Alg& alg : params.chain) keyBytes += alg.key.size();
  const size_t bytes = sizeof(Session) + keyBytes;
  void* slot = pool_.allocate(bytes);
  if (slot == nullptr) {
    *status = Status::NoMemory;
    return nullptr;
  }
  auto* session = new (slot) Session;
  session->framework_ = this;
  session->slotBytes_ = static_cast<uint32_t>(bytes);
  session->id_ = ++lastSessionId_;
  session->alg_ = params.chain[0].id;
  session->algs_ = static_cast<uint8_t>(params.chain.size());
  session->ivLength_ = params.chain[0].ivLen;
  session->tagLength_ = params.chain.back().tagLen;
  session->ordered_ = params.ordered;
  if (params.chain.size() == 2) session->mac_ = params.chain[1].id;
  uint8_t* at = session->keys();
  for (size_t i = 0; i < params.chain.size(); ++i) {
    const auto key = params.chain[i].key;
    session->keyBytes_[i] = static_cast<uint16_t>(key.size());
    at = std::copy(key.begin(), key.end(), at);
  }
  session->next_ = sessions_;
  if (sessions_ != nullptr) sessions_->previous_ = session;
  sessions_ = session;
  ++openSessions_;
  *status = Status::Ok;
  return session;
}

void Framework::paramsOf(const Session& session, OwnParams& out) const noexcept {
  const uint8_t* key = const_cast<Session&>(session).keys();
  for (size_t i = 0; i < session.algs_; ++i) {
    Alg& alg = out.algs[i];
    alg.id = i == 0 ? session.alg_ : session.mac_;
    alg.ivLen = i == 0 ? session.ivLength_ : 0;
    alg.tagLen = i + 1 == session.algs_ ? session.tagLength_ : 0;
    alg.key = {key, session.keyBytes_[i]};
    key += session.keyBytes_[i];
  }
  out.params = {.chain = {out.algs, session.algs_}, .ordered = session.ordered_};
  if (session.class_ != nullptr) {
    out.params.needs = session.class_->key.needs;
    out.params.where = session.class_->key.where;
    out.params.driver = session.class_->key.driver;
  }
}

SessionHandle Framework::open(const SessionParams& params, Status* status) noexcept {
  *status = checkParams(params);
  if (*status != Status::Ok) return nullptr;
  SessionClass* of = classOf(params, status);
  if (of == nullptr) return nullptr;
  Session* session = makeSession(params, status);
  if (session == nullptr) return nullptr;
  session->class_ = of;
  SessionHandle handle(session);
  aim(*session);
  if (of->candidates.empty() && !openStages(*session)) {
    *status = Status::NoDriver;
    return nullptr;
  }
  if (session->direct_ != nullptr || of->candidates.empty()) return handle;
  // A driver that cannot take it should say so now and not with the first op; a key is read by all of them or by none.
  const bool only = of->candidates.size() == 1;
  const bool key = factsOf(params.chain[0].id).family == Family::Key && !params.chain[0].key.empty();
  if ((only || key) && bind(*session, *of->candidates[0].unit, status) == nullptr && (only || *status == Status::BadKey)) return nullptr;
  *status = Status::Ok;
  return handle;
}

SessionHandle Framework::openLike(const Session& session, uint32_t needs, Status* status) noexcept {
  OwnParams own;
  paramsOf(session, own);
  own.params.needs = needs;
  return open(own.params, status);
}

size_t Framework::copyKey(const Session& session, std::span<uint8_t> to) const noexcept {
  const size_t length = session.keyBytes_[0];
  if (length > to.size()) return 0;
  std::copy_n(const_cast<Session&>(session).keys(), length, to.begin());
  return length;
}

void Framework::close(Session* session) noexcept {
  session->closed_ = true;
  --openSessions_;
  if (session->inFlight_ == 0) destroy(session);
}

void Framework::destroy(Session* session) noexcept {
  for (Session* stage : session->stages_) {
    if (stage != nullptr) close(stage);
  }
  while (session->bindings_ != nullptr) unbind(session->bindings_);
  (session->previous_ != nullptr ? session->previous_->next_ : sessions_) = session->next_;
  if (session->next_ != nullptr) session->next_->previous_ = session->previous_;
  pool_.release(session, session->slotBytes_);
}

// ── Operators ──

std::vector<DriverInfo> Framework::drivers() const {
  std::vector<DriverInfo> all;
  for (const auto& unit : units_) {
    DriverInfo& info = all.emplace_back();
    info.id = unit->id;
    info.name = unit->driver->name();
    info.caps = unit->caps();
    info.state = unit->state;
    for (const Unit::Offer& offer : unit->offers)
      info.offers.push_back({offer.alg, offer.mac, offer.cost, offer.scale, offer.withdrawn, offer.ops, offer.bytes, offer.failed, offer.bound});
    info.sessions = unit->bound;
    info.inFlight = unit->flight.size();
    info.queued = unit->queue.size();
    info.stats = unit->stats;
  }
  return all;
}

Cost Framework::cost(uint32_t driver, AlgId alg) const noexcept {
  Unit* unit = find(driver);
  const Unit::Offer* offer = unit == nullptr ? nullptr : unit->offer(alg, AlgId::Null);
  return offer == nullptr ? Cost{} : offer->cost;
}

std::string_view Framework::driverName(uint32_t driver) const noexcept {
  const Unit* unit = find(driver);
  return unit == nullptr ? std::string_view{} : unit->driver->name();
}

uint32_t Framework::crossover(uint32_t accelerator, uint32_t software, AlgId alg, uint32_t burst) const noexcept {
  const Cost fast = cost(accelerator, alg), near = cost(software, alg);
  if (burst == 0 || (fast.opNs == 0 && fast.byteNs == 0) || (near.opNs == 0 && near.byteNs == 0)) return UINT32_MAX;
  const auto n = static_cast<float>(burst);
  // Both sides are linear in the length: L* = (C1/n + C2 - C2') / (C3' - C3), of what one lane's share is.
  const auto perOp = [n](const Cost& c) { return (c.batchNs / n + c.opNs) / static_cast<float>(c.lanes); };
  const auto perByte = [](const Cost& c) { return c.byteNs / static_cast<float>(c.lanes); };
  const float gain = perByte(near) - perByte(fast), lag = perOp(fast) - perOp(near);
  if (lag <= 0) return gain >= 0 ? 0 : UINT32_MAX;
  if (gain <= 0) return UINT32_MAX;
  const float at = std::ceil(lag / gain);
  return at < 4e9F ? static_cast<uint32_t>(at) : UINT32_MAX;
}

}  // namespace socrypt::ocf
