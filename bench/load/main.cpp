// Load for bench/https and bench/handshakes: one thread, one epoll, OpenSSL's client. It decrypts and counts every byte, checks
// status and length of every answer, and reads the servers' CPU time at both ends of the measured interval.
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <vector>

#include "connection.hpp"
#include "options.hpp"
#include "process_time.hpp"

namespace bench {
namespace {

constexpr size_t kReadBuffer = 256 * 1024;
/** Body bytes that one connection may read before the others have their turn. */
constexpr size_t kBudget = 1024 * 1024;
/** Handshakes under way at once in idle mode: peak memory of the server should not be the burst's. */
constexpr unsigned kOpening = 64;
constexpr uint64_t kStalledAfter = 2'000'000'000;
/** With more errors than this and not one answer there is nothing to measure. */
constexpr uint64_t kHopeless = 1000;

uint64_t nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

double own_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct ContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextFree>;

Counters counters;

Context make_context(const Options& options) {
  Context context(SSL_CTX_new(TLS_client_method()));
  bool ok = context != nullptr;
  const int version = options.tls == "1.2" ? TLS1_2_VERSION : TLS1_3_VERSION;
  ok = ok && SSL_CTX_set_min_proto_version(context.get(), version) == 1;
  ok = ok && SSL_CTX_set_max_proto_version(context.get(), version) == 1;
  ok = ok && SSL_CTX_set_cipher_list(context.get(), "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") == 1;
  ok = ok && SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256") == 1;
  // In TLS 1.2 the list also says which curves a certificate may be on (RFC 8422 5.1.1).
  const std::string groups = options.tls == "1.2" && options.group != "P-256" ? options.group + ":P-256" : options.group;
  ok = ok && SSL_CTX_set1_groups_list(context.get(), groups.c_str()) == 1;
  if (!ok) {
    ERR_print_errors_fp(stderr);
    std::exit(1);
  }
  // Sessions are counted (making a ticket is the server's work), and kept only by those who will offer them.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  if (options.resume) {
    SSL_CTX_sess_set_new_cb(context.get(), [](SSL* ssl, SSL_SESSION* session) {
      ++counters.tickets;
      static_cast<Connection*>(SSL_get_app_data(ssl))->keep_session(session);
      return 1;
    });
  } else {
    SSL_CTX_sess_set_new_cb(context.get(), [](SSL*, SSL_SESSION*) {
      ++counters.tickets;
      return 0;
    });
  }
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  if (options.own_records) Connection::prepare(context.get());
  return context;
}

Exchange make_exchange(const Options& options) {
  Exchange exchange;
  exchange.server.sin_family = AF_INET;
  exchange.server.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.host.c_str(), &exchange.server.sin_addr) != 1) {
    std::fprintf(stderr, "load: --host expects an IPv4 address but received '%s'\n", options.host.c_str());
    std::exit(2);
  }
  exchange.server_name = options.server_name;
  exchange.length = options.length;
  exchange.own_records = options.own_records;
  exchange.resume = options.resume;
  exchange.request = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.server_name +
                     "\r\nUser-Agent: socrypt-bench\r\nAccept: */*\r\n";
  if (options.mode == "connect") {
    exchange.request += "Connection: close\r\n";
    exchange.after = AfterResponse::kClose;
  } else if (options.mode == "idle") {
    exchange.after = AfterResponse::kHold;
  }
  exchange.request += "\r\n";
  if (!options.compare.empty() && options.length > 0) {
    const int file = ::open(options.compare.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat facts {};
    if (file < 0 || fstat(file, &facts) != 0 || static_cast<uint64_t>(facts.st_size) != options.length) {
      std::fprintf(stderr, "load: --compare %s: expected a readable file of --length bytes\n", options.compare.c_str());
      std::exit(1);
    }
    void* bytes = mmap(nullptr, options.length, PROT_READ, MAP_PRIVATE, file, 0);
    ::close(file);
    if (bytes != MAP_FAILED) exchange.expected = {static_cast<const char*>(bytes), options.length};
  }
  return exchange;
}

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options), context_(make_context(options)), exchange_(make_exchange(options)) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < options.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(exchange_, counters, latency_, negotiated_));
    }
  }
  ~Load() { ::close(epoll_); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  int run() {
    const bool idle = options_.mode == "idle";
    opened_ = idle ? std::min(kOpening, options_.connections) : options_.connections;
    for (unsigned i = 0; i < opened_; ++i) open(*connections_[i]);
    if (idle) return hold();
    const uint64_t begin = nanoseconds();
    if (options_.requests > 0) {
      start_measuring();
      loop([&](uint64_t now) { return counters.responses < options_.requests && now - begin < 60'000'000'000; });
    } else {
      const auto warmup = static_cast<uint64_t>(options_.warmup * 1e9);
      const auto measured = static_cast<uint64_t>(options_.seconds * 1e9);
      deadline_ = begin + warmup;
      loop([&](uint64_t now) { return now < deadline_; });
      start_measuring();
      deadline_ = started_ + measured;
      loop([&](uint64_t now) { return now < deadline_; });
    }
    report();
    return hopeless() ? 1 : 0;
  }

 private:
  [[nodiscard]] bool hopeless() const { return counters.errors() > kHopeless && counters.responses == 0; }

  void open(Connection& connection) {
    // 127.0.0.2 … 127.0.0.17
    source_ = source_ % 16 + 1;
    connection.watches_write = false;
    if (!connection.open(context_.get(), source_ + 1)) {
      if (options_.mode != "idle") closed_.push_back(&connection);
      return;
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd(), &event);
    step(connection);
  }

  void step(Connection& connection) {
    const auto wants = connection.advance(nanoseconds(), buffer_, kBudget);
    switch (wants) {
      case Connection::Wants::kRead:
      case Connection::Wants::kHeld:
        watch(connection, false);
        if (wants == Connection::Wants::kHeld && !connection.counted_as_held) held(connection);
        break;
      case Connection::Wants::kWrite:
        watch(connection, true);
        break;
      case Connection::Wants::kMore:
        if (!connection.queued) ready_.push_back(&connection);
        connection.queued = true;
        break;
      case Connection::Wants::kDone:
      case Connection::Wants::kFailed:
        if (!hopeless() && options_.mode != "idle") closed_.push_back(&connection);
        break;
    }
  }

  void held(Connection& connection) {
    connection.counted_as_held = true;
    ++held_;
    if (opened_ < options_.connections) open(*connections_[opened_++]);
  }

  void watch(Connection& connection, bool write) {
    if (connection.watches_write == write) return;
    connection.watches_write = write;
    epoll_event event{};
    event.events = write ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd(), &event);
  }

  template <typename Continue>
  void loop(Continue&& go_on) {
    epoll_event events[256];
    for (uint64_t now = nanoseconds(); go_on(now) && !hopeless(); now = nanoseconds()) {
      int timeout = 100;
      if (deadline_ > now) timeout = std::min(timeout, static_cast<int>((deadline_ - now) / 1'000'000 + 1));
      const int count = epoll_wait(epoll_, events, 256, ready_.empty() && closed_.empty() ? timeout : 0);
      for (int i = 0; i < count; ++i) {
        if (auto* connection = static_cast<Connection*>(events[i].data.ptr); connection != nullptr) step(*connection);
      }
      // Connections are closed and queued while stepping: work on what was there, not on what is added.
      working_.clear();
      working_.swap(ready_);
      for (auto* connection : working_) {
        connection->queued = false;
        if (connection->fd() >= 0) step(*connection);
      }
      working_.clear();
      working_.swap(closed_);
      for (auto* connection : working_) open(*connection);
    }
  }

  void start_measuring() {
    latency_.clear();
    before_ = counters;
    started_ = nanoseconds();
    own_before_ = own_seconds();
    servers_before_ = process_seconds(options_.cpu_of);
  }

  void report() {
    const double servers = process_seconds(options_.cpu_of) - servers_before_;
    const double own = own_seconds() - own_before_;
    const uint64_t now = nanoseconds();
    uint64_t stalled = 0;
    for (const auto& connection : connections_) {
      if (connection->fd() >= 0 && now - connection->last_progress() > kStalledAfter) ++stalled;
    }
    print(static_cast<double>(now - started_) * 1e-9, servers, own, stalled);
  }

  void print(double seconds, double servers, double own, uint64_t stalled) const {
    const auto measured = [&](uint64_t Counters::*counter) {
      return static_cast<unsigned long long>(counters.*counter - before_.*counter);
    };
    // Errors count from the start: what goes wrong while warming up is wrong, too.
    const auto whole = [&](uint64_t Counters::*counter) { return static_cast<unsigned long long>(counters.*counter); };
    std::printf("{\"mode\":\"%s\",\"connections\":%u,\"seconds\":%.6f,\"responses\":%llu,\"bodyBytes\":%llu,",
                options_.mode.c_str(), options_.connections, seconds, measured(&Counters::responses),
                measured(&Counters::body_bytes));
    std::printf("\"handshakes\":%llu,\"handshakesResumed\":%llu,", measured(&Counters::handshakes),
                measured(&Counters::resumed));
    std::printf("\"resumed\":%llu,\"tickets\":%llu,\"handshakesInAll\":%llu,", whole(&Counters::resumed),
                whole(&Counters::tickets), whole(&Counters::handshakes));
    std::printf("\"errors\":{\"status\":%llu,\"length\":%llu,\"body\":%llu,\"connect\":%llu,\"tls\":%llu,"
                "\"closedEarly\":%llu,\"stalled\":%llu},",
                whole(&Counters::wrong_status), whole(&Counters::wrong_length), whole(&Counters::wrong_body),
                whole(&Counters::connect_failed), whole(&Counters::tls_failed), whole(&Counters::closed_early),
                static_cast<unsigned long long>(stalled));
    std::printf("\"protocol\":\"%s\",\"suite\":\"%s\",\"group\":\"%s\",\"certificate\":\"%s\",",
                negotiated_.protocol.c_str(), negotiated_.suite.c_str(), negotiated_.group.c_str(),
                negotiated_.certificate.c_str());
    std::printf("\"reader\":\"%s\",", options_.own_records ? record_opener_name() : "SSL_read");
    std::printf("\"latencyMicroseconds\":{\"p50\":%.1f,\"p99\":%.1f},", static_cast<double>(latency_.quantile(0.5)) / 1e3,
                static_cast<double>(latency_.quantile(0.99)) / 1e3);
    std::printf("\"serverCpuSeconds\":%.3f,\"loadCpuSeconds\":%.3f}\n", servers, own);
    std::fflush(stdout);
  }

  int hold() {
    const uint64_t begin = nanoseconds();
    // An error leaves one connection out; the report says how many are held.
    loop([&](uint64_t now) {
      return held_ + counters.errors() < options_.connections && now - begin < 120'000'000'000;
    });
    started_ = begin;
    own_before_ = 0;
    print(static_cast<double>(nanoseconds() - begin) * 1e-9, 0, own_seconds(), options_.connections - held_);
    pollfd end{STDIN_FILENO, POLLIN, 0};
    const uint64_t failed_before = counters.errors();
    loop([&](uint64_t) {
      char discarded[256];
      return poll(&end, 1, 0) == 0 || ::read(STDIN_FILENO, discarded, sizeof discarded) > 0;
    });
    std::printf("{\"lostWhileHeld\":%llu}\n", static_cast<unsigned long long>(counters.errors() - failed_before));
    return 0;
  }

  const Options& options_;
  Context context_;
  Exchange exchange_;
  Latency latency_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> ready_, closed_, working_;
  std::vector<char> buffer_ = std::vector<char>(kReadBuffer);
  Negotiated negotiated_;
  Counters before_;
  unsigned source_ = 0;
  unsigned opened_ = 0;
  unsigned held_ = 0;
  uint64_t deadline_ = 0;
  uint64_t started_ = 0;
  double own_before_ = 0;
  double servers_before_ = 0;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_options(argc, argv);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  bench::Load load(options);
  return load.run();
}
