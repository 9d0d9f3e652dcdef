#include "record/record_map.hpp"

#include <doctest/doctest.h>

using namespace socrypt;
using namespace socrypt::record;

namespace {

PayloadRef payloadOf(size_t bytes, uint8_t value = 7) {
  return PayloadRef(std::make_unique<MemoryPayload>(std::vector<uint8_t>(bytes, value)));
}

NewRecord make(uint64_t at, uint32_t length, uint64_t number, uint32_t epoch = 0) {
  return {.ref = {at, length, epoch, number}, .payload = payloadOf(length)};
}

const auto ignore = [](const MappedRecord&) {};
constexpr uint8_t kTag[kTagLength] = {1, 2, 3};

}  // namespace

TEST_CASE("record map: every position finds its record, and nothing else does") {
  RetentionBudget budget(1 << 20);
  RecordMap map(1000, Retention::UntilTag, {}, budget);
  CHECK(map.find(1000) == nullptr);
  uint64_t at = 1000;
  for (uint32_t i = 0; i < 100; ++i) {
    NewRecord record = make(at, 10 + i, i);
    REQUIRE(map.push({&record, 1}) == ocf::Status::Ok);
    at += 10 + i;
  }
  CHECK(map.end() == at);
  CHECK(map.find(999) == nullptr);
  CHECK(map.find(at) == nullptr);
  // Backwards, so that no search profits from the one before.
  uint64_t begin = at;
  for (uint32_t i = 100; i-- > 0;) {
    begin -= 10 + i;
    for (const uint64_t position : {begin + 9 + i, begin}) {
      const MappedRecord* found = map.find(position);
      REQUIRE(found != nullptr);
      CHECK(found->streamOffset() == begin);
      CHECK(found->recordSeq() == i);
    }
  }
  map.release(1000 + 10 + 11 + 5, ignore);
  CHECK(map.records() == 98);
  CHECK(map.begin() == 1021);
  CHECK(map.find(1020) == nullptr);
  CHECK(map.find(1021) != nullptr);
  // Room of released records is used again: the ring goes round many times.
  for (uint32_t i = 100; i < 5000; ++i) {
    NewRecord record = make(at, 10, i);
    REQUIRE(map.push({&record, 1}) == ocf::Status::Ok);
    at += 10;
    map.release(at - 50, ignore);
    REQUIRE(map.find(at - 1)->recordSeq() == i);
  }
}

TEST_CASE("Nonce reuse: what would use a nonce twice in a record map, or leave a gap, is refused whole") {
  RetentionBudget budget(1 << 20);
  RecordMap map(0, Retention::UntilTag, {}, budget);
  NewRecord first[] = {make(0, 100, 5, 1), make(100, 100, 6, 1)};
  REQUIRE(map.push(first) == ocf::Status::Ok);
  for (const NewRecord& bad : {make(200, 50, 6, 1), make(200, 50, 5, 1), make(200, 50, 9, 0), make(199, 50, 7, 1), make(201, 50, 7, 1),
                               make(200, 0, 7, 1), make(200, 65536, 7, 1)}) {
    NewRecord batch[] = {bad};
    CHECK(map.push(batch) == ocf::Status::Invalid);
  }
  NewRecord halfBad[] = {make(200, 50, 7, 1), make(250, 50, 7, 1)};
  CHECK(map.push(halfBad) == ocf::Status::Invalid);
  CHECK(map.end() == 200);
  CHECK(map.payloadBytes() == 200);
  NewRecord later[] = {make(200, 50, 0, 2)};
  CHECK(map.push(later) == ocf::Status::Ok);
}

TEST_CASE("record map: payload goes with the tag, or stays until acknowledged") {
  for (const auto retention : {Retention::UntilTag, Retention::UntilAcknowledged}) {
    RetentionBudget budget(1 << 20);
    {
      RecordMap map(0, retention, {}, budget);
      NewRecord records[] = {make(0, 1000, 0), make(1000, 500, 1)};
      REQUIRE(map.push(records) == ocf::Status::Ok);
      CHECK(budget.used() == 1500);
      MappedRecord& record = *map.find(10);
      std::vector<uint8_t> read(100);
      CHECK(record.readPayload(900, read) == Reading::Done);
      CHECK(read[99] == 7);
      CHECK(record.readPayload(901, read) == Reading::Gone);
      map.setTag(record, kTag);
      CHECK(record.hasTag());
      CHECK(record.tag()[1] == 2);
      const bool kept = retention == Retention::UntilAcknowledged;
      CHECK(record.hasPayload() == kept);
      CHECK(map.payloadBytes() == (kept ? 1500u : 500u));
      map.release(1000, ignore);
      CHECK(budget.used() == 500);
    }
    CHECK(budget.used() == 0);
  }
}

TEST_CASE("record map: bounded for one connection and for all together") {
  RetentionBudget budget(2000);
  RecordMap a(0, Retention::UntilTag, {.records = 3, .payloadBytes = 2000}, budget);
  RecordMap b(0, Retention::UntilTag, {.records = 3, .payloadBytes = 2000}, budget);
  NewRecord records[] = {make(0, 900, 0), make(900, 900, 1)};
  NewRecord same[] = {make(0, 900, 0), make(900, 900, 1)};
  REQUIRE(a.push(records) == ocf::Status::Ok);
  CHECK_FALSE(static_cast<bool>(records[0].payload));
  NewRecord over[] = {make(1800, 300, 2)};
  CHECK(a.push(over) == ocf::Status::Full);
  CHECK(b.push(same) == ocf::Status::Full);
  CHECK(static_cast<bool>(same[0].payload));
  CHECK(budget.used() == 1800);
  a.setTag(*a.find(0), kTag);
  CHECK(b.push({same, 1}) == ocf::Status::Ok);
  NewRecord two[] = {make(1800, 10, 2), make(1810, 10, 3)};
  CHECK(a.push(two) == ocf::Status::Full);
  a.release(900, ignore);
  CHECK(a.push(two) == ocf::Status::Ok);
}
