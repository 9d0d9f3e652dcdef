// What a run of the laboratory is: the traffic, the faults, and when. A run is a pure function of this.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nic/device/flow.hpp"

namespace socrypt::nic::lab {

/// Where a fault happens.
enum class Seam : uint8_t {
  Host,  // between the host's TCP and the device
  Out,   // on the wire, to the peer
  Back,  // on the wire, from the peer
};
inline constexpr std::array<std::string_view, 3> kSeams{"host", "out", "back"};

/// To one frame, with a chance; `amount` is what the comment says. Those of the last group add frames.
enum class Fault : uint8_t {
  Drop,
  Burst,      // drops every frame of a stretch of `amount` frames on average
  Duplicate,  // `amount` more of it
  Delay,      // it and all behind it wait up to `amount` microseconds
  Reorder,    // it alone does
  Corrupt,    // one bit flips
  Resegment,  // cut into up to `amount` pieces
  Coalesce,   // joined with the next, if that follows in the stream
  TailFirst,  // it and up to `amount` behind it come in reverse order; host only
  Stray,      // some unacknowledged range of `amount` bytes is sent again; host only
  Noise,      // a frame of somebody else, a fragment, garbage, a position that nobody announced; host only
  ForgedAck,  // an ACK that TCP has to refuse; back only
  SpoofedRst, // an RST that TCP has to refuse; back only
  Stale,      // up to `amount` bytes that TCP has acknowledged come again; host only
};
inline constexpr std::array<std::string_view, 14> kFaults{"drop",      "burst", "duplicate", "delay", "reorder",    "corrupt", "resegment",
                                                          "coalesce", "tail-first", "stray", "noise", "forged-ack", "spoofed-rst", "stale"};

struct Rule {
  Seam seam = Seam::Out;
  Fault fault = Fault::Drop;
  uint32_t perMillion = 0;
  uint64_t amount = 0;
  /// Of virtual time, microseconds.
  uint64_t from = 0;
  uint64_t to = UINT64_MAX;
};

/// Things that happen at a time, to every connection or to the one of `connection`.
enum class Action : uint8_t {
  Evict,       // the device loses what the segments of a flow taught it
  Reset,       // the device loses everything; the driver hands it the flows again
  Die,         // nothing leaves for `amount` microseconds, then as after Reset
  Abandon,     // the device dies and the driver fails closed: connections end
  KeyUpdate,
  ToSoftware,  // records are sealed before TCP has them
  ToNic,
  Mtu,         // segments carry at most `amount` bytes from now on; in flight are longer ones
  ZeroWindow,  // the receiver reads nothing for `amount` microseconds
  Renege,      // the receiver throws away what it has beyond a gap, though it acknowledged it selectively
  Rewrite,     // `amount` bytes of the file change
  Shrink,      // the file is cut to `amount` thousandths
  Grow,        // the file is as long as at first again, with other content
  ClockJump,   // the device's clock leaps `amount` milliseconds forward
  RingFull,    // the wire's ring has no room for `amount` microseconds
  PeerReset,   // the peer sends a genuine RST
};
inline constexpr std::array<std::string_view, 16> kActions{"evict", "reset",       "die",    "abandon", "key-update", "to-software", "to-nic",    "mtu",
                                                           "zero-window", "renege", "rewrite", "shrink", "grow",       "clock-jump",  "ring-full", "peer-reset"};

struct Deed {
  Action action = Action::Evict;
  uint64_t at = 0;     // microseconds of virtual time
  uint64_t every = 0;  // again and again after that; 0: once
  uint64_t amount = 0;
};

/// Devices that are broken on purpose, to show that the laboratory notices. See mutants.hpp.
enum class Mutant : uint8_t { None, SkippedTag, DoubleCount, WrongEpoch, FailsOpen, WireAck, NoGuard, NoChecksum, NeverFrees, ForgetsRemoved, NoFloor, BelievesClock };
inline constexpr std::array<std::string_view, 12> kMutants{"none",     "skipped-tag", "double-count", "wrong-epoch", "fails-open",
                                                           "wire-ack", "no-guard",    "no-checksum",  "never-frees", "forgets-removed", "no-floor", "believes-clock"};

struct Plan {
  uint64_t seed = 0;
  Resync resync = Resync::OrderFree;
  record::Retention retention = record::Retention::UntilTag;
  bool payload = true;          // the driver hands payload over with a record
  uint16_t suite = 0;           // 0: any
  uint32_t connections = 1;     // at a time
  uint64_t bytes = 1 << 20;     // of each connection
  uint32_t recordBytes = 0;     // content of a record; 0: any
  uint32_t segmentBytes = 1448; // TCP payload on the wire; 0: any
  uint32_t tsoPercent = 50;     // of connections whose TCP hands over up to 64 KiB at once
  uint32_t guardedPercent = 0;  // of records that are a file's pages
  uint64_t fileBytes = 256 << 10;
  uint32_t roundTrip = 1000;    // microseconds
  uint64_t bitsPerSecond = 10'000'000'000;
  uint64_t sendBuffer = 256 << 10;
  uint64_t receiveBuffer = 256 << 10;
  uint32_t mapRecords = 16384;  // the device's limits
  uint64_t mapPayload = 16 << 20;
  uint64_t totalPayload = 256 << 20;
  uint32_t reportPercent = 50;  // of acknowledgements that the driver reports at once
  Mutant mutant = Mutant::None;
  std::vector<Rule> rules;
  std::vector<Deed> deeds;
};

/// Why this plan cannot be run; empty: it can.
[[nodiscard]] inline std::string problemOf(const Plan& plan) {
  // Every frame of every connection is in memory until it has arrived.
  if (plan.connections == 0 || plan.connections > 1000) return "expected 1 to 1000 connections";
  if (plan.suite != 0 && !record::factsOf(static_cast<record::Suite>(plan.suite)).known) return "the suite is not known";
  if (plan.recordBytes > record::kMaxPlaintext) return "a record has at most 16384 bytes of content";
  if (plan.segmentBytes != 0 && (plan.segmentBytes < 8 || plan.segmentBytes > 9000)) return "expected segments of 8 to 9000 bytes, or 0";
  if (plan.mapRecords == 0 || plan.mapPayload < record::kMaxRecord || plan.totalPayload < record::kMaxRecord)
    return "limits that a single record exceeds let nothing through";
  if (plan.sendBuffer == 0 || plan.sendBuffer > 16u << 20 || plan.receiveBuffer < 4096) return "expected a send buffer of at most 16 MiB and a receive buffer of at least 4096 bytes";
  if (plan.fileBytes == 0 || plan.fileBytes > 64u << 20) return "expected a file of 1 byte to 64 MiB";
  if (plan.bitsPerSecond < 10'000 || plan.roundTrip > 10'000'000) return "expected a wire of at least 10 kbit/s and a round trip of at most 10 s";
  for (const Rule& rule : plan.rules) {
    if (rule.perMillion > 1'000'000) return "a chance is at most 1000000 of a million";
    const bool host = rule.fault == Fault::TailFirst || rule.fault == Fault::Stray || rule.fault == Fault::Noise || rule.fault == Fault::Stale;
    const bool back = rule.fault == Fault::ForgedAck || rule.fault == Fault::SpoofedRst;
    if ((host && rule.seam != Seam::Host) || (back && rule.seam != Seam::Back)) return "a fault at a seam where it cannot be";
  }
  for (const Deed& deed : plan.deeds)
    if (deed.every != 0 && deed.every < 10) return "a deed that comes again more often than every 10 microseconds";
  return {};
}

}  // namespace socrypt::nic::lab
