#include "connection.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace bench {
namespace {

constexpr size_t kMaxHead = 16 * 1024;

bool same_ignoring_case(std::string_view a, std::string_view lower) {
  return a.size() == lower.size() && std::equal(a.begin(), a.end(), lower.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y;
         });
}

/** NewSessionTicket messages in a handshake record; 0 when there is anything else. RFC 8446 section 4. */
uint64_t count_tickets(std::span<const char> messages) {
  constexpr char kNewSessionTicket = 4;
  uint64_t count = 0;
  while (messages.size() >= 4 && messages[0] == kNewSessionTicket) {
    const auto byte = [&](size_t at) { return static_cast<size_t>(static_cast<uint8_t>(messages[at])); };
    const size_t length = 4 + (byte(1) << 16 | byte(2) << 8 | byte(3));
    if (length > messages.size()) return 0;
    messages = messages.subspan(length);
    ++count;
  }
  return messages.empty() ? count : 0;
}

Negotiated describe(SSL* ssl) {
  Negotiated result{SSL_get_version(ssl), SSL_get_cipher_name(ssl), "", ""};
  if (const char* group = SSL_group_to_name(ssl, static_cast<int>(SSL_get_negotiated_group(ssl)))) result.group = group;
  if (X509* certificate = SSL_get0_peer_certificate(ssl)) {
    const EVP_PKEY* key = X509_get0_pubkey(certificate);
    result.certificate = std::string(EVP_PKEY_get0_type_name(key)) + " " + std::to_string(EVP_PKEY_get_bits(key));
  }
  return result;
}

}  // namespace

void Connection::prepare(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, [](const SSL* ssl, const char* line) {
    if (auto secret = server_traffic_secret(line)) {
      static_cast<Connection*>(SSL_get_app_data(ssl))->server_secret_ = std::move(*secret);
    }
  });
}

bool Connection::open(SSL_CTX* context, unsigned source) {
  reset();
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    ++counters_.connect_failed;
    return false;
  }
  const int one = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (source != 0) {
    // Several source addresses keep thousands of short connections from running out of ports.
    ::setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(0x7f000000U | source);
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) {
      fail(counters_.connect_failed);
      return false;
    }
  }
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&exchange_.server), sizeof exchange_.server) != 0 &&
      errno != EINPROGRESS) {
    fail(counters_.connect_failed);
    return false;
  }
  ssl_.reset(SSL_new(context));
  SSL_set_fd(ssl_.get(), fd_);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_connect_state(ssl_.get());
  SSL_set_tlsext_host_name(ssl_.get(), exchange_.server_name.c_str());
  if (exchange_.resume && session_ != nullptr) {
    // A copy: OpenSSL uses a TLS 1.3 session up, and a server that gives no new one is offered the last again.
    const std::unique_ptr<SSL_SESSION, SessionFree> offered(SSL_SESSION_dup(session_.get()));
    SSL_set_session(ssl_.get(), offered.get());
  }
  state_ = State::kHandshake;
  return true;
}

void Connection::reset() {
  // OpenSSL would take the session of a connection without a close_notify for one that must not be used again.
  if (ssl_ != nullptr) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  ssl_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  state_ = State::kClosed;
  opener_.reset();
  partial_.clear();
  head_.clear();
}

Connection::Wants Connection::fail(uint64_t& counter) {
  ++counter;
  reset();
  return Wants::kFailed;
}

/** Turns what OpenSSL says into what the loop needs; a real error is counted in `counter`. */
Connection::Wants Connection::want(int result, uint64_t* counter) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Wants::kRead;
    case SSL_ERROR_WANT_WRITE:
      return Wants::kWrite;
    default:
      ERR_clear_error();
      return fail(*counter);
  }
}

void Connection::start_request(uint64_t now) {
  state_ = State::kWriting;
  started_ = now;
  head_.clear();
  body_read_ = 0;
}

Connection::Wants Connection::advance(uint64_t now, std::span<char> buffer, size_t budget) {
  last_progress_ = now;
  while (true) {
    switch (state_) {
      case State::kClosed:
        return Wants::kFailed;
      case State::kHandshake: {
        const int result = SSL_do_handshake(ssl_.get());
        if (result != 1) {
          const bool refused = SSL_get_error(ssl_.get(), result) == SSL_ERROR_SYSCALL;
          return want(result, refused ? &counters_.connect_failed : &counters_.tls_failed);
        }
        ++counters_.handshakes;
        if (negotiated_.suite.empty()) negotiated_ = describe(ssl_.get());
        if (SSL_session_reused(ssl_.get()) != 0) ++counters_.resumed;
        if (exchange_.own_records) {
          // Without read-ahead OpenSSL has read the server's Finished and not a byte more.
          const auto* secret = reinterpret_cast<const uint8_t*>(server_secret_.data());
          opener_ = std::make_unique<RecordOpener>(std::span(secret, server_secret_.size()));
        }
        start_request(now);
        break;
      }
      case State::kWriting: {
        const int result =
            SSL_write(ssl_.get(), exchange_.request.data(), static_cast<int>(exchange_.request.size()));
        if (result <= 0) return want(result, &counters_.closed_early);
        state_ = State::kHead;
        // The answer cannot be here yet: wait for the event, unless bytes are already inside OpenSSL.
        if (SSL_has_pending(ssl_.get()) == 0) return Wants::kRead;
        break;
      }
      case State::kHead:
      case State::kBody: {
        Wants failure{};
        Progress progress{};
        size_t received = 0;
        bool blocked = false;
        if (opener_ != nullptr) {
          progress = receive(buffer, received, blocked, failure);
        } else {
          const int result = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
          if (result <= 0) return want(result, &counters_.closed_early);
          received = static_cast<size_t>(result);
          progress = take(buffer.first(received), failure);
        }
        if (progress == Progress::kFailed) return failure;
        if (progress == Progress::kPartial) {
          if (blocked) return Wants::kRead;
          if (budget <= received) return Wants::kMore;
          budget -= received;
          break;
        }
        latency_.add(now - started_);
        if (exchange_.after == AfterResponse::kRepeat) {
          ++counters_.responses;
          start_request(now);
        } else if (exchange_.after == AfterResponse::kHold) {
          ++counters_.responses;
          state_ = State::kHeld;
        } else {
          state_ = State::kAwaitClose;
        }
        break;
      }
      case State::kAwaitClose: {
        const int result = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
        if (result > 0) return fail(counters_.wrong_length);
        const int error = SSL_get_error(ssl_.get(), result);
        if (error == SSL_ERROR_WANT_READ) return Wants::kRead;
        ERR_clear_error();
        // close_notify or a bare FIN: both end a connection whose answer was complete.
        ++counters_.responses;
        reset();
        return Wants::kDone;
      }
      case State::kHeld: {
        const int result = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
        if (result > 0) return fail(counters_.wrong_length);
        const auto wants = want(result, &counters_.closed_early);
        return wants == Wants::kFailed ? wants : Wants::kHeld;
      }
    }
  }
}

Connection::Progress Connection::receive(std::span<char> buffer, size_t& received, bool& blocked, Wants& failure) {
  const size_t kept = partial_.size();
  const ssize_t count = ::recv(fd_, buffer.data() + kept, buffer.size() - kept, 0);
  if (count <= 0) {
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      blocked = true;
      return Progress::kPartial;
    }
    failure = fail(counters_.closed_early);
    return Progress::kFailed;
  }
  partial_.copy(buffer.data(), kept);
  received = static_cast<size_t>(count);
  blocked = received < buffer.size() - kept;
  auto progress = Progress::kPartial;
  std::span<char> rest = buffer.first(kept + received);
  while (rest.size() >= RecordOpener::kHeader) {
    const size_t size = RecordOpener::kHeader + static_cast<uint8_t>(rest[3]) * 256U + static_cast<uint8_t>(rest[4]);
    if (size <= RecordOpener::kMaxRecord && rest.size() < size) break;
    const auto opened = size <= RecordOpener::kMaxRecord ? opener_->open(rest.first(size)) : std::nullopt;
    constexpr uint8_t kAlert = 21, kHandshake = 22, kApplicationData = 23;
    const uint64_t tickets = opened && opened->type == kHandshake ? count_tickets(opened->content) : 0;
    if (!opened || (opened->type == kHandshake && tickets == 0)) {
      failure = fail(counters_.tls_failed);
      return Progress::kFailed;
    }
    if (opened->type == kAlert || (opened->type == kApplicationData && progress == Progress::kComplete)) {
      failure = fail(opened->type == kAlert ? counters_.closed_early : counters_.wrong_length);
      return Progress::kFailed;
    }
    counters_.tickets += tickets;
    if (opened->type == kApplicationData) {
      progress = take(opened->content, failure);
      if (progress == Progress::kFailed) return progress;
    }
    rest = rest.subspan(size);
  }
  partial_.assign(rest.data(), rest.size());
  return progress;
}

Connection::Progress Connection::take(std::span<const char> bytes, Wants& failure) {
  if (state_ == State::kHead && !take_head(bytes, failure)) {
    return failure == Wants::kFailed ? Progress::kFailed : Progress::kPartial;
  }
  if (take_body(bytes, failure)) return Progress::kComplete;
  return failure == Wants::kFailed ? Progress::kFailed : Progress::kPartial;
}

/** True once the head is complete and right; `bytes` is then what follows it. */
bool Connection::take_head(std::span<const char>& bytes, Wants& failure) {
  std::string_view text(bytes.data(), bytes.size());
  if (head_.empty()) {
    if (const size_t end = text.find("\r\n\r\n"); end != std::string_view::npos) {
      state_ = State::kBody;
      bytes = bytes.subspan(end + 4);
      return parse_head(text.substr(0, end + 2), failure);
    }
  }
  const size_t before = head_.size();
  head_.append(text);
  const size_t end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    if (head_.size() > kMaxHead) failure = fail(counters_.wrong_length);
    return false;
  }
  state_ = State::kBody;
  bytes = bytes.subspan(end + 4 - before);
  return parse_head(std::string_view(head_).substr(0, end + 2), failure);
}

bool Connection::parse_head(std::string_view head, Wants& failure) {
  if (!head.starts_with("HTTP/1.1 200 ")) {
    failure = fail(counters_.wrong_status);
    return false;
  }
  bool length_is_right = false;
  for (size_t line = head.find("\r\n") + 2; line < head.size();) {
    const size_t end = head.find("\r\n", line);
    const auto field = head.substr(line, end - line);
    line = end + 2;
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos || !same_ignoring_case(field.substr(0, colon), "content-length")) continue;
    auto value = field.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    uint64_t length = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), length);
    length_is_right = parsed.ec == std::errc{} && length == exchange_.length;
    break;
  }
  if (!length_is_right) failure = fail(counters_.wrong_length);
  return length_is_right;
}

/** True once the body is complete. */
bool Connection::take_body(std::span<const char>& bytes, Wants& failure) {
  if (bytes.size() > exchange_.length - body_read_) {
    failure = fail(counters_.wrong_length);
    return false;
  }
  if (!exchange_.expected.empty() && !bytes.empty() &&
      std::memcmp(bytes.data(), exchange_.expected.data() + body_read_, bytes.size()) != 0) {
    failure = fail(counters_.wrong_body);
    return false;
  }
  body_read_ += bytes.size();
  counters_.body_bytes += bytes.size();
  return body_read_ == exchange_.length;
}

}  // namespace bench
