// What prefix-replay, the paper's way, encrypts once more for a segment that comes again, and for the way on.
#include "frames.hpp"
#include "nic/device/inline_device.hpp"

using namespace socrypt;
using oracle::Bytes;
using oracle::Random;

namespace {

constexpr uint8_t kAck = 0x10;
constexpr uint32_t kSequence = 1000000;

// Full records in segments of 1448 bytes, as a TCP sends them whose retransmissions the test chooses.
struct Replaying {
  static constexpr size_t kSegment = 1448;
  Random random{oracle::seed()};
  nic::InlineDevice device{{.flow = {.resync = nic::Resync::PrefixReplay}}};
  frames::Path path;
  record::TrafficKeys keys = oracle::randomKeys(random, record::Suite::Aes128GcmSha256);
  nic::FlowId flow{};
  Bytes plain;
  Bytes sealed;
  size_t recordLength = 0;

  explicit Replaying(size_t records) {
    path.local = {10, 0, 0, 1};
    path.remote = {10, 0, 0, 2};
    REQUIRE(device.add(path.key(), keys, kSequence, 0, &flow) == ocf::Status::Ok);
    for (size_t i = 0; i < records; ++i) {
      Bytes content = oracle::randomBytes(random, 1u << 14);
      const auto framed = oracle::frame(keys, i, 23, content);
      recordLength = framed.plain.size();
      record::NewRecord record{.ref = {plain.size(), static_cast<uint32_t>(recordLength), 0, i},
                               .payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(std::move(content)))};
      REQUIRE(device.push(flow, {&record, 1}) == ocf::Status::Ok);
      plain.insert(plain.end(), framed.plain.begin(), framed.plain.end());
      sealed.insert(sealed.end(), framed.sealed.begin(), framed.sealed.end());
    }
  }
  [[nodiscard]] size_t segments() const { return plain.size() / kSegment; }
  void send(size_t segment) {
    const auto from = static_cast<long>(segment * kSegment);
    frames::Wire wire;
    auto built = frames::build(path, kSequence + static_cast<uint32_t>(from), kAck, {plain.begin() + from, plain.begin() + from + static_cast<long>(kSegment)}, false);
    device.transmit(built.frame, built.offload, wire);
    REQUIRE(wire.frames.size() == 1);
    CHECK(frames::take(path, wire.frames[0]).payload == Bytes(sealed.begin() + from, sealed.begin() + from + static_cast<long>(kSegment)));
  }
  /// Of the record in which the segment begins, the text in front of it.
  [[nodiscard]] uint64_t prefix(size_t segment) const {
    const size_t in = segment * kSegment % recordLength, text = recordLength - 5 - record::kTagLength;
    return in < 5 ? 0 : std::min(in - 5, text);
  }
  [[nodiscard]] uint64_t count(std::string_view name) const { return frames::count(device.counters(), name); }
};

}  // namespace

TEST_CASE("prefix-replay: a retransmission costs the way back, the next new segment the way on") {
  Replaying tcp(4);
  for (size_t i = 0; i < 7; ++i) tcp.send(i);
  CHECK(tcp.count("tx_tls_dump_bytes") == 0);
  // The paper's figure 3: P5 comes again behind P7, and then P8. mlx5 has one context and is not at P8 any more.
  tcp.send(5);
  CHECK(tcp.count("tx_tls_replay_back_bytes") == tcp.prefix(5));
  CHECK(tcp.count("tx_tls_replay_forward_bytes") == 0);
  tcp.send(7);
  CHECK(tcp.count("tx_tls_replay_back_bytes") == tcp.prefix(5));
  CHECK(tcp.count("tx_tls_replay_forward_bytes") == tcp.prefix(7));
  tcp.send(8);
  CHECK(tcp.count("tx_tls_dump_bytes") == tcp.prefix(5) + tcp.prefix(7));
  CHECK(tcp.count("tx_tls_ooo") == 2);
}

TEST_CASE("prefix-replay: a row that is retransmitted costs one way back and one way on") {
  Replaying tcp(4);
  for (size_t i = 0; i < 20; ++i) tcp.send(i);
  for (size_t i = 4; i < 11; ++i) tcp.send(i);
  tcp.send(20);
  CHECK(tcp.count("tx_tls_replay_back_bytes") == tcp.prefix(4));
  CHECK(tcp.count("tx_tls_replay_forward_bytes") == tcp.prefix(20));
}

TEST_CASE("prefix-replay: 5.66 bytes back per retransmitted byte, 11.3 at most, and as many on again") {
  Replaying tcp(256);
  uint64_t back = 0, forward = 0, most = 0, again = 0;
  tcp.send(0);
  tcp.send(1);
  tcp.send(2);
  // Behind each new segment one from half the way back, so that neither follows the other.
  for (size_t next = 3; next < tcp.segments(); ++next) {
    const size_t old = next / 2 - 1;
    tcp.send(old);
    tcp.send(next);
    back += tcp.prefix(old);
    forward += tcp.prefix(next);
    most = std::max({most, tcp.prefix(old), tcp.prefix(next)});
    again += Replaying::kSegment;
  }
  CHECK(tcp.count("tx_tls_replay_back_bytes") == back);
  CHECK(tcp.count("tx_tls_replay_forward_bytes") == forward);
  const auto per = [](uint64_t bytes, uint64_t of) { return static_cast<double>(bytes) / static_cast<double>(of); };
  CHECK(per(back, again) == doctest::Approx(5.66).epsilon(0.02));
  CHECK(per(forward, again) == doctest::Approx(5.66).epsilon(0.02));
  CHECK(per(most, Replaying::kSegment) == doctest::Approx(11.3).epsilon(0.01));
}
