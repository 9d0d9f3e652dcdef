// Drivers that are attached to an engine, and taken back, while it serves.
#include <random>

#include "harness.hpp"

using namespace harness;
using engine::Counter;
using engine::PathKind;
using record::Suite;

namespace {

std::function<void(EngineOptions&)> withDrivers(std::shared_ptr<Knobs> knobs, std::shared_ptr<Knobs> slow = std::make_shared<Knobs>()) {
  return [knobs, slow](EngineOptions& options) {
    accelerate(options, knobs);
    options.accelerator.byName = [knobs, slow](const std::string& name, std::string& why) -> std::unique_ptr<ocf::Driver> {
      if (name == "helper") return std::make_unique<HelperDriver>(knobs, 7);
      if (name == "no chacha") return std::make_unique<HelperDriver>(knobs, 8, ocf::AlgId::ChaCha20Poly1305);
      if (name == "liar") {
        auto lying = std::make_shared<Knobs>();
        lying->lies = true;
        return std::make_unique<HelperDriver>(lying, 9);
      }
      if (name == "slow") return std::make_unique<HelperDriver>(slow, 10);
      why = "there is no driver " + name;
      return nullptr;
    };
  };
}

constexpr uint32_t kFirst = 2;  // the software driver is 1

}  // namespace

TEST_CASE("drivers come and go at random, with records in flight") {
  const char* given = std::getenv("SOCRYPT_TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  auto knobs = std::make_shared<Knobs>();
  Server server(withDrivers(knobs));
  const std::string content = pattern(2'000'000);
  server.root.write("f", content);
  std::atomic<bool> going{true};
  std::vector<std::thread> peers;
  std::atomic<int> files{0}, wrong{0};
  for (const Suite suite : {Suite::Aes128GcmSha256, Suite::ChaCha20Poly1305Sha256, Suite::EcdheRsaAes256GcmSha384}) {
    server.suite = suite;
    peers.emplace_back([&, client = std::make_shared<Client>(server)] {
      do {
        client->send("POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" + std::string(10'000, 'x'));
        client->send(std::string(10'000, 'y'));
        client->send(std::string(15'000, 'y'));
        client->send(std::string(15'000, 'y'));
        if (client->receive().status == 0) ++wrong;
        if (client->get("/f").body != content) ++wrong;
        ++files;
      } while (going);
    });
  }
  std::vector<uint32_t> attached{kFirst};
  for (int change = 0; change < 30; ++change) {
    if (attached.empty() || (attached.size() < 3 && random() % 2 == 0)) {
      const auto [driver, why] = server.attachDriver(random() % 2 == 0 ? "helper" : "no chacha");
      REQUIRE_MESSAGE(driver != 0, why);
      attached.push_back(driver);
      continue;
    }
    const size_t which = random() % attached.size();
    if (random() % 4 == 0) {
      server.withdrawDriver(attached[which], 0, static_cast<uint16_t>(ocf::AlgId::Aes128Gcm));
      continue;
    }
    CHECK(server.withdrawDriver(attached[which], random() % 2 == 0 ? 0 : 1000).first == attached[which]);
    attached.erase(attached.begin() + static_cast<ptrdiff_t>(which));
  }
  going = false;
  for (std::thread& peer : peers) peer.join();
  CHECK(wrong == 0);
  CHECK(files >= 3);
  CHECK(eventually([&] { return server.total(Counter::tls_active) == 0; }));
  CHECK(eventually([&] { return server.counter(Counter::buffer_bytes_used) == 0; }));
}

TEST_CASE("what no driver serves any more is software's, and comes back with one; its records are its own all the time") {
  auto knobs = std::make_shared<Knobs>();
  Server server(withDrivers(knobs));
  server.root.write("f", pattern(500'000));
  server.suite = Suite::ChaCha20Poly1305Sha256;
  Client client(server);
  CHECK(client.get("/f").body == pattern(500'000));
  REQUIRE(server.attachDriver("no chacha").first == kFirst + 1);
  REQUIRE(server.withdrawDriver(kFirst).first == kFirst);
  CHECK(eventually([&] { return server.counter(Counter::tls_active, PathKind::Software) == 1; }));
  CHECK(server.counter(Counter::not_taken_suite) == 1);
  knobs->forget();
  CHECK(client.get("/f").body == pattern(500'000));
  CHECK(knobs->sealed == 0);
  // Opened while there is nobody: the path of software, whose keys go to the driver that comes.
  Client between(server);
  CHECK(between.get("/f").body == pattern(500'000));
  CHECK(server.counter(Counter::records_sealed, PathKind::Software) > 500'000 / 16'384);
  // Half a record, whose other half comes when the path is another.
  const std::string record = between.sealed("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  between.sendRaw(record.substr(0, 17));
  REQUIRE(server.attachDriver("helper").first == kFirst + 2);
  CHECK(eventually([&] { return server.counter(Counter::tls_active, PathKind::Accelerator) == 2; }));
  knobs->forget();
  between.sendRaw(record.substr(17));
  CHECK(between.receive().body == pattern(500'000));
  CHECK(client.get("/f").body == pattern(500'000));
  CHECK(knobs->sealed > 2 * 500'000 / 16'384);
  CHECK(knobs->opened == 2);
  CHECK(server.counter(Counter::path_moves) == 1);
  // What those did that are gone stays counted.
  const uint64_t done = server.counter(Counter::accelerator_ops);
  REQUIRE(server.withdrawDriver(kFirst + 1).first != 0);
  REQUIRE(server.withdrawDriver(kFirst + 2).first != 0);
  CHECK(eventually([&] { return server.counter(Counter::accelerators_running) == 0; }));
  CHECK(server.counter(Counter::accelerator_ops) >= done);
}

TEST_CASE("a driver that lies or is none is refused; while one is slow over its known answers, transfers go on") {
  auto knobs = std::make_shared<Knobs>(), slow = std::make_shared<Knobs>();
  Server server(withDrivers(knobs, slow));
  server.root.write("f", pattern(100'000));
  Client client(server);
  CHECK(server.attachDriver("liar") == Server::DriverAnswer{0, "the driver helper gave wrong answers to its known-answer tests"});
  CHECK(server.attachDriver("nobody") == Server::DriverAnswer{0, "there is no driver nobody"});
  CHECK(server.withdrawDriver(99) == Server::DriverAnswer{0, "there is no such driver"});
  // The software that helps is not to be had.
  CHECK(server.withdrawDriver(1) == Server::DriverAnswer{0, "there is no such driver"});
  CHECK(server.withdrawDriver(kFirst, 0, static_cast<uint16_t>(ocf::AlgId::Rsa)) == Server::DriverAnswer{0, "the driver does not offer it"});
  CHECK(server.withdrawDriver(kFirst, 0, 12345) == Server::DriverAnswer{0, "the driver does not offer it"});
  CHECK(client.get("/f").body == pattern(100'000));
  slow->hold = true;
  std::atomic<bool> told{false};
  std::thread waiting([&] {
    CHECK(server.attachDriver("slow").first == kFirst + 1);
    told = true;
  });
  for (int i = 0; i < 20; ++i) REQUIRE(client.get("/f").body == pattern(100'000));
  CHECK_FALSE(told);
  slow->hold = false;
  waiting.join();
  CHECK(eventually([&] { return server.counter(Counter::accelerators_running) == 2; }));
}

TEST_CASE("an engine without the path says so") {
  if (std::getenv("SOCRYPT_TEST_OFFLOAD") != nullptr) return;
  Server server;
  CHECK(server.attachDriver("helper") == Server::DriverAnswer{0, "this engine gives no records to drivers"});
  CHECK(server.withdrawDriver(2).first == 0);
}

TEST_CASE("an engine that ends while a driver leaves") {
  auto knobs = std::make_shared<Knobs>();
  Server server(withDrivers(knobs));
  server.root.write("f", pattern(4 << 20));
  Client client(server);
  client.send("GET /f HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(client.more());
  knobs->hold = true;
  server.submit(Message(Down::WithdrawDriver, 1).number(kFirst).number(engine::kWholeDriver).number<uint32_t>(60'000));
}
