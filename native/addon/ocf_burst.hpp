// A burst of ops as JavaScript describes it: one row of sixteen numbers per op at the start of a piece of memory that also
// holds their data. src/ocf/rows.ts writes rows.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "addon/ocf_loop.hpp"

namespace socrypt::addon {

/// Memory that JavaScript sees as an ArrayBuffer and ops work in. Whatever JavaScript does to the buffer, the bytes stay
/// where they are as long as somebody works on them; then they are wiped.
class BurstMemory {
 public:
  explicit BurstMemory(size_t bytes) : bytes_(bytes), data_(std::make_unique<uint8_t[]>(bytes)) {}
  ~BurstMemory() { ocf::wipe(data_.get(), bytes_); }
  BurstMemory(const BurstMemory&) = delete;
  BurstMemory& operator=(const BurstMemory&) = delete;
  [[nodiscard]] uint8_t* data() const noexcept { return data_.get(); }
  [[nodiscard]] size_t bytes() const noexcept { return bytes_; }

 private:
  size_t bytes_;
  std::unique_ptr<uint8_t[]> data_;
};

/// Columns of a row, 32 bits each.
enum Column : uint32_t {
  kSession,
  kKind,    // and the SignatureScheme in the upper half
  kStatus,  // ocf::Status; written when the op is complete
  kIn,      // payload; of a key operation the list of its segments, each offset and length
  kLength,
  kOut,
  kAad,
  kAadLength,
  kIv,
  kIvLength,
  kInputs,
  kOutputs,
  kColumns = 16,
};
inline constexpr size_t kRowBytes = size_t{kColumns} * sizeof(uint32_t);
inline constexpr uint32_t kMaxRows = 1024;
inline constexpr uint32_t kMaxSegments = 8;
/// Outputs of a key operation; their lengths take the place of kInputs and what follows it.
inline constexpr uint32_t kMaxResults = 4;

class Burst final : public OcfLoop::Waiter {
 public:
  using Told = std::function<void(uint32_t burst, uint32_t row)>;
  /// The session of a number; nullptr: none.
  using Find = std::function<ocf::Session*(uint32_t)>;
  Burst(uint32_t id, std::shared_ptr<BurstMemory> memory, uint32_t rows, Told told)
      : id_(id), memory_(std::move(memory)), ops_(rows), segments_(size_t{rows} * kMaxSegments), told_(std::move(told)) {}

  /// Reads the rows. Those that are not well formed are complete at once, with Closed, Invalid or Range.
  void read(const Find& find);
  /// Accepts a prefix of the rows; the statuses of those of them that are complete stand in their rows.
  [[nodiscard]] uint32_t dispatch(ocf::Framework& framework);
  [[nodiscard]] bool idle() const noexcept { return pending_ == 0; }
  bool completed(Napi::Env env, ocf::Op& op) override;

 private:
  [[nodiscard]] bool readRow(uint32_t row, const Find& find);
  [[nodiscard]] bool readKey(ocf::Op& op, const uint32_t* columns, ocf::Seg* segments);
  [[nodiscard]] bool within(uint64_t offset, uint64_t length) const noexcept { return offset + length <= memory_->bytes(); }
  [[nodiscard]] uint32_t* columnsOf(uint32_t row) const noexcept {
    return reinterpret_cast<uint32_t*>(memory_->data() + row * kRowBytes);
  }
  void write(uint32_t row) noexcept;

  uint32_t id_;
  std::shared_ptr<BurstMemory> memory_;
  std::vector<ocf::Op> ops_;
  std::vector<ocf::Seg> segments_;
  Told told_;
  uint32_t pending_ = 0;
};

}  // namespace socrypt::addon
