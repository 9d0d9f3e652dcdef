// Peers that stall, vanish and lie, and a control plane that is away: what they leave behind.
#include <sys/syscall.h>

#include <ctime>
#include <random>

#include "harness.hpp"

using namespace harness;
using engine::Counter;

namespace {

constexpr uint64_t kMs = 1'000'000;

/// Every gauge is back at zero, and every connection ended for one reason.
void checkBooks(Server& server) {
  constexpr Counter gauges[] = {Counter::connections_handshake, Counter::connections_idle,    Counter::connections_reading,
                                Counter::connections_writing,   Counter::connections_draining, Counter::requests_in_flight,
                                Counter::buffer_bytes_used};
  CHECK(eventually([&] { return server.total(Counter::tls_active) == 0; }));
  for (const Counter gauge : gauges) {
    CAPTURE(static_cast<int>(gauge));
    CHECK(eventually([&] { return server.counter(gauge) == 0; }));
  }
  uint64_t closed = 0;
  for (auto which = static_cast<int>(Counter::closed_client); which <= static_cast<int>(Counter::closed_key_limit); ++which)
    closed += server.counter(static_cast<Counter>(which));
  CHECK(closed == server.counter(Counter::connections_accepted) - server.counter(Counter::connections_rejected_limit) -
                      server.counter(Counter::connections_rejected_fd));
}

int connectTo(const Server& server) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(server.port());
  REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  return fd;
}

/// A descriptor of the test's own for the engine's end of `client`, which lives in this process as well.
int otherEnd(int client) {
  sockaddr_in mine{};
  socklen_t length = sizeof mine;
  REQUIRE(getsockname(client, reinterpret_cast<sockaddr*>(&mine), &length) == 0);
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_in peer{};
    length = sizeof peer;
    if (fd != client && getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0 && peer.sin_family == AF_INET &&
        peer.sin_port == mine.sin_port)
      // Not by dup(): ThreadSanitizer would take the engine's close() for a race with it.
      return static_cast<int>(syscall(SYS_dup, fd));
  }
  return -1;
}

void smallBuffers(int fd) {
  const int small = 16384;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

bool someDescriptorIs(const std::filesystem::path& path) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    if (std::filesystem::read_symlink(entry.path(), ignored).string().starts_with(path.string())) return true;
  }
  return false;
}

/// A request that takes 15 KB of the ring, for a path that nobody knows.
std::string large(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: h\r\nX: " + std::string(15'000, 'x') + "\r\n\r\n";
}

/// Fills the ring to the control plane, which has to be away.
void fillRing(Server& server, std::vector<std::unique_ptr<Client>>& fillers) {
  int n = 0;
  for (const auto& filler : fillers) filler->send(large("/filler" + std::to_string(n++)));
  REQUIRE(eventually([&] { return server.counter(Counter::ring_full) > 0; }));
}

std::vector<std::unique_ptr<Client>> connectFillers(Server& server) {
  std::vector<std::unique_ptr<Client>> fillers;
  for (int i = 0; i < 24; ++i) fillers.push_back(std::make_unique<Client>(server));
  return fillers;
}

}  // namespace

TEST_CASE("a peer that never reads cannot hold a connection whose close_notify does not fit into the socket") {
  Server server([](EngineOptions& options) {
    options.keepAliveTimeoutNs = 500 * kMs;
    options.writeTimeoutNs = 100 * kMs;
  });
  server.root.write("a", "x");
  Client client(server);
  CHECK(client.get("/a").status == 200);
  const int other = otherEnd(client.fd());
  REQUIRE(other >= 0);
  smallBuffers(client.fd());
  smallBuffers(other);
  // Bytes that nobody reads, so that they need not be records. Until the engine meets a full socket, since
  // what the kernel still moves between its buffers makes room again.
  const std::string junk(65536, 'x');
  while (server.counter(Counter::backpressure_eagain) == 0 && server.counter(Counter::connections_draining) == 0)
    for (const size_t size : {junk.size(), size_t{1}})
      while (::send(other, junk.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
      }
  close(other);
  checkBooks(server);
  CHECK(server.counter(Counter::backpressure_eagain) > 0);
}

TEST_CASE("a handshake flight that the socket does not take at once arrives whole") {
  Server server;
  server.flight = pattern(16 << 20);
  const int fd = connectTo(server);
  REQUIRE(::send(fd, "\x16", 1, MSG_NOSIGNAL) == 1);
  REQUIRE(eventually([&] { return server.counter(Counter::buffer_bytes_used) > 0; }));
  std::string received(server.flight.size(), '\0');
  const timeval patience{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  CHECK(recv(fd, received.data(), received.size(), MSG_WAITALL) == static_cast<ssize_t>(received.size()));
  CHECK(received == server.flight);
  close(fd);
  checkBooks(server);
}

TEST_CASE("a response that was given up keeps no file open") {
  Server server;
  server.root.write("f", pattern(64 << 20));
  Client client(server);
  client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(client.more());
  std::filesystem::resize_file(server.root.path / "f", 1000);
  while (client.more()) {
  }
  CHECK(client.lastAlert == 80);
  client.hangUp();
  checkBooks(server);
  CHECK(eventually([&] { return !someDescriptorIs(server.root.path / "f"); }));
}

TEST_CASE("new keys are asked for once, also when a request does not fit into the ring meanwhile") {
  // 16 records leave less than half: new keys are asked for with the first batch.
  Server server([](EngineOptions& options) { options.recordLimit = 30; });
  server.root.write("f", pattern(290'000));
  Client client(server);
  smallBuffers(client.fd());
  const int other = otherEnd(client.fd());
  smallBuffers(other);
  close(other);
  auto fillers = connectFillers(server);
  const std::string first = "GET /f HTTP/1.1\r\nHost: h\r\n\r\n";
  {
    Client warm(server);
    warm.send("HEAD /f HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(warm.receive(true).status == 200);
  }
  server.stalled = true;
  client.send(first + large("/none"));
  REQUIRE(eventually([&] { return server.counter(Counter::backpressure_eagain) > 0; }));
  fillRing(server, fillers);
  CHECK(client.receive().body == pattern(290'000));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server.stalled = false;
  CHECK(client.receive().status == 404);
  for (const auto& filler : fillers) CHECK(filler->receive().status == 404);
  CHECK(client.get("/none").status == 404);
  CHECK(client.keyUpdates == 1);
}

TEST_CASE("a request before a half-close is answered, however long the control plane was away") {
  Server server;
  auto fillers = connectFillers(server);
  Client client(server);
  server.stalled = true;
  fillRing(server, fillers);
  const uint64_t full = server.counter(Counter::ring_full);
  const std::string request = client.sealed(large("/none"));
  client.sendRaw(request + client.sealed(std::string("\1\0", 2), record::ContentType::Alert));
  REQUIRE(eventually([&] { return server.counter(Counter::ring_full) > full; }));
  shutdown(client.fd(), SHUT_WR);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server.stalled = false;
  CHECK(client.receive().status == 404);
  for (const auto& filler : fillers) CHECK(filler->receive().status == 404);
  fillers.clear();
  client.hangUp();
  checkBooks(server);
}

TEST_CASE("a drain whose time is over leaves the engine asleep") {
  Server server;
  const auto cpu = [] {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  };
  Client client(server);
  server.engine().drain(kMs);
  checkBooks(server);
  const uint64_t before = cpu();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  CHECK(cpu() - before < 200 * kMs);
}

TEST_CASE("whatever peers do, and with a control plane that comes and goes, nothing is left behind") {
  const char* const given = std::getenv("SOCRYPT_TEST_SEED");
  const auto seed = given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  MESSAGE("seed ", seed);
  std::minstd_rand random(seed);
  Server server([](EngineOptions& options) {
    options.handshakeTimeoutNs = options.headerTimeoutNs = options.keepAliveTimeoutNs = options.writeTimeoutNs = 300 * kMs;
    options.recordLimit = 64;
    options.http.maxHeaderBytes = 16384;
  });
  server.root.write("small", pattern(3000));
  server.root.write("large", pattern(3 << 20));
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<int> raw;
  const auto reset = [](int fd) {
    const linger at{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at, sizeof at);
  };
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 6; ++i) clients.push_back(std::make_unique<Client>(server));
    server.stalled = random() % 4 == 0;
    for (int i = 0; i < 3; ++i) {
      raw.push_back(connectTo(server));
      const std::string bytes = random() % 3 == 0 ? "GET / HTTP/1.1\r\n\r\n" : std::string("\x16", 1);
      if (random() % 3 != 0) ::send(raw.back(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    for (auto& client : clients) {
      const auto tell = [&](const std::string& bytes) { ::send(client->fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT); };
      switch (random() % 10) {
        case 0: tell(client->sealed(large("/none" + std::to_string(random() % 50)))); break;
        case 1: tell(client->sealed("GET /large HTTP/1.1\r\nHost: h\r\n\r\nGET /small HTTP/1.1\r\nHost: h\r\n\r\n")); break;
        case 2: tell(client->sealed("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\nhalf")); break;
        case 3: tell(client->sealed("GET /small HTTP/1.1\r\nHo")); break;
        case 4: tell(client->sealed(std::string("\x18\0\0\1\1", 5), record::ContentType::Handshake)); break;
        case 5: tell(client->sealed(std::string("\1\0", 2), record::ContentType::Alert)); break;
        case 6: tell(std::string("\x17\3\3\0\x20", 5) + std::string(32, 'x')); break;
        case 7: shutdown(client->fd(), SHUT_WR); break;
        case 8: reset(client->fd()); [[fallthrough]];
        default: client.reset(); break;
      }
    }
    std::erase_if(clients, [](const auto& client) { return client == nullptr; });
    if (random() % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(random() % 40));
    if (round % 7 == 6) {
      clients.clear();
      for (const int fd : raw) {
        if (random() % 2 == 0) reset(fd);
        close(fd);
      }
      raw.clear();
    }
    server.stalled = false;
  }
  // Those that stay, stay silent: their deadlines end them.
  checkBooks(server);
  clients.clear();
  for (const int fd : raw) close(fd);
}
