// What the control plane says to an engine, and what an engine cannot decide by itself.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

#include "engine/engine.hpp"

namespace socrypt::engine {

void Engine::takeMessages() {
  const auto each = [this](std::span<uint8_t> message) { onMessage(message); };
  control_->take(each);
  if (separate_) separate_->take(each);
}

void Engine::endAbandoned() {
  for (size_t i = 0; i < connections_.size(); ++i) {
    if (!connections_[i]) continue;
    Connection& c = *connections_[i];
    // No alert in a handshake: under which keys it would have to go is known to nobody any more.
    if (c.phase == Phase::Handshake && c.handshakeBytes != 0 && !c.closing) destroy(c, Counter::closed_error);
    else if (c.phase == Phase::Open && c.receivePaused) abort(c, record::Alert::InternalError, Counter::closed_error);
  }
}

void Engine::onMessage(std::span<uint8_t> message) {
  MessageHeader header;
  std::memcpy(&header, message.data(), sizeof header);
  MessageReader reader(message.subspan(sizeof header));
  switch (static_cast<Down>(header.type)) {
    case Down::Resolve:
      return onResolve(header.id, reader);
    case Down::ErrorPage: {
      const auto status = static_cast<uint16_t>(reader.number<uint32_t>());
      Page page;
      page.headers = reader.string();
      page.body = reader.string();
      if (!reader.bad()) errorPages_[status] = std::move(page);
      return;
    }
    case Down::Flush:
      return cache_.flush();
    case Down::AttachDriver:
      return onAttachDriver(header.id, reader);
    case Down::WithdrawDriver:
      return onWithdrawDriver(header.id, reader);
    case Down::PauseNic:
      return pauseNic(reader.number<uint8_t>() != 0);
    case Down::SetRoot:
      cache_.flush();
      if (const int fd = reader.number<int32_t>(); !reader.bad()) cache_.setRoot(fd);
      return;
    default:
      break;
  }

  // The rest is about a connection, which may be gone by now.
  Connection* c = find(header.id);
  if (c == nullptr || c->closing) return;
  switch (static_cast<Down>(header.type)) {
    case Down::HandshakeSend:
    case Down::HandshakeMore:
      if (c->phase != Phase::Handshake) return;
      if (static_cast<Down>(header.type) == Down::HandshakeSend && !transmit(*c, reader.bytes())) return;
      c->awaitingControl = false;
      if (c->readable) onReadable(*c);
      return;
    case Down::Establish:
      return onEstablish(*c, reader);
    case Down::HandshakeFail:
      if (c->phase != Phase::Handshake) return;
      if (const auto bytes = reader.bytes(); !bytes.empty() && !transmit(*c, bytes)) return;
      return beginClose(*c, false, Counter::closed_handshake);
    case Down::RxKeys: {
      record::TrafficKeys keys;
      reader.keys(keys);
      keys.streamOffset = c->rx.streamOffset();
      if (!keepBlob(*c, reader.bytes()) || reader.bad() || c->rx.tls12() || keys.suite != c->rx.suite() ||
          keys.epoch != c->rx.epoch() + 1 || !takeKeys(*c, Direction::Rx, keys))
        return abort(*c, record::Alert::InternalError, Counter::closed_error);
      counters_.add(Counter::rekeys_rx);
      return resumeReceive(*c);
    }
    case Down::TxUpdate: {
      // The KeyUpdate goes out under the old key; whatever follows it is sealed under the new one.
      const bool asked = reader.number<uint8_t>() != 0;
      const auto update = reader.bytes();
      record::TrafficKeys keys;
      reader.keys(keys);
      // An epoch comes once: the same keys again would start their record numbers, and nonces, anew.
      if (!keepBlob(*c, reader.bytes()) || reader.bad() || c->tx.tls12() || keys.suite != c->tx.suite() || keys.epoch != c->tx.epoch() + 1)
        return abort(*c, record::Alert::InternalError, Counter::closed_error);
      if (!sendControl(*c, record::ContentType::Handshake, update)) return;
      keys.streamOffset = c->tx.streamOffset();
      if (!takeKeys(*c, Direction::Tx, keys)) return abort(*c, record::Alert::InternalError, Counter::closed_error);
      counters_.add(Counter::rekeys_tx);
      if (!asked) return serve(*c, {});
      c->rekeyAsked = false;
      return resumeReceive(*c);
    }
    case Down::PostMore:
      if (!keepBlob(*c, reader.bytes())) return abort(*c, record::Alert::InternalError, Counter::closed_error);
      return resumeReceive(*c);
    case Down::PostFail:
      return abort(*c, static_cast<record::Alert>(reader.number<uint8_t>()), Counter::closed_error);
    case Down::PostSend: {
      const auto content = reader.bytes();
      if (c->phase == Phase::Open) sendHandshake(*c, content);
      return;
    }
    default:
      return;
  }
}

bool Engine::keepBlob(Connection& c, std::span<const uint8_t> blob) {
  if (blob.size() > c.blob.size()) return false;
  std::memcpy(c.blob.data(), blob.data(), blob.size());
  c.blobLength = static_cast<uint8_t>(blob.size());
  return true;
}

void Engine::onEstablish(Connection& c, MessageReader& reader) {
  if (c.phase != Phase::Handshake) return;
  const auto first = reader.bytes();
  record::TrafficKeys tx, rx;
  reader.keys(tx);
  reader.keys(rx);
  const auto blob = reader.bytes();
  const auto leftover = reader.bytes();
  const uint32_t maxFragment = reader.number<uint32_t>();
  const bool fits = maxFragment >= kMinFragment && maxFragment <= record::kMaxPlaintext;
  // It came with one read, so it fits into the buffer of reads.
  if (reader.bad() || !fits || tx.suite != rx.suite || leftover.size() > kReadBuffer) return destroy(c, Counter::closed_error);
  // Tickets go out with the answer to a request that came with the client's Finished.
  c.more = !first.empty() && !leftover.empty();
  if (!first.empty() && !transmit(c, first)) return;
  const bool held = c.more;
  c.more = false;
  const uint64_t sentBefore = c.bytesOut;
  tx.streamOffset = c.bytesOut + c.out.size();
  rx.streamOffset = c.bytesIn - leftover.size();
  if (options_.recordLimit != 0) c.tx.setRecordLimit(options_.recordLimit);
  if (!keepBlob(c, blob) || !takeKeys(c, Direction::Tx, tx) || !takeKeys(c, Direction::Rx, rx))
    return destroy(c, Counter::closed_error);
  c.phase = Phase::Open;
  c.awaitingControl = false;
  c.requestAt = c.activeAt = now_;
  c.maxFragment = maxFragment;
  c.smallRecords = kSmallBytes;
  counters_.observe(Counter::handshake_duration_first, kDurationBounds, now_ - c.acceptedAt);
  updateDeadline(c, true);
  if (!leftover.empty()) {
    std::memcpy(readBuffer_.get(), leftover.data(), leftover.size());
    openRecords(c, {readBuffer_.get(), leftover.size()});
  }
  if (held && !c.dead && c.bytesOut == sentBefore) {
    // There was no answer yet. Turning Nagle's algorithm off, again, sends what is held (tcp(7)).
    const int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (!c.dead && !c.closing && c.readable) onReadable(c);
  if (!c.dead && c.closing) return;
  if (!c.dead && draining_) serve(c, {});
}

void Engine::resumeReceive(Connection& c) {
  c.receivePaused = false;
  continueReceive(c);
  // A response may have been waiting for its turn to ask for new keys.
  if (!c.dead) serve(c, {});
}

void Engine::onResolve(uint64_t token, MessageReader& reader) {
  const EntryRef entry = decodeResolution(reader);
  const auto found = pending_.find(token);
  if (found == pending_.end()) return;
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  if (!pending.key.empty()) pendingKeys_.erase(pending.key);
  if (entry && entry->cacheable && !pending.key.empty()) cache_.insert(pending.key, entry, now_);

  bool first = true;
  for (const uint64_t id : pending.waiters) {
    Connection* c = find(id);
    if (c == nullptr || c->waiting != token || c->closing) continue;
    c->waiting = 0;
    if (!entry) {
      answerError(*c, nullptr, 500);
    } else if (first || entry->cacheable) {
      // Served from here even when it is not fresh enough for the cache any more.
      c->resolved = entry;
    } else {
      c->uncoalesced = true;
    }
    first = false;
    serve(*c, {});
  }
}

void Engine::notice(Notice what, int error) {
  sendUp(Up::Notice, 0, 8, [what, error](MessageWriter& w) {
    w.number(static_cast<uint32_t>(what));
    w.number(static_cast<uint32_t>(error));
  });
}

// Connections whose message did not fit into the ring try again once the control plane has read.
void Engine::retryBlocked() {
  if (control_->blocked() && (!separate_ || separate_->blocked())) return;
  std::vector<uint64_t> again;
  again.swap(blocked_);
  for (const uint64_t id : again) {
    Connection* c = find(id);
    if (c == nullptr || !c->upBlocked) continue;
    c->upBlocked = false;
    if (!c->post.empty()) {
      if (!passPostHandshake(*c, c->post.view())) {
        c->upBlocked = true;
        blocked_.push_back(id);
        continue;
      }
      explicit_bzero(c->post.view().data(), c->post.size());
      c->post.clear();
    }
    if (c->phase == Phase::Handshake) {
      const std::vector<uint8_t> bytes(c->in.view().begin(), c->in.view().end());
      c->in.clear();
      passHandshakeBytes(*c, bytes);
    } else if (c->rekeyBlocked) {
      // Only one that was never sent: a second answer made from one state would make one key twice.
      c->rekeyBlocked = c->rekeyAsked = c->receivePaused = false;
      checkUsage(*c);
      if (!c->dead) serve(*c, {});
    } else {
      serve(*c, {});
    }
  }
}

}  // namespace socrypt::engine
