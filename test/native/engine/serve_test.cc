// An engine on a real socket: requests, responses, records, and files that change underneath.
#include <sys/mman.h>

#include "harness.hpp"

using namespace harness;
using engine::Counter;

TEST_CASE("files of every size around a record come back byte for byte, and hits never ask again") {
  Server server;
  const size_t sizes[] = {0, 1, 1000, 4095, 4096, 4097, 16383, 16384, 16385, 65536, 65537, 262144, 1 << 20, 5'000'001};
  for (const size_t size : sizes) server.root.write(std::to_string(size), pattern(size, static_cast<uint32_t>(size)));
  Client client(server);
  for (int round = 0; round < 3; ++round)
    for (const size_t size : sizes) {
      CAPTURE(size);
      const Answer answer = client.get("/" + std::to_string(size));
      REQUIRE(answer.status == 200);
      REQUIRE(answer.body == pattern(size, static_cast<uint32_t>(size)));
    }
  CHECK(server.resolved == static_cast<int>(std::size(sizes)));
}

TEST_CASE("the first records of a response are small, the rest are full") {
  Server server;
  server.root.write("big", pattern(200'000));
  Client client(server);
  REQUIRE(client.get("/big").status == 200);
  REQUIRE(client.sizes.size() > 10);
  CHECK(client.sizes[0] <= engine::kSmallPayload);
  CHECK(client.sizes[1] <= engine::kSmallPayload);
  CHECK(client.sizes[6] == record::kMaxPlaintext);
}

TEST_CASE("no record is longer than the peer's limit") {
  Server server;
  server.root.write("big", pattern(60'000));
  for (const uint32_t limit : {63u, 64u, 1000u, 16383u}) {
    CAPTURE(limit);
    server.maxFragment = limit;
    Client client(server);
    const Answer answer = client.get("/big");
    REQUIRE(answer.status == 200);
    REQUIRE(answer.body == pattern(60'000));
    CHECK(*std::max_element(client.sizes.begin(), client.sizes.end()) == limit);
  }
}

TEST_CASE("Switch-over races: records that arrived with the end of the handshake are served") {
  Server server;
  server.root.write("a", "early");
  Client client(server, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.receive().body == "early");
}

TEST_CASE("pipelined requests are answered in order, and small answers share records") {
  Server server;
  for (int i = 0; i < 8; ++i) server.root.write(std::to_string(i), pattern(static_cast<size_t>(100 + i), static_cast<uint32_t>(i)));
  server.root.write("big", pattern(3'000'000));
  Client client(server);
  for (int i = 0; i < 8; ++i) REQUIRE(client.get("/" + std::to_string(i)).status == 200);
  client.sizes.clear();
  std::string all;
  for (int i = 0; i < 8; ++i) all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  client.send(all);
  for (int i = 0; i < 8; ++i) CHECK(client.receive().body == pattern(static_cast<size_t>(100 + i), static_cast<uint32_t>(i)));
  CHECK(client.sizes.size() == 1);
  // A large one between small ones, and misses in between.
  client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /big HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\nHEAD /big HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.receive().body == pattern(101, 1));
  CHECK(client.receive().body == pattern(3'000'000));
  CHECK(client.receive().status == 404);
  const Answer head = client.receive(true);
  CHECK(head.status == 200);
  CHECK(head.head.find("Content-Length: 3000000\r\n") != std::string::npos);
}

TEST_CASE("a request split over many records and writes is one request") {
  Server server;
  server.root.write("a", "x");
  Client client(server);
  const std::string request = "GET /a HTTP/1.1\r\nHost: localhost\r\nX-Padding: 0123456789\r\n\r\n";
  for (const char c : request) client.sendRaw(client.sealed(std::string_view(&c, 1)));
  CHECK(client.receive().body == "x");
  const std::string wire = client.sealed(request);
  for (const char c : wire) client.sendRaw(std::string_view(&c, 1));
  CHECK(client.receive().body == "x");
}

TEST_CASE("conditions and ranges") {
  Server server;
  server.root.write("f", pattern(100'000));
  Client client(server);
  CHECK(client.get("/f", "If-None-Match: \"x\", \"etag-100000\"\r\n").status == 304);
  const Answer part = client.get("/f", "Range: bytes=1000-1999\r\n");
  CHECK(part.status == 206);
  CHECK(part.body == pattern(100'000).substr(1000, 1000));
  CHECK(part.head.find("Content-Range: bytes 1000-1999/100000\r\n") != std::string::npos);
  CHECK(client.get("/f", "Range: bytes=-5\r\n").body == pattern(100'000).substr(99'995));
  const Answer beyond = client.get("/f", "Range: bytes=100000-\r\n");
  CHECK(beyond.status == 416);
  CHECK(beyond.head.find("Content-Range: bytes */100000\r\n") != std::string::npos);
}

TEST_CASE("a file that is replaced is seen; one that appears is seen; one that goes is seen") {
  Server server;
  server.root.write("a", "first");
  Client client(server);
  CHECK(client.get("/a").body == "first");
  CHECK(client.get("/b").status == 404);
  server.root.write("n", "second, longer");
  std::filesystem::rename(server.root.path / "n", server.root.path / "a");
  server.root.write("b", "new");
  CHECK(client.get("/a").body == "second, longer");
  CHECK(client.get("/b").body == "new");
  std::filesystem::remove(server.root.path / "a");
  CHECK(client.get("/a").status == 404);
}

TEST_CASE("a file that shrinks or changes during a transfer ends the connection with an alert") {
  for (const bool shrink : {true, false}) {
    CAPTURE(shrink);
    Server server;
    const size_t size = 64 << 20;
    server.root.write("f", pattern(size));
    Client client(server);
    client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    REQUIRE(client.more());
    if (shrink) std::filesystem::resize_file(server.root.path / "f", size / 2);
    else server.root.write("f", pattern(size, 9));
    size_t received = 0;
    while (client.more()) received += client.sizes.back();
    CHECK(received < size);
    CHECK(client.lastAlert == 80);  // internal_error
    Client again(server);
    CHECK(again.get("/f").status == 200);
    client.hangUp();
    CHECK(eventually([&] { return server.counter(Counter::closed_file_changed) == 1; }));
    CHECK(server.counter(Counter::closed_error) == 0);
  }
}

TEST_CASE("a reader that stalls holds little memory and gets the rest later") {
  Server server;
  server.root.write("f", pattern(32 << 20));
  Client client(server);
  client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(client.more());
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  // A burst of sixteen records; what an accelerator has in flight comes back all the same.
  const bool inFlight = std::getenv("SOCRYPT_TEST_OFFLOAD") != nullptr;
  const uint64_t most = inFlight ? engine::AcceleratorOptions().recordsInFlight * record::kMaxRecord + 40'000 : 300'000;
  CHECK(server.counter(Counter::buffer_bytes_used) < most);
  const Answer answer = client.receive();
  CHECK(answer.status == 200);
  CHECK(answer.body == pattern(32 << 20));
}

TEST_CASE("keys are renewed before their limit, in the middle of a response") {
  Server server([](EngineOptions& options) { options.recordLimit = 64; });
  server.root.write("f", pattern(8 << 20));
  Client client(server);
  const Answer answer = client.get("/f");
  CHECK(answer.status == 200);
  CHECK(answer.body == pattern(8 << 20));
  CHECK(client.keyUpdates >= 8);
  CHECK(server.counter(Counter::rekeys_tx) >= 8);
}

TEST_CASE("records that do not open get the alert that RFC 8446 asks for") {
  Server server;
  Client tampered(server);
  std::string wire = tampered.sealed("GET / HTTP/1.1\r\n\r\n");
  wire.back() = static_cast<char>(wire.back() ^ 1);
  tampered.sendRaw(wire);
  CHECK_FALSE(tampered.more());
  CHECK(tampered.lastAlert == 20);

  Client oversized(server);
  oversized.sendRaw(std::string("\x17\x03\x03\x41\x01", 5) + std::string(1000, 'x'));
  CHECK_FALSE(oversized.more());
  CHECK(oversized.lastAlert == 22);

  Client wrongType(server);
  wrongType.sendRaw(std::string("\x14\x03\x03\x00\x01\x01", 6));
  CHECK_FALSE(wrongType.more());
  CHECK(wrongType.lastAlert == 10);
}

TEST_CASE("bad requests are answered and the connection closed with close_notify") {
  Server server([](EngineOptions& options) { options.http = {1024, 256, 50}; });
  const std::pair<std::string, int> cases[] = {
      {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},
      {"GET /" + std::string(300, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(2000, 'a') + "\r\n\r\n", 431},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
  };
  for (const auto& [text, status] : cases) {
    Client client(server);
    client.send(text);
    CHECK(client.receive().status == status);
    CHECK_FALSE(client.more());
    CHECK(client.lastAlert == 0);
  }
  Client client(server);
  client.send("POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.receive().status == 404);
  CHECK(client.receive().status == 404);
}

TEST_CASE("slow heads get 408; idle connections are closed; plain HTTP is told so") {
  Server server([](EngineOptions& options) { options.headerTimeoutNs = options.keepAliveTimeoutNs = 100'000'000; });
  server.root.write("a", "x");
  Client slow(server);
  slow.send("GET / HT");
  CHECK(slow.receive().status == 408);
  Client idle(server);
  CHECK(idle.get("/a").status == 200);
  CHECK_FALSE(idle.more());
  CHECK(idle.lastAlert == 0);

  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(server.port());
  REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  REQUIRE(::send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(fd);
  CHECK(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
  CHECK(text.find("HTTPS") != std::string::npos);
}

TEST_CASE("connections over the limit are refused and counted; a drain answers what is under way") {
  Server server([](EngineOptions& options) { options.maxConnections = 2; });
  server.root.write("f", pattern(16 << 20));
  server.root.write("a", "x");
  Client one(server), two(server);
  CHECK(two.get("/a").status == 200);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(server.port());
  REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  char byte;
  CHECK(recv(fd, &byte, 1, 0) <= 0);
  close(fd);
  CHECK(server.counter(Counter::connections_rejected_limit) == 1);

  one.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(one.more());
  server.engine().drain(20'000'000'000);
  CHECK_FALSE(two.more());
  CHECK(two.lastAlert == 0);
  const Answer answer = one.receive();
  CHECK(answer.body == pattern(16 << 20));
}

TEST_CASE("clients that reset in mid-transfer leave nothing behind") {
  Server server;
  server.root.write("f", pattern(4 << 20));
  for (int i = 0; i < 50; ++i) {
    Client client(server);
    client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    if (i % 2 == 0) client.more();
    const linger reset{1, 0};
    setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  CHECK(eventually([&] { return server.total(Counter::tls_active) == 0; }));
  CHECK(eventually([&] { return server.counter(Counter::buffer_bytes_used) == 0; }));
  CHECK(server.counter(Counter::requests_in_flight) == 0);
}

TEST_CASE("an entry that never holds is answered with 503, not asked for without end") {
  Server server;
  std::filesystem::create_directory(server.root.path / "d");
  Client client(server);
  // The harness opens it like a file; reading it fails.
  CHECK(client.get("/d").status == 503);
  CHECK(server.resolved <= 6);
}

TEST_CASE("several ranges of a file that the control plane only names are answered with the whole file") {
  Server server;
  server.root.write("f", pattern(1000));
  Client client(server);
  const Answer answer = client.get("/f", "Range: bytes=0-1,5-6\r\n");
  CHECK(answer.status == 200);
  CHECK(answer.body == pattern(1000));
  CHECK(server.resolved <= 6);
}

namespace {

/// Puts a file out of the page cache; false where the file system keeps it there (tmpfs). Looked at with
/// mincore, since a read, even one that does not wait, would start to bring it back.
bool chill(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  fsync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  const size_t size = std::filesystem::file_size(path);
  std::vector<unsigned char> pages((size + 4095) / 4096);
  void* const map = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  bool cold = map != MAP_FAILED && mincore(map, size, pages.data()) == 0;
  for (const auto page : pages) cold = cold && (page & 1) == 0;
  if (map != MAP_FAILED) munmap(map, size);
  close(fd);
  return cold;
}

}  // namespace

TEST_CASE("a file that is not in the page cache is read elsewhere, and comes whole") {
  Server server;
  Client client(server);
  uint64_t before = 0;
  for (const size_t size : {size_t{5000}, size_t{8 << 20}}) {
    const std::string name = std::to_string(size);
    server.root.write(name, pattern(size));
    if (!chill(server.root.path / name)) {
      MESSAGE("not shown: this file system keeps every page in memory");
      return;
    }
    CHECK(client.get("/" + name).body == pattern(size));
    CHECK(server.counter(Counter::cold_reads) > before);
    before = server.counter(Counter::cold_reads);
  }
}
