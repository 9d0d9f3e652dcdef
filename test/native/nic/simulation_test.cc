// Random plans through the laboratory's world, every byte on the wire compared with the oracle.
//   SOCRYPT_TEST_SEED      where the seeds of the plans begin
//   SOCRYPT_NIC_SCHEDULES  how many of each kind (default 4)
#include <cstdio>

#include "nic/lab/world.hpp"
#include "oracle.hpp"

using namespace socrypt;
using nic::lab::Action;
using nic::lab::Fault;
using nic::lab::Plan;
using nic::lab::Seam;
using nic::lab::World;

namespace {

size_t schedules() {
  const char* given = std::getenv("SOCRYPT_NIC_SCHEDULES");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 4;
}

// Everything at once, at rates from the seed.
Plan hostile(uint64_t seed, Plan plan) {
  nic::lab::Random random(seed);
  plan.seed = seed;
  plan.segmentBytes = 0;
  plan.connections = static_cast<uint32_t>(random.between(1, 4));
  plan.bytes = random.between(1, 300'000);
  if (random.below(3) == 0) {
    plan.mapRecords = static_cast<uint32_t>(random.between(1, 8));
    plan.mapPayload = random.between(20'000, 120'000);
  }
  const auto rule = [&](Seam seam, Fault fault, uint32_t most, uint64_t amount) {
    plan.rules.push_back({seam, fault, static_cast<uint32_t>(random.below(most)), amount});
  };
  rule(Seam::Host, Fault::Drop, 100'000, 0);
  rule(Seam::Host, Fault::Stray, 50'000, 1 + random.below(20'000));
  rule(Seam::Host, Fault::Stray, 100'000, 1 + random.below(2000));
  rule(Seam::Host, Fault::Reorder, 150'000, 3000);
  rule(Seam::Host, Fault::Duplicate, 50'000, 1);
  rule(Seam::Host, Fault::Resegment, 300'000, 4);
  rule(Seam::Host, Fault::Coalesce, 100'000, 0);
  rule(Seam::Host, Fault::TailFirst, 50'000, 8);
  rule(Seam::Host, Fault::Noise, 20'000, 0);
  rule(Seam::Out, Fault::Drop, 200'000, 0);
  rule(Seam::Out, Fault::Reorder, 100'000, 3000);
  rule(Seam::Back, Fault::Drop, 200'000, 0);
  plan.deeds.push_back({Action::Evict, 1000, 1 + random.below(20'000), 0});
  plan.deeds.push_back({Action::KeyUpdate, 1500, 1 + random.below(20'000), 0});
  plan.deeds.push_back({Action::ToSoftware, 2000, 7001, 0});
  plan.deeds.push_back({Action::ToNic, 2500, 7001, 0});
  return plan;
}

void runMany(const Plan& kind, const char* name, uint64_t salt) {
  uint64_t packets = 0, bytes = 0, completed = 0;
  for (size_t i = 0; i < schedules(); ++i) {
    const uint64_t seed = oracle::seed() + salt * 1000003 + i;
    CAPTURE(seed);
    World world(hostile(seed, kind));
    world.run(3000, UINT64_MAX);
    world.windDown();
    world.run(UINT64_MAX, UINT64_MAX);
    if (world.finding()) {
      const auto& found = *world.finding();
      FAIL(found.violation.invariant << ": " << found.violation.what << ", packet " << found.packet << ", connection " << found.connection);
    }
    packets += world.packets();
    bytes += world.statistics().bytesChecked;
    completed += world.statistics().completed;
  }
  std::printf("seed of %s: %zu plans, %llu packets, %llu connections, %llu bytes as the oracle has them\n", name, schedules(),
              static_cast<unsigned long long>(packets), static_cast<unsigned long long>(completed), static_cast<unsigned long long>(bytes));
  CHECK(completed >= schedules());
}

}  // namespace

TEST_CASE("order-free, payload until the tag exists") { runMany({}, "order-free", 1); }
TEST_CASE("order-free, full retention") { runMany({.retention = record::Retention::UntilAcknowledged}, "order-free, full retention", 2); }
TEST_CASE("order-free, no payload retained: TCP fills the holes") { runMany({.payload = false}, "order-free, no payload", 3); }
TEST_CASE("order-free, half of the records guarded") { runMany({.guardedPercent = 50}, "order-free, guarded", 6); }
TEST_CASE("prefix-replay") { runMany({.resync = nic::Resync::PrefixReplay}, "prefix-replay", 4); }
TEST_CASE("next-record") { runMany({.resync = nic::Resync::NextRecord}, "next-record", 5); }

// A replay takes (16384 / 2) / 1448 = 5.66 bytes per retransmitted byte on average. A device with one context takes
// two: back, and on to the next new segment, which is in the middle of a record as well. device_test.cc has it exactly.
TEST_CASE("crypto bytes per retransmitted byte: 16 KiB records, 1448 bytes per segment, 1 % of segments repeated") {
  for (const auto resync : {nic::Resync::OrderFree, nic::Resync::PrefixReplay, nic::Resync::NextRecord}) {
    Plan plan{.seed = oracle::seed(), .resync = resync, .suite = 0x1301, .bytes = 24u << 20, .recordBytes = 1u << 14, .segmentBytes = 1448, .tsoPercent = 0};
    plan.rules.push_back({Seam::Host, Fault::Stray, 10'000, 1448});
    World world(plan);
    world.windDown();
    world.run(UINT64_MAX, UINT64_MAX);
    REQUIRE_FALSE(world.finding());
    const auto& s = world.statistics();
    auto counters = world.counters();
    REQUIRE(s.textResealed > 0);
    const double replayed = static_cast<double>(counters["tx_tls_resync_bytes"]) / static_cast<double>(s.textResealed);
    std::printf("seed of repeats: mode %s: %llu bytes retransmitted; bytes replayed for each: %.2f\n",
                resync == nic::Resync::OrderFree ? "order-free" : resync == nic::Resync::PrefixReplay ? "prefix-replay" : "next-record",
                static_cast<unsigned long long>(s.textResealed), replayed);
    CHECK(counters["tx_tls_drop_hole"] + counters["tx_tls_drop_no_sync_data"] + counters["tx_tls_drop_failed"] == 0);
    if (resync == nic::Resync::OrderFree) {
      CHECK(counters["tx_tls_crypto_bytes"] == s.textSealed);  // each byte once per transmission
    } else {
      CHECK(replayed > 4);
    }
    if (resync == nic::Resync::PrefixReplay) {
      const auto part = [&](const char* name) { return static_cast<double>(counters[name]) / static_cast<double>(s.textResealed); };
      const double back = part("tx_tls_replay_back_bytes"), forward = part("tx_tls_replay_forward_bytes");
      std::printf("seed of repeats: prefix-replay: %.2f back, %.2f forward\n", back, forward);
      CHECK(counters["tx_tls_replay_back_bytes"] + counters["tx_tls_replay_forward_bytes"] == counters["tx_tls_dump_bytes"]);
      CHECK(counters["tx_tls_dump_bytes"] == counters["tx_tls_resync_bytes"]);
      // Some 170 of them, from anywhere in a record.
      CHECK(back > 4);
      CHECK(back < 7.5);
      CHECK(forward > 4);
      CHECK(forward < 7.5);
    }
  }
}
