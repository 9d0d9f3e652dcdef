// The changed-file guard: what was sealed once is sealed the same again or not at all.
#include <atomic>
#include <map>
#include <thread>

#include "frames.hpp"
#include "nic/device/inline_device.hpp"

using namespace socrypt;
using nic::Guard;
using oracle::below;
using oracle::Bytes;
using oracle::Random;

namespace {

constexpr uint8_t kAck = 0x10;

// A file's pages: what TCP sends and what read() gives are the same bytes, whenever they change.
class Pages final : public record::Payload {
 public:
  explicit Pages(const Bytes& bytes, const bool* onDisk = nullptr) : bytes_(bytes), onDisk_(onDisk) {}
  [[nodiscard]] record::Reading read(uint64_t at, std::span<uint8_t> to) const noexcept override {
    if (onDisk_ != nullptr && *onDisk_) return record::Reading::NotNow;
    if (at + to.size() > bytes_.size()) return record::Reading::Gone;
    std::copy_n(bytes_.begin() + static_cast<long>(at), to.size(), to.begin());
    return record::Reading::Done;
  }

 private:
  const Bytes& bytes_;
  const bool* onDisk_;
};

struct Transfer {
  Random random;
  nic::InlineDevice device{{}};
  frames::Path path;
  record::TrafficKeys keys;
  nic::FlowId flow{};
  Bytes file;
  bool onDisk = false;
  size_t before = 5;
  bool toWrite = false;  // by the device: what stands around the file
  std::map<size_t, uint8_t> emitted;  // position -> the one byte that ever left

  explicit Transfer(uint64_t seed) : random(seed), path(frames::randomPath(random)) {
    keys = oracle::randomKeys(random, oracle::kSuites[below(random, std::size(oracle::kSuites))]);
    before = record::factsOf(keys.suite).framing.before;
    // Whole records often, as a file's are: with TLS 1.3's content type, of which the last 256 bytes are that one.
    file = oracle::randomBytes(random, below(random, 3) == 0 ? 1u << 14 : 1 + below(random, 1u << 14));
    toWrite = below(random, 2) == 0;
    REQUIRE(device.add(path.key(), keys, 0, 0, &flow) == ocf::Status::Ok);
    record::NewRecord record{.ref = {0, static_cast<uint32_t>(framed().plain.size()), 0, 0},
                             .payload = record::PayloadRef(std::make_unique<Pages>(file, &onDisk)),
                             .guarded = true,
                             .headerToWrite = toWrite,
                             .typeToWrite = toWrite};
    REQUIRE(device.push(flow, {&record, 1}) == ocf::Status::Ok);
  }
  /// `plain` is what TCP has.
  [[nodiscard]] oracle::Framed framed() const {
    oracle::Framed framed = oracle::frame(keys, 0, 23, file);
    if (!toWrite) return framed;
    std::fill_n(framed.plain.begin(), before, uint8_t{0x5a});
    std::fill(framed.plain.end() - record::factsOf(keys.suite).framing.after, framed.plain.end(), uint8_t{0x5a});
    return framed;
  }
  // True when it left. No position may ever show two values.
  bool send(size_t from, size_t to) {
    const Bytes plain = framed().plain;
    frames::Wire wire;
    auto built = frames::build(path, static_cast<uint32_t>(from), kAck, {plain.begin() + static_cast<long>(from), plain.begin() + static_cast<long>(to)}, false);
    device.transmit(built.frame, built.offload, wire);
    if (wire.frames.empty()) return false;
    const Bytes payload = frames::take(path, wire.frames[0]).payload;
    REQUIRE(payload.size() == to - from);
    for (size_t i = 0; i < payload.size(); ++i) REQUIRE(emitted.try_emplace(from + i, payload[i]).first->second == payload[i]);
    return true;
  }
  void sendSome() {
    const size_t length = framed().plain.size();
    const size_t from = below(random, length);
    send(from, std::min(length, from + 1 + below(random, random() % 2 == 0 ? 600 : 6000)));
  }
};

// Of a file with more than a few times 256 bytes.
uint64_t seedOfLong() {
  uint64_t seed = oracle::seed();
  while (Transfer(seed).file.size() < 2000) ++seed;
  return seed;
}

}  // namespace

TEST_CASE("guard: a file that stays the same is never stopped, whatever is repeated") {
  for (uint64_t i = 0; i < 200; ++i) {
    CAPTURE(oracle::seed() + i);
    Transfer t(oracle::seed() + i);
    for (int n = 0; n < 30; ++n) {
      t.sendSome();
      if (n == 20) t.device.evict(t.flow);
    }
    const auto framed = t.framed();
    REQUIRE(t.send(0, framed.plain.size()));
    for (const auto& [at, byte] : t.emitted) REQUIRE(byte == framed.sealed[at]);
    CHECK_FALSE(t.device.usage(t.flow)->broken);
    CHECK(t.device.retainedBytes() == 0);
    // Once the tag exists: the map's 64 bytes, and no state besides.
    CHECK(t.device.usage(t.flow)->openRecords == 0);
    t.sendSome();
    CHECK_FALSE(t.device.usage(t.flow)->broken);
    CHECK(t.device.usage(t.flow)->openRecords == 0);
    t.device.acknowledged(t.flow, framed.plain.size());
    CHECK(t.device.usage(t.flow)->openRecords == 0);
  }
}

TEST_CASE("guard: one byte of a file changes: no second ciphertext for a position, no second tag, and the flow ends") {
  int ended = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    CAPTURE(oracle::seed() + i);
    Transfer t(oracle::seed() + i);
    for (size_t n = below(t.random, 25); n-- > 0;) t.sendSome();
    const size_t changed = below(t.random, t.file.size());
    const bool wasSealed = t.emitted.contains(t.before + changed);
    const bool hadTag = t.emitted.contains(t.framed().plain.size() - 1);
    t.file[changed] ^= static_cast<uint8_t>(1 + below(t.random, 255));
    for (int n = 0; n < 10; ++n) t.sendSome();
    const auto framed = t.framed();
    const bool left = t.send(0, framed.plain.size());
    if (wasSealed || hadTag) {
      CHECK_FALSE(left);
      CHECK(t.device.usage(t.flow)->broken);
      CHECK_FALSE(t.send(0, 1));  // nothing at all leaves any more
      CHECK(t.device.counters().tx_tls_guard_changed == 1);
      ++ended;
    } else if (left) {
      // Never sealed before it changed: then the new content is the content.
      for (const auto& [at, byte] : t.emitted) REQUIRE(byte == framed.sealed[at]);
    } else {
      // It was read, for a tag, before it was sent.
      CHECK(t.device.usage(t.flow)->broken);
    }
  }
  CHECK(ended > 50);
  CHECK(ended < 400);
}

TEST_CASE("guard: once a record was sealed whole, a change anywhere in it ends the flow, whichever bytes come again") {
  for (uint64_t i = 0; i < 100; ++i) {
    CAPTURE(oracle::seed() + i);
    Transfer t(oracle::seed() + i);
    REQUIRE(t.send(0, t.framed().plain.size()));
    const size_t changed = below(t.random, t.file.size());
    const auto flipped = static_cast<uint8_t>(1 + below(t.random, 255));
    t.file[changed] ^= flipped;
    if (i % 2 == 0) t.file[changed] ^= flipped;  // and back again, before anything is sent
    const size_t from = t.before + below(t.random, t.file.size());
    CHECK(t.send(from, from + 1) == (i % 2 == 0));
    CHECK(t.device.usage(t.flow)->broken == (i % 2 != 0));
  }
}

TEST_CASE("guard: a file that became shorter ends the flow, while its record is open and once it was sealed whole") {
  for (const bool whole : {false, true}) {
    CAPTURE(whole);
    Transfer t(seedOfLong());
    const Bytes plain = t.framed().plain;
    REQUIRE(t.send(0, whole ? plain.size() : t.before + 1000));
    REQUIRE(t.send(t.before + 700, t.before + 710));
    // What is sent again is the same, but the rest of its 256 bytes cannot be had any more.
    t.file.resize(600);
    frames::Wire wire;
    const size_t from = t.before + 700;
    auto built = frames::build(t.path, static_cast<uint32_t>(from), kAck, {plain.begin() + static_cast<long>(from), plain.begin() + static_cast<long>(from) + 10}, false);
    t.device.transmit(built.frame, built.offload, wire);
    CHECK(wire.frames.empty());
    CHECK(t.device.usage(t.flow)->broken);
  }
}

TEST_CASE("guard: what is not in memory is not waited for: the segment comes again") {
  for (const bool whole : {false, true}) {
    CAPTURE(whole);
    Transfer t(seedOfLong());
    const auto framed = t.framed();
    REQUIRE(t.send(0, whole ? framed.plain.size() : t.before + 1000));
    t.onDisk = true;
    // With bytes of chunks that nothing is known of yet: they are not remembered before the segment leaves.
    CHECK_FALSE(t.send(t.before + 700, std::min(framed.plain.size(), t.before + 1500)));
    CHECK_FALSE(t.send(t.before + 700, t.before + 701));
    CHECK(t.device.counters().tx_tls_drop_not_resident == 2);
    if (!whole) {
      // The tag wants the hole.
      CHECK_FALSE(t.send(framed.plain.size() - 10, framed.plain.size()));
      CHECK(t.device.counters().tx_tls_drop_not_resident == 3);
    }
    CHECK_FALSE(t.device.usage(t.flow)->broken);
    t.onDisk = false;
    CHECK(t.send(t.before + 700, std::min(framed.plain.size(), t.before + 1500)));
    REQUIRE(t.send(0, framed.plain.size()));
    for (const auto& [at, byte] : t.emitted) REQUIRE(byte == framed.sealed[at]);
    CHECK_FALSE(t.device.usage(t.flow)->broken);
    CHECK((t.device.counters().tx_tls_guard_reread_bytes > 0) == whole);
  }
}

TEST_CASE("guard: refused where it could not work") {
  nic::InlineDevice device({.flow = {.resync = nic::Resync::PrefixReplay}});
  nic::InlineDevice orderFree({});
  nic::FlowId flow{};
  record::NewRecord bare{.ref = {0, 100, 0, 0}, .guarded = true};
  const Bytes file(100);
  record::NewRecord full{.ref = {0, 100, 0, 0}, .payload = record::PayloadRef(std::make_unique<Pages>(file)), .guarded = true};
  REQUIRE(device.add({}, {}, 0, 0, &flow) == ocf::Status::Ok);
  CHECK(device.push(flow, {&full, 1}) == ocf::Status::Invalid);
  REQUIRE(orderFree.add({}, {}, 0, 0, &flow) == ocf::Status::Ok);
  CHECK(orderFree.push(flow, {&bare, 1}) == ocf::Status::Invalid);
  CHECK(orderFree.push(flow, {&full, 1}) == ocf::Status::Ok);
}

TEST_CASE("records of a file that are pushed while a segment is sealed are there when their bytes come") {
  Random random(oracle::seed());
  nic::InlineDevice device{{}};
  const frames::Path path = frames::randomPath(random);
  const record::TrafficKeys keys = oracle::randomKeys(random, record::Suite::Aes128GcmSha256);
  nic::FlowId flow{};
  REQUIRE(device.add(path.key(), keys, 0, 0, &flow) == ocf::Status::Ok);
  constexpr uint32_t kPayload = 16384;
  constexpr size_t kBursts = 200, kRecords = 8;
  const Bytes file = oracle::randomBytes(random, kPayload);
  const record::PayloadRef payload(std::make_unique<Pages>(file));
  const auto length = static_cast<uint32_t>(oracle::frame(keys, 0, 23, file).plain.size());

  std::atomic<uint64_t> written{0};
  std::atomic<uint64_t> sealed{0};
  size_t refused = 0, different = 0;
  std::thread sealer([&] {
    Bytes plain, expected;
    for (uint64_t at = 0; at < kBursts * kRecords; ++at) {
      while (written.load(std::memory_order_acquire) <= at) std::this_thread::yield();
      const auto framed = oracle::frame(keys, at, 23, file);
      const auto built = frames::build(path, static_cast<uint32_t>(at * length), kAck, framed.plain, false);
      Bytes frame = built.frame;
      frames::Wire wire;
      device.transmit(frame, built.offload, wire);
      if (wire.frames.empty()) ++refused;
      else if (frames::take(path, wire.frames[0]).payload != framed.sealed) ++different;
      sealed.store(at + 1, std::memory_order_release);
    }
  });
  size_t bad = 0;
  for (size_t burst = 0; burst < kBursts; ++burst) {
    std::vector<record::NewRecord> records(kRecords);
    for (size_t i = 0; i < kRecords; ++i) {
      const uint64_t n = burst * kRecords + i;
      records[i] = {.ref = {n * length, length, 0, n}, .payload = payload, .guarded = true};
    }
    if (device.push(flow, records) != ocf::Status::Ok) ++bad;
    written.store((burst + 1) * kRecords, std::memory_order_release);
    // Never more than two bursts ahead, and TCP acknowledges what has left.
    while (sealed.load(std::memory_order_acquire) + 2 * kRecords < (burst + 1) * kRecords) std::this_thread::yield();
    if (burst % 16 == 0) device.acknowledged(flow, sealed.load(std::memory_order_acquire) * length);
  }
  sealer.join();
  CHECK(bad == 0);
  CHECK(refused == 0);
  CHECK(different == 0);
  device.acknowledged(flow, kBursts * kRecords * length);
  CHECK(device.usage(flow)->records == 0);
  // What does not follow is refused, whoever is in there.
  record::NewRecord gap{.ref = {kBursts * kRecords * length + 1, length, 0, kBursts * kRecords}, .payload = payload, .guarded = true};
  CHECK(device.push(flow, {&gap, 1}) == ocf::Status::Invalid);
}
