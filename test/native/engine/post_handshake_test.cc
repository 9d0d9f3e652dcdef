// Handshake messages between the data: those that the control plane sends, and a peer's that never end.
#include <chrono>
#include <random>

#include "harness.hpp"

using namespace harness;
using engine::Counter;
using record::ContentType;

namespace {

const std::string kUserCanceled = std::string("\1\x5a", 2);

void tell(Client& client, const std::string& bytes) { ::send(client.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }

/// As the first byte of a NewSessionTicket, so that no part of it looks like a KeyUpdate.
std::string ticket(size_t size) { return std::string(size, '\4'); }

void endsWithUnexpectedMessage(Client& client) {
  while (client.more()) {
  }
  CHECK(client.lastAlert == 10);
}

}  // namespace

TEST_CASE("tickets go out between the records of a long response, whatever keys are in force") {
  Server server([](EngineOptions& options) { options.recordLimit = 64; });
  // More than sockets hold, so that the engine is in the middle of it when the first one comes.
  constexpr size_t kSize = 40 << 20;
  server.root.write("large", pattern(kSize));
  std::minstd_rand random(7);
  Client client(server);
  client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  std::string sent, body;
  int between = 0;
  size_t nextAt = 0;
  bool headless = false;
  while (body.size() < kSize) {
    // Not more often: while new keys are on their way there is room for a few records only.
    if (client.handshake.size() == sent.size() && body.size() >= nextAt) {
      nextAt += 4 << 20;
      const std::string content = ticket(1 + random() % 900);
      sent += content;
      server.submit(Message(Down::PostSend, server.lastConnection).string(content));
    }
    const size_t before = client.handshake.size();
    REQUIRE(client.more());
    if (client.handshake.size() != before && !body.empty()) ++between;
    body += client.takePlain();
    if (!headless) {
      const size_t end = body.find("\r\n\r\n");
      headless = end != std::string::npos;
      if (headless) body.erase(0, end + 4);
    }
  }
  CHECK(body == pattern(kSize));
  CHECK(client.get("/none").status == 404);
  CHECK(client.handshake == sent);
  CHECK(between >= 1);
  CHECK(client.keyUpdates >= 40);
  // One that was made behind the last record comes before the next.
  CHECK(eventually([&] { return client.get("/none").status == 404 && server.counter(Counter::rekeys_tx) == static_cast<uint64_t>(client.keyUpdates); }));
}

TEST_CASE("handshake content of more than a record is several records with nothing between them") {
  Server server;
  server.root.write("f", pattern(2000));
  Client client(server);
  server.submit(Message(Down::PostSend, server.lastConnection).string(ticket(40'000)));
  CHECK(client.get("/f").body == pattern(2000));
  CHECK(client.handshake == ticket(40'000));
  REQUIRE(client.sizes.size() >= 3);
  CHECK(client.sizes[0] == 16384);
  CHECK(client.sizes[1] == 16384);
  CHECK(client.sizes[2] == 40'000 - 2 * 16384);
}

TEST_CASE("handshake content that is none, or too long for the engine, ends the connection") {
  for (const size_t size : {size_t{0}, size_t{17 * 16384}}) {
    Server server;
    Client client(server);
    server.submit(Message(Down::PostSend, server.lastConnection).string(ticket(size)));
    CHECK_FALSE(client.more());
    CHECK(client.lastAlert == 80);
    CHECK(client.handshake.empty());
  }
}

TEST_CASE("Floods: thirty-two KeyUpdates without data are taken, one more is not") {
  Server server;
  server.root.write("f", "x");
  Client client(server);
  for (int i = 0; i < 32; ++i) client.updateKey();
  CHECK(client.get("/f").status == 200);
  CHECK(server.postHandshakes == 32);
  Client another(server);
  for (int i = 0; i < 33; ++i) another.updateKey();
  endsWithUnexpectedMessage(another);
  CHECK(server.postHandshakes == 64);
}

TEST_CASE("Floods: KeyUpdates with a byte of data between any two are taken at the rate of their credit") {
  Server server;
  const auto begin = std::chrono::steady_clock::now();
  Client client(server);
  // One byte of a request at a time, so that the data is real and nothing is answered.
  const std::string request = "GET /" + std::string(400, 'x');
  for (size_t i = 0; i < 200; ++i) {
    tell(client, client.sealed(request.substr(i, 1)));
    tell(client, client.sealed(std::string("\x18\0\0\1\0", 5), ContentType::Handshake));
    client.nextKey();
  }
  endsWithUnexpectedMessage(client);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin).count();
  CHECK(server.postHandshakes >= 32);
  CHECK(server.postHandshakes <= 32 + seconds + 1);
}

TEST_CASE("empty records, user_canceled and KeyUpdates count together") {
  Server server;
  server.root.write("f", "x");
  Client client(server);
  const auto step = [&](Client& c, int i) {
    // At most four of the alerts: they have a limit of their own.
    if (i % 8 == 0)
      tell(c, c.sealed(kUserCanceled, ContentType::Alert));
    else if (i % 2 == 0)
      tell(c, c.sealed(""));
    else
      c.updateKey();
  };
  for (int i = 0; i < 32; ++i) step(client, i);
  CHECK(client.get("/f").status == 200);
  for (int i = 0; i < 32; ++i) step(client, 2);
  CHECK(client.get("/f").status == 200);
  Client another(server);
  for (int i = 0; i < 33; ++i) step(another, i == 32 ? 2 : i);
  endsWithUnexpectedMessage(another);
}

TEST_CASE("user_canceled is a warning, of which there may be four") {
  Server server;
  server.root.write("f", "x");
  Client client(server);
  for (int i = 0; i < 4; ++i) tell(client, client.sealed(kUserCanceled, ContentType::Alert));
  CHECK(client.get("/f").status == 200);
  for (int i = 0; i < 5; ++i) tell(client, client.sealed(kUserCanceled, ContentType::Alert));
  endsWithUnexpectedMessage(client);
}

TEST_CASE("a KeyUpdate that meets a full ring waits for room") {
  Server server;
  server.root.write("f", "x");
  std::vector<std::unique_ptr<Client>> fillers;
  for (int i = 0; i < 24; ++i) fillers.push_back(std::make_unique<Client>(server));
  Client client(server);
  server.stalled = true;
  int n = 0;
  for (const auto& filler : fillers)
    filler->send("GET /filler" + std::to_string(n++) + " HTTP/1.1\r\nHost: h\r\nX: " + std::string(15'000, 'x') + "\r\n\r\n");
  REQUIRE(eventually([&] { return server.counter(Counter::ring_full) > 0; }));
  const uint64_t full = server.counter(Counter::ring_full);
  const uint64_t opened = server.total(Counter::records_opened);
  // Small messages still find room: as many as it takes until one does not.
  for (int i = 0; i < 8; ++i) tell(client, client.sealed(std::string("\4\0\x3f\xfc", 4) + std::string(16'380, 'x'), ContentType::Handshake));
  REQUIRE(eventually([&] { return server.counter(Counter::ring_full) > full && server.total(Counter::records_opened) > opened; }));
  client.updateKey();
  server.stalled = false;
  CHECK(client.get("/f").status == 200);
  CHECK(server.postHandshakes == 9);
  for (const auto& filler : fillers) CHECK(filler->receive().status == 404);
}
