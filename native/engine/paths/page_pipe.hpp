// Bytes to a socket as references to pages: a file's by way of a mapping (vmsplice(2)), and between them what frames
// them; then on with splice(2). It is what sendfile(2) does inside, with more than one file's range in one call.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace socrypt::engine {

/// A range of a file, mapped. It is never read from here: that would be a SIGBUS where the file was cut off. A system
/// call that refers to such a page fails with EFAULT instead.
class FileWindow {
 public:
  /// Windows begin at a multiple of this and are at most as long: it bounds what page tables take (1/512 of it).
  static constexpr uint64_t kLength = 1u << 30;
  /// The window that holds `offset` of a file of `size` bytes. Null: the file cannot be mapped.
  [[nodiscard]] static std::shared_ptr<const FileWindow> of(int file, uint64_t size, uint64_t offset) noexcept;
  FileWindow(const FileWindow&) = delete;
  FileWindow& operator=(const FileWindow&) = delete;
  ~FileWindow();

  [[nodiscard]] bool holds(uint64_t offset, uint64_t length) const noexcept {
    return offset >= offset_ && length <= length_ && offset - offset_ <= length_ - length;
  }
  /// Where `offset` of the file is; it is in here.
  [[nodiscard]] void* at(uint64_t offset) const noexcept { return base_ + (offset - offset_); }

 private:
  FileWindow(uint8_t* base, uint64_t offset, uint64_t length) noexcept : base_(base), offset_(offset), length_(length) {}
  uint8_t* base_;
  uint64_t offset_, length_;
};

class PagePipe {
 public:
  /// Null: this process may not have what it takes.
  [[nodiscard]] static std::unique_ptr<PagePipe> make() noexcept;
  PagePipe(const PagePipe&) = delete;
  PagePipe& operator=(const PagePipe&) = delete;
  ~PagePipe();

  /// Before the frames of the next send(): those of the last one are not looked at any more, except by TCP.
  void begin() noexcept;
  /// Memory for `bytes` that go into the pipe by reference; of kFrameBytes at most between begin() and send(). It is
  /// given out once: TCP may send from there until the peer has acknowledged it, and nobody tells when it let a page go.
  [[nodiscard]] uint8_t* frame(size_t bytes) noexcept;
  static constexpr size_t kFrameBytes = 3072;

  /// How many of these bytes the socket took; errno says why not all of them (0: the pipe was full). -1: none; EFAULT: a
  /// part of a window is not in the file any more. `more` follows at once.
  ssize_t send(int socket, std::span<const iovec> parts, bool more) noexcept;

 private:
  PagePipe() noexcept = default;
  [[nodiscard]] bool open() noexcept;
  void discard(size_t bytes) noexcept;
  int in_ = -1, out_ = -1, nowhere_ = -1;
  uint8_t* frames_ = nullptr;
  size_t used_ = 0;
};

}  // namespace socrypt::engine
