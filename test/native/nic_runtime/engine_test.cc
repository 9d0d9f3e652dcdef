// An engine that sends through the NIC, over the kernel's TCP, to a client that knows of nothing.
#include <fcntl.h>
#include <sys/mman.h>

#include "laboratory.hpp"

using namespace laboratory;
using engine::Counter;
using engine::EngineOptions;
using harness::Client;
using harness::eventually;

namespace {

constexpr size_t kLarge = 12'000'000;

uint64_t of(const Laboratory& lab, Counter pathed, engine::PathKind path) {
  return lab.server->counter(static_cast<Counter>(static_cast<size_t>(pathed) + static_cast<size_t>(path)));
}

/// A transfer of `large`, with something done again and again while it goes on.
void transfer(Laboratory& lab, const std::function<void()>& meanwhile) {
  const std::string expected = content(kLarge);
  lab.server->root.write("large", expected);
  std::atomic<bool> done{false};
  harness::Answer answer;
  std::thread client = lab.peer.start([&] {
    Client one(*lab.server);
    answer = one.get("/large");
    done = true;
  });
  while (!done) {
    meanwhile();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  client.join();
  CHECK(answer.status == 200);
  CHECK(answer.body == expected);
  CHECK(lab.wire.canaries == 0);
}

}  // namespace

TEST_CASE("records of either size go through the NIC, copied or by the file's pages") {
  for (const auto zeroCopy : {engine::ZeroCopy::Copy, engine::ZeroCopy::Guard}) {
    Laboratory lab([&](EngineOptions& options) { options.zeroCopy = zeroCopy; });
    lab.wire.nth = 60;
    lab.server->root.write("small", content(700));
    lab.onPeer([&] {
      Client client(*lab.server);
      CHECK(client.get("/small").body == content(700));
      CHECK(client.get("/none").status == 404);
    });
    transfer(lab, [] {});
    CHECK((lab.server->counter(Counter::zero_copy_bytes) > kLarge / 2) == (zeroCopy == engine::ZeroCopy::Guard));
    CHECK(of(lab, Counter::records_sealed, engine::PathKind::Nic) > kLarge / 16384);
    CHECK(of(lab, Counter::records_sealed, engine::PathKind::Software) == 0);
    CHECK(eventually([&] { return lab.device->device().flows() == 0 && of(lab, Counter::tls_active, engine::PathKind::Nic) == 0; }));
    CHECK(lab.device->device().retainedBytes() == 0);
  }
}

TEST_CASE("KeyUpdates go out without draining; records of old and new keys are retransmitted") {
  Laboratory lab([](EngineOptions& options) { options.recordLimit = 48; });
  lab.wire.nth = 40;
  transfer(lab, [] {});
  CHECK(lab.server->counter(Counter::rekeys_tx) > 8);
}

TEST_CASE("connections move between NIC and software at any record") {
  for (const auto zeroCopy : {engine::ZeroCopy::Copy, engine::ZeroCopy::Guard}) {
    Laboratory lab([&](EngineOptions& options) {
      options.zeroCopy = zeroCopy;
      options.recordLimit = 200;
    });
    lab.wire.nth = 80;
    bool pause = false;
    transfer(lab, [&] { lab.pause(pause = !pause); });
    CHECK(lab.server->counter(Counter::path_moves) > 2);
    CHECK(of(lab, Counter::records_sealed, engine::PathKind::Nic) > 0);
    CHECK(of(lab, Counter::records_sealed, engine::PathKind::Software) > 0);
  }
}

TEST_CASE("a connection that began in software comes to the NIC at a record, without new keys") {
  for (const auto zeroCopy : {engine::ZeroCopy::Copy, engine::ZeroCopy::Guard}) {
    Laboratory lab([&](EngineOptions& options) { options.zeroCopy = zeroCopy; });
    lab.wire.nth = 70;
    lab.server->root.write("large", content(kLarge));
    lab.pause(true);
    lab.onPeer([&] {
      Client client(*lab.server);
      client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
      for (int i = 0; i < 40; ++i) REQUIRE(client.more());
      CHECK(of(lab, Counter::tls_active, engine::PathKind::Software) == 1);
      CHECK(lab.device->device().flows() == 0);
      lab.pause(false);
      REQUIRE(eventually([&] { return of(lab, Counter::tls_active, engine::PathKind::Nic) == 1; }));
      CHECK(client.receive().body == content(kLarge));
    });
    CHECK(lab.server->counter(Counter::path_moves) == 1);
    CHECK(lab.server->counter(Counter::rekeys_tx) == 0);
    CHECK(of(lab, Counter::records_sealed, engine::PathKind::Software) > 10);
    CHECK(of(lab, Counter::records_sealed, engine::PathKind::Nic) > 100);
    CHECK((lab.server->counter(Counter::zero_copy_bytes) > 0) == (zeroCopy == engine::ZeroCopy::Guard));
    CHECK(lab.wire.canaries == 0);
  }
}

TEST_CASE("a connection for which the NIC has no room comes to it when there is") {
  Laboratory lab({}, nic::HostDriver::Tap, {.maxFlows = 1});
  lab.server->root.write("small", content(700));
  lab.onPeer([&] {
    auto first = std::make_unique<Client>(*lab.server);
    CHECK(first->get("/small").body == content(700));
    Client second(*lab.server);
    CHECK(second.get("/small").body == content(700));
    CHECK(of(lab, Counter::tls_active, engine::PathKind::Nic) == 1);
    CHECK(of(lab, Counter::tls_active, engine::PathKind::Software) == 1);
    CHECK(lab.server->counter(Counter::not_taken_no_room) == 1);
    first.reset();
    REQUIRE(eventually([&] { return of(lab, Counter::tls_active, engine::PathKind::Software) == 0; }));
    CHECK(of(lab, Counter::tls_active, engine::PathKind::Nic) == 1);
    const uint64_t before = of(lab, Counter::records_sealed, engine::PathKind::Nic);
    CHECK(second.get("/small").body == content(700));
    CHECK(of(lab, Counter::records_sealed, engine::PathKind::Nic) > before);
  });
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("a device that dies in mid-transfer: another seals the same bytes, and meanwhile nothing leaves") {
  for (const auto driver : {nic::HostDriver::Tap, nic::HostDriver::Veth}) {
    Laboratory lab({}, driver);
    lab.wire.nth = 70;
    lab.server->root.write("large", content(kLarge));
    lab.onPeer([&] {
      Client client(*lab.server);
      client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
      for (int deaths = 0; deaths < 4; ++deaths) {
        for (int i = 0; i < 20; ++i) REQUIRE(client.more());
        lab.device->kill("for a test");
        REQUIRE(eventually([&] { return of(lab, Counter::tls_active, engine::PathKind::Software) == 1; }));
        const uint64_t before = lab.wire.frames;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        CHECK(lab.wire.frames == before);
        lab.restart();
        REQUIRE(eventually([&] { return of(lab, Counter::tls_active, engine::PathKind::Nic) == 1; }));
      }
      CHECK(client.receive().body == content(kLarge));
    });
    CHECK(lab.server->counter(Counter::path_moves) >= 4);
    CHECK(lab.wire.canaries == 0);
  }
}

TEST_CASE("a device that dies, and connections that are to be closed then") {
  Laboratory lab([](EngineOptions& options) { options.onDeviceLoss = engine::OnDeviceLoss::Close; });
  lab.server->root.write("large", content(kLarge));
  lab.onPeer([&] {
    Client client(*lab.server);
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    REQUIRE(client.more());
    lab.device->kill("for a test");
    CHECK(eventually([&] { return lab.server->counter(Counter::closed_device_lost) == 1; }));
  });
  CHECK(lab.device->device().flows() == 0);
  CHECK(lab.wire.canaries == 0);
  // The next one is served by another.
  lab.restart();
  lab.onPeer([&] { CHECK(Client(*lab.server).get("/large").body == content(kLarge)); });
}

TEST_CASE("an idle connection goes on in software when the device dies, and back when there is another") {
  Laboratory lab;
  lab.server->root.write("small", content(700));
  lab.onPeer([&] {
    Client client(*lab.server);
    CHECK(client.get("/small").status == 200);
    REQUIRE(eventually([&] { return lab.device->device().list().front().usage.records == 0; }));
    lab.device->kill("for a test");
    REQUIRE(eventually([&] { return of(lab, Counter::tls_active, engine::PathKind::Software) == 1; }));
    // It has left the NIC altogether.
    REQUIRE(eventually([&] { return lab.device->device().flows() == 0; }));
    lab.restart();
    CHECK(client.get("/small").body == content(700));
    // Once the device has seen off what it had of the connection before.
    REQUIRE(eventually([&] { return of(lab, Counter::tls_active, engine::PathKind::Nic) == 1; }));
    CHECK(client.get("/small").body == content(700));
  });
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("a wire with several queues and jumbo frames") {
  for (const auto driver : {nic::HostDriver::Tap, nic::HostDriver::Veth}) {
    Laboratory lab({}, driver, {}, {}, "mtu 9000 numtxqueues 4 numrxqueues 4");
    CHECK(lab.device->status().wirePort.find("4 queues") != std::string::npos);
    lab.wire.nth = 50;
    const std::string expected = content(1'000'000);
    lab.server->root.write("file", expected);
    // What they send comes in by one queue or another.
    std::vector<std::thread> clients;
    std::atomic<int> good{0};
    for (int i = 0; i < 8; ++i)
      clients.push_back(lab.peer.start([&] {
        if (Client(*lab.server).get("/file").body == expected) ++good;
      }));
    for (auto& client : clients) client.join();
    CHECK(good == 8);
    CHECK(of(lab, Counter::records_sealed, engine::PathKind::Nic) > 8 * 60);
    CHECK(lab.wire.longest > 8900);
    CHECK(lab.wire.canaries == 0);
  }
}

TEST_CASE("a file that changes between two transmissions ends the connection") {
  Laboratory lab;
  const std::string before = content(kLarge);
  lab.server->root.write("large", before);
  lab.onPeer([&] {
    Client client(*lab.server);
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 40; ++i) REQUIRE(client.more());
    lab.wire.cut = true;
    // What is on its way now was sealed, and is lost.
    const uint64_t lost = lab.wire.lost;
    REQUIRE(eventually([&] { return lab.wire.lost > lost + 2; }));
    const int file = open((lab.server->root.path / "large").c_str(), O_WRONLY | O_CLOEXEC);
    const std::string other(kLarge, 'x');
    REQUIRE(pwrite(file, other.data(), other.size(), 0) == static_cast<ssize_t>(other.size()));
    close(file);
    lab.wire.cut = false;
    CHECK(client.receive().status == 0);
  });
  CHECK(eventually([&] { return lab.server->counter(Counter::closed_file_changed) == 1; }));
  CHECK(lab.server->counter(Counter::guard_changed) == 1);
  CHECK(lab.device->device().counters().tx_tls_guard_changed == 1);
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("a sealed memfd is sent by its pages, and nobody watches it") {
  Laboratory lab;
  const std::string expected = content(kLarge);
  const int file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(write(file, expected.data(), expected.size()) == static_cast<ssize_t>(expected.size()));
  REQUIRE(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
  std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(file), lab.server->root.path / "memory");
  lab.wire.nth = 50;
  lab.onPeer([&] { CHECK(Client(*lab.server).get("/memory").body == expected); });
  CHECK(lab.server->counter(Counter::zero_copy_bytes) > kLarge / 2);
  CHECK(lab.device->device().counters().tx_tls_guarded_records == 0);
  CHECK(lab.wire.canaries == 0);
  close(file);
}

TEST_CASE("a slow reader gets all of it after the server has closed") {
  Laboratory lab([](EngineOptions& options) { options.maxRequestsPerConnection = 1; });
  const std::string expected = content(1'500'000);
  lab.server->root.write("large", expected);
  lab.onPeer([&] {
    Client client(*lab.server);
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    REQUIRE(client.more());
    // Longer than the engine lingers for others.
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    CHECK(client.receive().body == expected);
    CHECK_FALSE(client.more());
    CHECK(client.lastAlert == 0);
  });
  CHECK(eventually([&] { return lab.device->device().flows() == 0; }));
  CHECK(lab.wire.canaries == 0);
}
