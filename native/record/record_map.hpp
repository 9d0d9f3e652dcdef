// The record map of one connection's sending direction: stream offset -> record, and what is retained of
// every record until TCP has acknowledged all of it (Documentation/networking/tls-offload.rst calls it the
// records list; "Resync Flow" in "TLS Offload to Network Devices" says why it exists).
//
// Records are pushed before their bytes are written to the socket, so that a packet never finds the map
// behind it. They are released by what TCP itself reports as acknowledged, never by an ACK that somebody
// saw on the wire: a forged one must not be able to make a later retransmission impossible.
//
// No locks here: whoever owns the map has them.
#pragma once

#include <atomic>
#include <cassert>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "record/record.hpp"

namespace socrypt::record {

enum class Reading : uint8_t {
  Done,
  NotNow,  // it is on the disk, and will be in memory soon: whoever reads does not wait
  Gone,    // it cannot be had any more
};

/// Plaintext of one or several records, kept for as long as one of them may need it. Immutable; counted
/// references, from any thread.
class Payload {
 public:
  Payload() = default;
  Payload(const Payload&) = delete;
  Payload& operator=(const Payload&) = delete;
  virtual ~Payload() = default;
  /// Copies the bytes from `at` on, all of them or some to be ignored.
  [[nodiscard]] virtual Reading read(uint64_t at, std::span<uint8_t> to) const noexcept = 0;
  /// Of a file whose position 0 is the payload's, so that another process can be lent it; -1: it is none.
  [[nodiscard]] virtual int descriptor() const noexcept { return -1; }

 private:
  friend class PayloadRef;
  mutable std::atomic<uint32_t> references_{0};
};

/// Eight bytes, where std::shared_ptr has sixteen: there is one in every record.
class PayloadRef {
 public:
  PayloadRef() = default;
  explicit PayloadRef(std::unique_ptr<const Payload> payload) noexcept : payload_(payload.release()) { retain(); }
  PayloadRef(const PayloadRef& other) noexcept : payload_(other.payload_) { retain(); }
  PayloadRef(PayloadRef&& other) noexcept : payload_(std::exchange(other.payload_, nullptr)) {}
  PayloadRef& operator=(PayloadRef other) noexcept {
    std::swap(payload_, other.payload_);
    return *this;
  }
  ~PayloadRef() {
    if (payload_ != nullptr && payload_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete payload_;
  }
  [[nodiscard]] explicit operator bool() const noexcept { return payload_ != nullptr; }
  [[nodiscard]] const Payload* operator->() const noexcept { return payload_; }

 private:
  void retain() const noexcept {
    if (payload_ != nullptr) payload_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  const Payload* payload_ = nullptr;
};

/// Payload in memory; wiped when the last reference goes.
class MemoryPayload final : public Payload {
 public:
  explicit MemoryPayload(std::vector<uint8_t> bytes) noexcept : bytes_(std::move(bytes)) {}
  ~MemoryPayload() override { ocf::wipe(bytes_.data(), bytes_.size()); }
  [[nodiscard]] Reading read(uint64_t at, std::span<uint8_t> to) const noexcept override;

 private:
  std::vector<uint8_t> bytes_;
};

/// One record as it is announced.
struct NewRecord {
  RecordRef ref;
  ContentType type = ContentType::ApplicationData;
  /// Sealed already, by software: its bytes leave as they are.
  bool sealed = false;
  /// Where the record's content (without content type and padding) can be read again, or nothing: what is
  /// missing of this record then has to come from TCP itself.
  PayloadRef payload{};
  uint64_t payloadAt = 0;
  /// The payload may change while it is in use: it is a file's own pages. It is kept until
  /// acknowledged, and not counted as retained: it takes no memory of ours.
  bool guarded = false;
  /// The device writes the header (in TLS 1.2 with the nonce), or the content type behind TLS 1.3's content: TCP has any bytes in their
  /// place. Where they are not to be written, what TCP has is compared with what they should be.
  bool headerToWrite = false, typeToWrite = false;
};

/// One record as the map keeps it: 64 bytes, of which 16 are the tag.
class MappedRecord {
 public:
  [[nodiscard]] uint64_t streamOffset() const noexcept { return streamOffset_; }
  [[nodiscard]] uint64_t end() const noexcept { return streamOffset_ + length_; }
  [[nodiscard]] uint32_t length() const noexcept { return length_; }
  [[nodiscard]] uint32_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] uint64_t recordSeq() const noexcept { return recordSeq_; }
  [[nodiscard]] ContentType type() const noexcept { return type_; }
  [[nodiscard]] bool sealed() const noexcept { return sealed_; }
  [[nodiscard]] bool guarded() const noexcept { return guarded_; }
  [[nodiscard]] bool headerToWrite() const noexcept { return headerToWrite_; }
  [[nodiscard]] bool typeToWrite() const noexcept { return typeToWrite_; }
  [[nodiscard]] bool hasPayload() const noexcept { return static_cast<bool>(payload_); }
  [[nodiscard]] Reading readPayload(uint32_t at, std::span<uint8_t> to) const noexcept {
    return payload_ ? payload_->read(payloadAt_ + at, to) : Reading::Gone;
  }
  [[nodiscard]] bool hasTag() const noexcept { return hasTag_; }
  [[nodiscard]] std::span<const uint8_t, kTagLength> tag() const noexcept { return tag_; }

  /// For the device: the number of its state for this record. There is none with a tag.
  static constexpr uint32_t kNoContext = UINT32_MAX;
  [[nodiscard]] uint32_t context() const noexcept { return hasTag_ ? kNoContext : static_cast<uint32_t>(context_); }
  void setContext(uint32_t context) noexcept {
    assert(!hasTag_);
    context_ = context;
  }
  /// With a tag: what setTag() was given.
  [[nodiscard]] uint64_t fingerprint() const noexcept { return context_; }

 private:
  friend class RecordMap;
  uint64_t context_ = kNoContext;  // or fingerprint
  uint64_t streamOffset_ = 0;
  uint64_t recordSeq_ = 0;
  uint64_t payloadAt_ = 0;
  PayloadRef payload_;
  uint32_t epoch_ = 0;
  uint16_t length_ = 0;
  ContentType type_ = ContentType::ApplicationData;
  bool sealed_ : 1 = false;
  bool hasTag_ : 1 = false;
  bool guarded_ : 1 = false;
  bool headerToWrite_ : 1 = false;
  bool typeToWrite_ : 1 = false;
  std::array<uint8_t, kTagLength> tag_{};
};
static_assert(sizeof(MappedRecord) <= 64, "what a record costs once its tag exists");

/// What is kept of a record whose bytes TCP may ask for again.
enum class Retention : uint8_t {
  UntilTag,           // the payload until the tag exists, then the tag alone
  UntilAcknowledged,  // the payload until TCP has acknowledged the whole record, as the paper has it
};

/// Retained payload of all connections together, in bytes.
class RetentionBudget {
 public:
  explicit RetentionBudget(uint64_t bytes) noexcept : limit_(bytes) {}
  [[nodiscard]] bool take(uint64_t bytes) noexcept;
  void give(uint64_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

struct RecordMapLimits {
  uint32_t records = 16384;           // of one connection; 1 MiB of map
  uint64_t payloadBytes = 16u << 20;  // retained for one connection
};

class RecordMap {
 public:
  /// `budget` outlives the map.
  RecordMap(uint64_t streamOffset, Retention retention, RecordMapLimits limits, RetentionBudget& budget);
  ~RecordMap();
  RecordMap(const RecordMap&) = delete;
  RecordMap& operator=(const RecordMap&) = delete;

  /// All or none, and their payloads are taken. Full: a limit is reached, to be tried again after a release. Invalid: the records do not
  /// follow on what is mapped, have no length or one that no record has, or number and epoch do not rise: a number used twice under
  /// one key would be a nonce used twice.
  [[nodiscard]] ocf::Status push(std::span<NewRecord> records);

  /// The record that holds `streamOffset`; null: acknowledged already, or not pushed yet.
  [[nodiscard]] MappedRecord* find(uint64_t streamOffset) noexcept;
  /// The record behind `record`; null at the end.
  [[nodiscard]] MappedRecord* next(const MappedRecord& record) noexcept { return find(record.end()); }

  /// The tag exists: nothing else of the record is needed any more, unless the whole payload is to be kept. Of a guarded record
  /// with it what its content is recognised by, and the file stays.
  void setTag(MappedRecord& record, std::span<const uint8_t, kTagLength> tag, uint64_t fingerprint = 0) noexcept;

  /// TCP has acknowledged everything before `streamOffset`. Calls `gone` with each record that goes.
  template <typename Gone>
  void release(uint64_t streamOffset, Gone gone) {
    while (count_ != 0 && front().end() <= streamOffset) {
      gone(static_cast<const MappedRecord&>(front()));
      popFront();
    }
  }

  [[nodiscard]] uint64_t begin() const noexcept { return count_ == 0 ? end_ : slots_[first_].streamOffset_; }
  [[nodiscard]] uint64_t end() const noexcept { return end_; }
  [[nodiscard]] uint32_t records() const noexcept { return count_; }
  /// Plaintext retained, in bytes.
  [[nodiscard]] uint64_t payloadBytes() const noexcept { return payloadBytes_; }
  [[nodiscard]] Retention retention() const noexcept { return retention_; }

 private:
  [[nodiscard]] MappedRecord& at(uint32_t index) noexcept { return slots_[(first_ + index) & (slots_.size() - 1)]; }
  [[nodiscard]] MappedRecord& front() noexcept { return slots_[first_]; }
  void popFront() noexcept;
  void dropPayload(MappedRecord& record) noexcept;
  void reserve(size_t records);

  const Retention retention_;
  const RecordMapLimits limits_;
  RetentionBudget& budget_;
  std::vector<MappedRecord> slots_;  // a ring; its size is a power of two
  uint32_t first_ = 0;
  uint32_t count_ = 0;
  uint32_t hint_ = 0;  // where the last search ended
  uint64_t end_;
  uint64_t payloadBytes_ = 0;
  // Number and epoch of the newest record that is not sealed already.
  std::optional<RecordRef> newest_;
};

}  // namespace socrypt::record
