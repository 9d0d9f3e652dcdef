// The device's rules, one by one: what it seals, what it passes, what it must not let out.
#include "frames.hpp"
#include "nic/device/inline_device.hpp"

using namespace socrypt;
using oracle::Bytes;
using oracle::Random;

namespace {

constexpr uint8_t kAck = 0x10;
constexpr uint32_t kSequence = 1000000;

struct Fixture {
  Random random{oracle::seed()};
  nic::InlineDevice device;
  frames::Path path;
  frames::Wire wire;
  record::TrafficKeys keys = oracle::randomKeys(random, record::Suite::Aes128GcmSha256);
  nic::FlowId flow{};
  oracle::Framed first;

  explicit Fixture(nic::DeviceOptions options = {}) : device(options) {
    path.local = {10, 0, 0, 1};
    path.remote = {10, 0, 0, 2};
    path.tcpOptions = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
    first = oracle::frame(keys, 0, 23, oracle::randomBytes(random, 3000));
  }
  void add() {
    REQUIRE(device.add(path.key(), keys, kSequence, 0, &flow) == ocf::Status::Ok);
    record::NewRecord record{.ref = {0, static_cast<uint32_t>(first.plain.size()), 0, 0}};
    REQUIRE(device.push(flow, {&record, 1}) == ocf::Status::Ok);
  }
  /// The number of frames that left.
  size_t send(frames::Built built) {
    wire.frames.clear();
    device.transmit(built.frame, built.offload, wire);
    return wire.frames.size();
  }
  size_t send(uint32_t at, size_t length, uint8_t flags = kAck) {
    return send(frames::build(path, kSequence + at, flags, part(at, length), true));
  }
  Bytes part(size_t at, size_t length) const { return {first.plain.begin() + static_cast<long>(at), first.plain.begin() + static_cast<long>(at + length)}; }
  uint64_t count(std::string_view name) const { return frames::count(device.counters(), name); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a segment before its record is pushed, and behind its acknowledgement, does not leave") {
  REQUIRE(device.add(path.key(), keys, kSequence, 0, &flow) == ocf::Status::Ok);
  CHECK(send(0, 100) == 0);
  record::NewRecord record{.ref = {0, static_cast<uint32_t>(first.plain.size()), 0, 0}};
  REQUIRE(device.push(flow, {&record, 1}) == ocf::Status::Ok);
  CHECK(send(0, 100) == 1);
  // The whole record is fine, one byte behind it is not.
  const auto length = static_cast<uint32_t>(first.plain.size());
  CHECK(send(0, length) == 1);
  CHECK(send(frames::build(path, kSequence + length - 1, kAck, {0, 0}, true)) == 0);
  device.acknowledged(flow, first.plain.size());
  CHECK(send(0, 100) == 0);
  CHECK(count("tx_tls_drop_no_sync_data") == 2);
  CHECK(count("tx_tls_drop_acknowledged") == 1);
  CHECK(count("tx_tls_encrypted_packets") == 2);
}

TEST_CASE_FIXTURE(Fixture, "an acknowledgement that nobody could have made changes nothing") {
  add();
  device.acknowledged(flow, first.plain.size() + 1);
  device.acknowledged(flow, UINT64_MAX);
  CHECK(send(0, 100) == 1);
  device.acknowledged(flow, 50);  // in the middle of the record: it stays whole
  CHECK(send(49, 100) == 0);
  CHECK(send(50, 100) == 1);
}

TEST_CASE_FIXTURE(Fixture, "a removed flow: no data until the host's stack has done with the connection") {
  add();
  device.remove(flow);
  CHECK(send(0, 100) == 0);
  CHECK(count("tx_tls_drop_removed") == 1);
  CHECK(send(frames::build(path, kSequence, kAck, {}, true)) == 1);
  CHECK(send(0, 100) == 0);
  // What waits in a queue behind the RST, or behind an acknowledgement, is plaintext all the same.
  const auto seenOff = [this] {
    CHECK(send(0, 100) == 0);
    CHECK(device.hostIdle(5000));
    for (uint64_t now = 5020; now < 6000; now += 20) CHECK(device.hostIdle(now));
    CHECK(device.hostIdle(5999));
    CHECK(send(0, 100) == 0);
    CHECK(device.add(path.key(), keys, 1, 0, &flow) == ocf::Status::Invalid);
    CHECK_FALSE(device.hostIdle(6000));
  };
  SUBCASE("a flow of the same key has to wait") { CHECK(device.add(path.key(), keys, 1, 0, &flow) == ocf::Status::Invalid); }
  SUBCASE("a new SYN") {
    CHECK(send(frames::build(path, 77, nic::kTcpSyn | kAck, {}, true)) == 1);
    seenOff();
    CHECK(send(0, 100) == 1);
    CHECK(wire.frames[0].back() == first.plain[99]);
  }
  SUBCASE("RST") {
    CHECK(send(frames::build(path, 77, nic::kTcpRst, {}, true)) == 1);
    seenOff();
    CHECK(device.add(path.key(), keys, 1, 0, &flow) == ocf::Status::Ok);
  }
  SUBCASE("a clock that leaps, as after a suspension, frees nothing by that") {
    device.release(path.key());
    for (uint64_t i = 0; i < 49; ++i) CHECK(device.hostIdle(i * 3'600'000));
    CHECK(device.hostIdle(1));
    CHECK(send(0, 100) == 0);
  }
  SUBCASE("release") {
    device.release(path.key());
    seenOff();
    CHECK(device.add(path.key(), keys, 1, 0, &flow) == ocf::Status::Ok);
  }
  CHECK(count("tx_tls_del") == 1);
}

TEST_CASE_FIXTURE(Fixture, "SYN, RST and releases do not touch a flow that lives") {
  add();
  CHECK(send(frames::build(path, 77, nic::kTcpSyn, {}, true)) == 1);
  CHECK(send(frames::build(path, 77, nic::kTcpRst, {}, true)) == 1);
  device.release(path.key());
  CHECK_FALSE(device.hostIdle(0));
  CHECK_FALSE(device.hostIdle(10000));
  CHECK(send(0, 100) == 1);
  CHECK(count("tx_tls_encrypted_packets") == 1);
}

TEST_CASE_FIXTURE(Fixture, "headers and content types that are not as announced do not leave") {
  add();
  first.plain[0] = 22;
  CHECK(send(0, 100) == 0);
  first.plain[0] = 23;
  first.plain[4] ^= 1;
  CHECK(send(4, 100) == 0);
  first.plain[4] ^= 1;
  CHECK(send(0, 100) == 1);
  const size_t type = first.plain.size() - 17;
  first.plain[type] = 21;
  CHECK(send(static_cast<uint32_t>(type) - 10, 11) == 0);
  first.plain[type] = 23;
  CHECK(send(static_cast<uint32_t>(type) - 10, 11) == 1);
  CHECK(count("tx_tls_drop_header") == 3);
}

TEST_CASE("headers and content types that the device is to write are written, whatever TCP has in their place") {
  Random random(oracle::seed());
  for (const auto suite : oracle::kSuites)
    for (const auto resync : {nic::Resync::OrderFree, nic::Resync::PrefixReplay, nic::Resync::NextRecord}) {
      CAPTURE(static_cast<int>(suite));
      CAPTURE(static_cast<int>(resync));
      Fixture f({.flow = {.resync = resync}});
      f.keys = oracle::randomKeys(random, suite);
      const auto facts = record::factsOf(suite);
      const Bytes content = oracle::randomBytes(random, 3000);
      f.first = oracle::frame(f.keys, 0, 23, content);
      Bytes& plain = f.first.plain;
      REQUIRE(f.device.add(f.path.key(), f.keys, kSequence, 0, &f.flow) == ocf::Status::Ok);
      record::NewRecord record{.ref = {0, static_cast<uint32_t>(plain.size()), 0, 0}, .payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(content)), .headerToWrite = true, .typeToWrite = true};
      REQUIRE(f.device.push(f.flow, {&record, 1}) == ocf::Status::Ok);
      for (int round = 0; round < 40; ++round) {
        // Something else each time: it is the file's, which may change, and nobody looks.
        for (size_t i = 0; i < facts.framing.before; ++i) plain[i] = static_cast<uint8_t>(random());
        for (size_t i = plain.size() - facts.framing.after; i < plain.size(); ++i) plain[i] = static_cast<uint8_t>(random());
        const size_t at = round % 2 == 0 ? oracle::below(random, plain.size()) : oracle::below(random, 20);
        const size_t length = round == 39 ? plain.size() - at : 1 + oracle::below(random, std::min<size_t>(plain.size() - at, 1400));
        REQUIRE(f.send(static_cast<uint32_t>(at), length) == 1);
        const Bytes payload = frames::take(f.path, f.wire.frames[0]).payload;
        REQUIRE(payload.size() == length);
        CHECK(std::equal(payload.begin(), payload.end(), f.first.sealed.begin() + static_cast<long>(at)));
      }
      CHECK(f.count("tx_tls_drop_header") == 0);
    }
}

TEST_CASE("of what stands around a record only that is written which is to be") {
  for (const bool header : {true, false}) {
    Fixture f;
    REQUIRE(f.device.add(f.path.key(), f.keys, kSequence, 0, &f.flow) == ocf::Status::Ok);
    const auto length = static_cast<uint32_t>(f.first.plain.size());
    record::NewRecord record{.ref = {0, length, 0, 0}, .headerToWrite = header, .typeToWrite = !header};
    REQUIRE(f.device.push(f.flow, {&record, 1}) == ocf::Status::Ok);
    f.first.plain[0] ^= 1;
    f.first.plain[length - 17] ^= 1;
    CHECK(f.send(0, 100) == (header ? 1 : 0));
    CHECK(f.send(length - 100, 100 - 16) == (header ? 0 : 1));
    CHECK(f.count("tx_tls_drop_header") == 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "what would be wrong once the payload is changed does not leave: MD5, TCP-AO, MPTCP, urgent data, SYN with data") {
  add();
  for (const uint8_t kind : {uint8_t{19}, uint8_t{29}, uint8_t{30}}) {
    path.tcpOptions = {kind, 4, 0, 0};
    CHECK(send(0, 100) == 0);
  }
  path.tcpOptions = {8, 30, 0, 0};  // longer than there is room for
  CHECK(send(0, 100) == 0);
  path.tcpOptions = {1, 1, 1, 0};
  CHECK(send(0, 100, kAck | nic::kTcpUrg) == 0);
  CHECK(send(0, 100, nic::kTcpSyn) == 0);
  CHECK(send(0, 100) == 1);
  CHECK(count("tx_tls_drop_unsupported") == 6);
}

TEST_CASE_FIXTURE(Fixture, "fragments and contradicting lengths pass only while there are no flows") {
  const auto hurt = [&](auto change) {
    auto built = frames::build(path, kSequence, kAck, part(0, 100), false);
    change(built.frame);
    return built;
  };
  const auto cases = {hurt([](Bytes& b) { b[20] = 0x20; }),       // more fragments
                      hurt([](Bytes& b) { b[21] = 1; }),          // not the first
                      hurt([](Bytes& b) { b.resize(60); }),       // cut short
                      hurt([](Bytes& b) { b[14] = 0x44; }),       // header shorter than a header
                      hurt([](Bytes& b) { b[46] = 0x40; }),       // TCP header likewise
                      hurt([](Bytes& b) { b[46] = 0xf0; b[17] = 60; b[16] = 0; })};  // ... or longer than the datagram
  for (const auto& built : cases) CHECK(send(built) == 1);
  add();
  for (const auto& built : cases) CHECK(send(built) == 0);
  CHECK(count("tx_drop_unclear") == cases.size());
  // Fragments of anything else are no affair of ours.
  CHECK(send(hurt([](Bytes& b) { b[20] = 0x20; b[23] = 17; })) == 1);
}

namespace {

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes ethernet(uint16_t type, const Bytes& data) {
  return Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type)} + data;
}

// Of another pair of addresses than the connection's.
Bytes ipv4(uint8_t protocol, const Bytes& data, uint8_t last = 9, bool fragment = false) {
  const size_t total = 20 + data.size();
  return Bytes{0x45, 0, static_cast<uint8_t>(total >> 8), static_cast<uint8_t>(total), 0, 0, static_cast<uint8_t>(fragment ? 0x20 : 0), 0, 64, protocol, 0, 0, 10, 0, 0, static_cast<uint8_t>(last == 9 ? 9 : 1), 10, 0, 0, last} + data;
}

Bytes ipv6(uint8_t next, const Bytes& data) {
  Bytes header(40, 0);
  header[0] = 0x60;
  header[4] = static_cast<uint8_t>(data.size() >> 8);
  header[5] = static_cast<uint8_t>(data.size());
  header[6] = next;
  header[23] = 1;
  header[39] = 7;
  return header + data;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "data of a flow does not leave inside of another protocol; what is somebody else's does") {
  const auto datagram = [&](uint8_t flags, const Bytes& data) {
    const auto built = frames::build(path, kSequence, flags, data, true);
    return Bytes(built.frame.begin() + 14, built.frame.end());
  };
  const Bytes labels{0, 1, 0, 64, 0, 2, 1, 64};
  const auto carriers = [&](const Bytes& whole) {
    const Bytes tcp(whole.begin() + 20, whole.end());
    return std::vector<Bytes>{
        ethernet(0x0800, ipv4(4, whole)),
        ethernet(0x86dd, ipv6(4, whole)),
        ethernet(0x8847, labels + whole),
        ethernet(0x8848, labels + whole),
        ethernet(0x8864, Bytes{0x11, 0, 0, 1, 0, 0, 0, 0x21} + whole),
        ethernet(0x0800, ipv4(137, labels + whole)),
        ethernet(0x0800, ipv4(47, Bytes{0, 0, 8, 0} + whole)),
        ethernet(0x0800, ipv4(47, Bytes{0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2} + whole)),
        ethernet(0x0800, ipv4(47, Bytes{0, 0, 0x65, 0x58} + ethernet(0x0800, whole))),
        ethernet(0x0800, ipv4(4, ipv4(4, ipv4(4, whole)))),
        // AH in transport mode has the connection's own addresses, and in tunnel mode others.
        ethernet(0x0800, ipv4(51, Bytes{6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1} + tcp, 2)),
        ethernet(0x0800, ipv4(51, Bytes{4, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1} + whole)),
        // SRv6 with one segment, which is where the packet is going (RFC 8754 4.1).
        ethernet(0x86dd, ipv6(43, Bytes{4, 2, 4, 0, 0, 0, 0, 0} + Bytes(16, 7) + whole)),
    };
  };
  const auto sent = [&](const Bytes& frame) { return send({.frame = frame, .offload = {nic::FrameOffload::Checksum::Complete}}); };
  const auto data = carriers(datagram(kAck, part(0, 100)));
  path.localPort ^= 1;
  const auto others = carriers(datagram(kAck, part(0, 100)));
  path.localPort ^= 1;
  const auto empty = carriers(datagram(kAck, {}));
  // What cannot be looked into, between the connection's hosts (ESP), and between others.
  const Bytes esp(60, 0x55);
  const std::vector<Bytes> opaque{ethernet(0x0800, ipv4(50, esp, 2)), ethernet(0x0800, ipv4(108, esp, 2)), ethernet(0x0800, ipv4(51, Bytes{50, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1} + esp, 2))};
  const std::vector<Bytes> foreign{ethernet(0x0800, ipv4(50, esp)), ethernet(0x86dd, ipv6(50, esp)), ethernet(0x0800, ipv4(17, esp, 2)), ethernet(0x0800, ipv4(1, esp, 2)),
                                   ethernet(0x88cc, esp), ethernet(0x0806, esp)};
  // What may be a part of it.
  const Bytes whole = datagram(kAck, part(0, 100));
  Bytes deep = whole;
  for (int i = 0; i < 6; ++i) deep = ipv4(47, Bytes{0, 0, 0x88, 0x47, 0, 0, 1, 64} + deep);
  const std::vector<Bytes> unclear{ethernet(0x0800, deep), ethernet(0x0800, ipv4(4, whole, 9, true)), ethernet(0x0800, ipv4(4, Bytes(whole.begin(), whole.begin() + 60))), ethernet(0x0800, ipv4(47, {0, 0})),
                                   ethernet(0x86dd, ipv6(44, Bytes{60, 0, 0, 1, 0, 0, 0, 1, 6, 0, 1, 4, 0, 0, 0, 0} + whole)), ethernet(0x8847, Bytes(80, 0)),
                                   ethernet(0x0800, ipv4(4, ipv4(4, ipv4(4, ipv4(4, ipv4(4, whole))))))};
  for (const auto& each : {data, others, empty, opaque, foreign, unclear})
    for (const Bytes& frame : each) CHECK(sent(frame) == 1);
  add();
  const auto all = [&](const std::vector<Bytes>& frames, size_t expected) {
    for (size_t i = 0; i < frames.size(); ++i) {
      CAPTURE(i);
      CHECK(sent(frames[i]) == expected);
      if (expected == 1) CHECK(wire.frames[0] == frames[i]);
    }
  };
  all(data, 0);
  all(opaque, 0);
  CHECK(count("tx_drop_carried") == data.size() + opaque.size());
  all(unclear, 0);
  CHECK(count("tx_drop_unclear") == unclear.size());
  all(others, 1);
  all(empty, 1);
  all(foreign, 1);
  // Also while only its marker is left; and not when that has gone.
  device.remove(flow);
  all(data, 0);
  all(opaque, 0);
  device.release(path.key());
  for (uint64_t at = 0; at < 3000; at += 10) static_cast<void>(device.hostIdle(at));
  all(data, 1);
  all(opaque, 1);
}

TEST_CASE_FIXTURE(Fixture, "bytes behind the datagram stay here") {
  add();
  auto built = frames::build(path, kSequence, kAck, part(0, 20), true);
  built.frame.insert(built.frame.end(), 8, 0x55);
  CHECK(send(built) == 1);
  CHECK(frames::take(path, wire.frames[0]).payload == Bytes(first.sealed.begin(), first.sealed.begin() + 20));
}

TEST_CASE_FIXTURE(Fixture, "TSO: cut, numbered, flagged and summed like separate segments, sealed or not") {
  for (const bool ipv6 : {false, true}) {
    path.ipv6 = ipv6;
    path.local = Bytes(ipv6 ? 16 : 4, 1);
    path.remote = Bytes(ipv6 ? 16 : 4, 2);
    for (const bool offloaded : {false, true}) {
      if (offloaded) add();
      const uint8_t flags = kAck | nic::kTcpPsh | nic::kTcpFin | nic::kTcpCwr;
      REQUIRE(send(frames::build(path, kSequence, flags, part(0, 2500), true, 1000)) == 3);
      for (size_t i = 0; i < 3; ++i) {
        const auto taken = frames::take(path, wire.frames[i]);
        CHECK(taken.sequence == kSequence + 1000 * i);
        const size_t n = i < 2 ? 1000 : 500;
        const Bytes& expected = offloaded ? first.sealed : first.plain;
        const auto begin = expected.begin() + static_cast<long>(1000 * i);
        CHECK(taken.payload == Bytes(begin, begin + static_cast<long>(n)));
        CHECK(taken.flags == (i == 0 ? kAck | nic::kTcpCwr : i == 1 ? kAck : kAck | nic::kTcpPsh | nic::kTcpFin));
        if (!ipv6) CHECK(wire.frames[i][19] == 0x34 + i);
      }
    }
  }
  CHECK(count("tx_tls_encrypted_packets") == 6);
  CHECK(count("tx_pass_packets") == 6);
}

TEST_CASE("the Internet checksum of any length equals one added up word by word") {
  oracle::Random random(oracle::seed());
  for (size_t n = 0; n < 1200; ++n) {
    const size_t length = n < 400 ? n : oracle::below(random, 1u << 16);
    Bytes data = oracle::randomBytes(random, length + 3);
    if (n % 5 == 0) std::fill(data.begin(), data.end(), 0xff);  // the sums that could run over
    const std::span<const uint8_t> part(data.data() + random() % 4, length);
    uint64_t expected = n;
    for (size_t i = 0; i < length; ++i) expected += uint64_t{part[i]} << (i % 2 == 0 ? 8 : 0);
    REQUIRE(nic::checksumFold(nic::checksumAdd(part, n)) == nic::checksumFold(expected));
  }
}

TEST_CASE_FIXTURE(Fixture, "checksums of what passes: as asked for, or computed when the port cannot tell") {
  auto built = frames::build(path, kSequence, kAck, part(0, 101), true);
  auto unknown = built;
  unknown.offload = {nic::FrameOffload::Checksum::Unknown};
  for (const auto& one : {built, unknown}) {
    REQUIRE(send(one) == 1);
    CHECK(frames::take(path, wire.frames[0]).payload == part(0, 101));
  }
  // Nonsense is not followed out of the frame.
  built.offload.start = 60000;
  CHECK(send(built) == 0);
  built.offload.start = static_cast<uint16_t>(built.frame.size() - 1);
  CHECK(send(built) == 0);
  built.offload = {nic::FrameOffload::Checksum::Complete, 0, 0, 100, false};
  CHECK(send(built) == 0);
  CHECK(count("tx_drop_offload") == 3);
}

TEST_CASE("flows, epochs and records are bounded") {
  Fixture f({.flow = {.limits = {.records = 2, .payloadBytes = 100000}}, .maxFlows = 2, .payloadBytes = 10000});
  f.add();
  nic::FlowId second{}, third{};
  auto key = f.path.key();
  key.remotePort = 1;
  REQUIRE(f.device.add(key, f.keys, 0, 0, &second) == ocf::Status::Ok);
  key.remotePort = 2;
  CHECK(f.device.add(key, f.keys, 0, 0, &third) == ocf::Status::Full);
  f.device.remove(second);
  CHECK(f.device.add(key, f.keys, 0, 0, &third) == ocf::Status::Full);  // what a removed flow guards is still held
  key.remotePort = 1;
  f.device.release(key);
  f.device.release(key);
  for (uint64_t now = 0; now < 1000; now += 20) CHECK(f.device.hostIdle(now));
  CHECK_FALSE(f.device.hostIdle(1000));
  CHECK(f.device.add(key, f.keys, 0, 0, &third) == ocf::Status::Ok);

  auto unknown = f.keys;
  unknown.suite = static_cast<record::Suite>(0xc009);
  CHECK(f.device.add(key, unknown, 0, 0, &third) == ocf::Status::NoDriver);

  const uint64_t at = f.first.plain.size();
  const auto push = [&](uint32_t length, uint64_t number, uint32_t epoch, uint64_t from) {
    record::NewRecord record{.ref = {from, length, epoch, number},
                             .payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(Bytes(length)))};
    return f.device.push(f.flow, {&record, 1});
  };
  CHECK(push(21, 1, 0, at) == ocf::Status::Invalid);                 // no room for a content type
  CHECK(push((1u << 14) + 256 + 6, 1, 0, at) == ocf::Status::Invalid);
  CHECK(push(100, 1, 9, at) == ocf::Status::Invalid);                // an epoch without keys
  CHECK(push(12000, 1, 0, at) == ocf::Status::Full);                 // retained bytes of all flows
  CHECK(push(100, 1, 0, at) == ocf::Status::Ok);
  CHECK(push(100, 2, 0, at + 100) == ocf::Status::Full);             // records of this flow
  f.device.acknowledged(f.flow, at);
  CHECK(push(100, 2, 0, at + 100) == ocf::Status::Ok);

  auto later = f.keys;
  CHECK(f.device.rekey(f.flow, later) == ocf::Status::Invalid);
  later.epoch = 5;
  CHECK(f.device.rekey(f.flow, later) == ocf::Status::Ok);
  CHECK(f.device.usage(f.flow)->epochs == 2);
  f.device.acknowledged(f.flow, at + 200);
  CHECK(f.device.usage(f.flow)->epochs == 1);
  CHECK(f.device.retainedBytes() == 0);
}

TEST_CASE("packets make no state: a flood of SYNs and data leaves nothing behind") {
  Fixture f;
  f.add();
  const auto before = f.device.usage(f.flow);
  for (int i = 0; i < 10000; ++i) {
    frames::Path other = f.path;
    other.remotePort = static_cast<uint16_t>(f.random());
    if (other.remotePort == f.path.remotePort) continue;
    f.send(frames::build(other, static_cast<uint32_t>(f.random()), i % 2 == 0 ? nic::kTcpSyn : kAck, Bytes(i % 2 == 0 ? 0 : 10), false));
  }
  CHECK(f.device.flows() == 1);
  CHECK(f.device.usage(f.flow)->records == before->records);
}

TEST_CASE("a tag in front of its record's hole waits for TCP, or is made from the payload, with the same bytes") {
  for (const bool payload : {false, true}) {
    Fixture f;
    const Bytes content(f.first.plain.begin() + 5, f.first.plain.end() - 17);
    REQUIRE(f.device.add(f.path.key(), f.keys, kSequence, 0, &f.flow) == ocf::Status::Ok);
    record::NewRecord record{.ref = {0, static_cast<uint32_t>(f.first.plain.size()), 0, 0}};
    if (payload) record.payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(content));
    REQUIRE(f.device.push(f.flow, {&record, 1}) == ocf::Status::Ok);
    record.payload = {};
    CHECK(f.send(0, 1000) == 1);
    // 1000 to 2000 is lost on the way to the device.
    const auto rest = static_cast<uint32_t>(f.first.plain.size() - 2000);
    CHECK(f.send(2000, rest) == (payload ? 1 : 0));
    CHECK(f.count("tx_tls_drop_hole") == (payload ? 0 : 1));
    CHECK(f.count("tx_tls_resync_bytes") == (payload ? 1000 : 0));
    CHECK(f.device.retainedBytes() == 0);
    CHECK(f.send(1000, 1000) == 1);
    CHECK(frames::take(f.path, f.wire.frames[0]).payload == Bytes(f.first.sealed.begin() + 1000, f.first.sealed.begin() + 2000));
    CHECK(f.send(2000, rest) == 1);
    CHECK(frames::take(f.path, f.wire.frames[0]).payload == Bytes(f.first.sealed.begin() + 2000, f.first.sealed.end()));
    CHECK(f.count("tx_tls_tags") == 1);
  }
}

// Found by the fault laboratory: with no room for one range more, the segment that TCP repeats was dropped forever.
TEST_CASE("more holes than there is room for: the first byte that is missing always gets through") {
  for (const bool evicted : {false, true}) {
    Fixture f;
    REQUIRE(f.device.add(f.path.key(), f.keys, kSequence, 0, &f.flow) == ocf::Status::Ok);
    const auto length = static_cast<uint32_t>(f.first.plain.size());
    record::NewRecord record{.ref = {0, length, 0, 0}};
    if (evicted) record.payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(Bytes(f.first.plain.begin() + 5, f.first.plain.end() - 17)));
    REQUIRE(f.device.push(f.flow, {&record, 1}) == ocf::Status::Ok);
    uint32_t at = 0;
    if (evicted) {
      for (; at < 1000; at += 50) CHECK(f.send(at, 50) == 1);
      f.device.evict(f.flow);
    }
    size_t left = 0;
    for (uint32_t hole = at + 100; hole < length - 50; hole += 100) left += f.send(hole, 50);
    CHECK(left >= 11);
    for (; at < length; at += 50) {
      const uint32_t n = std::min<uint32_t>(50, length - at);
      REQUIRE(f.send(at, n) == 1);
      CHECK(frames::take(f.path, f.wire.frames[0]).payload == Bytes(f.first.sealed.begin() + at, f.first.sealed.begin() + at + n));
    }
  }
}

// Found by the fault laboratory: what a queue still held of acknowledged records left as it was.
TEST_CASE("what is in front of a flow's start passes, as far as it is not acknowledged") {
  // With sequence numbers that wrap in front of the start, at it, and nowhere near.
  for (const uint32_t sequence : {kSequence, 0u, 50u, uint32_t{0} - 50}) {
    CAPTURE(sequence);
    Fixture f;
    f.keys.streamOffset = 1000;
    const auto length = static_cast<uint32_t>(f.first.plain.size());
    CHECK(f.device.add(f.path.key(), f.keys, sequence, nic::Flow::kWindow + 1, &f.flow) == ocf::Status::Invalid);
    REQUIRE(f.device.add(f.path.key(), f.keys, sequence, 100, &f.flow) == ocf::Status::Ok);
    record::NewRecord record{.ref = {1000, length, 0, 0}};
    REQUIRE(f.device.push(f.flow, {&record, 1}) == ocf::Status::Ok);
    // Ciphertext up to the start, and then a record.
    Bytes stream(1000, 'c');
    stream.insert(stream.end(), f.first.plain.begin(), f.first.plain.end());
    const auto sent = [&](uint32_t from, uint32_t n) {
      return f.send(frames::build(f.path, sequence + from - 1000, kAck, {stream.begin() + from, stream.begin() + from + n}, true));
    };
    CHECK(sent(900, 100) == 1);
    CHECK(frames::take(f.path, f.wire.frames[0]).payload == Bytes(100, 'c'));
    CHECK(sent(950, 150) == 1);
    CHECK(frames::take(f.path, f.wire.frames[0]).payload[149] == f.first.sealed[99]);
    CHECK(sent(0, 100) == 0);
    CHECK(sent(0, 4000) == 0);
    CHECK(sent(899, 200) == 0);  // a part of it is news
    CHECK(sent(899, 1) == 0);    // a keepalive of other systems; Linux's has no data
    CHECK(sent(899, 0) == 1);
    CHECK(f.count("tx_tls_drop_acknowledged") == 4);

    f.device.acknowledged(f.flow, 950);
    f.device.acknowledged(f.flow, 900);  // an older report does not move it back
    CHECK(sent(949, 200) == 0);
    CHECK(sent(950, 200) == 1);
    f.device.acknowledged(f.flow, 1050);
    CHECK(sent(950, 200) == 0);
    CHECK(sent(1049, 200) == 0);
    CHECK(sent(1050, 200) == 1);
    CHECK(f.count("tx_tls_drop_acknowledged") == 7);
    CHECK(f.count("tx_tls_drop_no_sync_data") == 0);
  }
}

TEST_CASE("a payload that fails in the middle of a hole costs the tag its state, not its value") {
  // Readable up to 1500, while 1000 to 1400 and 2000 on are missing.
  class Broken final : public record::Payload {
   public:
    explicit Broken(Bytes bytes) : bytes_(std::move(bytes)) {}
    [[nodiscard]] record::Reading read(uint64_t at, std::span<uint8_t> to) const noexcept override {
      if (at + to.size() > 1500) return record::Reading::Gone;
      std::copy_n(bytes_.begin() + static_cast<long>(at), to.size(), to.begin());
      return record::Reading::Done;
    }

   private:
    Bytes bytes_;
  };
  Fixture f;
  REQUIRE(f.device.add(f.path.key(), f.keys, kSequence, 0, &f.flow) == ocf::Status::Ok);
  record::NewRecord record{.ref = {0, static_cast<uint32_t>(f.first.plain.size()), 0, 0}};
  record.payload = record::PayloadRef(std::make_unique<Broken>(Bytes(f.first.plain.begin() + 5, f.first.plain.end() - 17)));
  REQUIRE(f.device.push(f.flow, {&record, 1}) == ocf::Status::Ok);
  const auto length = static_cast<uint32_t>(f.first.plain.size());
  CHECK(f.send(0, 1000) == 1);
  CHECK(f.send(1400, 600) == 1);
  CHECK(f.send(length - 100, 100) == 0);
  for (uint32_t at = 0; at < length; at += 500) {
    const uint32_t n = std::min<uint32_t>(500, length - at);
    CHECK(f.send(at, n) == 1);
    CHECK(frames::take(f.path, f.wire.frames[0]).payload ==
          Bytes(f.first.sealed.begin() + static_cast<long>(at), f.first.sealed.begin() + static_cast<long>(at + n)));
  }
}

TEST_CASE("next-record: out of step after a loss in front of the device, in step again at the record after") {
  Fixture f({.flow = {.resync = nic::Resync::NextRecord}});
  REQUIRE(f.device.add(f.path.key(), f.keys, kSequence, 0, &f.flow) == ocf::Status::Ok);
  Bytes plain;
  const auto push = [&](uint64_t number) {
    const Bytes content = oracle::randomBytes(f.random, 3000);
    const auto framed = oracle::frame(f.keys, number, 23, content);
    record::NewRecord record{.ref = {plain.size(), static_cast<uint32_t>(framed.plain.size()), 0, number},
                             .payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(content))};
    REQUIRE(f.device.push(f.flow, {&record, 1}) == ocf::Status::Ok);
    plain.insert(plain.end(), framed.plain.begin(), framed.plain.end());
  };
  const auto send = [&](uint32_t from, uint32_t to) {
    return f.send(frames::build(f.path, kSequence + from, kAck, Bytes(plain.begin() + from, plain.begin() + to), true));
  };
  push(0);
  push(1);
  CHECK(send(0, 1000) == 1);
  CHECK(send(500, 1000) == 1);  // again: sealed by software, still in step
  CHECK(f.count("tx_tls_resync_req") == 0);
  CHECK(f.count("tx_tls_fallback_packets") == 1);
  CHECK(send(2000, 3022) == 1);  // 1000 to 2000 never came here
  CHECK(f.count("tx_tls_resync_req") == 1);
  CHECK(send(3022, 4000) == 1);  // pushed before it was asked for: still by software
  CHECK(f.count("tx_tls_fallback_packets") == 3);
  push(2);
  CHECK(send(4000, 6044) == 1);
  CHECK(f.count("tx_tls_resync_ok") == 0);
  CHECK(send(6044, 7000) == 1);
  CHECK(f.count("tx_tls_resync_ok") == 1);
  CHECK(send(7000, 9066) == 1);
  CHECK(f.count("tx_tls_fallback_packets") == 4);
  CHECK(f.count("tx_tls_resync_req") == 1);
}

TEST_CASE("another host port: what the peer sends to a flow waits until its socket is bound to that") {
  Random random(oracle::seed());
  nic::InlineDevice device{{}};
  device.setTime(1000);
  const frames::Path one = frames::randomPath(random), other = frames::randomPath(random), unknown = frames::randomPath(random);
  nic::FlowId first{}, second{};
  REQUIRE(device.add(one.key(), oracle::randomKeys(random, record::Suite::Aes128GcmSha256), 0, 0, &first) == ocf::Status::Ok);
  REQUIRE(device.add(other.key(), oracle::randomKeys(random, record::Suite::Aes128GcmSha256), 0, 0, &second) == ocf::Status::Ok);
  const auto passes = [&](const frames::Path& path) {
    return device.deliverable(frames::build(path.reversed(), 1, 0x10, oracle::randomBytes(random, 20), false).frame);
  };
  CHECK(passes(one));
  device.awaitBinding(1000, 1000);
  CHECK_FALSE(passes(one));
  CHECK_FALSE(passes(other));
  CHECK(passes(unknown));
  // ARP, for one.
  CHECK(device.deliverable(Bytes{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6}));
  device.bound(first);
  CHECK(passes(one));
  CHECK_FALSE(passes(other));
  device.setTime(1499);
  CHECK_FALSE(passes(other));
  device.setTime(1998);
  CHECK_FALSE(passes(other));
  // A clock that leaps has not waited for that.
  device.awaitBinding(1998, 1000);
  device.setTime(3'600'000'001'998);
  CHECK_FALSE(passes(other));
  device.setTime(3'600'000'002'497);
  CHECK_FALSE(passes(other));
  // Nobody told.
  device.setTime(3'600'000'002'498);
  CHECK(passes(other));
  CHECK(device.counters().rx_drop_unbound == 7);
}
