// What the real stage does between the host's TCP and the device: every frame that comes out of it is one that TCP could have sent.
#include <algorithm>
#include <map>

#include "frames.hpp"
#include "nic/lab/host_seam.hpp"
#include "nic/lab/ranges.hpp"

using namespace socrypt;
using nic::lab::Bytes;
using nic::lab::Fault;
using nic::lab::HostFrame;
using nic::lab::HostSeam;
using nic::lab::Offload;
using nic::lab::Seam;

namespace {

constexpr uint8_t kAck = 0x10;
constexpr uint32_t kStart = 0xfffff000;  // across the wrap

struct Fixture {
  nic::lab::Random random{oracle::seed()};
  nic::lab::Path path;
  std::optional<HostSeam> seam;
  Bytes stream;
  std::vector<HostFrame> given;
  uint64_t now = 1000;

  explicit Fixture(std::vector<nic::lab::Rule> rules, bool ipv6 = false) {
    nic::lab::Plan plan{.seed = oracle::seed()};
    plan.rules = std::move(rules);
    seam.emplace(plan, "secret");
    path = {.ipv6 = ipv6, .tcpOptions = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, .local = Bytes(ipv6 ? 16 : 4, 1), .remote = Bytes(ipv6 ? 16 : 4, 2)};
    while (stream.size() < 200'000) {
      const Bytes words = nic::lab::randomBytes(random, 500);
      stream.insert(stream.end(), words.begin(), words.end());
      for (const char c : std::string("secret")) stream.push_back(static_cast<uint8_t>(c));
    }
  }
  void send(size_t from, size_t to, uint16_t segment = 0) {
    const auto built = nic::lab::build(path, kStart + static_cast<uint32_t>(from), kAck, {stream.begin() + static_cast<long>(from), stream.begin() + static_cast<long>(to)}, true, segment);
    const bool cut = segment != 0;
    seam->take({{Offload::kNeedsChecksum, cut ? (path.ipv6 ? Offload::kGsoTcp6 : Offload::kGsoTcp4) : Offload::kGsoNone, static_cast<uint16_t>(built.payload), segment, built.offload.start, 16},
                built.frame},
               now);
    release();
  }
  void release() {
    seam->release(now, [this](const HostFrame& frame) { given.push_back(frame); });
  }
  void end() {
    for (int i = 0; i < 100 && seam->due() != UINT64_MAX; ++i) {
      now = std::max(now, seam->due());
      release();
    }
    CHECK(seam->due() == UINT64_MAX);
  }
  /// As a device with checksum offload and TSO sees it; every byte has to be the stream's.
  nic::lab::Ranges received() {
    nic::lab::Ranges all;
    for (HostFrame one : given) {
      const nic::Packet packet = nic::parsePacket(one.frame);
      REQUIRE(packet.kind == nic::Packet::Kind::Tcp);
      REQUIRE(packet.end == one.frame.size());
      CHECK(one.offload.flags == Offload::kNeedsChecksum);
      CHECK(one.offload.checksumStart == packet.transport);
      CHECK((one.offload.gsoType == Offload::kGsoNone) == (one.offload.gsoSize == 0));
      CHECK((one.offload.gsoSize == 0 || packet.payloadLength() > one.offload.gsoSize));
      // What is left to the device makes it whole.
      const auto tcp = std::span<uint8_t>(one.frame).subspan(packet.transport);
      nic::put16(tcp.data() + 16, static_cast<uint16_t>(~nic::checksumFold(nic::checksumAdd(tcp))));
      std::string why;
      const auto taken = nic::lab::take(path, one.frame, why);
      INFO(why);
      REQUIRE(taken);
      const size_t from = taken->sequence - kStart;
      REQUIRE(from + taken->payload.size() <= stream.size());
      CHECK(std::equal(taken->payload.begin(), taken->payload.end(), stream.begin() + static_cast<long>(from)));
      all.add(from, from + taken->payload.size());
    }
    return all;
  }
};

nic::lab::Rule always(Fault fault, uint64_t amount = 0) { return {Seam::Host, fault, 1'000'000, amount}; }

}  // namespace

TEST_CASE("without rules frames go by in order") {
  Fixture f({});
  for (size_t i = 0; i < 10; ++i) f.send(1000 * i, 1000 * (i + 1));
  CHECK(f.given.size() == 10);
  CHECK(f.received().covers(0, 10'000));
}

TEST_CASE("cut and joined frames are the stream's, with TSO and without") {
  for (const bool ipv6 : {false, true})
    for (const uint16_t segment : {uint16_t{0}, uint16_t{1448}}) {
      Fixture f({{Seam::Host, Fault::Resegment, 500'000, 5}, {Seam::Host, Fault::Coalesce, 500'000, 0}}, ipv6);
      const size_t each = segment == 0 ? 1448 : 14'000;
      for (size_t i = 0; i < 14; ++i) f.send(each * i, each * (i + 1), segment);
      f.end();
      CHECK(f.received().covers(0, 14 * each));
      CHECK(f.seam->counts().resegmented > 0);
      CHECK(f.seam->counts().coalesced > 0);
    }
}

TEST_CASE("a row comes last one first, and one that is not full when its time is up") {
  Fixture f({{Seam::Host, Fault::TailFirst, 1'000'000, 2}});
  f.send(0, 1000);
  CHECK(f.given.empty());
  f.send(1000, 2000);
  REQUIRE(f.given.size() == 2);
  CHECK(nic::parsePacket(f.given[0].frame).sequence == kStart + 1000);
  f.send(2000, 3000);
  f.end();
  CHECK(f.received().covers(0, 3000));
  CHECK(f.seam->counts().reversed == 2);
}

TEST_CASE("what is dropped is gone, what is repeated comes again, what waits comes later") {
  Fixture dropped({always(Fault::Drop)});
  dropped.send(0, 1000);
  dropped.end();
  CHECK(dropped.given.empty());
  Fixture repeated({always(Fault::Duplicate, 2)});
  repeated.send(0, 1000);
  CHECK(repeated.given.size() == 3);
  Fixture late({always(Fault::Reorder, 5000)});
  for (size_t i = 0; i < 20; ++i) late.send(1000 * i, 1000 * (i + 1));
  late.end();
  CHECK(late.received().covers(0, 20'000));
  CHECK_FALSE(std::is_sorted(late.given.begin(), late.given.end(), [](const HostFrame& a, const HostFrame& b) {
    return nic::parsePacket(a.frame).sequence - kStart < nic::parsePacket(b.frame).sequence - kStart;
  }));
}

TEST_CASE("a stray range is one that TCP has sent") {
  Fixture f({always(Fault::Stray, 700)});
  for (size_t i = 0; i < 50; ++i) f.send(2000 * i, 2000 * (i + 1), 1448);
  f.end();
  CHECK(f.given.size() == 50 + f.seam->counts().strays);
  CHECK(f.received().covers(0, 100'000));
}

TEST_CASE("nothing comes again of a connection behind which there is another") {
  Fixture f({always(Fault::Stray, 700)});
  for (size_t i = 0; i < 20; ++i) f.send(2000 * i, 2000 * (i + 1));
  f.given.clear();
  f.path.remotePort = 50001;
  for (size_t i = 0; i < 20; ++i) f.send(2000 * i, 2000 * (i + 1));
  f.end();
  CHECK(f.given.size() > 20);
  f.received();  // of that path, all of it
}

TEST_CASE("noise is plaintext that a device must not let out, and of offloaded connections alone") {
  Fixture f({always(Fault::Noise)});
  for (size_t i = 0; i < 40; ++i) f.send(1000 * i, 1000 * (i + 1));
  size_t fragments = 0, unannounced = 0;
  for (const HostFrame& one : f.given) {
    const nic::Packet packet = nic::parsePacket(one.frame);
    fragments += packet.kind == nic::Packet::Kind::Unclear;
    unannounced += packet.kind == nic::Packet::Kind::Tcp && packet.sequence - kStart > f.stream.size();
  }
  CHECK(fragments > 0);
  CHECK(unannounced > 0);
  CHECK(fragments + unannounced == 40);
  CHECK(f.given.size() == 80);
  Fixture sealed({always(Fault::Noise)});
  std::fill(sealed.stream.begin(), sealed.stream.end(), uint8_t{7});
  sealed.send(0, 1000);
  CHECK(sealed.given.size() == 1);
}
