// Thousands of random schedules through the device, every byte on the wire compared with the oracle.
//   SOCRYPT_TEST_SEED   where the seeds of the schedules begin
//   SOCRYPT_NIC_SCHEDULES  how many of each kind (default 400)
#include <string>

#include "simulation.hpp"

using namespace socrypt;
using simulation::Connection;
using simulation::Plan;
using simulation::Totals;

namespace {

size_t schedules() {
  const char* given = std::getenv("SOCRYPT_NIC_SCHEDULES");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 400;
}

void runMany(const Plan& plan, const char* name, uint64_t salt) {
  Totals totals;
  for (size_t i = 0; i < schedules(); ++i) {
    const uint64_t seed = oracle::seed() + salt * 1000003 + i;
    CAPTURE(seed);
    Connection connection(seed, plan);
    connection.run(totals);
  }
  std::printf("seed of %s: %zu schedules, %llu packets in, %llu out, %llu bytes as the oracle has them\n", name, schedules(),
              static_cast<unsigned long long>(totals.packets), static_cast<unsigned long long>(totals.wireFrames),
              static_cast<unsigned long long>(totals.bytes));
  CHECK(totals.bytes > 0);
}

}  // namespace

TEST_CASE("order-free, payload until the tag exists") { runMany({}, "order-free", 1); }
TEST_CASE("order-free, full retention") { runMany({.retention = record::Retention::UntilAcknowledged}, "order-free, full retention", 2); }
TEST_CASE("order-free, no payload retained: TCP fills the holes") { runMany({.payload = false}, "order-free, no payload", 3); }
TEST_CASE("order-free, half of the records guarded") { runMany({.guarded = true}, "order-free, guarded", 6); }
TEST_CASE("prefix-replay") { runMany({.resync = nic::Resync::PrefixReplay}, "prefix-replay", 4); }
TEST_CASE("next-record") { runMany({.resync = nic::Resync::NextRecord}, "next-record", 5); }

// Without its return to the place where the device was, a replay takes (16384 / 2) / 1448 = 5.66 bytes per
// retransmitted byte on average. Coming back costs about as much again: a new segment is in the middle of a
// record as well.
TEST_CASE("crypto bytes per retransmitted byte: 16 KiB records, 1448 bytes per segment, 1 % of segments repeated") {
  for (const auto resync : {nic::Resync::OrderFree, nic::Resync::PrefixReplay, nic::Resync::NextRecord}) {
    Totals totals;
    Connection connection(oracle::seed(),
                          {.resync = resync, .faults = false, .streamBytes = 24u << 20, .recordBytes = 1u << 14, .segmentBytes = 1448});
    connection.runWithRepeats(totals, 10);
    const auto& c = connection.counters();
    const auto retransmitted = static_cast<double>(c.tx_tls_retransmitted_bytes);
    REQUIRE(retransmitted > 0);
    const double replayed = static_cast<double>(c.tx_tls_resync_bytes) / retransmitted;
    std::printf("seed of repeats: mode %s: %.0f bytes retransmitted; bytes replayed for each: %.2f\n",
                resync == nic::Resync::OrderFree ? "order-free" : resync == nic::Resync::PrefixReplay ? "prefix-replay" : "next-record",
                retransmitted, replayed);
    CHECK(c.tx_tls_drop_hole + c.tx_tls_drop_no_sync_data + c.tx_tls_drop_failed == 0);
    if (resync == nic::Resync::OrderFree) {
      CHECK(c.tx_tls_resync_bytes == 0);
    } else {
      CHECK(replayed > 4);
    }
  }
}
