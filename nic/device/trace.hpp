// What became of a flow's last records: for the eyes of an operator. Never keys, never content.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "record/record_map.hpp"

namespace socrypt::nic {

enum class TagSource : uint8_t {
  None,      // no byte of the tag was sent yet
  Computed,  // with the segment that held it
  Kept,      // computed before
};
enum class GuardVerdict : uint8_t { Unwatched, Same, Changed };

struct RecordTrace {
  uint64_t recordSeq = 0;
  uint64_t streamOffset = 0;
  uint32_t length = 0;
  uint32_t epoch = 0;
  uint64_t firstSend = 0, lastSend = 0;  // nanoseconds of the device's clock
  uint64_t bytes = 0;                    // sent in all, more than `length` with retransmissions
  uint32_t segments = 0;                 // that held some of it
  uint32_t dropped = 0;                  // segments that held some of it and did not leave
  bool software = false;                 // sealed before it came here
  TagSource tag = TagSource::None;
  GuardVerdict guard = GuardVerdict::Unwatched;
};

class TraceRing {
 public:
  /// The last `records`, rounded up to a power of two.
  explicit TraceRing(size_t records) : slots_(std::bit_ceil(records)) {}

  [[nodiscard]] RecordTrace& of(const record::MappedRecord& record) noexcept {
    RecordTrace& slot = slots_[record.recordSeq() & (slots_.size() - 1)];
    if (slot.length == 0 || slot.streamOffset != record.streamOffset()) {
      slot = {};
      slot.recordSeq = record.recordSeq();
      slot.streamOffset = record.streamOffset();
      slot.length = record.length();
      slot.epoch = record.epoch();
      slot.software = record.sealed();
    }
    return slot;
  }
  /// Oldest first.
  [[nodiscard]] std::vector<RecordTrace> list() const {
    std::vector<RecordTrace> all;
    for (const auto& slot : slots_)
      if (slot.length != 0) all.push_back(slot);
    std::sort(all.begin(), all.end(), [](const RecordTrace& a, const RecordTrace& b) { return a.streamOffset < b.streamOffset; });
    return all;
  }

 private:
  std::vector<RecordTrace> slots_;
};

}  // namespace socrypt::nic
