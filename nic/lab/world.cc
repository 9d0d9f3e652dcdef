#include "nic/lab/world.hpp"

#include <algorithm>

#include "nic/lab/connection.hpp"

namespace socrypt::nic::lab {
namespace {

constexpr uint64_t kIdle = 250'000;
constexpr uint64_t kLook = 20'000;          // as often as Bridge looks at an idle host's side
constexpr uint64_t kDelayedAnswer = 40'000; // TCP_DELACK_MIN of Linux
constexpr uint64_t kRemembered = 3'000'000; // how long a driver remembers what it has removed
constexpr size_t kMostPaths = 64;

// Sources of chance, by name.
enum Label : uint64_t { kFile = 1, kHost, kOut, kBack, kConnections };

}  // namespace

World::World(const Plan& plan)
    : plan_(plan),
      random_(Random(plan.seed).fork(kConnections)),
      file_(std::max<uint64_t>(1, plan.fileBytes), Random(plan.seed).fork(kFile)),
      hostRules_(plan_, Seam::Host, Random(plan.seed).fork(kHost)),
      outRules_(plan_, Seam::Out, Random(plan.seed).fork(kOut)),
      backRules_(plan_, Seam::Back, Random(plan.seed).fork(kBack)) {
  makeDevice();
  for (size_t i = 0; i < plan_.deeds.size(); ++i) schedule(plan_.deeds[i].at, Kind::Deed, nullptr).a = i;
  schedule(kIdle, Kind::Idle, nullptr);
  schedule(kLook, Kind::Look, nullptr);
  for (uint32_t i = 0; i < std::max(1u, plan_.connections); ++i) start();
}

World::~World() = default;

void World::makeDevice() {
  DeviceOptions options;
  options.flow.resync = plan_.resync;
  options.flow.retention = plan_.retention;
  options.flow.limits = {plan_.mapRecords, plan_.mapPayload};
  options.payloadBytes = plan_.totalPayload;
  options.hashSeed = plan_.seed;
  device_ = makeSubject(options, plan_.mutant);
}

void World::collectCounters() {
  device_->inner().counters().each([this](std::string_view name, std::string_view, uint64_t value) { counters_[std::string(name)] += value; });
}

std::map<std::string, uint64_t> World::counters() const {
  auto sums = counters_;
  device_->inner().counters().each([&](std::string_view name, std::string_view, uint64_t value) { sums[std::string(name)] += value; });
  return sums;
}

void World::find(std::string invariant, std::string what, const Connection* connection) {
  if (!finding_ && !stopped_) finding_ = Finding{{std::move(invariant), std::move(what)}, packets_, now_, connection == nullptr ? 0 : connection->id};
}

// False: this packet is behind the last.
bool World::countPacket() noexcept {
  stopped_ = stopped_ || packets_ >= last_;
  if (!stopped_) ++packets_;
  return !stopped_;
}

World::Event& World::schedule(uint64_t at, Kind kind, Connection* connection) {
  uint32_t slot;
  if (freeEvents_.empty()) {
    slot = static_cast<uint32_t>(events_.size());
    events_.emplace_back();
  } else {
    slot = freeEvents_.back();
    freeEvents_.pop_back();
  }
  Event& event = events_[slot];
  event.kind = kind;
  event.connection = connection;
  event.a = event.b = 0;
  event.believable = true;
  if (connection != nullptr) ++connection->references;
  due_.push({std::max(at, now_), order_++, slot});
  return event;
}

void World::run(uint64_t packet, uint64_t until) {
  while (!over() && packets_ < packet && !due_.empty() && due_.top().at <= until) {
    const Due due = due_.top();
    due_.pop();
    now_ = due.at;
    Event event = std::move(events_[due.slot]);
    freeEvents_.push_back(due.slot);
    if (event.connection != nullptr) --event.connection->references;
    dispatch(event);
  }
  // Nothing more happens until then.
  if (!over() && packets_ < packet && until != UINT64_MAX) now_ = std::max(now_, until);
}

void World::windDown() { windingDown_ = true; }

void World::dispatch(Event& event) {
  Connection* const c = event.connection;
  switch (event.kind) {
    case Kind::HostFrame: toDevice(*event.frame); break;
    case Kind::FlushHost: flushHost(); break;
    case Kind::FlushOut: flushOut(); break;
    case Kind::Arrival:
      if (!c->alive()) break;
      if (c->peer.segment(event.a, event.b) == TcpReceiver::Answer::Now) {
        answer(*c);
      } else {
        schedule(now_ + kDelayedAnswer, Kind::DelayedAnswer, c);
      }
      break;
    case Kind::DelayedAnswer:
      if (c->alive() && c->peer.waits()) answer(*c);
      break;
    case Kind::Answer: answerArrives(event); break;
    case Kind::SenderTimer: {
      if (!c->alive() || event.a != c->timerAt) break;
      c->timerAt = UINT64_MAX;
      if (c->tcp.timerAt() <= now_) c->onTimer();
      break;
    }
    case Kind::Resume:
      c->pausedPeer = false;
      c->peer.resume();
      if (c->alive()) answer(*c);
      break;
    case Kind::Fill:
      if (!c->alive()) break;
      if (event.a == 0) {
        control(*c, 0x12);  // the host's answer to the peer's SYN
        c->begin();
      } else {
        c->retry();
      }
      break;
    case Kind::SetMss: c->tcp.setMss(static_cast<uint32_t>(event.a)); break;
    case Kind::Deed: {
      if (windingDown_) break;
      const Deed& deed = plan_.deeds[event.a];
      act(deed);
      if (deed.every != 0) schedule(now_ + deed.every, Kind::Deed, nullptr).a = event.a;
      break;
    }
    case Kind::Idle: idle(); break;
    case Kind::Look: look(); break;
    case Kind::Revive: reset(event.a == 0); break;
  }
  if (c != nullptr) armTimer(*c);
}

void World::armTimer(Connection& c) {
  if (!c.alive() || c.tcp.timerAt() >= c.timerAt) return;
  c.timerAt = c.tcp.timerAt();
  schedule(c.timerAt, Kind::SenderTimer, &c).a = c.timerAt;
}

void World::start() {
  ++alive_;
  ++statistics_.started;
  Random own = random_.fork(++lastId_);
  // A 4-tuple is used again now and then, as soon as it may be or sooner.
  Path path;
  if (!usedPaths_.empty() && own.below(4) == 0) {
    path = usedPaths_[own.below(usedPaths_.size())];
    for (const auto& other : connections_)
      if (other->alive() && other->path.key() == path.key()) ++path.remotePort;
  } else {
    path = randomPath(own);
    path.remotePort = static_cast<uint16_t>(lastId_);
    if (usedPaths_.size() < kMostPaths) usedPaths_.push_back(path);
  }
  for (const auto& other : connections_)
    if (other->alive() && other->path.key() == path.key()) path = randomPath(own);
  uint32_t mss = plan_.segmentBytes != 0 ? plan_.segmentBytes : static_cast<uint32_t>(own.below(4) == 0 ? own.between(20, 120) : own.between(500, 9000));
  if (mtu_ != 0) mss = std::min(mss, mtu_);
  const bool tso = own.below(100) < plan_.tsoPercent;
  connections_.push_back(std::make_unique<Connection>(*this, lastId_, path, mss, tso, own));
  schedule(now_ + own.below(plan_.roundTrip + 1), Kind::Fill, connections_.back().get());
}

void World::look() {
  if (!dead_) device_->hostIdle(now_ / 1000 + clockOffset_);
  schedule(now_ + kLook, Kind::Look, nullptr);
}

void World::idle() {
  for (const auto& c : connections_) c->inspect();
  if (!dead_) {
    auto& device = device_->inner();
    statistics_.mostRetained = std::max(statistics_.mostRetained, device.retainedBytes());
    if (device.retainedBytes() > plan_.totalPayload) find("bounds", "the device retains more than its budget", nullptr);
    if (device.flows() > alive_) find("bounds", "the device has flows that no driver asked for, or that were removed", nullptr);
  }
  std::erase_if(removed_, [this](const Removed& r) { return now_ - r.at > kRemembered; });
  std::erase_if(connections_, [this](const std::unique_ptr<Connection>& c) {
    if (c->alive() || c->references != 0) return false;
    for (const auto& held : heldHost_)
      if (held->connection == c.get()) return false;
    if (joining_ && joining_->connection == c.get()) return false;
    if (heldOut_ && heldOut_->connection == c.get()) return false;
    if (sampling_ && sampling_->connection == c.get()) sampling_.reset();
    return true;
  });
  while (!windingDown_ && alive_ < std::max(1u, plan_.connections)) start();
  schedule(now_ + kIdle, Kind::Idle, nullptr);
}

// A new device in place of the old one. Whoever had a flow is told; what was removed a moment ago, and may
// still lie in a queue, is kept out before the first frame is let in.
void World::reset(bool again) {
  collectCounters();
  makeDevice();
  dead_ = false;
  auto& driver = device_->driver();
  for (const Removed& r : removed_) {
    const auto lives = [&](const std::unique_ptr<Connection>& c) { return c->alive() && c->offloaded() && c->path.key() == r.key; };
    if (std::any_of(connections_.begin(), connections_.end(), lives)) continue;
    FlowId flow{};
    if (driver.add(r.key, {}, 0, 0, &flow) != ocf::Status::Ok) continue;
    driver.remove(flow);
    driver.release(r.key);
  }
  for (size_t i = 0; i < connections_.size(); ++i) connections_[i]->reinstall(!again);
  for (size_t i = 0; i < connections_.size(); ++i) {
    if (!connections_[i]->alive()) continue;
    connections_[i]->fill();
    armTimer(*connections_[i]);
  }
}

void World::act(const Deed& deed) {
  const auto each = [this](auto body) {
    for (size_t i = 0; i < connections_.size() && !over(); ++i)
      if (connections_[i]->alive()) body(*connections_[i]);
  };
  switch (deed.action) {
    case Action::Evict: each([](Connection& c) { c.evict(); }); break;
    case Action::Reset:
      if (dead_) break;
      ++statistics_.resets;
      reset(true);
      break;
    case Action::Die:
    case Action::Abandon:
      if (dead_) break;
      ++statistics_.deaths;
      dead_ = true;
      schedule(now_ + deed.amount, Kind::Revive, nullptr).a = deed.action == Action::Abandon ? 1 : 0;
      break;
    case Action::KeyUpdate: each([](Connection& c) { c.keyUpdate(); }); break;
    case Action::ToSoftware: each([](Connection& c) { c.migrate(true); }); break;
    case Action::ToNic: each([](Connection& c) { c.migrate(false); }); break;
    case Action::Mtu:
      mtu_ = static_cast<uint32_t>(std::max<uint64_t>(8, deed.amount));
      // TCP learns of it by an ICMP message, a round trip later.
      each([&](Connection& c) { schedule(now_ + plan_.roundTrip, Kind::SetMss, &c).a = mtu_; });
      break;
    case Action::ZeroWindow:
      each([&](Connection& c) {
        if (c.pausedPeer) return;
        c.pausedPeer = true;
        c.peer.pause();
        schedule(now_ + deed.amount, Kind::Resume, &c);
      });
      break;
    case Action::Renege: each([](Connection& c) { c.peer.renege(); }); break;
    case Action::Rewrite: file_.rewrite(deed.amount); break;
    case Action::Shrink: file_.shrink(deed.amount); break;
    case Action::Grow: file_.grow(); break;
    case Action::ClockJump: clockOffset_ += deed.amount; break;
    case Action::RingFull: ringFullUntil_ = now_ + deed.amount; break;
    case Action::PeerReset: each([](Connection& c) { c.abort(false); }); break;
  }
}

}  // namespace socrypt::nic::lab
