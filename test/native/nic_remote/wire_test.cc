// What a process says to the NIC of another: every message comes back as it was meant, and nothing else is taken for one.
#include <doctest/doctest.h>
#include <sys/socket.h>


#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>

#include "nic/remote/wire.hpp"

using namespace socrypt;
using namespace socrypt::nic;
using namespace socrypt::nic::remote;

namespace {

record::TrafficKeys someKeys() {
  record::TrafficKeys keys;
  keys.suite = record::Suite::Aes256GcmSha384;
  keys.epoch = 3;
  keys.recordSeq = 77;
  keys.streamOffset = 0x123456789;
  for (size_t i = 0; i < keys.key.size(); ++i) keys.key[i] = static_cast<uint8_t>(i + 1);
  for (size_t i = 0; i < keys.iv.size(); ++i) keys.iv[i] = static_cast<uint8_t>(0xf0 + i);
  return keys;
}

FlowKey someKey() {
  FlowKey key;
  key.localAddress.fill(0xab);
  key.remoteAddress.fill(0xcd);
  key.localPort = 443;
  key.remotePort = 54321;
  return key;
}

std::vector<record::NewRecord> someRecords(size_t n) {
  std::vector<record::NewRecord> records(n);
  for (size_t i = 0; i < n; ++i) {
    records[i].ref = {1000 + i * 100, 100, 2, i};
    records[i].payloadAt = i * 5;
    records[i].sealed = i % 3 == 1;
    records[i].guarded = i % 3 == 2;
    records[i].headerToWrite = i % 3 != 1 && i % 2 == 0;
    records[i].typeToWrite = i % 3 != 1 && i % 4 < 2;
  }
  return records;
}

bool contains(std::span<const uint8_t> bytes, std::span<const uint8_t> part) {
  return std::search(bytes.begin(), bytes.end(), part.begin(), part.end()) != bytes.end();
}

}  // namespace

TEST_CASE("an added flow comes back, and its keys are not in the message") {
  const record::TrafficKeys keys = someKeys();
  const auto packet = add(someKey(), keys, 0xdeadbeef, 12'345);
  const auto message = read(packet);
  REQUIRE(message);
  CHECK(message->kind == Kind::Add);
  CHECK(message->add.key == someKey());
  CHECK(message->add.tcpSequence == 0xdeadbeef);
  CHECK(message->add.unacknowledged == 12'345);
  CHECK(message->keys.suite == keys.suite);
  CHECK(message->keys.epoch == 3);
  CHECK(message->keys.recordSeq == 77);
  CHECK(message->keys.streamOffset == 0x123456789);
  CHECK(needsDescriptor(*message));
  CHECK_FALSE(contains(packet, std::span(keys.key).first(8)));
  CHECK_FALSE(contains(packet, std::span(keys.iv).first(8)));
}

TEST_CASE("keys go by a file, and are gone from it when they are wiped") {
  const record::TrafficKeys keys = someKeys();
  const Descriptor file = writeKeys(keys);
  REQUIRE(file);
  record::TrafficKeys got;
  REQUIRE(readKeys(file.get(), got));
  CHECK(got.key == keys.key);
  CHECK(got.iv == keys.iv);
  wipeKeys(file.get());
  REQUIRE(readKeys(file.get(), got));
  CHECK(got.key == std::array<uint8_t, 32>{});
  CHECK(got.iv == std::array<uint8_t, 12>{});
}

TEST_CASE("records come back, of a new file or of the old one") {
  for (const bool newFile : {false, true}) {
    const auto records = someRecords(kMaxRecords);
    const auto packet = push(static_cast<FlowId>(9), records, newFile);
    CHECK(packet.size() <= kMaxMessage);
    const auto message = read(packet);
    REQUIRE(message);
    CHECK(message->flow == static_cast<FlowId>(9));
    CHECK(needsDescriptor(*message) == newFile);
    REQUIRE(message->records.size() == records.size());
    for (size_t i = 0; i < records.size(); ++i) {
      CHECK(message->records[i].ref.streamOffset == records[i].ref.streamOffset);
      CHECK(message->records[i].ref.length == records[i].ref.length);
      CHECK(message->records[i].ref.epoch == records[i].ref.epoch);
      CHECK(message->records[i].ref.recordSeq == records[i].ref.recordSeq);
      CHECK(message->records[i].payloadAt == records[i].payloadAt);
      CHECK(message->records[i].sealed == records[i].sealed);
      CHECK(message->records[i].guarded == records[i].guarded);
      CHECK(message->records[i].headerToWrite == records[i].headerToWrite);
      CHECK(message->records[i].typeToWrite == records[i].typeToWrite);
      CHECK_FALSE(static_cast<bool>(message->records[i].payload));
    }
  }
}

TEST_CASE("what is cut short, too long, or out of range is no message") {
  auto record = someRecords(1);
  const std::vector<std::vector<uint8_t>> good = {greet(), add(someKey(), someKeys(), 1, 2), rekey(static_cast<FlowId>(1), someKeys()),
                                                  push(static_cast<FlowId>(1), record, false), about(Kind::Acknowledged, static_cast<FlowId>(1), 5),
                                                  about(Kind::Remove, static_cast<FlowId>(1)), release(someKey())};
  for (const auto& packet : good) {
    CHECK(read(packet));
    for (size_t n = 0; n < packet.size(); ++n) CHECK_FALSE(read(std::span(packet).first(n)));
    auto longer = packet;
    longer.push_back(0);
    CHECK_FALSE(read(longer));
    auto foreign = packet;
    foreign[0] ^= 1;
    CHECK_FALSE(read(foreign));
  }
  const auto refused = [](record::NewRecord one) { return !read(push(static_cast<FlowId>(1), {&one, 1}, false)); };
  record[0].ref.length = 0;
  CHECK(refused(record[0]));
  record[0].ref.length = record::kMaxRecord + 1;
  CHECK(refused(record[0]));
  record[0].ref.length = 100;
  record[0].ref.streamOffset = UINT64_MAX - 50;
  CHECK(refused(record[0]));
  record[0].ref.streamOffset = 0;
  for (const bool guarded : {true, false}) {
    record[0].sealed = true;
    record[0].guarded = guarded;
    record[0].headerToWrite = !guarded;
    CHECK(refused(record[0]));
  }
}

TEST_CASE("random changes are refused, or read within bounds") {
  const char* given = std::getenv("SOCRYPT_TEST_SEED");
  const auto seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device()();
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const auto records = someRecords(5);
  for (int i = 0; i < 20000; ++i) {
    auto packet = push(static_cast<FlowId>(1), records, false);
    for (unsigned changes = random() % 4 + 1; changes != 0; --changes) packet[random() % packet.size()] = static_cast<uint8_t>(random());
    const auto message = read(packet);
    if (!message) continue;
    CHECK(message->records.size() <= kMaxRecords);
    for (const auto& one : message->records) {
      CHECK(one.ref.length >= 1);
      CHECK(one.ref.length <= record::kMaxRecord);
      CHECK(one.ref.streamOffset <= UINT64_MAX / 2);
    }
  }
}

TEST_CASE("a packet carries one descriptor, and only the first is kept") {
  std::array<int, 2> pair{};
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) == 0);
  const Descriptor a(pair[0]), b(pair[1]);
  const Descriptor file = writeKeys(someKeys());
  REQUIRE(sendPacket(a.get(), rekey(static_cast<FlowId>(4), someKeys()), file.get()));
  std::array<uint8_t, kMaxMessage> buffer;
  Descriptor got;
  const ssize_t n = receivePacket(b.get(), buffer, got);
  REQUIRE(n > 0);
  REQUIRE(got);
  record::TrafficKeys keys;
  CHECK(readKeys(got.get(), keys));
  CHECK(keys.key == someKeys().key);
  // Nothing waits: there is no message, and the end has not come.
  CHECK(receivePacket(b.get(), buffer, got) == -1);
  CHECK(errno == EAGAIN);
  // A message that does not fit is none.
  REQUIRE(sendPacket(a.get(), std::vector<uint8_t>(kMaxMessage + 1)));
  CHECK(receivePacket(b.get(), buffer, got) == -1);
  CHECK(errno == EMSGSIZE);
}
