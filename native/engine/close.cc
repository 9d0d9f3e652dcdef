// How connections end: at once, after what is owed, when their time is over, or all of them in a drain.
#include <sys/socket.h>
#include <unistd.h>

#include "engine/engine.hpp"

namespace socrypt::engine {

void Engine::destroy(Connection& c, Counter reason) {
  if (c.dead) return;
  c.dead = true;
  // What happens to a connection while it lingers is not why it was closed.
  if (c.phase == Phase::Linger) reason = c.closeReason;
  if (c.phase == Phase::Handshake) {
    counters_.add(Counter::closed_handshake);
    const auto why = reason == Counter::closed_header_timeout ? ClosedReason::Timeout
                     : reason == Counter::closed_client       ? ClosedReason::Peer
                     : reason == Counter::closed_drain        ? ClosedReason::Drain
                                                              : ClosedReason::Error;
    if (c.handshakeBytes != 0)
      sendUp(Up::HandshakeClosed, c.id, 1, [why](MessageWriter& w) { w.number(static_cast<uint8_t>(why)); });
  } else {
    counters_.add(reason);
  }
  setPath(c, Direction::Tx, nullptr);
  setPath(c, Direction::Rx, nullptr);
  if (c.response) counters_.sub(Counter::requests_in_flight);
  counters_.observe(Counter::connection_duration_first, kConnectionBounds, now_ - c.acceptedAt);
  if (c.requests != 0) counters_.observe(Counter::connection_requests_first, kRequestBounds, c.requests);
  Deadlines::disarm(c);
  setGauge(c, Gauge::None);
  close(c.fd);
  const auto slot = static_cast<uint32_t>(c.id);
  graveyard_.push_back(std::move(connections_[slot]));
  freeSlots_.push_back(slot);
  --live_;
}

void Engine::beginClose(Connection& c, bool notify, Counter reason) {
  if (c.closing) return;
  c.closing = true;
  c.notifyOnClose = notify;
  c.closeReason = reason;
  if (c.response) recycleResponse(c);
  finishClose(c);
}

// Sends what is owed, then close_notify, then FIN, then waits a little for the peer's FIN: closing at
// RFC 8446 6.1: "Each party MUST send a "close_notify" alert before closing its write side".
// once with unread data in the socket would reset the connection under the response.
void Engine::finishClose(Connection& c) {
  flush(c);
  if (!c.dead && c.sent() && c.notifyOnClose) {
    c.notifyOnClose = false;
    const uint8_t closeNotify[2] = {1, static_cast<uint8_t>(record::Alert::CloseNotify)};
    c.more = true;
    if (c.tx.ready() && !sendControl(c, record::ContentType::Alert, closeNotify)) return;
    c.more = false;
  }
  if (c.dead) return;
  if (!c.sent()) {
    // A peer that does not read holds what is owed for so long and no longer, whichever deadline led here.
    if (c.kind != Deadline::Write) deadlines_.arm(c, Deadline::Write, now_);
    return;
  }
  if (!c.shut) {
    c.shut = true;
    shutdown(c.fd, SHUT_WR);
    if (c.nic) {
      c.nic->progressAt = now_;
      watchFlow(c);
    }
    if (c.phase == Phase::Handshake && c.handshakeBytes != 0)
      sendUp(Up::HandshakeClosed, c.id, 1, [](MessageWriter& w) { w.number(static_cast<uint8_t>(ClosedReason::Error)); });
    c.phase = Phase::Linger;
    setGauge(c, Gauge::Draining);
  }
  if (c.endOfStream && !owesAcknowledgement(c)) {
    destroy(c, c.closeReason);
    return;
  }
  if (c.kind != Deadline::Linger) deadlines_.arm(c, Deadline::Linger, now_);
  if (c.readable) enqueue(c);
}

// RFC 8446 6.2: "MUST close the connection without sending or receiving any additional data". RFC 5246 7.2.2: "MUST
// send that alert at the fatal alert level".
void Engine::abort(Connection& c, record::Alert alert, Counter reason) {
  if (c.dead || c.closing) return;
  const uint8_t fatal[2] = {2, static_cast<uint8_t>(alert)};
  if (c.tx.ready() && !sendControl(c, record::ContentType::Alert, fatal)) return;
  beginClose(c, false, reason);
}

void Engine::onDeadline(Connection& c, Deadline kind) {
  switch (kind) {
    case Deadline::Handshake:
      counters_.add(Counter::handshake_timeout);
      destroy(c, Counter::closed_header_timeout);
      return;
    case Deadline::Header:
      if (!c.plain.empty() && !c.response) {
        answerError(c, nullptr, 408);
        serve(c, {});
        return;
      }
      beginClose(c, true, Counter::closed_header_timeout);
      return;
    case Deadline::KeepAlive:
      beginClose(c, true, Counter::closed_keepalive_timeout);
      return;
    case Deadline::Write:
      destroy(c, Counter::closed_write_timeout);
      return;
    case Deadline::Linger:
      // As slow as the peer may be: the kernel could not send the rest by itself.
      if (owesAcknowledgement(c) && now_ - c.nic->progressAt < options_.writeTimeoutNs) return deadlines_.arm(c, Deadline::Linger, now_);
      destroy(c, c.closeReason);
      return;
    case Deadline::None:
    case Deadline::count:
      return;
  }
}

void Engine::beginDrain() {
  draining_ = true;
  drainUntil_ = now_ + drainDeadline_.load(std::memory_order_relaxed);
  listener_.reset();
  for (size_t i = 0; i < connections_.size(); ++i) {
    if (!connections_[i]) continue;
    Connection& c = *connections_[i];
    if (c.phase == Phase::Open && !c.response && c.waiting == 0 && c.plain.empty() && c.sent())
      beginClose(c, true, Counter::closed_drain);
  }
}

}  // namespace socrypt::engine
