// One flow of the device: its place in the TCP stream, its keys by epoch, its record map, and the sealing
// of one segment's payload in the three resync modes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "nic/device/counters.hpp"
#include "nic/device/device.hpp"
#include "nic/device/guard.hpp"
#include "nic/device/intervals.hpp"
#include "nic/device/record_cipher.hpp"
#include "nic/device/trace.hpp"

namespace socrypt::nic {

struct FlowOptions {
  Resync resync = Resync::OrderFree;
  /// Modes other than OrderFree always retain until acknowledged: they need the payload for any segment.
  record::Retention retention = record::Retention::UntilTag;
  record::RecordMapLimits limits{};
  /// For counting what prefix-replay would send through a real device, in packets.
  uint32_t wireMtu = 1500;
  /// Records of a flow that are traced; 0: none.
  size_t traceRecords = 0;
};

class Flow {
 public:
  enum class Result : uint8_t {
    Sealed,     // some bytes belong to records; all of those are sealed now
    Untouched,  // no byte does
    Drop,       // the payload may hold anything and must not leave; the reason is counted
    Unmapped,   // as Drop, but nothing was done or counted: it ends behind the last record that was pushed
  };

  /// Positions are told apart within half of the sequence space; half of that again is left for the host's
  /// stack to run behind or ahead of what acknowledged() was last told.
  static constexpr uint64_t kWindow = uint64_t{1} << 30;

  /// Where a flow begins, as in Device::add().
  struct Start {
    uint32_t tcpSequence;
    uint32_t unacknowledged;  // at most kWindow
  };
  /// None: the suite is not ours, or libcrypto failed.
  [[nodiscard]] static std::shared_ptr<Flow> make(FlowId id, const FlowKey& key, const record::TrafficKeys& keys, Start start,
                                                  const FlowOptions& options, Counters& counters, record::RetentionBudget& budget);

  // As in Device.
  [[nodiscard]] ocf::Status rekey(const record::TrafficKeys& keys);
  [[nodiscard]] ocf::Status push(std::span<record::NewRecord> records);
  void acknowledged(uint64_t streamOffset);
  void resync(uint64_t streamOffset);

  struct Circumstances {
    bool mayBeEarly = false;  // a segment may come faster than its records; then it is Unmapped
    uint64_t now = 0;         // for the trace, in nanoseconds
  };
  /// Seals, in place, what `payload`, sent with this sequence number, holds of records.
  [[nodiscard]] Result seal(uint32_t sequence, std::span<uint8_t> payload, Circumstances circumstances);
  [[nodiscard]] Result seal(uint32_t sequence, std::span<uint8_t> payload) { return seal(sequence, payload, {}); }

  /// Loses everything that was learned from segments, as a device does whose context was evicted.
  void evict();

  [[nodiscard]] FlowId id() const noexcept { return id_; }
  [[nodiscard]] const FlowKey& key() const noexcept { return key_; }

  struct Usage {
    uint32_t records;       // mapped
    uint32_t openRecords;   // with state beyond the map's 64 bytes
    uint64_t payloadBytes;  // retained
    uint32_t epochs;
    uint64_t acknowledged;
    bool broken;            // the guard found a change: nothing leaves any more, the connection is to be reset
  };
  [[nodiscard]] Usage usage();
  /// The last records that segments held something of.
  [[nodiscard]] std::vector<RecordTrace> trace();

 private:
  struct Epoch {
    uint32_t epoch;
    uint64_t records;  // mapped
    std::unique_ptr<RecordCipher> cipher;
  };
  // A record that some, but not all bytes were seen of.
  struct OpenRecord {
    RecordSum sum;
    Intervals seen;
    std::unique_ptr<Guard> guard{};  // of a guarded record
  };
  // What a device that works in order has: one place in one record.
  struct InOrder {
    uint64_t record = UINT64_MAX;  // its stream offset
    uint32_t position = 0;         // in its text
    RecordSum sum;
  };
  // One record's part of a segment.
  struct Piece {
    record::MappedRecord& record;
    RecordCipher& cipher;
    RecordShape shape;
    uint32_t from;      // in the record
    uint32_t length;    // of the piece: header, text and tag
    uint32_t position;  // of `text` in the record's text; its end, when the piece begins behind it
    uint32_t tagFrom;   // of `tag` in the record's tag
    std::span<uint8_t> text;
    std::span<uint8_t> tag;
  };

  Flow(FlowId id, const FlowKey& key, const record::TrafficKeys& keys, Start start, const FlowOptions& options,
       Counters& counters, record::RetentionBudget& budget);

  // Locked, and with what has arrived in the map.
  [[nodiscard]] std::unique_lock<std::mutex> enter();
  void settle();
  [[nodiscard]] bool leaveAtDoor(std::span<record::NewRecord> records);
  void openDoor(std::span<const record::NewRecord> taken);
  [[nodiscard]] ocf::Status take(std::span<record::NewRecord> records);
  [[nodiscard]] RecordCipher* cipherOf(uint32_t epoch) noexcept;
  [[nodiscard]] int64_t unwrap(uint32_t sequence) const noexcept;
  [[nodiscard]] bool sealRecords(uint64_t streamOffset, std::span<uint8_t> payload, uint64_t now, bool& touched);
  void note(const record::MappedRecord& record, uint32_t from, size_t bytes, bool hadTag, bool left, uint64_t now) noexcept;
  [[nodiscard]] bool sealPiece(record::MappedRecord& record, uint32_t from, std::span<uint8_t> bytes);
  [[nodiscard]] bool frame(const Piece& piece, std::span<uint8_t> header) const noexcept;

  [[nodiscard]] bool sealOrderFree(const Piece& piece);
  [[nodiscard]] bool sealUnseen(const Piece& piece, OpenRecord& open, uint32_t from, uint32_t to);
  [[nodiscard]] bool makeGuardKey();
  [[nodiscard]] bool guarded(const Piece& piece, OpenRecord& open, uint32_t at, std::span<const uint8_t> text);
  [[nodiscard]] bool guardedWhole(const Piece& piece);
  bool changed() noexcept;  // false
  [[nodiscard]] bool fillHoles(const Piece& piece, OpenRecord& open);
  [[nodiscard]] bool finish(record::MappedRecord& record, RecordCipher& cipher, const RecordShape& shape);
  [[nodiscard]] OpenRecord& openOf(record::MappedRecord& record);
  void closeContext(uint32_t context) noexcept;

  [[nodiscard]] bool sealPrefixReplay(const Piece& piece);
  [[nodiscard]] bool sealNextRecord(const Piece& piece);
  [[nodiscard]] bool sealInOrder(const Piece& piece, InOrder& state);
  [[nodiscard]] bool replay(const Piece& piece, InOrder& state, uint32_t to);

  [[nodiscard]] bool encryptAdd(const Piece& piece, uint32_t at, std::span<uint8_t> text, RecordSum& sum) noexcept;
  [[nodiscard]] static record::Reading readText(const Piece& piece, uint32_t at, std::span<uint8_t> to) noexcept;

  std::mutex mutex_;
  // Who pushes does not wait for a segment that is being sealed (64 KiB take some 20 us, and a sleeper has to be woken
  // then): the records stay here until somebody enters. Locked inside mutex_, never around it.
  struct Door {
    std::mutex mutex;
    std::vector<record::NewRecord> records;
    // The last record that came, and what is sure about the next: in the same epoch, `least` bytes and more, `room` of them.
    uint64_t end = 0;
    uint64_t recordSeq = 0;
    uint32_t epoch = 0;
    uint32_t least = 0;  // 0: nothing is sure
    uint64_t room = 0;
  };
  Door door_;
  std::atomic<bool> arrived_{false};
  const FlowId id_;
  const FlowKey key_;
  const uint64_t start_;
  const uint32_t startSequence_;
  const FlowOptions options_;
  Counters& counters_;
  record::RecordMap map_;
  std::vector<Epoch> epochs_;  // oldest first
  int64_t floor_;          // nothing in front of this is sent again; the positions before the first are negative
  uint64_t acknowledged_;  // never in front of the start
  uint64_t expected_;  // where the next segment in order begins
  uint64_t highest_;   // behind the last byte ever sealed

  std::vector<OpenRecord> open_;
  std::vector<uint32_t> freeContexts_;

  std::optional<GhashKey> guardKey_;
  std::vector<std::unique_ptr<Guard>> freeGuards_;
  bool broken_ = false;
  std::optional<TraceRing> trace_;

  InOrder inOrder_;
  bool inStep_ = true;        // NextRecord
  bool fellBack_ = false;     // NextRecord: a part of this segment was sealed by software
  bool resyncWanted_ = false;
  uint64_t syncPoint_ = UINT64_MAX;
};

}  // namespace socrypt::nic
