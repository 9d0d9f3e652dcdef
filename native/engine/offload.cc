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

/// The last accelerator is gone, or there is one again. Connections stay where their records are in order; what is said
/// of them changes, since it is software that does them now.
void Engine::onAcceleratorsChanged() {
  OffloadPath* const from = accelerator_->anybody() ? &accelerator_->bypass() : accelerator_.get();
  OffloadPath* const to = accelerator_->anybody() ? accelerator_.get() : &accelerator_->bypass();
  for (auto& connection : connections_) {
    if (!connection) continue;
    if (connection->rxPath == from) connection->rxPath = to;
    if (connection->txPath != from) continue;
    counters_.sub(Counter::tls_active, from->kind());
    counters_.add(Counter::tls_active, to->kind());
    connection->txPath = to;
    connection->txWhyNot = accelerator_->anybody() ? WhyNot::Taken : WhyNot::failed;
    if (!accelerator_->anybody()) counters_.addNotTaken(WhyNot::failed);
  }
}

}  // namespace socrypt::engine
