// Payload that is a part of a file: nothing is retained but the descriptor.
#pragma once

#include <unistd.h>

#include "record/record_map.hpp"

namespace socrypt::record {

class FilePayload final : public Payload {
 public:
  /// Takes `descriptor` over. Position 0 of the payload is `offset` of the file.
  FilePayload(int descriptor, uint64_t offset) noexcept : descriptor_(descriptor), offset_(offset) {}
  ~FilePayload() override { close(descriptor_); }
  /// The bytes as they are now. False also when the file has become too short.
  [[nodiscard]] bool read(uint64_t at, std::span<uint8_t> to) const noexcept override {
    while (!to.empty()) {
      const ssize_t n = pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset_ + at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      at += static_cast<uint64_t>(n);
      to = to.subspan(static_cast<size_t>(n));
    }
    return true;
  }

  [[nodiscard]] int descriptor() const noexcept override { return offset_ == 0 ? descriptor_ : -1; }

 private:
  int descriptor_;
  uint64_t offset_;
};

}  // namespace socrypt::record
