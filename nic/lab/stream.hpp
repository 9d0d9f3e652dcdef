// What one connection sends, as the oracle has it: its records, the plaintext that TCP holds, and the bytes
// that have to be seen on the wire.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nic/lab/plan.hpp"
#include "nic/lab/random.hpp"
#include "nic/lab/ranges.hpp"
#include "nic/lab/sealer.hpp"
#include "record/record_map.hpp"

namespace socrypt::nic::lab {

/// What must not be seen on the wire; all content consists of it, every other 16 bytes.
inline constexpr std::string_view kCanary = "plaintext-canary";

/// A rule that did not hold.
struct Violation {
  std::string invariant;
  std::string what;
};

/// A file that is sent by sendfile(2): what TCP sends and what is read again are the same pages.
class File {
 public:
  File(uint64_t bytes, Random random);
  [[nodiscard]] uint64_t length() const noexcept { return length_; }
  [[nodiscard]] bool changed() const noexcept { return changed_; }
  /// False: it is too short by now.
  [[nodiscard]] bool read(uint64_t at, std::span<uint8_t> to) const noexcept;
  /// What TCP's references to pages show, wherever the file ends by now.
  void pages(uint64_t at, std::span<uint8_t> to) const noexcept;
  void rewrite(uint64_t bytes);
  void shrink(uint64_t thousandths);
  void grow();

 private:
  Random random_;
  Bytes bytes_;
  uint64_t length_;
  bool changed_ = false;
};

/// Canary and numbers.
[[nodiscard]] Bytes canaryContent(Random& random, size_t n);

class Stream {
 public:
  struct Record {
    record::RecordRef ref;
    record::ContentType type;
    bool sealed;        // by software
    size_t keys;        // of epochs()
    uint64_t fileAt;
    bool headerToWrite = false, typeToWrite = false;  // by the device
    /// Of a record that is a file's pages: every byte that ever left. There is no other truth about it.
    struct Emitted {
      Bytes bytes;
      Ranges seen;
      bool opened = false;
    };
    std::unique_ptr<Emitted> emitted{};
    [[nodiscard]] uint64_t end() const noexcept { return ref.streamOffset + ref.length; }
  };

  Stream(const Plan& plan, Random random, File& file);

  [[nodiscard]] uint64_t start() const noexcept { return prefix_.size(); }
  /// Behind the last record that was made.
  [[nodiscard]] uint64_t end() const noexcept { return base_ + plain_.size(); }
  [[nodiscard]] const std::vector<record::TrafficKeys>& epochs() const noexcept { return epochs_; }
  [[nodiscard]] const std::deque<Record>& records() const noexcept { return records_; }
  [[nodiscard]] bool tls12() const noexcept { return tls12_; }
  /// Makes the next record. With `update`, the last of its epoch; false when the suite has no KeyUpdate.
  void make(bool software);
  [[nodiscard]] bool makeKeyUpdate(bool software);
  /// The record as the driver announces it, for the first time or again.
  [[nodiscard]] record::NewRecord announce(const Record& record) const;
  /// A record as it was when it was made, for an opener elsewhere.
  [[nodiscard]] Bytes content(const Record& record) const;
  [[nodiscard]] const Record* find(uint64_t offset) const noexcept;

  /// What TCP has at [from, from + to.size()), as of now.
  void plain(uint64_t from, std::span<uint8_t> to) const noexcept;
  /// `bytes` have left for the wire as those of `from` and on.
  [[nodiscard]] std::optional<Violation> emitted(uint64_t from, std::span<const uint8_t> bytes);
  /// Bytes that a device encrypts in [from, to).
  [[nodiscard]] uint64_t textIn(uint64_t from, uint64_t to) const noexcept;
  /// Records before `offset` are acknowledged, and the device was told.
  void forget(uint64_t offset);
  [[nodiscard]] bool hasGuarded() const noexcept { return guarded_ != 0; }

 private:
  void append(record::ContentType type, const Bytes& content, bool software, std::optional<uint64_t> fileAt);
  void newEpoch(uint64_t recordSeq);
  [[nodiscard]] std::optional<Violation> emittedOfFile(Record& record, uint32_t at, std::span<const uint8_t> bytes);
  [[nodiscard]] size_t indexOf(uint64_t offset) const noexcept;

  const Plan& plan_;
  Random random_;
  File& file_;
  record::Suite suite_;
  bool tls12_;
  Bytes prefix_;  // the handshake, which software has sealed
  std::vector<record::TrafficKeys> epochs_;
  uint64_t recordSeq_ = 0;
  std::deque<Record> records_;
  uint64_t base_ = 0;  // offset of the first byte of the two below
  Bytes plain_;
  Bytes sealed_;
  uint64_t fileAt_ = 0;
  uint64_t guarded_ = 0;  // records of files among those above
  mutable size_t hint_ = 0;
};

}  // namespace socrypt::nic::lab
