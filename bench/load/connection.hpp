#pragma once
#include <netinet/in.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "latency.hpp"
#include "record_opener.hpp"

namespace bench {

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
struct SessionFree {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

/** What a connection does once a response is complete. */
enum class AfterResponse { kRepeat, kClose, kHold };

/** The one request that everybody sends, and the answer that alone counts. */
struct Exchange {
  sockaddr_in server{};
  std::string server_name;
  std::string request;
  uint64_t length = 0;
  AfterResponse after = AfterResponse::kRepeat;
  /** Read records ourselves once the handshake is over, instead of by SSL_read. */
  bool own_records = true;
  /** Offer the newest session that the server gave to this connection's predecessors. */
  bool resume = false;
  /** Empty: bodies are counted, not compared. */
  std::span<const char> expected;
};

struct Counters {
  uint64_t responses = 0;
  uint64_t body_bytes = 0;
  uint64_t handshakes = 0;
  uint64_t resumed = 0;
  uint64_t tickets = 0;
  // Wrong answers: the connection is given up and opened anew.
  uint64_t wrong_status = 0;
  uint64_t wrong_length = 0;
  uint64_t wrong_body = 0;
  uint64_t connect_failed = 0;
  uint64_t tls_failed = 0;
  uint64_t closed_early = 0;

  [[nodiscard]] uint64_t errors() const {
    return wrong_status + wrong_length + wrong_body + connect_failed + tls_failed + closed_early;
  }
};

/** What the first handshake came to; empty until then. */
struct Negotiated {
  std::string protocol, suite, group, certificate;
};

/** One TLS client connection on a non-blocking socket; a state machine without an event loop. */
class Connection {
 public:
  /** `kMore`: its share of the loop is used up, there may be more to read. `kHeld`, `kDone`, `kFailed`: as named. */
  enum class Wants { kRead, kWrite, kMore, kHeld, kDone, kFailed };

  Connection(const Exchange& exchange, Counters& counters, Latency& latency, Negotiated& negotiated)
      : exchange_(exchange), counters_(counters), latency_(latency), negotiated_(negotiated) {}
  ~Connection() { reset(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /** To be called once for a context whose connections read their own records. */
  static void prepare(SSL_CTX* context);
  /** A session for the connections that come after this one; with TLS 1.3 one per ticket. Takes it. */
  void keep_session(SSL_SESSION* session) { session_.reset(session); }

  /** Starts a TCP connect. `source`: last byte of the 127.0.0.x that it comes from; 0 for any. */
  bool open(SSL_CTX* context, unsigned source);
  /** Goes on until it would block or until `budget` body bytes were read. */
  Wants advance(uint64_t now, std::span<char> buffer, size_t budget);
  void reset();

  [[nodiscard]] int fd() const { return fd_; }
  /** Set on every byte of progress, nanoseconds. */
  [[nodiscard]] uint64_t last_progress() const { return last_progress_; }

  // The event loop's notes about this connection.
  bool watches_write = false;
  bool queued = false;
  bool counted_as_held = false;

 private:
  enum class State { kClosed, kHandshake, kWriting, kHead, kBody, kAwaitClose, kHeld };

  Wants want(int result, uint64_t* counter);
  Wants fail(uint64_t& counter);
  enum class Progress { kPartial, kComplete, kFailed };
  /** Goes on with a response by some plaintext. */
  Progress take(std::span<const char> bytes, Wants& failure);
  /** One recv and the records in it. `blocked`: there is nothing more to read now. */
  Progress receive(std::span<char> buffer, size_t& received, bool& blocked, Wants& failure);
  bool take_head(std::span<const char>& bytes, Wants& failure);
  bool parse_head(std::string_view head, Wants& failure);
  bool take_body(std::span<const char>& bytes, Wants& failure);
  void start_request(uint64_t now);

  const Exchange& exchange_;
  Counters& counters_;
  Latency& latency_;
  Negotiated& negotiated_;
  int fd_ = -1;
  State state_ = State::kClosed;
  std::unique_ptr<SSL, SslFree> ssl_;
  std::unique_ptr<SSL_SESSION, SessionFree> session_;
  std::string server_secret_;
  std::unique_ptr<RecordOpener> opener_;
  /** The beginning of a record whose rest has not come yet. */
  std::string partial_;
  std::string head_;
  uint64_t body_read_ = 0;
  uint64_t started_ = 0;
  uint64_t last_progress_ = 0;
};

}  // namespace bench
