// Payload memory that a client and the daemon both map: a memfd that nobody can shrink or seal further.
//
// A file that shrinks under a mapping kills whoever touches the lost pages (SIGBUS). The daemon therefore takes only
// memfds that carry F_SEAL_SHRINK, which the kernel keeps for ever, and none on huge pages, of which there may be no
// more when a page is touched. Any other file (a disk's, FUSE's, a device's) has no seals and is refused by the same test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace socrypt::cryptod {

/// A descriptor that closes with its owner.
class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { reset(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

class Arena {
 public:
  /// A new one of `bytes`, rounded up to pages; empty with errno when the kernel has no memory for it.
  [[nodiscard]] static std::optional<Arena> create(size_t bytes) noexcept;
  /// The peer's. Empty, with what was wrong in `why`, when it is not what create() makes or not `bytes` long.
  [[nodiscard]] static std::optional<Arena> adopt(Descriptor fd, uint64_t bytes, std::string_view& why) noexcept;

  Arena() noexcept = default;
  Arena(Arena&& other) noexcept : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, {})) {}
  Arena& operator=(Arena&& other) noexcept;
  ~Arena() { unmap(); }

  [[nodiscard]] std::span<uint8_t> memory() const noexcept { return memory_; }
  /// -1 for an adopted one: the mapping is enough.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// The mapping, which its new owner unmaps: an Arena made by own(), or nobody.
  [[nodiscard]] std::span<uint8_t> release() noexcept { return std::exchange(memory_, {}); }
  [[nodiscard]] static Arena own(std::span<uint8_t> mapping) noexcept {
    Arena arena;
    arena.memory_ = mapping;
    return arena;
  }

 private:
  [[nodiscard]] bool map(int fd, size_t bytes) noexcept;
  void unmap() noexcept;
  Descriptor fd_;
  std::span<uint8_t> memory_;
};

}  // namespace socrypt::cryptod
