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
  if (c.awaitingControl || c.receivePaused || c.upBlocked) return false;
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

void Engine::openRecords(Connection& c, std::span<uint8_t> bytes) {
  size_t at = 0, plainLength = 0;
  bool failed = false;
  record::Alert alert = record::Alert::InternalError;
  while (!c.receivePaused && !c.peerClosed && at < bytes.size()) {
    record::RecordReader::Opened opened;
    const auto result = c.rxPath->open(c, bytes.subspan(at), opened);
    if (result == record::RecordReader::Result::NeedMore) break;
    if (result == record::RecordReader::Result::Fail) {
      failed = true;
      alert = c.rx.alert();
      break;
    }
    at += opened.consumed;
    counters_.add(Counter::records_opened, c.rxPath->kind());
    if (opened.type == record::ContentType::ApplicationData) {
      // Contents move together at the front, so that requests split over records read as one text.
      if (opened.content.empty()) continue;
      c.warningAlerts = 0;
      std::memmove(bytes.data() + plainLength, opened.content.data(), opened.content.size());
      plainLength += opened.content.size();
    } else {
      const Verdict verdict = onControlRecord(c, opened);
      if (verdict == Verdict::Ended) return;
      if (verdict == Verdict::Refused) {
        failed = true;
        alert = record::Alert::UnexpectedMessage;
        break;
      }
    }
  }
  if (!failed && !c.peerClosed && at < bytes.size()) c.in.append(bytes.subspan(at));
  counters_.add(Counter::plaintext_bytes_in, c.rxPath->kind(), plainLength);
  if (plainLength != 0 || c.peerClosed) serve(c, bytes.first(plainLength));
  if (failed && !c.dead) {
    if (alert == record::Alert::BadRecordMac) counters_.add(Counter::decrypt_errors);
    abort(c, alert, Counter::closed_error);
  }
}

}  // namespace socrypt::engine
