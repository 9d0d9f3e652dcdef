// Memory for what goes into a pipe by reference between a file's pages. TCP may send from it until the peer has
// acknowledged it, and nobody tells when the kernel let a page go: what is in there is never written twice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

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
  /// Room for a frame like no other (TLS 1.2 has a nonce in each); of kBytes at most between begin() and begin().
  [[nodiscard]] uint8_t* unlike(size_t bytes) noexcept;
  static constexpr size_t kBytes = 4096;
  /// Where these bytes are: kLongest at most. TLS 1.3 has the same around each record, and they are written once.
  [[nodiscard]] const uint8_t* like(std::span<const uint8_t> bytes) noexcept;
  static constexpr size_t kLongest = 64;

 private:
  // Each frame is in as many pages, which take turns: the kernel counts a page's references, and one page's would be
  // counted by all processors at once.
  static constexpr size_t kTurns = 16;
  static constexpr size_t kShapes = 32;
  struct Shape {
    std::array<uint8_t, kLongest> bytes;
    size_t length = 0;
  };
  FrameMemory() noexcept = default;
  uint8_t* base_ = nullptr;
  size_t used_ = 0;
  std::array<Shape, kShapes> shapes_{};
  size_t known_ = 0, last_ = 0, turn_ = 0;
};

}  // namespace socrypt::engine
