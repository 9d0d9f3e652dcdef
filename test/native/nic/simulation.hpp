// One connection in a simulated world, a pure function of its seed: a TCP sender that cuts, loses, repeats
// and reorders as it likes, the device, a receiver, and the oracle's stream beside them.
#pragma once

#include "frames.hpp"
#include "nic/device/inline_device.hpp"

namespace simulation {

using namespace socrypt;
using frames::Bytes;
using frames::Random;

struct Totals {
  uint64_t packets = 0;      // frames that the sender made
  uint64_t wireFrames = 0;   // frames that left the device
  uint64_t bytes = 0;        // checked against the oracle
};

struct Plan {
  nic::Resync resync = nic::Resync::OrderFree;
  record::Retention retention = record::Retention::UntilTag;
  bool payload = true;        // retained at all
  bool guarded = false;       // some of the records
  bool faults = true;         // false: in order, nothing lost
  size_t streamBytes = 0;     // 0: as the seed has it
  size_t recordBytes = 0;     // content of each record; 0: as the seed has it
  uint32_t segmentBytes = 0;  // 0: as the seed has it
};

class Connection {
 public:
  Connection(uint64_t seed, const Plan& plan);
  /// Until the receiver has everything. Checks, with doctest, every byte on the wire.
  void run(Totals& totals);
  /// In order, with single segments repeated in between, as after a loss that SACK told of.
  void runWithRepeats(Totals& totals, unsigned perMille);
  [[nodiscard]] const nic::Counters& counters() const { return device_.counters(); }

 private:
  struct Segment {
    uint64_t from;
    uint64_t to;
    bool tso;
  };
  struct Planned {
    record::NewRecord record;
    size_t epoch;
  };

  static nic::DeviceOptions options(const Plan& plan, Random& random);
  void makeStream();
  void pushRecords();
  void transmit(const Segment& segment);
  void receive(const Bytes& frame);
  void acknowledge(bool all);
  void noise();
  [[nodiscard]] Segment choose();
  [[nodiscard]] bool chance(unsigned percent) { return plan_.faults && random_() % 100 < percent; }

  Random random_;
  Plan plan_;
  nic::InlineDevice device_;
  frames::Path path_;
  nic::FlowId flow_{};
  uint32_t sequence_ = 0;  // of the stream's first byte
  uint64_t start_ = 0;     // where records begin
  std::vector<record::TrafficKeys> epochs_;
  size_t epochsGiven_ = 1;
  std::vector<Planned> records_;
  size_t pushed_ = 0;
  uint64_t writable_ = 0;  // bytes that the sender's TCP holds
  Bytes plain_;
  Bytes sealed_;
  std::vector<bool> got_;
  uint64_t received_ = 0;  // contiguous
  uint64_t una_ = 0;       // as TCP knows it
  uint64_t next_ = 0;
  uint32_t mss_ = 1448;
  std::vector<Segment> delayed_;
  unsigned lossPercent_ = 0;
  unsigned quiet_ = 0;
  Totals* totals_ = nullptr;
};

}  // namespace simulation
