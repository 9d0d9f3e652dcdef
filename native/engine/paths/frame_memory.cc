#include "engine/paths/frame_memory.hpp"

#include <sys/mman.h>

#include <cassert>

namespace socrypt::engine {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAll = 16 * kPage;

}  // namespace

std::unique_ptr<FrameMemory> FrameMemory::make() noexcept {
  std::unique_ptr<FrameMemory> made(new FrameMemory);
  void* const base = mmap(nullptr, kAll, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  made->base_ = static_cast<uint8_t*>(base);
  return made;
}

FrameMemory::~FrameMemory() {
  if (base_ != nullptr) munmap(base_, kAll);
}

void FrameMemory::begin() noexcept {
  // With what is left of a page that has no room for a frame.
  if (kAll - used_ >= kBytes + 2 * kLongest) return;
  // Whoever still refers to these pages keeps them as they are; here are new ones.
  madvise(base_, kAll, MADV_DONTNEED);
  used_ = 0;
}

uint8_t* FrameMemory::room(size_t bytes) noexcept {
  assert(bytes <= kLongest);
  // In one page: of two it would take two places in the pipe.
  if (kPage - used_ % kPage < bytes) used_ += kPage - used_ % kPage;
  uint8_t* const at = base_ + used_;
  used_ += bytes;
  return at;
}

}  // namespace socrypt::engine
