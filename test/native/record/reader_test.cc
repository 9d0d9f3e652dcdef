#include "oracle.hpp"

using namespace oracle;
using record::Alert;
using record::ContentType;
using record::RecordReader;
using Result = record::RecordReader::Result;

namespace {

struct Fixture {
  record::TrafficKeys keys;
  RecordReader reader;
  RecordReader::Opened opened{};
  Fixture(ocf::Framework& framework, std::mt19937_64& random, record::Suite suite)
      : keys(randomKeys(random, suite)), reader(framework) {
    REQUIRE(reader.install(keys) == ocf::Status::Ok);
  }
  Result open(Bytes bytes) {
    last = std::move(bytes);
    return reader.open(last, opened);
  }
  /// Fails with this alert, and stays failed.
  void fails(Bytes bytes, Alert alert) {
    CHECK(open(std::move(bytes)) == Result::Fail);
    CHECK(reader.alert() == alert);
    CHECK_FALSE(reader.ready());
    CHECK(open(sealContent(keys, reader.recordSeq(), 23, Bytes(3))) == Result::Fail);
    CHECK(reader.alert() == alert);
  }
  Bytes last;
};

template <typename Body>
void eachOf(const std::vector<record::Suite>& suites, Body body) {
  std::mt19937_64 random(seed());
  forAll(suites, [&](ocf::Framework& framework, record::Suite suite) {
    body([&] { return Fixture(framework, random, suite); }, random);
  });
}
template <typename Body>
void each(Body body) {
  eachOf(allSuites(), body);
}
template <typename Body>
void each13(Body body) {
  eachOf(kSuites13, body);
}
template <typename Body>
void each12(Body body) {
  eachOf(kSuites12, body);
}

}  // namespace

TEST_CASE("a record in pieces needs more until it is whole") {
  each([](auto make, auto& random) {
    auto f = make();
    Bytes whole = sealContent(f.keys, 0, 22, randomBytes(random, 77), 9);
    CHECK(f.reader.tls12() == isTls12(f.keys.suite));
    for (size_t n = 0; n < whole.size(); ++n) {
      REQUIRE(f.reader.open(std::span(whole).first(n), f.opened) == Result::NeedMore);
      REQUIRE(f.reader.recordLength(std::span(whole).first(n)) == (n < 5 ? 0 : whole.size()));
    }
    whole.resize(whole.size() + 3, 0xff);
    REQUIRE(f.reader.open(whole, f.opened) == Result::Record);
    CHECK(f.opened.type == ContentType::Handshake);
    CHECK(f.opened.content.size() == 77);
    CHECK(f.opened.consumed == whole.size() - 3);
  });
}

TEST_CASE("a flipped bit anywhere fails with bad_record_mac and releases nothing") {
  each([](auto make, auto& random) {
    const Bytes content = randomBytes(random, 1 + random() % 600);
    for (int i = 0; i < 40; ++i) {
      auto f = make();
      Bytes bad = sealContent(f.keys, 0, 23, content);
      const size_t at = 5 + random() % (bad.size() - 5);
      bad[at] = static_cast<uint8_t>(bad[at] ^ (1u << (random() % 8)));
      f.fails(bad, Alert::BadRecordMac);
    }
    auto f = make();
    Bytes bad = sealContent(f.keys, 0, 23, content);
    bad.back() ^= 1;
    CHECK(f.reader.open(bad, f.opened) == Result::Fail);
    for (size_t i = before(f.keys.suite); i < bad.size() - 16; ++i) REQUIRE(bad[i] == 0);
  });
}

TEST_CASE("records out of order, repeated or under other keys fail") {
  each([](auto make, auto&) {
    auto skipped = make();
    skipped.fails(sealContent(skipped.keys, 1, 23, Bytes(5)), Alert::BadRecordMac);
    auto repeated = make();
    REQUIRE(repeated.open(sealContent(repeated.keys, 0, 23, Bytes(5))) == Result::Record);
    repeated.fails(sealContent(repeated.keys, 0, 23, Bytes(5)), Alert::BadRecordMac);
    auto a = make();
    auto b = make();
    a.fails(sealContent(b.keys, 0, 23, Bytes(5)), Alert::BadRecordMac);
  });
}

TEST_CASE("length limits (RFC 8446 sections 5.1, 5.2, 5.4)") {
  each13([](auto make, auto& random) {
    {
      auto f = make();
      REQUIRE(f.open(sealContent(f.keys, 0, 23, randomBytes(random, 16384))) == Result::Record);
      CHECK(f.opened.content.size() == 16384);
      // Padding up to the limit.
      REQUIRE(f.open(sealContent(f.keys, 1, 23, Bytes(1, 9), 16383)) == Result::Record);
      CHECK(f.opened.content.size() == 1);
      f.fails(sealContent(f.keys, 2, 23, Bytes(1, 9), 16384), Alert::RecordOverflow);
    }
    auto tooLong = make();
    tooLong.fails(sealContent(tooLong.keys, 0, 23, Bytes(16385)), Alert::RecordOverflow);
    auto longest = make();
    longest.fails(sealContent(longest.keys, 0, 23, Bytes(16384 + 256 - 17)), Alert::RecordOverflow);
    // Beyond 2^14 + 256 the header alone decides.
    auto header = make();
    header.fails(Bytes{23, 3, 3, 0x41, 0x01}, Alert::RecordOverflow);
    for (const int shortLength : {0, 1, 15}) {
      auto f = make();
      f.fails(Bytes{23, 3, 3, 0, static_cast<uint8_t>(shortLength)}, Alert::BadRecordMac);
    }
    auto forged = make();
    Bytes tagOnly(5 + 16, 7);
    tagOnly[0] = 23, tagOnly[1] = tagOnly[2] = 3, tagOnly[3] = 0, tagOnly[4] = 16;
    forged.fails(tagOnly, Alert::BadRecordMac);
  });
}

TEST_CASE("content types") {
  each13([](auto make, auto&) {
    for (const int outer : {0, 20, 21, 22, 24, 71, 255}) {
      auto f = make();
      Bytes bytes = sealContent(f.keys, 0, 23, Bytes(3));
      bytes[0] = static_cast<uint8_t>(outer);
      CHECK(f.reader.recordLength(bytes) == 0);
      f.fails(bytes, Alert::UnexpectedMessage);
    }
    for (const uint8_t inner : Bytes{1, 20, 24, 255}) {
      auto f = make();
      f.fails(sealContent(f.keys, 0, inner, Bytes(3, 1)), Alert::UnexpectedMessage);
    }
    for (const uint8_t inner : Bytes{21, 22}) {
      auto full = make();
      CHECK(full.open(sealContent(full.keys, 0, inner, Bytes{1, 0})) == Result::Record);
      CHECK(static_cast<uint8_t>(full.opened.type) == inner);
      auto empty = make();
      empty.fails(sealContent(empty.keys, 0, inner, {}), Alert::UnexpectedMessage);
      auto padded = make();
      padded.fails(sealContent(padded.keys, 0, inner, {}, 100), Alert::UnexpectedMessage);
    }
    // No type at all: only padding, or nothing.
    for (const size_t zeros : {0, 1, 7, 8, 100, 16385}) {
      auto f = make();
      f.fails(sealInner(f.keys, 0, Bytes(zeros)), Alert::UnexpectedMessage);
    }
  });
}

TEST_CASE("padding goes, zeros of the content stay") {
  each13([](auto make, auto& random) {
    auto f = make();
    uint64_t seq = 0;
    for (int i = 0; i < 60; ++i) {
      Bytes content = randomBytes(random, random() % 40);
      content.resize(content.size() + random() % 40, 0);
      REQUIRE(f.open(sealContent(f.keys, seq++, 23, content, random() % 50)) == Result::Record);
      REQUIRE(Bytes(f.opened.content.begin(), f.opened.content.end()) == content);
    }
  });
}

TEST_CASE("legacy_record_version is ignored but authenticated") {
  each13([](auto make, auto&) {
    auto f = make();
    Bytes bytes = sealContent(f.keys, 0, 23, Bytes(3));
    bytes[2] = 1;
    f.fails(bytes, Alert::BadRecordMac);
  });
}

TEST_CASE("Floods: thirty-two empty records in a row are cover traffic, more is an attack") {
  each([](auto make, auto&) {
    auto f = make();
    uint64_t seq = 0;
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < 32; ++i) REQUIRE(f.open(sealContent(f.keys, seq++, 23, {}, 5)) == Result::Record);
      REQUIRE(f.open(sealContent(f.keys, seq++, 23, Bytes(1))) == Result::Record);
    }
    for (int i = 0; i < 32; ++i) REQUIRE(f.open(sealContent(f.keys, seq++, 23, {})) == Result::Record);
    f.fails(sealContent(f.keys, seq, 23, {}), Alert::UnexpectedMessage);
  });
}

TEST_CASE("records without progress of different kinds, also under new keys, count together") {
  each([](auto make, auto&) {
    auto f = make();
    uint64_t seq = 0;
    const auto step = [&](int i) {
      const uint8_t type = i % 3 == 0 ? 21 : i % 3 == 1 ? 22 : 23;
      return sealContent(f.keys, seq++, type, type == 23 ? Bytes{} : Bytes{1, 90});
    };
    for (int i = 0; i < 32; ++i) REQUIRE(f.open(step(i)) == Result::Record);
    REQUIRE(f.open(sealContent(f.keys, seq++, 23, Bytes(1))) == Result::Record);
    for (int i = 0; i < 16; ++i) REQUIRE(f.open(step(i)) == Result::Record);
    f.keys.key[0] ^= 1;
    seq = 0;
    REQUIRE(f.reader.install(f.keys) == ocf::Status::Ok);
    for (int i = 0; i < 16; ++i) REQUIRE(f.open(step(i)) == Result::Record);
    f.fails(step(0), Alert::UnexpectedMessage);
  });
}

TEST_CASE("TLS 1.2: length limits (RFC 5246 6.2), and records too short for nonce and tag") {
  each12([](auto make, auto& random) {
    auto f = make();
    REQUIRE(f.open(sealContent(f.keys, 0, 23, randomBytes(random, 16384))) == Result::Record);
    CHECK(f.opened.content.size() == 16384);
    f.fails(sealContent(f.keys, 1, 23, Bytes(16385)), Alert::RecordOverflow);
    const size_t fixed = overhead(f.keys.suite) - 5;
    auto longest = make();
    longest.fails(sealContent(longest.keys, 0, 23, Bytes(16384 + 2048 - fixed)), Alert::RecordOverflow);
    auto beyond = make();
    beyond.fails(Bytes{23, 3, 3, 0x48, 0x01}, Alert::RecordOverflow);
    for (size_t n = 0; n <= fixed + 1; ++n) {
      CAPTURE(n);
      auto shorter = make();
      Bytes bytes = {23, 3, 3, 0, static_cast<uint8_t>(n)};
      // Below nonce and tag the header decides; from there on the tag, which is wrong.
      if (n >= fixed) {
        REQUIRE(shorter.open(bytes) == Result::NeedMore);
        bytes.resize(5 + n, 9);
      }
      shorter.fails(bytes, Alert::BadRecordMac);
    }
    // A tag and nothing else is an empty record.
    auto empty = make();
    REQUIRE(empty.open(sealContent(empty.keys, 0, 23, {})) == Result::Record);
    CHECK(empty.opened.content.empty());
  });
}

TEST_CASE("TLS 1.2: content types and version") {
  each12([](auto make, auto&) {
    for (const int type : {0, 20, 24, 71, 255}) {
      auto f = make();
      const Bytes bytes = sealContent(f.keys, 0, static_cast<uint8_t>(type), Bytes(3));
      CHECK(f.reader.recordLength(bytes) == 0);
      f.fails(bytes, Alert::UnexpectedMessage);
    }
    for (const uint8_t type : Bytes{21, 22, 23}) {
      auto full = make();
      REQUIRE(full.open(sealContent(full.keys, 0, type, Bytes{1, 0})) == Result::Record);
      CHECK(static_cast<uint8_t>(full.opened.type) == type);
      // Nothing is taken for padding, and no type is looked for inside.
      CHECK(full.opened.content.size() == 2);
      if (type == 23) continue;
      auto empty = make();
      empty.fails(sealContent(empty.keys, 0, type, {}), Alert::UnexpectedMessage);
    }
    for (const auto& [at, value] : {std::pair{1, 2}, {2, 1}, {2, 4}}) {
      auto f = make();
      Bytes bytes = sealContent(f.keys, 0, 23, Bytes(3));
      bytes[static_cast<size_t>(at)] = static_cast<uint8_t>(value);
      f.fails(bytes, Alert::ProtocolVersion);
    }
    // The type is authenticated: an alert cannot be made of data.
    auto f = make();
    Bytes bytes = sealContent(f.keys, 0, 23, Bytes{1, 0});
    bytes[0] = 21;
    f.fails(bytes, Alert::BadRecordMac);
  });
}

TEST_CASE("TLS 1.2: the peer's explicit nonce is used, the number of the record is authenticated") {
  each12([](auto make, auto& random) {
    auto f = make();
    if (isChaCha20(f.keys.suite)) return;
    for (uint64_t seq = 0; seq < 5; ++seq) {
      const Bytes content = randomBytes(random, 100);
      REQUIRE(f.open(seal12(f.keys, seq, 23, content, random())) == Result::Record);
      REQUIRE(Bytes(f.opened.content.begin(), f.opened.content.end()) == content);
    }
    // The nonce of the next record with the number of another.
    f.fails(seal12(f.keys, 6, 23, Bytes(5), 5), Alert::BadRecordMac);
  });
}

TEST_CASE("new keys start a new count; a failed reader stays failed") {
  each([](auto make, auto&) {
    auto f = make();
    REQUIRE(f.open(sealContent(f.keys, 0, 22, Bytes(5, 1))) == Result::Record);
    auto next = f.keys;
    next.key[0] ^= 1;
    next.epoch = 1;
    next.streamOffset = f.reader.streamOffset();
    REQUIRE(f.reader.install(next) == ocf::Status::Ok);
    CHECK(f.reader.epoch() == 1);
    REQUIRE(f.open(sealContent(next, 0, 23, Bytes(5, 1))) == Result::Record);
    CHECK(f.reader.streamOffset() == 2 * (5 + overhead(f.keys.suite)));
    f.fails(Bytes(64), Alert::UnexpectedMessage);
    REQUIRE(f.reader.install(next) == ocf::Status::Ok);
    CHECK(f.open(sealContent(next, 0, 23, Bytes(5, 1))) == Result::Fail);
  });
}
