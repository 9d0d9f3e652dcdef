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

namespace {

// A connection between Linuxes: IPv4, the handshake is over, data has been sent.
struct Established : Fixture {
  explicit Established(std::vector<nic::lab::Rule> rules = {}) : Fixture(std::move(rules)) {
    path = {.ipv6 = false, .tcpOptions = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, .local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2}};
    send(99, {}, nic::kTcpSyn | kAck);
    send(100, bytes(1000));
    peer.sent.clear();
  }
  void answer(uint32_t acknowledgement, const Bytes& sack = {}) {
    nic::lab::Path back = path.reversed();
    if (!sack.empty()) {
      back.tcpOptions.insert(back.tcpOptions.end(), {1, 1, 5, static_cast<uint8_t>(2 + sack.size())});
      back.tcpOptions.insert(back.tcpOptions.end(), sack.begin(), sack.end());
    }
    nic::lab::Built built;
    nic::lab::build(back, {.sequence = 7, .acknowledgement = acknowledgement}, {}, false, 0, built);
    peer.arriving.push_back({built.frame});
    device.sent.clear();
    wire->once(now);
  }
};

Bytes block(uint32_t from, uint32_t to) {
  Bytes made(8);
  nic::put32(made.data(), from);
  nic::put32(made.data() + 4, to);
  return made;
}

bool checksumsHold(std::span<const uint8_t> frame) {
  const nic::Packet packet = nic::parsePacket(frame);
  const auto segment = frame.subspan(packet.transport, packet.end - packet.transport);
  const bool ip = packet.ipv6 || nic::checksumFold(nic::checksumAdd(frame.subspan(packet.ip, packet.transport - packet.ip))) == 0xffff;
  return ip && nic::checksumFold(nic::checksumAdd(segment, nic::pseudoHeaderSum(packet, frame.data(), static_cast<uint32_t>(segment.size())))) == 0xffff;
}

}  // namespace

TEST_CASE("coalesce: two that follow one another are one frame, others stay as they are") {
  std::string why;
  for (const bool ipv6 : {false, true}) {
    Fixture f({{Seam::Out, Fault::Coalesce, 1'000'000, 0}});
    f.path = {.ipv6 = ipv6, .local = Bytes(ipv6 ? 16 : 4, 1), .remote = Bytes(ipv6 ? 16 : 4, 2)};
    const Bytes first = f.bytes(1001), second = f.bytes(333);
    f.send(5, first);
    CHECK(f.peer.sent.empty());
    f.send(1006, second);
    REQUIRE(f.peer.sent.size() == 1);
    const auto taken = nic::lab::take(f.path, f.peer.sent[0], why);
    INFO(why);
    REQUIRE(taken);
    CHECK(taken->sequence == 5);
    Bytes both = first;
    both.insert(both.end(), second.begin(), second.end());
    CHECK(Bytes(taken->payload.begin(), taken->payload.end()) == both);
    // One with a gap before it: both leave, in order.
    f.peer.sent.clear();
    f.send(5000, first);
    f.send(9000, second);
    CHECK(f.peer.sent.size() == 1);
    // Nothing follows.
    CHECK(f.wire->due() == f.now + 1000);
    f.wire->once(f.now + 1000);
    CHECK(f.peer.sent.size() == 2);
    CHECK(f.wire->counts().coalesced == 1);
    CHECK(f.found().empty());
  }
}

TEST_CASE("what an attacker forges is refused by who reads RFC 5961, and looks genuine otherwise") {
  size_t wrongChecksums = 0, beyond = 0, outside = 0, exact = 0;
  for (int i = 0; i < 60; ++i) {
    Established f({{Seam::Back, Fault::ForgedAck, 1'000'000, 0}, {Seam::Back, Fault::SpoofedRst, 1'000'000, 0}});
    f.random = nic::lab::Random(static_cast<uint64_t>(i));
    nic::lab::Plan plan{.seed = static_cast<uint64_t>(i)};
    plan.rules = {{Seam::Back, Fault::ForgedAck, 1'000'000, 0}, {Seam::Back, Fault::SpoofedRst, 1'000'000, 0}};
    f.wire.emplace(plan, f.device, f.peer, "secret");
    f.send(99, {}, nic::kTcpSyn | kAck);
    f.send(100, f.bytes(1000));
    f.answer(500);
    REQUIRE(f.device.sent.size() == 3);
    for (const Bytes& frame : f.device.sent) {
      const nic::Packet packet = nic::parsePacket(frame);
      REQUIRE(packet.kind == nic::Packet::Kind::Tcp);
      CHECK(packet.payloadLength() == 0);
      const uint32_t acknowledged = nic::get32(frame.data() + packet.transport + 8);
      const bool good = checksumsHold(frame), inStep = packet.sequence == 7;
      if ((packet.flags & nic::kTcpRst) != 0) {
        CHECK(good);
        CHECK_FALSE(inStep);
      } else if (acknowledged == 500) {
        CHECK((good && inStep));
        ++exact;
      } else {
        wrongChecksums += !good;
        beyond += good && inStep && acknowledged > 1100;
        outside += good && !inStep;
        CHECK((!good || !inStep || acknowledged > 1100));
      }
    }
  }
  CHECK(exact == 60);
  CHECK(wrongChecksums > 0);
  CHECK(beyond > 0);
  CHECK(outside > 0);
  CHECK(wrongChecksums + beyond + outside == 60);
}

TEST_CASE("before data was sent nobody attacks") {
  Fixture f({{Seam::Back, Fault::SpoofedRst, 1'000'000, 0}});
  f.send(99, {}, nic::kTcpSyn | kAck);
  f.peer.arriving.push_back({nic::lab::build(f.path.reversed(), 7, kAck, {}, false).frame});
  f.wire->once(f.now);
  CHECK(f.device.sent.size() == 1);
}

TEST_CASE("a narrow path drops what is too long, and says so") {
  Established f;
  CHECK(f.wire->act({.action = nic::lab::Action::Mtu, .amount = 800}, f.now));
  f.send(1100, f.bytes(800));
  CHECK(f.peer.sent.size() == 1);
  f.device.sent.clear();
  f.send(1900, f.bytes(801));
  f.wire->once(f.now);
  CHECK(f.peer.sent.size() == 1);
  CHECK(f.wire->counts().tooLong == 1);
  REQUIRE(f.device.sent.size() == 1);
  const Bytes& said = f.device.sent[0];
  const nic::Packet packet = nic::parsePacket(said);
  CHECK(packet.protocol == 1);
  const auto icmp = std::span<const uint8_t>(said).subspan(34);
  CHECK(icmp[0] == 3);
  CHECK(icmp[1] == 4);
  CHECK(nic::get16(icmp.data() + 6) == 852);
  CHECK(nic::checksumFold(nic::checksumAdd(icmp)) == 0xffff);
  CHECK(nic::checksumFold(nic::checksumAdd(std::span<const uint8_t>(said).subspan(14, 20))) == 0xffff);
  // Of it the sender knows which connection is meant, and where.
  CHECK(nic::get16(icmp.data() + 8 + 20) == f.path.localPort);
  CHECK(nic::get32(icmp.data() + 8 + 24) == 1900);
  CHECK(f.wire->act({.action = nic::lab::Action::Mtu, .amount = 1448}, f.now));
  f.send(1900, f.bytes(801));
  CHECK(f.peer.sent.size() == 2);
}

TEST_CASE("a full ring takes nothing, and then what has waited") {
  Established f;
  CHECK(f.wire->act({.action = nic::lab::Action::RingFull, .amount = 500}, f.now));
  f.send(1100, f.bytes(10));
  CHECK(f.peer.sent.empty());
  f.wire->once(f.now + 500);
  CHECK(f.peer.sent.size() == 1);
  CHECK_FALSE(f.wire->act({.action = nic::lab::Action::Evict}, f.now));
}

TEST_CASE("reneging: SACK blocks say that a frame was received which the wire has dropped") {
  Established f;
  CHECK(f.wire->act({.action = nic::lab::Action::Renege}, f.now));
  f.send(1100, f.bytes(100));  // there is no gap yet
  CHECK(f.peer.sent.size() == 1);
  f.answer(500, block(600, 1200));
  CHECK(checksumsHold(f.device.sent.at(0)));
  f.send(1200, f.bytes(100));
  CHECK(f.peer.sent.size() == 1);
  f.answer(500, block(600, 1200));
  const Bytes claimed = f.device.sent.at(0);
  CHECK(checksumsHold(claimed));
  const Bytes expected = block(600, 1300);
  CHECK(std::search(claimed.begin(), claimed.end(), expected.begin(), expected.end()) != claimed.end());
  CHECK(f.wire->counts().renegings == 0);
  // Everything in front of it: what was claimed is not there.
  f.answer(1200);
  CHECK(f.wire->counts().renegings == 1);
  CHECK(f.found().empty());
}
