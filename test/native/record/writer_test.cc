#include "oracle.hpp"

using namespace oracle;
using record::ContentType;
using record::RecordReader;
using record::RecordWriter;
using record::Slot;

namespace {

// Lays payloads out as slots, one behind the other.
struct Burst {
  Bytes memory;
  std::vector<Slot> slots;
  Burst(record::Suite suite, const std::vector<Bytes>& payloads) {
    size_t total = 0;
    for (const auto& payload : payloads) total += payload.size() + overhead(suite);
    memory.resize(total);
    uint8_t* at = memory.data();
    for (const auto& payload : payloads) {
      std::copy(payload.begin(), payload.end(), at + before(suite));
      slots.push_back({at, static_cast<uint32_t>(payload.size())});
      at += payload.size() + overhead(suite);
    }
  }
};

}  // namespace

TEST_CASE("sealed bursts equal a separate sealer's stream, and open again") {
  std::mt19937_64 random(seed());
  forAll([&](ocf::Framework& framework, record::Suite suite) {
    auto keys = randomKeys(random, suite);
    keys.recordSeq = random();
    keys.epoch = 7;
    keys.streamOffset = 1000;
    RecordWriter writer(framework);
    CHECK_FALSE(writer.ready());
    REQUIRE(writer.install(keys) == ocf::Status::Ok);
    CHECK(writer.epoch() == 7);
    CHECK(writer.tls12() == isTls12(suite));
    CHECK(writer.framing().before == before(suite));
    CHECK(writer.framing().overhead() == overhead(suite));
    writer.setRecordLimit(UINT64_MAX);
    RecordReader reader(framework);
    REQUIRE(reader.install(keys) == ocf::Status::Ok);

    std::vector<Bytes> payloads;
    for (const size_t n : {0, 1, 2, 15, 16, 17, 255, 4096, 16383, 16384}) payloads.push_back(randomBytes(random, n));
    for (int i = 0; i < 30; ++i) payloads.push_back(randomBytes(random, random() % 16385));
    Burst burst(suite, payloads);
    REQUIRE(writer.seal(ContentType::ApplicationData, burst.slots) == payloads.size());
    CHECK(writer.recordSeq() == keys.recordSeq + payloads.size());
    CHECK(writer.streamOffset() == 1000 + burst.memory.size());

    Bytes expected;
    for (size_t i = 0; i < payloads.size(); ++i) {
      const Bytes one = sealContent(keys, keys.recordSeq + i, 23, payloads[i]);
      expected.insert(expected.end(), one.begin(), one.end());
    }
    REQUIRE(burst.memory == expected);

    std::span<uint8_t> left(burst.memory);
    for (const auto& payload : payloads) {
      RecordReader::Opened opened{};
      CHECK(reader.recordLength(left) == payload.size() + overhead(suite));
      REQUIRE(reader.open(left, opened) == RecordReader::Result::Record);
      CHECK(opened.type == ContentType::ApplicationData);
      REQUIRE(Bytes(opened.content.begin(), opened.content.end()) == payload);
      left = left.subspan(opened.consumed);
    }
    CHECK(left.empty());
    CHECK(reader.recordSeq() == writer.recordSeq());
    CHECK(reader.streamOffset() == writer.streamOffset());
  });
}

TEST_CASE("framed records are what seal() encrypts, and are counted as it counts them") {
  std::mt19937_64 random(seed());
  forAll([&](ocf::Framework& framework, record::Suite suite) {
    auto keys = randomKeys(random, suite);
    keys.recordSeq = random() >> 1;
    keys.epoch = 3;
    keys.streamOffset = 77;
    RecordWriter framer(framework), sealer(framework);
    std::array<record::Framed, 20> framed;
    CHECK(framer.frame(ContentType::ApplicationData, Burst(suite, {Bytes(1)}).slots, framed.data()) == 0);
    REQUIRE(framer.install(keys) == ocf::Status::Ok);
    REQUIRE(sealer.install(keys) == ocf::Status::Ok);
    framer.setRecordLimit(UINT64_MAX);
    sealer.setRecordLimit(UINT64_MAX);
    std::vector<Bytes> payloads;
    for (int i = 0; i < 20; ++i) payloads.push_back(randomBytes(random, random() % 16385));
    Burst burst(suite, payloads);
    REQUIRE(framer.frame(ContentType::ApplicationData, burst.slots, framed.data()) == payloads.size());
    uint64_t offset = 77;
    for (size_t i = 0; i < payloads.size(); ++i) {
      const record::Framed& record = framed[i];
      CHECK(record.ref.recordSeq == keys.recordSeq + i);
      CHECK(record.ref.epoch == 3);
      CHECK(record.ref.streamOffset == offset);
      REQUIRE(record.ref.length == payloads[i].size() + overhead(suite));
      offset += record.ref.length;
      // Sealing just what the framer said gives the oracle's record.
      const uint8_t* at = burst.slots[i].at;
      const Bytes inner(at + before(suite), at + before(suite) + record.innerLength);
      CHECK(std::equal(payloads[i].begin(), payloads[i].end(), inner.begin()));
      Bytes out(at, at + before(suite));
      sealAead(keys, Bytes(record.nonce.begin(), record.nonce.end()), Bytes(record.aad.begin(), record.aad.begin() + record.aadLength), inner, out);
      REQUIRE(out == sealContent(keys, keys.recordSeq + i, 23, payloads[i]));
    }
    Burst same(suite, payloads);
    REQUIRE(sealer.seal(ContentType::ApplicationData, same.slots) == payloads.size());
    CHECK(framer.recordSeq() == sealer.recordSeq());
    CHECK(framer.streamOffset() == sealer.streamOffset());
    framer.setRecordLimit(framer.recordSeq() + 2);
    CHECK(framer.frame(ContentType::ApplicationData, burst.slots, framed.data()) == 2);
    CHECK(framer.frame(ContentType::ApplicationData, burst.slots, framed.data()) == 0);
    CHECK(framer.frame(ContentType::Alert, Burst(suite, {Bytes{1, 0}}).slots, framed.data()) == 1);
  });
}

TEST_CASE("application data stops at the record limit; the way out of it does not") {
  std::mt19937_64 random(seed());
  forAll([&](ocf::Framework& framework, record::Suite suite) {
    RecordWriter writer(framework);
    REQUIRE(writer.install(randomKeys(random, suite)) == ocf::Status::Ok);
    const bool gcm = !isChaCha20(suite);
    CHECK(writer.recordsLeft() == (gcm ? record::kAesGcmRecordLimit : UINT64_MAX));
    writer.setRecordLimit(20);
    Burst burst(suite, std::vector<Bytes>(25, Bytes(100)));
    const Bytes before = burst.memory;
    CHECK(writer.seal(ContentType::ApplicationData, burst.slots) == 20);
    CHECK(writer.recordsLeft() == 0);
    CHECK(writer.ready());
    const size_t sealedBytes = 20 * (100 + overhead(suite));
    CHECK(std::equal(before.begin() + sealedBytes, before.end(), burst.memory.begin() + sealedBytes));
    CHECK(writer.seal(ContentType::ApplicationData, burst.slots) == 0);
    Burst keyUpdate(suite, {Bytes{24, 0, 0, 1, 0}});
    CHECK(writer.seal(ContentType::Handshake, keyUpdate.slots) == 1);
    REQUIRE(writer.install(randomKeys(random, suite)) == ocf::Status::Ok);
    CHECK(writer.recordsLeft() == 20);
  });
}

TEST_CASE("Nonce reuse: recordSeq never wraps") {
  std::mt19937_64 random(seed());
  forAll([&](ocf::Framework& framework, record::Suite suite) {
    auto keys = randomKeys(random, suite);
    keys.recordSeq = UINT64_MAX - 2;
    RecordWriter writer(framework);
    REQUIRE(writer.install(keys) == ocf::Status::Ok);
    writer.setRecordLimit(UINT64_MAX);
    Burst burst(suite, std::vector<Bytes>(4, Bytes(10)));
    CHECK(writer.seal(ContentType::ApplicationData, burst.slots) == 2);
    CHECK(writer.recordSeq() == UINT64_MAX);
    CHECK(writer.seal(ContentType::Alert, Burst(suite, {Bytes{1, 0}}).slots) == 0);

    RecordReader reader(framework);
    REQUIRE(reader.install(keys) == ocf::Status::Ok);
    RecordReader::Opened opened{};
    std::span<uint8_t> left(burst.memory);
    for (int i = 0; i < 2; ++i) {
      REQUIRE(reader.open(left, opened) == RecordReader::Result::Record);
      left = left.subspan(opened.consumed);
    }
    Bytes last = sealContent(keys, UINT64_MAX, 23, Bytes(1));
    CHECK(reader.open(last, opened) == RecordReader::Result::Fail);
  });
}

TEST_CASE("payloads that TLS forbids are refused, and what stands before them is sealed") {
  std::mt19937_64 random(seed());
  forAll([&](ocf::Framework& framework, record::Suite suite) {
    RecordWriter writer(framework);
    CHECK(writer.seal(ContentType::ApplicationData, Burst(suite, {Bytes(1)}).slots) == 0);
    REQUIRE(writer.install(randomKeys(random, suite)) == ocf::Status::Ok);
    CHECK(writer.seal(ContentType::ApplicationData, Burst(suite, {Bytes(1), Bytes(16385), Bytes(1)}).slots) == 1);
    CHECK(writer.seal(ContentType::Handshake, Burst(suite, {Bytes(0)}).slots) == 0);
    CHECK(writer.seal(ContentType::Alert, Burst(suite, {Bytes(0)}).slots) == 0);
    CHECK(writer.ready());
    CHECK(writer.recordSeq() == 1);
  });
}

TEST_CASE("a framework without drivers refuses, and the old keys stay") {
  ocf::Framework framework;
  RecordWriter writer(framework);
  CHECK(writer.install({}) == ocf::Status::NoDriver);
  CHECK_FALSE(writer.ready());
  RecordReader reader(framework);
  CHECK(reader.install({}) == ocf::Status::NoDriver);
  RecordReader::Opened opened{};
  Bytes some(40);
  CHECK(reader.open(some, opened) == RecordReader::Result::Fail);
}

TEST_CASE("TLS 1.2: the type is on the outside, and the explicit nonce is the number of the record") {
  std::mt19937_64 random(seed());
  forAll(kSuites12, [&](ocf::Framework& framework, record::Suite suite) {
    auto keys = randomKeys(random, suite);
    keys.recordSeq = 1;  // the Finished was number 0
    RecordWriter writer(framework);
    REQUIRE(writer.install(keys) == ocf::Status::Ok);
    Bytes expected, got;
    uint64_t seq = 1;
    for (const auto type : {ContentType::ApplicationData, ContentType::Handshake, ContentType::Alert, ContentType::ApplicationData}) {
      const Bytes payload = randomBytes(random, 1 + random() % 50);
      Burst burst(suite, {payload});
      REQUIRE(writer.seal(type, burst.slots) == 1);
      CHECK(burst.memory[0] == static_cast<uint8_t>(type));
      CHECK(burst.memory == seal12(keys, seq, static_cast<uint8_t>(type), payload, seq));
      if (!isChaCha20(suite)) CHECK(Bytes(burst.memory.begin() + 5, burst.memory.begin() + 13) == Bytes{0, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(seq)});
      ++seq;
    }
    CHECK(writer.recordSeq() == 5);
  });
}

TEST_CASE("with the keys that a writer gives another one goes on at the next record") {
  std::mt19937_64 random(seed());
  forAll([&](ocf::Framework& framework, record::Suite suite) {
    RecordWriter first(framework), second(framework);
    record::TrafficKeys given;
    CHECK_FALSE(first.copyKeys(given));
    auto keys = randomKeys(random, suite);
    keys.recordSeq = random() >> 1;
    keys.epoch = 3;
    REQUIRE(first.install(keys) == ocf::Status::Ok);
    first.setRecordLimit(UINT64_MAX);
    second.setRecordLimit(UINT64_MAX);
    const Bytes payload = randomBytes(random, 300);
    Burst before(suite, {payload, payload});
    REQUIRE(first.seal(ContentType::ApplicationData, before.slots) == 2);
    REQUIRE(first.copyKeys(given));
    REQUIRE(second.install(given) == ocf::Status::Ok);
    CHECK(second.epoch() == 3);
    CHECK(second.streamOffset() == before.memory.size());
    Burst next(suite, {payload});
    REQUIRE(second.seal(ContentType::ApplicationData, next.slots) == 1);
    CHECK(next.memory == sealContent(keys, keys.recordSeq + 2, 23, payload));
  });
}

TEST_CASE("a suite that is none of ours is refused, and the old keys stay") {
  ocf::Framework framework;
  ocf::Status status = ocf::Status::Ok;
  REQUIRE(framework.attach(ocf::makeSoftDriver(), &status) == 1);
  std::mt19937_64 random(seed());
  // Unassigned, CBC, static RSA, CCM.
  for (const int code : {0, 0x1300, 0x1304, 0xc013, 0x009c, 0xc0ac, 0xffff}) {
    RecordWriter writer(framework);
    RecordReader reader(framework);
    REQUIRE(writer.install(randomKeys(random, record::Suite::Aes128GcmSha256)) == ocf::Status::Ok);
    CHECK(writer.install(randomKeys(random, static_cast<record::Suite>(code))) == ocf::Status::Invalid);
    CHECK(writer.ready());
    CHECK(writer.suite() == record::Suite::Aes128GcmSha256);
    CHECK(reader.install(randomKeys(random, static_cast<record::Suite>(code))) == ocf::Status::Invalid);
    CHECK_FALSE(reader.ready());
  }
}
