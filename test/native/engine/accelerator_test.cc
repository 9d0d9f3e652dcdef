// Records sealed and opened by drivers on other threads: what a peer sees is what it sees of software, whatever the
// drivers do.
#include <algorithm>
#include <random>

#include "harness.hpp"

using namespace harness;
using engine::Counter;
using engine::PathKind;
using record::Suite;

namespace {

uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("SOCRYPT_TEST_SEED");
    const uint64_t chosen = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("seed: SOCRYPT_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return value;
}

constexpr Suite kSuites[] = {Suite::Aes128GcmSha256,           Suite::Aes256GcmSha384,
                             Suite::ChaCha20Poly1305Sha256,    Suite::EcdheEcdsaAes128GcmSha256,
                             Suite::EcdheRsaAes256GcmSha384,   Suite::EcdheRsaChaCha20Poly1305Sha256};

/// Nothing is left of connections, and no buffer is in use.
void checkEmpty(const Server& server) {
  CHECK(eventually([&] { return server.counter(Counter::tls_active, PathKind::Accelerator) == 0; }));
  CHECK(eventually([&] { return server.counter(Counter::buffer_bytes_used) == 0; }));
  CHECK(server.counter(Counter::requests_in_flight) == 0);
}

/// Everything to the drivers; `inFlight` records of a connection at once.
std::function<void(EngineOptions&)> accelerated(std::shared_ptr<Knobs> knobs, uint32_t inFlight = 32, uint64_t memory = 64u << 20) {
  return [=](EngineOptions& options) {
    accelerate(options, knobs);
    options.accelerator.recordsInFlight = inFlight;
    options.accelerator.memory = memory;
  };
}

std::string post(const std::string& path, size_t body) {
  return "POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n";
}

}  // namespace

TEST_CASE("with 1 to 32 records in flight, every suite and size comes back byte for byte") {
  for (const uint32_t inFlight : {1u, 2u, 3u, 7u, 16u, 32u}) {
    auto knobs = std::make_shared<Knobs>();
    Server server(accelerated(knobs, inFlight));
    knobs->forget();
    const size_t sizes[] = {0, 1, 4096, 16383, 16384, 65537, 3'000'001};
    for (const size_t size : sizes) server.root.write(std::to_string(size), pattern(size, static_cast<uint32_t>(size)));
    for (const Suite suite : kSuites) {
      CAPTURE(inFlight);
      CAPTURE(static_cast<int>(suite));
      server.suite = suite;
      Client client(server);
      CHECK(eventually([&] { return server.counter(Counter::tls_active, PathKind::Accelerator) >= 1; }));
      for (const size_t size : sizes) {
        const Answer answer = client.get("/" + std::to_string(size));
        REQUIRE(answer.status == 200);
        REQUIRE(answer.body == pattern(size, static_cast<uint32_t>(size)));
      }
    }
    checkEmpty(server);
    CHECK(eventually([&] { return knobs->sealed == server.counter(Counter::records_sealed, PathKind::Accelerator); }));
    CHECK(knobs->opened.load() == server.counter(Counter::records_opened, PathKind::Accelerator));
    CHECK(server.counter(Counter::records_sealed, PathKind::Software) == 0);
    // One more than asked for: a connection seals and opens at the same time.
    CHECK(knobs->most <= inFlight + 1);
    if (inFlight > 1) CHECK(knobs->most > 1);
  }
}

TEST_CASE("request bodies are opened in bursts, in records of every size, and what comes behind them is answered") {
  std::mt19937_64 random(seed());
  for (const uint32_t inFlight : {1u, 5u, 32u}) {
    auto knobs = std::make_shared<Knobs>();
    Server server(accelerated(knobs, inFlight));
    server.root.write("f", "the answer");
    for (const Suite suite : kSuites) {
      server.suite = suite;
      Client client(server);
      for (int round = 0; round < 4; ++round) {
        const size_t length = random() % 60'000;
        const std::string text = post("/f", length) + pattern(length) + "GET /f HTTP/1.1\r\nHost: h\r\n\r\n";
        std::string wire;
        for (size_t at = 0; at < text.size();) {
          const size_t n = std::min<size_t>(text.size() - at, 1 + random() % (round % 2 == 0 ? 40 : 16384));
          wire += client.sealed(text.substr(at, n));
          at += n;
        }
        // In pieces that have nothing to do with records.
        for (size_t at = 0; at < wire.size();) {
          const size_t n = std::min<size_t>(wire.size() - at, 1 + random() % 30'000);
          client.sendRaw(wire.substr(at, n));
          at += n;
        }
        CHECK(client.receive().status != 0);
        REQUIRE(client.receive().body == "the answer");
      }
    }
    checkEmpty(server);
  }
}

TEST_CASE("a KeyUpdate with records behind it in flight: they are opened under the keys that follow") {
  std::mt19937_64 random(seed() + 1);
  auto knobs = std::make_shared<Knobs>();
  Server server(accelerated(knobs));
  server.root.write("f", "the answer");
  Client client(server);
  for (int round = 0; round < 20; ++round) {
    const size_t length = 20'000;
    const std::string text = post("/f", length) + pattern(length);
    std::string wire;
    bool updated = false;
    for (size_t at = 0; at < text.size();) {
      const size_t n = std::min<size_t>(text.size() - at, 1 + random() % 3000);
      wire += client.sealed(text.substr(at, n));
      at += n;
      if (!updated && random() % 4 == 0) {
        wire += client.sealed(std::string_view("\x18\0\0\1\0", 5), record::ContentType::Handshake);
        client.nextKey();
        updated = true;
      }
    }
    client.sendRaw(wire);
    REQUIRE(client.receive().status != 0);
    REQUIRE(client.get("/f").body == "the answer");
  }
  CHECK(server.counter(Counter::rekeys_rx) > 0);
}

TEST_CASE("keys are counted exactly and renewed with records in flight") {
  auto knobs = std::make_shared<Knobs>();
  Server server([&](EngineOptions& options) {
    accelerated(knobs)(options);
    options.recordLimit = 64;
  });
  server.root.write("f", pattern(20 << 20));
  Client client(server);
  const Answer answer = client.get("/f");
  CHECK(answer.body == pattern(20 << 20));
  CHECK(client.keyUpdates >= 20);
  // One that was made behind the last record comes before the next.
  CHECK(eventually([&] { return client.get("/none").status == 404 && server.counter(Counter::rekeys_tx) == static_cast<uint64_t>(client.keyUpdates); }));
}

TEST_CASE("a bad record is answered by bad_record_mac, after the answers to what came before it") {
  auto knobs = std::make_shared<Knobs>();
  Server server(accelerated(knobs));
  server.root.write("f", pattern(300'000));
  for (const Suite suite : kSuites) {
    server.suite = suite;
    Client client(server);
    std::string wire = client.sealed("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    std::string bad = client.sealed("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    bad.back() = static_cast<char>(bad.back() ^ 1);
    const std::string good = client.sealed("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    client.sendRaw(wire + bad + good);
    size_t received = 0;
    while (client.more()) received += client.takePlain().size();
    CHECK(client.lastAlert == 20);
    // What was sealed before the alert came before it: whole records of the first answer, or nothing yet.
    CHECK(received <= 301'000);
  }
  CHECK(server.counter(Counter::decrypt_errors) == std::size(kSuites));
  checkEmpty(server);
}

TEST_CASE("close_notify comes behind the last of the data") {
  auto knobs = std::make_shared<Knobs>();
  Server server(accelerated(knobs, 4));
  server.root.write("f", pattern(1'000'000));
  for (int round = 0; round < 5; ++round) {
    Client client(server);
    client.send("GET /f HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    CHECK(client.receive().body == pattern(1'000'000));
    CHECK_FALSE(client.more());
    CHECK(client.lastAlert == 0);
  }
}

TEST_CASE("a driver that works on nothing holds no engine up, and a peer that goes leaves nothing behind") {
  auto knobs = std::make_shared<Knobs>();
  Server server(accelerated(knobs));
  server.root.write("f", pattern(2'000'000));
  server.root.write("g", "small");
  auto stuck = std::make_unique<Client>(server);
  auto patient = std::make_unique<Client>(server);
  REQUIRE(stuck->get("/g").status == 200);
  knobs->hold = true;
  stuck->send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  patient->send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  // The engine lives: it takes connections, whose handshakes need no driver.
  for (int i = 0; i < 5; ++i) Client another(server);
  const linger reset{1, 0};
  setsockopt(stuck->fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  stuck.reset();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  knobs->hold = false;
  CHECK(patient->receive().body == pattern(2'000'000));
  patient.reset();
  checkEmpty(server);
}

TEST_CASE("clients that reset in mid-transfer, some with requests in flight, leave nothing behind") {
  std::mt19937_64 random(seed() + 2);
  auto knobs = std::make_shared<Knobs>();
  Server server(accelerated(knobs, 8));
  server.root.write("f", pattern(4 << 20));
  for (int i = 0; i < 60; ++i) {
    Client client(server);
    client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    for (uint64_t n = random() % 20; n != 0; --n) client.more();
    if (i % 3 == 0) client.sendRaw(client.sealed(post("/f", 100'000) + pattern(5000)));
    const linger reset{1, 0};
    setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  checkEmpty(server);
}

TEST_CASE("readers that stop are held back, and memory is bounded") {
  auto knobs = std::make_shared<Knobs>();
  constexpr uint64_t kMemory = 2u << 20;
  Server server(accelerated(knobs, 32, kMemory));
  server.root.write("f", pattern(12 << 20));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  CHECK(eventually([&] { return server.counter(Counter::backpressure_eagain) >= clients.size(); }));
  CHECK(server.counter(Counter::buffer_bytes_used) < kMemory + 10 * 33 * record::kMaxRecord);
  for (auto& client : clients) REQUIRE(client->receive().body == pattern(12 << 20));
  clients.clear();
  checkEmpty(server);
}

TEST_CASE("one burst of memory for many connections: all are served") {
  auto knobs = std::make_shared<Knobs>();
  Server server(accelerated(knobs, 32, 1));
  server.root.write("f", pattern(400'000));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->send(post("/f", 30'000) + pattern(10'000));
    clients.back()->send(pattern(20'000).substr(0, 16'000));
    clients.back()->send(pattern(4'000) + "GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  for (auto& client : clients) {
    REQUIRE(client->receive().status != 0);
    REQUIRE(client->receive().body == pattern(400'000));
  }
  clients.clear();
  checkEmpty(server);
}

TEST_CASE("a driver that is unplugged in mid-transfer: the peer notices nothing") {
  for (const Suite suite : kSuites) {
    auto knobs = std::make_shared<Knobs>();
    Server server(accelerated(knobs));
    server.suite = suite;
    server.root.write("f", pattern(30 << 20));
    Client client(server);
    client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    std::string body;
    while (body.size() < 2'000'000) {
      REQUIRE(client.more());
      body += client.takePlain();
    }
    knobs->dead = true;
    while (body.size() < (30u << 20)) {
      REQUIRE(client.more());
      body += client.takePlain();
    }
    const size_t head = body.find("\r\n\r\n") + 4;
    while (body.size() < head + (30u << 20)) {
      REQUIRE(client.more());
      body += client.takePlain();
    }
    REQUIRE(body.substr(head) == pattern(30 << 20));
    // And the same for what comes in.
    client.send(post("/f", 20'000) + pattern(10'000));
    client.send(pattern(10'000));
    CHECK(client.receive().status != 0);
    CHECK(client.get("/f").body == pattern(30 << 20));
  }
}

TEST_CASE("a driver that is full: software helps out") {
  auto knobs = std::make_shared<Knobs>();
  Server server([&](EngineOptions& options) {
    accelerated(knobs)(options);
    options.accelerator.policy.queueLimit = 4;
  });
  server.root.write("f", pattern(4 << 20));
  {
    Client client(server);
    REQUIRE(client.get("/f").body == pattern(4 << 20));
    knobs->depth = 2;
    CHECK(client.get("/f").body == pattern(4 << 20));
    knobs->full = true;
    CHECK(client.get("/f").body == pattern(4 << 20));
    knobs->full = false;
    CHECK(client.get("/f").body == pattern(4 << 20));
  }
  checkEmpty(server);
}

TEST_CASE("drivers that stall, fill up, die and come back at random, seeded, under many connections") {
  std::mt19937_64 random(seed() + 3);
  auto first = std::make_shared<Knobs>(), second = std::make_shared<Knobs>();
  Server server([&](EngineOptions& options) {
    accelerated(first, 12)(options);
    accelerate(options, second);
    options.accelerator.policy.queueLimit = 16;
  });
  constexpr size_t kSize = 600'000;
  server.root.write("f", pattern(kSize));
  std::atomic<bool> over{false};
  std::thread chaos([&, chance = std::mt19937_64(random())]() mutable {
    while (!over) {
      Knobs& knobs = chance() % 2 == 0 ? *first : *second;
      switch (chance() % 4) {
        case 0: knobs.hold = !knobs.hold; break;
        case 1: knobs.full = !knobs.full; break;
        case 2: knobs.depth = chance() % 8; break;
        default: knobs.hold = knobs.full = false; knobs.depth = 4096; break;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(chance() % 3000));
    }
    for (Knobs* each : {first.get(), second.get()}) {
      each->hold = each->full = false;
      each->depth = 4096;
    }
  });
  // Ends with the test, however that ends.
  const std::unique_ptr<std::thread, std::function<void(std::thread*)>> joined(&chaos, [&over](std::thread* thread) {
    over = true;
    thread->join();
  });
  for (int round = 0; round < 6; ++round) {
    if (round == 4) second->dead = true;
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 10; ++i) {
      server.suite = kSuites[random() % std::size(kSuites)];
      clients.push_back(std::make_unique<Client>(server));
      clients.back()->send(post("/f", 9'000) + pattern(9'000));
      clients.back()->send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      if (random() % 5 == 0) {
        const linger reset{1, 0};
        setsockopt(clients[i]->fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        clients[i].reset();
        continue;
      }
      const Answer posted = clients[i]->receive();
      const Answer answer = clients[i]->receive();
      CAPTURE(round);
      CAPTURE(i);
      CAPTURE(clients[i]->lastAlert);
      CAPTURE(clients[i]->ended);
      CAPTURE(answer.head);
      CAPTURE(answer.body.size());
      REQUIRE(posted.status != 0);
      const bool same = answer.body == pattern(kSize);
      REQUIRE(same);
    }
  }
  checkEmpty(server);
}

TEST_CASE("a suite that no accelerator has goes to software, and is counted with the reason") {
  auto knobs = std::make_shared<Knobs>();
  Server server([&](EngineOptions& options) {
    accelerated(knobs)(options);
    options.accelerator.drivers = {[knobs](std::string&) { return std::make_unique<HelperDriver>(knobs, 1, ocf::AlgId::ChaCha20Poly1305); }};
  });
  knobs->forget();
  server.root.write("f", pattern(100'000));
  server.suite = Suite::ChaCha20Poly1305Sha256;
  {
    Client client(server);
    CHECK(client.get("/f").body == pattern(100'000));
    CHECK(server.counter(Counter::tls_active, PathKind::Software) == 1);
    CHECK(server.counter(Counter::tls_active, PathKind::Accelerator) == 0);
    CHECK(server.counter(Counter::not_taken_suite) == 1);
    CHECK(knobs->sealed == 0);
  }
  server.suite = Suite::Aes128GcmSha256;
  Client client(server);
  CHECK(client.get("/f").body == pattern(100'000));
  CHECK(server.counter(Counter::tls_active, PathKind::Accelerator) == 1);
  CHECK(server.counter(Counter::not_taken_suite) == 1);
}

TEST_CASE("an engine that drains, or stops, with records in flight") {
  for (const bool drain : {true, false}) {
    auto knobs = std::make_shared<Knobs>();
    Server server(accelerated(knobs));
    server.root.write("f", pattern(6 << 20));
    Client client(server);
    client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
    REQUIRE(client.more());
    if (!drain) {
      knobs->hold = true;
      continue;  // and the server goes
    }
    server.engine().drain(20'000'000'000);
    const Answer answer = client.receive();
    CHECK(answer.body == pattern(6 << 20));
    CHECK_FALSE(client.more());
    CHECK(client.lastAlert == 0);
  }
}

TEST_CASE("drivers that cannot be had, or lie from the beginning, end the start with a reason") {
  EngineOptions options;
  options.host = "127.0.0.1";
  const auto why = [&] {
    Engine engine(options, nullptr, [] {});
    const char* call = nullptr;
    REQUIRE(engine.listen(&call) == 0);
    std::string reason;
    CHECK_FALSE(engine.start(reason));
    return reason;
  };
  options.accelerator.drivers = {[](std::string& reason) {
    reason = "there is no such card";
    return nullptr;
  }};
  CHECK(why() == "there is no such card");
  auto knobs = std::make_shared<Knobs>();
  knobs->lies = true;
  options.accelerator.drivers = {[knobs](std::string&) { return std::make_unique<HelperDriver>(knobs, 1); }};
  CHECK(why() == "the driver helper gave wrong answers to its known-answer tests");
}
