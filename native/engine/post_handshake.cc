// Alerts and handshake messages between the data: what a peer may send after its handshake, how much of it,
// and what the control plane sends.
#include <algorithm>
#include <cstring>

#include "engine/engine.hpp"

namespace socrypt::engine {

namespace {

constexpr uint8_t kUserCanceled = 90, kNoRenegotiation = 100;
constexpr uint8_t kWarning = 1, kFatal = 2;
constexpr uint8_t kHelloRequest = 0, kClientHello = 1;
// As BoringSSL and rustls.
constexpr uint8_t kMaxWarningAlerts = 4;
constexpr size_t kMessageHeader = 4;
// A hello that is refused is read over, so that what follows it is understood.
constexpr uint32_t kMaxRefusedHello = 1u << 16;
// For the KeyUpdate and an alert after what is sent here.
constexpr uint64_t kKeptBack = 2;

}  // namespace

/// False when the connection is gone.
bool Engine::onAlert(Connection& c, std::span<const uint8_t> content) {
  const auto refuse = [&](record::Alert alert) {
    abort(c, alert, Counter::closed_error);
    return false;
  };
  // An alert in pieces, or two in a record: as BoringSSL.
  // RFC 8446 5.1: "a record with an Alert type MUST contain exactly one message".
  if (content.size() != 2) return refuse(record::Alert::DecodeError);
  const uint8_t level = content[0], description = content[1];
  if (description == static_cast<uint8_t>(record::Alert::CloseNotify)) {
    // RFC 8446 6.1: "Any data received after a closure alert has been received MUST be ignored."
    c.peerClosed = true;
    return true;
  }
  // RFC 8446 6: the level is ignored; all but close_notify and user_canceled end the connection. In TLS 1.2 those
  // of level warning do not (RFC 5246 7.2).
  if (c.rx.tls12() && level != kWarning && level != kFatal) return refuse(record::Alert::IllegalParameter);
  if (c.rx.tls12() ? level == kWarning : description == kUserCanceled)
    return ++c.warningAlerts <= kMaxWarningAlerts || refuse(record::Alert::UnexpectedMessage);
  destroy(c, Counter::closed_client);
  return false;
}

/// False when the peer is owed unexpected_message.
bool Engine::onHandshakeRecord(Connection& c, std::span<const uint8_t> content) {
  if (c.rx.tls12()) return refuseRenegotiation(c, content);
  if (!affordControl(c)) return false;
  c.receivePaused = true;
  if (!passPostHandshake(c, content)) {
    c.post.append(content);
    c.upBlocked = true;
    blocked_.push_back(c.id);
  }
  return true;
}

/// False when the ring is full.
bool Engine::passPostHandshake(Connection& c, std::span<const uint8_t> content) {
  const std::span<const uint8_t> blob{c.blob.data(), c.blobLength};
  return sendUp(Up::PostHandshake, c.id, 8 + blob.size() + content.size(), [&](MessageWriter& w) {
    w.bytes(blob);
    w.bytes(content);
  });
}

bool Engine::affordControl(Connection& c) noexcept {
  const uint64_t earned = (now_ - c.controlAt) / kControlPeriodNs;
  c.controlAt += earned * kControlPeriodNs;
  c.controlCredit = static_cast<uint8_t>(std::min<uint64_t>(c.controlCredit + earned, kControlCredit));
  if (c.controlCredit == 0) return false;
  --c.controlCredit;
  return true;
}

// RFC 5246 7.2.2: a peer that asks for another handshake is told no_renegotiation, which "is always a warning",
// and may go on with this one. Once: whoever asks again will go on asking (CVE-2011-1473). False when it did,
// or when it sent something else.
bool Engine::refuseRenegotiation(Connection& c, std::span<const uint8_t> content) {
  while (!content.empty()) {
    if (c.refusedLeft == 0) {
      // Nobody splits a message within its header.
      if (content.size() < kMessageHeader || c.renegotiationRefused) return false;
      const uint32_t length = uint32_t{content[1]} << 16 | uint32_t{content[2]} << 8 | content[3];
      if ((content[0] != kClientHello && content[0] != kHelloRequest) || length > kMaxRefusedHello) return false;
      c.renegotiationRefused = true;
      c.refusedLeft = static_cast<uint32_t>(kMessageHeader) + length;
      const uint8_t warning[2] = {kWarning, kNoRenegotiation};
      if (!sendControl(c, record::ContentType::Alert, warning)) return true;  // and the connection is gone
    }
    const auto n = std::min<size_t>(content.size(), c.refusedLeft);
    c.refusedLeft -= static_cast<uint32_t>(n);
    content = content.subspan(n);
  }
  return true;
}

// Messages of the control plane (a NewSessionTicket) between two of our records. RFC 8446 5.1: they "MUST NOT be
// interleaved with other record types": nothing else is sealed before all of them are.
void Engine::sendHandshake(Connection& c, std::span<const uint8_t> content) {
  const record::Framing framing = c.tx.framing();
  size_t records = 0;
  uint8_t* at = c.txPath->controlRoom(c, std::min(content.size() + slots_.size() * framing.overhead(), slots_.size() * record::kMaxRecord));
  while (!content.empty() && records < slots_.size()) {
    const size_t n = std::min<size_t>(content.size(), c.maxFragment);
    std::memcpy(at + framing.before, content.data(), n);
    slots_[records++] = {at, static_cast<uint32_t>(n)};
    at += framing.overhead() + n;
    content = content.subspan(n);
  }
  if (records == 0 || !content.empty() || c.tx.tls12() || c.tx.recordsLeft() < records + kKeptBack ||
      !emit(c, record::ContentType::Handshake, std::span(slots_).first(records)))
    return abort(c, record::Alert::InternalError, Counter::closed_error);
  checkUsage(c);
  serve(c, {});
}

}  // namespace socrypt::engine
