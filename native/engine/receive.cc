// Socket -> records -> plaintext.
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "engine/engine.hpp"

namespace socrypt::engine {

namespace {

constexpr size_t kReadSize = 64 * 1024;
// While a response is on its way: what a peer pipelines meanwhile has to be kept.
constexpr size_t kReadSizeBusy = 16 * 1024;
constexpr int kReadsPerTurn = 4;

constexpr std::string_view kPlainHttpAnswer =
    "HTTP/1.1 400 Bad Request\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 89\r\n"
    "Connection: close\r\n"
    "\r\n"
    "This port speaks HTTPS, and a plain HTTP request was sent to it. Use an https:// address.";
static_assert(kPlainHttpAnswer.size() - kPlainHttpAnswer.find("\r\n\r\n") - 4 == 89);

}  // namespace

bool Engine::mayRead(const Connection& c) const noexcept {
  if (c.dead || c.endOfStream) return false;
  if (c.phase == Phase::Linger) return true;
  if (c.awaitingControl || c.receivePaused || c.upBlocked || c.opening) return false;
  // Requests that wait for their turn are bounded; the rest stays in the socket, and TCP slows the peer.
  return !c.closing && c.plain.size() < options_.http.maxHeaderBytes;
}

void Engine::onReadable(Connection& c) {
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    if (!mayRead(c)) return;
    const size_t carried = c.phase == Phase::Open ? c.in.size() : 0;
    if (carried != 0) std::memcpy(readBuffer_.get(), c.in.view().data(), carried);
    const size_t room = c.response || c.waiting != 0 ? kReadSizeBusy : kReadSize;
    const ssize_t n = recv(c.fd, readBuffer_.get() + carried, room, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        c.readable = false;
        return;
      }
      return destroy(c, Counter::closed_client);
    }
    if (n == 0) {
      c.readable = false;
      return onEndOfStream(c);
    }
    c.in.clear();
    c.bytesIn += static_cast<uint64_t>(n);
    // A short read says that the socket is empty; the next edge comes with new bytes. A FIN that came in one
    // edge with these bytes gets none of its own (epoll(7), EPOLLRDHUP).
    if (static_cast<size_t>(n) < room && !c.hungUp) c.readable = false;
    const std::span<uint8_t> bytes{readBuffer_.get(), carried + static_cast<size_t>(n)};
    switch (c.phase) {
      case Phase::Handshake:
        onHandshakeBytes(c, bytes);
        break;
      case Phase::Open:
        counters_.add(Counter::ciphertext_bytes_in, c.rxPath->kind(), static_cast<uint64_t>(n));
        openRecords(c, bytes);
        break;
      case Phase::Linger:
        break;  // not ours any more
    }
    if (c.dead || !c.readable) return;
  }
  enqueue(c);
}

void Engine::onEndOfStream(Connection& c) {
  c.endOfStream = c.peerClosed = true;
  switch (c.phase) {
    case Phase::Handshake:
      counters_.add(Counter::handshake_eof);
      return destroy(c, Counter::closed_client);
    case Phase::Linger:
      if (owesAcknowledgement(c)) return;
      return destroy(c, c.closeReason);
    case Phase::Open:
      // What was asked for is still answered: a client may have shut its side down.
      return serve(c, {});
  }
}

void Engine::onHandshakeBytes(Connection& c, std::span<uint8_t> bytes) {
  if (c.handshakeBytes == 0 && bytes[0] >= 'A' && bytes[0] <= 'Z') {
    // No TLS record type is a letter; somebody speaks HTTP to the HTTPS port.
    counters_.add(Counter::handshake_plaintext);
    counters_.add(Counter::responses_400);
    if (transmit(c, {reinterpret_cast<const uint8_t*>(kPlainHttpAnswer.data()), kPlainHttpAnswer.size()}))
      beginClose(c, false, Counter::closed_handshake);
    return;
  }
  c.handshakeBytes += static_cast<uint32_t>(bytes.size());
  if (c.handshakeBytes > options_.maxHandshakeBytes) {
    counters_.add(Counter::handshake_too_big);
    return destroy(c, Counter::closed_error);
  }
  passHandshakeBytes(c, bytes);
}

bool Engine::passHandshakeBytes(Connection& c, std::span<const uint8_t> bytes) {
  c.awaitingControl = true;
  const uint8_t first = c.handshakeBytes == bytes.size() ? 1 : 0;
  if (sendUp(Up::HandshakeData, c.id, 5 + bytes.size(), [first, bytes](MessageWriter& w) {
        w.number(first);
        w.bytes(bytes);
      }))
    return true;
  c.in.append(bytes);
  c.upBlocked = true;
  blocked_.push_back(c.id);
  return false;
}

/// A record that is not application data.
Engine::Verdict Engine::onControlRecord(Connection& c, const record::RecordReader::Opened& opened) {
  switch (opened.type) {
    case record::ContentType::Alert:
      return onAlert(c, opened.content) ? Verdict::GoOn : Verdict::Ended;
    case record::ContentType::Handshake: {
      const bool good = onHandshakeRecord(c, opened.content);
      return c.dead ? Verdict::Ended : good ? Verdict::GoOn : Verdict::Refused;
    }
    default:
      return Verdict::Refused;
  }
}

/// Takes records from `next(opened)` in turn; contents of application data move together at `to`, so that requests split
/// over records read as one text.
template <typename Next>
void Engine::takeRecords(Connection& c, uint8_t* to, Received& received, Next next) {
  while (!c.receivePaused && !c.peerClosed) {
    record::RecordReader::Opened opened;
    const auto result = next(opened);
    if (result == record::RecordReader::Result::NeedMore) return;
    if (result == record::RecordReader::Result::Fail) {
      received.refuse(c.rx.alert());
      return;
    }
    counters_.add(Counter::records_opened, c.rxPath->kind());
    if (opened.type == record::ContentType::ApplicationData) {
      if (opened.content.empty()) continue;
      c.warningAlerts = 0;
      std::memmove(to + received.plain, opened.content.data(), opened.content.size());
      received.plain += opened.content.size();
    } else {
      const Verdict verdict = onControlRecord(c, opened);
      received.ended = verdict == Verdict::Ended;
      if (verdict == Verdict::Refused) received.refuse(record::Alert::UnexpectedMessage);
      if (verdict != Verdict::GoOn) return;
    }
  }
}

void Engine::serveReceived(Connection& c, std::span<uint8_t> plain, const Received& received) {
  counters_.add(Counter::plaintext_bytes_in, c.rxPath->kind(), plain.size());
  if (!plain.empty() || c.peerClosed) serve(c, plain);
  if (received.failed && !c.dead) {
    if (received.alert == record::Alert::BadRecordMac) counters_.add(Counter::decrypt_errors);
    abort(c, received.alert, Counter::closed_error);
  }
}

void Engine::openRecords(Connection& c, std::span<uint8_t> bytes) {
  if (c.rxPath->opensLater() && openLater(c, bytes)) return;
  size_t at = 0;
  Received received;
  takeRecords(c, bytes.data(), received, [&](record::RecordReader::Opened& opened) {
    if (at == bytes.size()) return record::RecordReader::Result::NeedMore;
    const auto result = c.rxPath->open(c, bytes.subspan(at), opened);
    if (result == record::RecordReader::Result::Record) at += opened.consumed;
    return result;
  });
  if (received.ended) return;
  if (!received.failed && !c.peerClosed && at < bytes.size()) c.in.append(bytes.subspan(at));
  serveReceived(c, bytes.first(received.plain), received);
}

/// Has the path begin with the records at hand; the rest waits. False: the first of them is bad.
bool Engine::openLater(Connection& c, std::span<const uint8_t> bytes) {
  size_t taken = 0;
  if (!c.receivePaused && !c.peerClosed) {
    const auto later = c.rxPath->openLater(c, bytes);
    if (later.what == OffloadPath::Later::Bad) return false;
    c.opening = later.what != OffloadPath::Later::NeedMore;
    taken = later.taken;
  }
  if (!c.peerClosed) c.in.append(bytes.subspan(taken));
  return true;
}

/// Records that were opened elsewhere are here.
void Engine::onOpened(Connection& c, Burst& burst) {
  c.opening = false;
  if (c.closing) return;
  size_t i = 0;
  Received received;
  const size_t before = c.rx.framing().before;
  takeRecords(c, burst.out.get(), received, [&](record::RecordReader::Opened& opened) {
    if (i == burst.records) return record::RecordReader::Result::NeedMore;
    const size_t at = burst.at(i);
    const auto result = c.rx.finish(burst.ops[i].status, burst.in.get() + at, {burst.out.get() + at + before, burst.framed[i].innerLength}, opened);
    ++i;
    return result;
  });
  if (received.ended) return;
  if (c.receivePaused && !received.failed && i < burst.records) {
    // What stands behind a KeyUpdate is opened again, from its ciphertext, under the keys that follow.
    c.in.prepend({burst.in.get() + burst.at(i), burst.length - burst.at(i)});
  }
  if (c.peerClosed) c.in.clear();
  serveReceived(c, {burst.out.get(), received.plain}, received);
  if (!c.dead && !c.closing) continueReceive(c);
}

/// Goes on with what was received and is not open yet, then with what the socket has.
void Engine::continueReceive(Connection& c) {
  if (c.opening || c.receivePaused) return;
  if (!c.in.empty()) {
    const auto waiting = c.in.view();
    const size_t length = waiting.size();
    std::memcpy(readBuffer_.get(), waiting.data(), length);
    c.in.clear();
    openRecords(c, {readBuffer_.get(), length});
  }
  if (!c.dead && c.readable) onReadable(c);
}

}  // namespace socrypt::engine
