// Routes that change under an open connection: away from the host port, and back to it.
#include "laboratory.hpp"

using namespace laboratory;
using engine::Counter;
using engine::PathKind;
using harness::Client;
using harness::eventually;

namespace {

constexpr size_t kLarge = 12'000'000;

// So that a transfer goes on for as long as its client likes.
void littleRoom(int client) {
  const int room = 1 << 16;
  REQUIRE(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) == 0);
}

/// Two ways to the peer: by the NIC, and by a cable.
struct TwoWays : Laboratory {
  TwoWays() {
    REQUIRE(host.sh("ip link add o0 type veth peer name o1 netns " + peer.path() + " && ip addr add 10.8.0.1/24 dev o0 && ip link set o0 up"));
    REQUIRE(peer.sh("ip addr add 10.8.0.2/24 dev o1 && ip link set o1 up && sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.o1.rp_filter=0"));
  }
  void away() const { REQUIRE(host.sh("ip route add 10.9.0.2/32 via 10.8.0.2 dev o0")); }
  void back() const { REQUIRE(host.sh("ip route delete 10.9.0.2/32 via 10.8.0.2 dev o0")); }
  [[nodiscard]] uint64_t of(Counter pathed, PathKind path) const {
    return server->counter(static_cast<Counter>(static_cast<size_t>(pathed) + static_cast<size_t>(path)));
  }
  [[nodiscard]] bool isOn(PathKind path) const { return of(Counter::tls_active, path) == 1; }
};

}  // namespace

TEST_CASE("an idle connection follows its route away from the NIC, and back") {
  TwoWays lab;
  lab.server->root.write("file", content(200'000));
  lab.onPeer([&] {
    const Sniffer cable("o1");
    Client client(*lab.server);
    const auto get = [&] { CHECK(client.get("/file").body == content(200'000)); };
    get();
    CHECK(lab.isOn(PathKind::Nic));
    lab.away();
    REQUIRE(eventually([&] { return lab.isOn(PathKind::Software) && lab.device->device().flows() == 0; }));
    CHECK(lab.server->counter(Counter::not_taken_other_route) == 1);
    CHECK(cable.take().bytes < 10'000);
    const uint64_t sealed = lab.of(Counter::records_sealed, PathKind::Nic);
    get();
    const auto seen = cable.take();
    CHECK(seen.bytes > 200'000);
    CHECK(seen.canaries == 0);
    CHECK(lab.of(Counter::records_sealed, PathKind::Nic) == sealed);
    lab.back();
    REQUIRE(eventually([&] { return lab.isOn(PathKind::Nic); }));
    get();
    CHECK(lab.of(Counter::records_sealed, PathKind::Nic) > sealed + 10);
    CHECK(cable.take().canaries == 0);
  });
  CHECK(lab.server->counter(Counter::rekeys_tx) == 0);
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("a transfer follows its route away from the NIC, and back, in mid-stream") {
  TwoWays lab;
  lab.wire.nth = 90;
  lab.server->root.write("large", content(kLarge));
  lab.onPeer([&] {
    const Sniffer cable("o1");
    Client client(*lab.server, {}, littleRoom);
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    // As fast as it has to be for what is awaited.
    const auto readUntil = [&](const std::function<bool()>& there) {
      for (int i = 0; i < 500 && !there(); ++i) {
        REQUIRE(client.more());
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      return there();
    };
    for (int i = 0; i < 20; ++i) REQUIRE(client.more());
    CHECK(lab.isOn(PathKind::Nic));
    lab.away();
    REQUIRE(readUntil([&] { return lab.device->device().flows() == 0; }));
    const uint64_t bySoftware = lab.of(Counter::records_sealed, PathKind::Software);
    REQUIRE(readUntil([&] { return lab.of(Counter::records_sealed, PathKind::Software) > bySoftware + 10; }));
    Sniffer::Seen seen;
    REQUIRE(readUntil([&] {
      const auto more = cable.take();
      seen.bytes += more.bytes;
      seen.canaries += more.canaries;
      return seen.bytes > 100'000;
    }));
    CHECK(seen.canaries == 0);
    lab.back();
    REQUIRE(readUntil([&] { return lab.isOn(PathKind::Nic); }));
    const uint64_t byNic = lab.of(Counter::records_sealed, PathKind::Nic);
    CHECK(client.receive().body == content(kLarge));
    CHECK(lab.of(Counter::records_sealed, PathKind::Nic) > byNic + 50);
    CHECK(cable.take().canaries == 0);
  });
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("a connection whose peer can be reached by the NIC from now on comes to it") {
  TwoWays lab;
  lab.server->root.write("file", content(200'000));
  lab.away();
  lab.onPeer([&] {
    Client client(*lab.server);
    CHECK(client.get("/file").body == content(200'000));
    CHECK(lab.isOn(PathKind::Software));
    CHECK(lab.server->counter(Counter::not_taken_other_route) == 1);
    lab.back();
    REQUIRE(eventually([&] { return lab.isOn(PathKind::Nic); }));
    CHECK(client.get("/file").body == content(200'000));
    CHECK(lab.of(Counter::records_sealed, PathKind::Nic) > 10);
  });
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("a route that comes and goes, or that is this host's, moves nothing") {
  TwoWays lab;
  lab.server->root.write("file", content(200'000));
  lab.onPeer([&] {
    Client client(*lab.server);
    CHECK(client.get("/file").body == content(200'000));
    const auto began = std::chrono::steady_clock::now();
    lab.away();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    lab.back();
    if (std::chrono::steady_clock::now() - began > std::chrono::milliseconds(400)) {
      MESSAGE("skipped: what comes and goes within half a second took this machine longer");
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    REQUIRE(lab.host.sh("ip addr add 10.9.0.2/32 dev h0"));
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    REQUIRE(lab.host.sh("ip addr delete 10.9.0.2/32 dev h0"));
    CHECK(lab.isOn(PathKind::Nic));
    CHECK(client.get("/file").body == content(200'000));
    CHECK(lab.of(Counter::records_sealed, PathKind::Software) == 0);
    CHECK(lab.server->counter(Counter::path_moves) == 0);
  });
  CHECK(lab.wire.canaries == 0);
}

// IPv6 segment routing (RFC 8754): what goes to the peer is put into packets of another protocol, still at the host port.
TEST_CASE("a route that puts packets into others under a transfer lets no plaintext out, and new connections go by software") {
  TwoWays lab;
  lab.server->root.write("large", content(kLarge));
  const auto encapsulate = [&] { return lab.host.sh("ip route add 10.9.0.2/32 encap seg6 mode encap segs fd09::77 dev h0"); };
  REQUIRE(lab.host.sh("ip -6 addr add fd09::1/64 dev h0 nodad && ip -6 neigh add fd09::77 lladdr 02:00:00:00:00:77 dev h0 nud permanent"));
  if (!encapsulate()) {
    MESSAGE("skipped: this kernel has no IPv6 segment routing (CONFIG_IPV6_SEG6_LWTUNNEL)");
    return;
  }
  REQUIRE(lab.host.sh("ip route delete 10.9.0.2/32"));
  lab.onPeer([&] {
    Client client(*lab.server, {}, littleRoom);
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 20; ++i) REQUIRE(client.more());
    CHECK(lab.isOn(PathKind::Nic));
    const auto dropped = [&] { return lab.device->device().counters().tx_drop_carried.load(); };
    CHECK(dropped() == 0);
    // It goes on reading, slowly, so that there is always something to be sent.
    std::atomic<bool> enough{false};
    std::thread reader([&] {
      while (!enough && client.more()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
    CHECK(encapsulate());
    CHECK(eventually([&] { return dropped() != 0; }));
    CHECK(eventually([&] { return lab.isOn(PathKind::Software); }));
    enough = true;
    CHECK(lab.host.sh("ip route delete 10.9.0.2/32"));
    reader.join();
    CHECK(client.receive().body == content(kLarge));
    CHECK(lab.wire.canaries == 0);
  });
}
