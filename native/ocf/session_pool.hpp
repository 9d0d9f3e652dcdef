// Memory for sessions: slabs of equal slots, so that ten thousand connections that come and go neither
// fragment the heap nor leave key material in it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace socrypt::ocf {

class SessionPool {
 public:
  SessionPool() = default;
  SessionPool(const SessionPool&) = delete;
  SessionPool& operator=(const SessionPool&) = delete;
  ~SessionPool();

  /// `bytes` zeroed bytes, aligned to 64; nullptr when there is no memory or `bytes` is over kMaxSlot.
  [[nodiscard]] void* allocate(size_t bytes) noexcept;
  /// Zeroises and takes back. `bytes` as given to allocate().
  void release(void* slot, size_t bytes) noexcept;
  /// Bytes mapped.
  [[nodiscard]] size_t bytes() const noexcept { return slabs_ * kSlabBytes; }

  static constexpr size_t kMaxSlot = 8192;

 private:
  static constexpr size_t kSlabBytes = 64 * 1024;  // also its alignment: slot -> slab is a mask
  static constexpr size_t kUnit = 64;
  struct FreeSlot {
    FreeSlot* next;
  };
  struct Slab {
    Slab* next;
    Slab* previous;
    FreeSlot* free;    // slots that came back
    uint32_t used;     // slots handed out
    uint32_t touched;  // slots that were ever handed out; those after it are untouched pages
  };
  static_assert(sizeof(Slab) <= kUnit);
  // One list of slabs with room per slot size, in units of 64 bytes.
  struct SizeClass {
    Slab* withRoom = nullptr;
    uint32_t empty = 0;  // slabs without any slot in use; one is kept
  };

  [[nodiscard]] static size_t unitsOf(size_t bytes) noexcept { return (bytes + kUnit - 1) / kUnit; }
  [[nodiscard]] static size_t capacity(size_t units) noexcept { return (kSlabBytes - kUnit) / (units * kUnit); }
  [[nodiscard]] Slab* addSlab(SizeClass& sizeClass) noexcept;
  void dropSlab(SizeClass& sizeClass, Slab* slab) noexcept;
  static void link(SizeClass& sizeClass, Slab* slab) noexcept;
  static void unlink(SizeClass& sizeClass, Slab* slab) noexcept;

  std::array<SizeClass, kMaxSlot / kUnit + 1> classes_{};
  size_t slabs_ = 0;
};

}  // namespace socrypt::ocf
