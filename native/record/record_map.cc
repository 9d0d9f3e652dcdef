#include "record/record_map.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace socrypt::record {

Reading MemoryPayload::read(uint64_t at, std::span<uint8_t> to) const noexcept {
  if (at > bytes_.size() || to.size() > bytes_.size() - at) return Reading::Gone;
  std::copy_n(bytes_.data() + at, to.size(), to.data());
  return Reading::Done;
}

bool RetentionBudget::take(uint64_t bytes) noexcept {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit_ || used > limit_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

RecordMap::RecordMap(uint64_t streamOffset, Retention retention, RecordMapLimits limits, RetentionBudget& budget)
    : retention_(retention), limits_(limits), budget_(budget), end_(streamOffset) {}

RecordMap::~RecordMap() { budget_.give(payloadBytes_); }

ocf::Status RecordMap::push(std::span<NewRecord> records) {
  uint64_t end = end_;
  uint64_t payload = 0;
  std::optional<RecordRef> newest = newest_;
  for (const NewRecord& record : records) {
    if (record.ref.streamOffset != end || record.ref.length == 0 || record.ref.length > UINT16_MAX) return ocf::Status::Invalid;
    end += record.ref.length;
    if (record.sealed) continue;
    if (newest && (record.ref.epoch < newest->epoch ||
                   (record.ref.epoch == newest->epoch && record.ref.recordSeq <= newest->recordSeq)))
      return ocf::Status::Invalid;
    newest = record.ref;
    if (record.payload && !record.guarded) payload += record.ref.length;
  }
  if (records.size() > limits_.records - count_ || payload > limits_.payloadBytes - payloadBytes_) return ocf::Status::Full;
  if (!budget_.take(payload)) return ocf::Status::Full;
  reserve(count_ + records.size());
  for (NewRecord& record : records) {
    MappedRecord& to = at(count_++);
    to.context_ = MappedRecord::kNoContext;
    to.length_ = static_cast<uint16_t>(record.ref.length);
    to.streamOffset_ = record.ref.streamOffset;
    to.recordSeq_ = record.ref.recordSeq;
    to.epoch_ = record.ref.epoch;
    to.type_ = record.type;
    to.sealed_ = record.sealed;
    to.hasTag_ = false;
    to.guarded_ = record.guarded;
    to.headerToWrite_ = record.headerToWrite;
    to.typeToWrite_ = record.typeToWrite;
    if (!record.sealed) {
      to.payload_ = std::move(record.payload);
      to.payloadAt_ = record.payloadAt;
    }
  }
  payloadBytes_ += payload;
  end_ = end;
  newest_ = newest;
  return ocf::Status::Ok;
}

MappedRecord* RecordMap::find(uint64_t streamOffset) noexcept {
  if (count_ == 0 || streamOffset < front().streamOffset_ || streamOffset >= end_) return nullptr;
  // Segments come in order most of the time: the record of the last search, or the one behind it.
  for (uint32_t index = hint_; index < std::min(hint_ + 2, count_); ++index) {
    MappedRecord& record = at(index);
    if (record.streamOffset_ <= streamOffset && streamOffset < record.end()) {
      hint_ = index;
      return &record;
    }
  }
  uint32_t low = 0;
  uint32_t high = count_ - 1;
  while (low < high) {
    const uint32_t middle = low + (high - low + 1) / 2;
    if (at(middle).streamOffset_ <= streamOffset) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  hint_ = low;
  return &at(low);
}

void RecordMap::setTag(MappedRecord& record, std::span<const uint8_t, kTagLength> tag, uint64_t fingerprint) noexcept {
  std::copy(tag.begin(), tag.end(), record.tag_.begin());
  record.context_ = fingerprint;
  record.hasTag_ = true;
  if (retention_ == Retention::UntilTag && !record.guarded_) dropPayload(record);
}

void RecordMap::dropPayload(MappedRecord& record) noexcept {
  if (!record.payload_) return;
  if (!record.guarded_) {
    payloadBytes_ -= record.length_;
    budget_.give(record.length_);
  }
  record.payload_ = {};
}

void RecordMap::popFront() noexcept {
  dropPayload(front());
  first_ = (first_ + 1) & static_cast<uint32_t>(slots_.size() - 1);
  --count_;
  if (hint_ > 0) --hint_;
}

void RecordMap::reserve(size_t records) {
  if (records <= slots_.size()) return;
  std::vector<MappedRecord> larger(std::bit_ceil(std::max<size_t>(records, 16)));
  for (uint32_t i = 0; i < count_; ++i) larger[i] = std::move(at(i));
  slots_ = std::move(larger);
  first_ = 0;
}

}  // namespace socrypt::record
