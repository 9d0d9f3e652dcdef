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
void each(Body body) {
  std::mt19937_64 random(seed());
  forAll([&](ocf::Framework& framework, record::Suite suite) {
    body([&] { return Fixture(framework, random, suite); }, random);
  });
}

}  // namespace

TEST_CASE("a record in pieces needs more until it is whole") {
  each([](auto make, auto& random) {
    auto f = make();
    Bytes whole = sealContent(f.keys, 0, 22, randomBytes(random, 77), 9);
    for (size_t n = 0; n < whole.size(); ++n) {
      REQUIRE(f.reader.open(std::span(whole).first(n), f.opened) == Result::NeedMore);
      REQUIRE(RecordReader::recordLength(std::span(whole).first(n)) == (n < 5 ? 0 : whole.size()));
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
    for (size_t i = 5; i < bad.size() - 16; ++i) REQUIRE(bad[i] == 0);
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
  each([](auto make, auto& random) {
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
  each([](auto make, auto&) {
    for (const int outer : {0, 20, 21, 22, 24, 71, 255}) {
      auto f = make();
      Bytes bytes = sealContent(f.keys, 0, 23, Bytes(3));
      bytes[0] = static_cast<uint8_t>(outer);
      CHECK(RecordReader::recordLength(bytes) == 0);
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
  each([](auto make, auto& random) {
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
  each([](auto make, auto&) {
    auto f = make();
    Bytes bytes = sealContent(f.keys, 0, 23, Bytes(3));
    bytes[2] = 1;
    f.fails(bytes, Alert::BadRecordMac);
  });
}

TEST_CASE("thirty-two empty records in a row are cover traffic, more is an attack") {
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
    CHECK(f.reader.streamOffset() == 2 * (5 + record::kOverhead));
    f.fails(Bytes(64), Alert::UnexpectedMessage);
    REQUIRE(f.reader.install(next) == ocf::Status::Ok);
    CHECK(f.open(sealContent(next, 0, 23, Bytes(5, 1))) == Result::Fail);
  });
}
