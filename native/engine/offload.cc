// Which path the records of a connection take, and sending what it made of them.
#include "engine/engine.hpp"

namespace socrypt::engine {

// The best path is asked anew at every KeyUpdate.
/// Gives keys to the best path that takes them; false when none does. A path that had the direction and is not the
/// one any more forgets it.
bool Engine::takeKeys(Connection& c, Direction direction, const record::TrafficKeys& keys) {
  WhyNot& why = direction == Direction::Tx ? c.txWhyNot : c.rxWhyNot;
  for (OffloadPath* path : paths_) {
    const WhyNot answer = path->take(c, direction, keys);
    if (answer == WhyNot::Taken) {
      const OffloadPath* current = direction == Direction::Tx ? c.txPath : c.rxPath;
      if (accelerator_ == nullptr || current != &accelerator_->bypass() || path != accelerator_.get()) setPath(c, direction, path);
      return true;
    }
    if (path != &software_ && answer != WhyNot::Elsewhere) {
      if (direction == Direction::Tx) counters_.addNotTaken(answer);
      if (path == paths_.front()) why = answer;
      if (path == nic_.get() && direction == Direction::Tx) joinLater(c, answer);
    }
  }
  return false;
}

/// Every connection that is counted in tls_active leaves it here, with nullptr.
void Engine::setPath(Connection& c, Direction direction, OffloadPath* path) {
  OffloadPath*& current = direction == Direction::Tx ? c.txPath : c.rxPath;
  if (current == path) return;
  if (current != nullptr) {
    current->forget(c, direction);
    if (direction == Direction::Tx) counters_.sub(Counter::tls_active, current->kind());
  }
  current = path;
  if (current != nullptr && direction == Direction::Tx) counters_.add(Counter::tls_active, current->kind());
}

/// Makes records of the slots, and sends them behind all that was sent before. False: not all could be made, and the
/// connection is not to go on; or it is gone.
bool Engine::emit(Connection& c, record::ContentType type, std::span<const record::Slot> slots) {
  const auto [records, wire] = c.txPath->make(c, type, slots);
  if (c.nic) watchFlow(c);
  if (records != slots.size()) return false;
  counters_.add(Counter::records_sealed, c.txPath->kind(), records);
  return wire.empty() || transmit(c, wire);
}

void Engine::harvestOffload() {
  accelerator_->poll();
  while (Burst* burst = accelerator_->next()) {
    Connection& c = *burst->owner;
    if (burst->direction == Direction::Rx) {
      onOpened(c, *burst);
    } else {
      --c.making;
      if (burst->failed) {
        // No driver could be found for it, and its nonces are spent.
        destroy(c, Counter::closed_error);
      } else if (const uint64_t sentBefore = c.bytesOut; transmit(c, {burst->out.get(), burst->length})) {
        updateDeadline(c, c.bytesOut != sentBefore);
        enqueue(c);
      }
    }
    accelerator_->release(burst);
  }
  accelerator_->takeStarved(starvedNow_);
  for (const uint64_t id : starvedNow_) {
    Connection* c = find(id);
    if (c == nullptr) continue;
    c->starved = false;
    if (c->opening && c->rxBursts.first == nullptr) {
      c->opening = false;
      if (!c->closing) continueReceive(*c);
    }
    if (!c->dead) enqueue(*c);
  }
  if (accelerator_->review(now_)) onAcceleratorsChanged();
}

/// Some suite has a driver now and had none before, or the other way round. Records go on in order, whoever makes them; what
/// is said of a connection changes with who does. Those that software had to take go to the drivers.
void Engine::onAcceleratorsChanged() {
  const auto here = [this](const OffloadPath* path) { return path == accelerator_.get() || path == &accelerator_->bypass(); };
  for (auto& connection : connections_) {
    if (!connection || connection->dead || connection->txPath == nullptr) continue;
    Connection& c = *connection;
    const bool serves = accelerator_->serves(c.tx.suite());
    OffloadPath* const to = serves ? accelerator_.get() : &accelerator_->bypass();
    if (here(c.rxPath)) c.rxPath = to;
    else if (serves && c.rxPath == &software_ && accelerator_->adopt(c, Direction::Rx)) setPath(c, Direction::Rx, to);
    if (c.txPath == &software_ && serves && accelerator_->adopt(c, Direction::Tx)) {
      setPath(c, Direction::Tx, to);
      counters_.add(Counter::path_moves);
      c.txWhyNot = WhyNot::Taken;
    }
    if (!here(c.txPath) || c.txPath == to) continue;
    counters_.sub(Counter::tls_active, c.txPath->kind());
    counters_.add(Counter::tls_active, to->kind());
    c.txPath = to;
    c.txWhyNot = serves ? WhyNot::Taken : accelerator_->anybody() ? WhyNot::suite : WhyNot::failed;
    if (!serves) counters_.addNotTaken(c.txWhyNot);
  }
}

// ── drivers that come and go ──

// Of a device that computes on this CPU as well it is the name that says who is to do it.
void Engine::preferDrivers() noexcept {
  ocf::Policy policy = framework_.policy();
  if (policy.smallMax != 0 || policy.lastResort != 0) return;
  policy.lastResort = softwareDriver_;
  framework_.setPolicy(policy);
}

void Engine::onAttachDriver(uint64_t token, MessageReader& reader) {
  const std::string name(reader.string());
  if (reader.bad() || admission_ == nullptr) driverAnswers_.push_back({token, 0, "this engine gives no records to drivers"});
  else admission_->begin(token, name);
}

void Engine::onWithdrawDriver(uint64_t token, MessageReader& reader) {
  const auto driver = reader.number<uint32_t>();
  const auto alg = reader.number<uint16_t>();
  const uint64_t deadlineNs = reader.number<uint32_t>() * uint64_t{1'000'000};
  ocf::Status status = ocf::Status::NoDriver;
  if (!reader.bad() && accelerator_ != nullptr)
    status = alg == kWholeDriver ? accelerator_->withdraw(driver, deadlineNs) : accelerator_->withdraw(driver, static_cast<ocf::AlgId>(alg));
  if (status == ocf::Status::Pending) leaving_.push_back({token, driver});
  else if (status == ocf::Status::Ok) driverAnswers_.push_back({token, driver, {}});
  else driverAnswers_.push_back({token, 0, alg == kWholeDriver ? "there is no such driver" : "the driver does not offer it"});
}

void Engine::admitDrivers() {
  for (DriverAdmission::Done& done : admission_->harvest()) {
    uint32_t driver = 0;
    ocf::Status status = ocf::Status::Ok;
    if (done.why.empty()) driver = framework_.attach(std::move(done.examined), &status);
    if (driver != 0) {
      preferDrivers();
      accelerator_->add(driver);
    }
    driverAnswers_.push_back({done.token, driver, std::move(done.why)});
  }
}

void Engine::answerDrivers() {
  std::erase_if(leaving_, [this](const Leaving& each) {
    if (accelerator_->has(each.driver)) return false;
    driverAnswers_.push_back({each.token, each.driver, {}});
    return true;
  });
  while (!driverAnswers_.empty()) {
    const DriverAnswer& answer = driverAnswers_.front();
    const bool sent = sendUp(Up::DriverAnswer, answer.token, 4 + 4 + answer.why.size(), [&answer](MessageWriter& w) {
      w.number(answer.driver);
      w.string(answer.why);
    });
    if (!sent) return;
    driverAnswers_.pop_front();
  }
}

}  // namespace socrypt::engine
