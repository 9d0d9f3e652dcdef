// Payload that is a part of a file: nothing is retained but the descriptor.
#pragma once

#include "record/record_map.hpp"

namespace socrypt::record {

/// Whether all these pages of a file are in memory, now. Before Linux 6.5 nobody tells: false.
[[nodiscard]] bool inMemory(int file, uint64_t offset, uint64_t length) noexcept;

class FilePayload final : public Payload {
 public:
  /// Takes `descriptor` over. Position 0 of the payload is `offset` of the file.
  FilePayload(int descriptor, uint64_t offset) noexcept : descriptor_(descriptor), offset_(offset) {}
  ~FilePayload() override;
  /// The bytes as they are now. Gone also when the file has become too short. What is not in memory is asked for, and not waited
  /// for: a NIC's thread reads here.
  [[nodiscard]] Reading read(uint64_t at, std::span<uint8_t> to) const noexcept override;

  [[nodiscard]] int descriptor() const noexcept override { return offset_ == 0 ? descriptor_ : -1; }

 private:
  int descriptor_;
  uint64_t offset_;
};

}  // namespace socrypt::record
