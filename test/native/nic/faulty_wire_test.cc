// The real stage's wire, between ports in memory: what it lets by, what it does to it, and what it finds.
#include <algorithm>

#include "frames.hpp"
#include "nic/lab/faulty_wire.hpp"
#include "nic/port/memory.hpp"

using namespace socrypt;
using nic::lab::Bytes;
using nic::lab::Fault;
using nic::lab::FaultyWire;
using nic::lab::Plan;
using nic::lab::Seam;

namespace {

constexpr uint8_t kAck = 0x10;

struct Fixture {
  nic::lab::Random random{oracle::seed()};
  nic::lab::Path path = nic::lab::randomPath(random);
  nic::MemoryPort device, peer;
  std::optional<FaultyWire> wire;
  uint64_t now = 1000;

  explicit Fixture(std::vector<nic::lab::Rule> rules = {}) {
    Plan plan;
    plan.rules = std::move(rules);
    wire.emplace(plan, device, peer, "secret");
  }
  void send(uint32_t sequence, const Bytes& payload, uint8_t flags = kAck) {
    device.arriving.push_back({nic::lab::build(path, sequence, flags, payload, false).frame});
    wire->once(now);
  }
  Bytes bytes(size_t n) { return nic::lab::randomBytes(random, n); }
  [[nodiscard]] std::string found() const { return wire->finding() ? wire->finding()->invariant : ""; }
};

}  // namespace

TEST_CASE("a wire without faults passes what it is given, either way") {
  Fixture f;
  Bytes arp(42, 1);
  arp[12] = 8;
  arp[13] = 6;
  f.device.arriving.push_back({arp});
  const Bytes back = nic::lab::build(f.path.reversed(), 7, kAck, {}, false).frame;
  f.peer.arriving.push_back({back});
  f.wire->once(f.now);
  CHECK(f.peer.sent == std::vector<Bytes>{arp});
  CHECK(f.device.sent == std::vector<Bytes>{back});
  CHECK(f.found().empty());
}

TEST_CASE("what is sent again has to be the same") {
  // Across the wrap of sequence numbers, in pieces that meet what was seen on either side.
  const uint32_t start = 0xffffff00;
  for (const bool same : {true, false}) {
    Fixture f;
    Bytes stream = f.bytes(3000);
    const auto part = [&](uint32_t from, uint32_t to) { f.send(start + 1 + from, {stream.begin() + from, stream.begin() + to}); };
    f.send(start, {}, nic::kTcpSyn);
    part(0, 1000);
    part(2000, 3000);
    if (!same) stream[2500] ^= 1;
    part(500, 2200);
    CHECK(f.found().empty());
    part(2200, 2600);
    CHECK(f.found() == (same ? "" : "one-ciphertext"));
    CHECK(f.wire->counts().bytesAgain == 500 + 200 + 400);
    // Another connection between the same ports is another one.
    f.wire.emplace(Plan{}, f.device, f.peer, "secret");
    part(0, 1000);
    f.send(start + 5, {}, nic::kTcpSyn);
    f.send(start + 6, f.bytes(1000));
    CHECK(f.found().empty());
  }
}

TEST_CASE("plaintext and wrong checksums are found") {
  Fixture f;
  f.send(5, {'a', 's', 'e', 'c', 'r', 'e', 't'});
  CHECK(f.found() == "canary");
  Fixture g;
  Bytes frame = nic::lab::build(g.path, 5, kAck, g.bytes(100), false).frame;
  frame.back() ^= 1;
  g.device.arriving.push_back({frame});
  g.wire->once(g.now);
  CHECK(g.found() == "frame");
}

TEST_CASE("faults on a real wire are those of the plan, at their seam") {
  const auto always = [](Seam seam, Fault fault, uint64_t amount = 0) { return nic::lab::Rule{seam, fault, 1'000'000, amount}; };
  std::string why;
  SUBCASE("drop") {
    Fixture f({always(Seam::Out, Fault::Drop)});
    f.send(5, f.bytes(10));
    f.peer.arriving.push_back({nic::lab::build(f.path.reversed(), 7, kAck, {}, false).frame});
    f.wire->once(f.now);
    CHECK(f.peer.sent.empty());
    CHECK(f.device.sent.size() == 1);
    CHECK(f.wire->counts().dropped == 1);
  }
  SUBCASE("lost ACKs") {
    Fixture f({always(Seam::Back, Fault::Drop)});
    f.send(5, f.bytes(10));
    f.peer.arriving.push_back({nic::lab::build(f.path.reversed(), 7, kAck, {}, false).frame});
    f.wire->once(f.now);
    CHECK(f.peer.sent.size() == 1);
    CHECK(f.device.sent.empty());
  }
  SUBCASE("duplicate") {
    Fixture f({always(Seam::Out, Fault::Duplicate, 2)});
    f.send(5, f.bytes(10));
    CHECK(f.peer.sent.size() == 3);
  }
  SUBCASE("corrupt: a receiver notices") {
    Fixture f({always(Seam::Out, Fault::Corrupt)});
    f.send(5, f.bytes(100));
    REQUIRE(f.peer.sent.size() == 1);
    CHECK_FALSE(nic::lab::take(f.path, f.peer.sent[0], why));
    CHECK(f.found().empty());
  }
  SUBCASE("resegment: the pieces are whole frames") {
    Fixture f({always(Seam::Out, Fault::Resegment, 2)});
    const Bytes payload = f.bytes(1001);
    f.send(5, payload);
    REQUIRE(f.peer.sent.size() == 2);
    Bytes all;
    for (const Bytes& frame : f.peer.sent) {
      const auto taken = nic::lab::take(f.path, frame, why);
      INFO(why);
      REQUIRE(taken);
      CHECK(taken->sequence == 5 + all.size());
      all.insert(all.end(), taken->payload.begin(), taken->payload.end());
    }
    CHECK(all == payload);
  }
  SUBCASE("delay") {
    Fixture f({always(Seam::Out, Fault::Delay, 5000)});
    f.send(5, f.bytes(10));
    f.send(15, f.bytes(10));
    f.now = std::max(f.now, f.wire->due());
    f.wire->once(f.now + 20'000);
    REQUIRE(f.peer.sent.size() == 2);
    CHECK(nic::lab::take(f.path, f.peer.sent[0], why)->sequence == 5);
    CHECK(f.wire->due() == UINT64_MAX);
  }
}
