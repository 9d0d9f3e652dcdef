// Memory for what goes into a pipe by reference around a file's pages. TCP may send from it until the peer has
// acknowledged it, and nobody tells when the kernel let a page go: what is in there is never written twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace socrypt::engine {

class FrameMemory {
 public:
  /// Null: there is no memory.
  [[nodiscard]] static std::unique_ptr<FrameMemory> make() noexcept;
  FrameMemory(const FrameMemory&) = delete;
  FrameMemory& operator=(const FrameMemory&) = delete;
  ~FrameMemory();

  /// Before the frames of the next call into the kernel: those of the last one are not looked at any more, except by TCP.
  void begin() noexcept;
  /// Room for a frame of kLongest bytes at most; for kBytes between begin() and begin().
  [[nodiscard]] uint8_t* room(size_t bytes) noexcept;
  static constexpr size_t kBytes = 4096, kLongest = 64;

 private:
  FrameMemory() noexcept = default;
  uint8_t* base_ = nullptr;
  size_t used_ = 0;
};

}  // namespace socrypt::engine
