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
      setPath(c, direction, path);
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

}  // namespace socrypt::engine
