// Bytes to a socket as references to pages: a file's by way of a mapping (vmsplice(2)), and around them what frames
// them; then on with splice(2). It is what sendfile(2) does inside, with more than one file's range in one call.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/paths/frame_memory.hpp"

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

/// A pipe of references to pages.
class PagePipe {
 public:
  /// As many references go into the socket in one call inside the kernel (splice_to_socket() in fs/splice.c).
  static constexpr size_t kPerCall = 16;
  /// Null: this process may not have one more.
  [[nodiscard]] static std::unique_ptr<PagePipe> make() noexcept;
  PagePipe(const PagePipe&) = delete;
  PagePipe& operator=(const PagePipe&) = delete;
  ~PagePipe();

  /// Bytes that are in it.
  [[nodiscard]] size_t held() const noexcept { return held_; }
  /// Puts `parts` in, or as many of their bytes as there is room for, and that many are held then. False: none (errno);
  /// EFAULT: they are not in the file any more.
  [[nodiscard]] bool fill(std::span<const iovec> parts) noexcept;
  /// Gives the socket what is held; returns how much of it that took. Less than all of it: errno says why. `more` follows
  /// at once.
  [[nodiscard]] size_t drain(int socket, bool more) noexcept;

 private:
  PagePipe(int in, int out) noexcept : in_(in), out_(out) {}
  int in_, out_;
  size_t held_ = 0;
};

class PagePipes;
struct GiveBack {
  PagePipes* home = nullptr;
  void operator()(PagePipe* pipe) const noexcept;
};
using LentPipe = std::unique_ptr<PagePipe, GiveBack>;

/// An engine's pipes, and the memory of what stands around a call's pages. Outlives what it lends.
class PagePipes {
 public:
  /// Null: this process may not have what it takes.
  [[nodiscard]] static std::unique_ptr<PagePipes> make() noexcept;

  /// An empty pipe; null: none can be had now.
  [[nodiscard]] LentPipe take() noexcept;
  /// Whether a connection may keep one in which something is left. Two descriptors each, and the pages that it holds.
  [[nodiscard]] bool mayKeep() const noexcept { return out_ <= kKept; }

  [[nodiscard]] FrameMemory& frames() noexcept { return *frames_; }

 private:
  friend struct GiveBack;
  static constexpr size_t kKept = 32, kSpare = 4;
  PagePipes() noexcept = default;
  std::vector<std::unique_ptr<PagePipe>> spare_;
  size_t out_ = 0;
  std::unique_ptr<FrameMemory> frames_;
};

}  // namespace socrypt::engine
