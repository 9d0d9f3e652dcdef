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

}  // namespace

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
  SSL_set_connect_state(ssl_.get());
  SSL_set_tlsext_host_name(ssl_.get(), exchange_.server_name.c_str());
  state_ = State::kHandshake;
  return true;
}

void Connection::reset() {
  ssl_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  state_ = State::kClosed;
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
        if (SSL_session_reused(ssl_.get()) != 0) ++counters_.resumed;
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
        const int result = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
        if (result <= 0) return want(result, &counters_.closed_early);
        std::span<const char> bytes = buffer.first(static_cast<size_t>(result));
        Wants failure{};
        if (state_ == State::kHead && !take_head(bytes, failure)) {
          if (failure == Wants::kFailed) return failure;
          break;
        }
        if (!take_body(bytes, failure)) {
          if (failure == Wants::kFailed) return failure;
          if (budget <= static_cast<size_t>(result)) return Wants::kMore;
          budget -= static_cast<size_t>(result);
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
