// Connections under keys of TLS 1.2: other records, no KeyUpdate, alerts that are warnings, and no renegotiation.
#include "harness.hpp"

using namespace harness;
using engine::Counter;
using record::ContentType;
using record::Suite;

namespace {

constexpr Suite kSuites[] = {Suite::EcdheEcdsaAes128GcmSha256,      Suite::EcdheEcdsaAes256GcmSha384,
                             Suite::EcdheRsaAes128GcmSha256,        Suite::EcdheRsaAes256GcmSha384,
                             Suite::EcdheRsaChaCha20Poly1305Sha256, Suite::EcdheEcdsaChaCha20Poly1305Sha256};

const std::string kWarning = std::string("\1\x5a", 2);  // user_canceled
const std::string kClientHello = std::string("\1\0\0\x64", 4) + std::string(100, 'h');
const std::string kNoRenegotiation = "\1\x64";

struct Fixture {
  explicit Fixture(const std::function<void(EngineOptions&)>& adjust = {}, Suite suite = kSuites[0]) : server(adjust) {
    server.suite = suite;
    server.root.write("f", pattern(3000));
  }
  Server server;
};

void alert(Client& client, const std::string& content) { client.sendRaw(client.sealed(content, ContentType::Alert)); }
void handshake(Client& client, const std::string& content) { client.sendRaw(client.sealed(content, ContentType::Handshake)); }

/// The engine ends the connection with this alert, of level fatal, and sends nothing before it.
void endsWith(Client& client, int description) {
  CHECK_FALSE(client.more());
  CHECK(client.lastAlert == description);
  REQUIRE_FALSE(client.alerts.empty());
  CHECK(client.alerts.back()[0] == 2);
  CHECK_FALSE(client.more());
  CHECK(client.ended);
}

}  // namespace

TEST_CASE("TLS 1.2: files of all sizes under every suite") {
  for (const Suite suite : kSuites) {
    CAPTURE(static_cast<int>(suite));
    Fixture f({}, suite);
    f.server.root.write("large", pattern(3'000'000, 5));
    Client client(f.server, "GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(client.receive().body == pattern(3000));
    CHECK(client.get("/large").body == pattern(3'000'000, 5));
    CHECK(client.get("/none").status == 404);
    alert(client, std::string("\1\0", 2));
    CHECK_FALSE(client.more());
    CHECK(client.alerts == std::vector<std::string>{std::string("\1\0", 2)});
    CHECK(f.server.counter(Counter::rekeys_tx) == 0);
  }
}

TEST_CASE("TLS 1.2: a key near its limit makes a response the last one") {
  Fixture f([](EngineOptions& options) { options.recordLimit = 40; });
  Client client(f.server);
  int answers = 0;
  for (bool last = false; !last; ++answers) {
    const Answer answer = client.get("/f");
    REQUIRE(answer.body == pattern(3000));
    last = answer.head.find("Connection: close\r\n") != std::string::npos;
  }
  // Half of the limit is left then; the first record has number 1.
  CHECK(answers == 20);
  CHECK_FALSE(client.more());
  CHECK(client.lastAlert == 0);
  client.hangUp();
  CHECK(eventually([&] { return f.server.counter(Counter::closed_key_limit) == 1; }));
}

TEST_CASE("TLS 1.2: at the limit of its key a connection ends with close_notify, in mid-response if need be") {
  Fixture f([](EngineOptions& options) { options.recordLimit = 40; });
  f.server.root.write("large", pattern(4 << 20));
  Client client(f.server);
  client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.receive().status == 0);
  CHECK(client.lastAlert == 0);
  CHECK_FALSE(client.more());
  CHECK(client.ended);
  // All records, the alert among them, are below the limit.
  CHECK(client.sizes.size() < 40);
  CHECK(client.sizes.size() > 25);
  client.hangUp();
  CHECK(eventually([&] { return f.server.counter(Counter::closed_key_limit) == 1; }));
}

TEST_CASE("Renegotiation: a client of TLS 1.2 that asks for it is refused once, and closed when it asks again") {
  SUBCASE("with a ClientHello, in one record or in several") {
    for (const size_t split : {kClientHello.size(), size_t{4}, size_t{50}}) {
      Fixture f;
      Client client(f.server);
      handshake(client, kClientHello.substr(0, split));
      if (split < kClientHello.size()) handshake(client, kClientHello.substr(split));
      CHECK(client.get("/f").body == pattern(3000));
      CHECK(client.alerts == std::vector{kNoRenegotiation});
      handshake(client, kClientHello);
      endsWith(client, 10);
      CHECK(f.server.postHandshakes == 0);
    }
  }
  SUBCASE("twice in one record") {
    Fixture f;
    Client client(f.server);
    handshake(client, kClientHello + kClientHello);
    endsWith(client, 10);
    CHECK(client.alerts.front() == kNoRenegotiation);
  }
  SUBCASE("while a response is on its way") {
    Fixture f;
    f.server.root.write("large", pattern(8 << 20));
    Client client(f.server);
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    REQUIRE(client.more());
    handshake(client, kClientHello);
    CHECK(client.receive().body == pattern(8 << 20));
    CHECK(client.get("/f").status == 200);
    CHECK(client.alerts == std::vector{kNoRenegotiation});
  }
}

TEST_CASE("TLS 1.2: no other handshake message has a place after the handshake") {
  const std::string messages[] = {
      std::string("\x18\0\0\1\0", 5),             // KeyUpdate
      std::string("\x14\0\0\x0c", 4) + "finished....",
      std::string("\1\0\0", 3),                   // less than a header
      std::string("\1\1\0\1", 4) + "too long",    // a ClientHello of more than 64 KB
      std::string("\0\0\0\0\x0b\0\0\0", 8),       // HelloRequest, and a Certificate behind it
  };
  for (const auto& message : messages) {
    CAPTURE(static_cast<int>(message[0]));
    Fixture f;
    Client client(f.server);
    handshake(client, message);
    endsWith(client, 10);
  }
}

TEST_CASE("TLS 1.2: change_cipher_spec after the handshake is unexpected") {
  for (const bool sealed : {false, true}) {
    Fixture f;
    Client client(f.server);
    client.sendRaw(sealed ? client.sealed("\1", ContentType::ChangeCipherSpec) : std::string("\x14\3\3\0\1\1", 6));
    endsWith(client, 10);
  }
}

TEST_CASE("TLS 1.2: four warnings are read over, a fifth is too many, and data between them starts anew") {
  Fixture f;
  Client client(f.server);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 4; ++i) alert(client, kWarning);
    CHECK(client.get("/f").status == 200);
  }
  for (int i = 0; i < 5; ++i) alert(client, kWarning);
  endsWith(client, 10);
}

TEST_CASE("TLS 1.2: alerts that are none, and one that is fatal") {
  for (const auto& [content, description] : {std::pair{std::string("\3\x28", 2), 47}, {std::string("\1", 1), 50}, {std::string("\1\x5a\1\x5a", 4), 50}}) {
    Fixture f;
    Client client(f.server);
    alert(client, content);
    endsWith(client, description);
  }
  Fixture f;
  Client client(f.server);
  alert(client, "\2\x28");
  CHECK_FALSE(client.more());
  CHECK(client.alerts.empty());
}

TEST_CASE("TLS 1.2: what belongs to TLS 1.3 ends the connection when the control plane says it") {
  for (const bool update : {false, true}) {
    Fixture f;
    Client client(f.server);
    record::TrafficKeys keys;
    fillKeys(keys, 9, kSuites[0]);
    keys.epoch = 1;
    const uint64_t id = f.server.lastConnection;
    f.server.submit(update ? std::move(Message(Down::TxUpdate, id).number<uint8_t>(0).string("update").keys(keys).string("blob"))
                           : std::move(Message(Down::PostSend, id).string("ticket")));
    endsWith(client, 80);
  }
}
