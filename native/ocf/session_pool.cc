#include "ocf/session_pool.hpp"

#include <sys/mman.h>

#include <cassert>
#include <cstring>
#include <new>

#include "ocf/op.hpp"

namespace socrypt::ocf {

SessionPool::~SessionPool() {
  // Whoever owns the pool has closed every session: only empty slabs, all in the lists, are left.
  for (auto& sizeClass : classes_) {
    while (sizeClass.withRoom != nullptr) dropSlab(sizeClass, sizeClass.withRoom);
  }
  assert(slabs_ == 0);
}

void SessionPool::link(SizeClass& sizeClass, Slab* slab) noexcept {
  slab->previous = nullptr;
  slab->next = sizeClass.withRoom;
  if (slab->next != nullptr) slab->next->previous = slab;
  sizeClass.withRoom = slab;
}

void SessionPool::unlink(SizeClass& sizeClass, Slab* slab) noexcept {
  (slab->previous != nullptr ? slab->previous->next : sizeClass.withRoom) = slab->next;
  if (slab->next != nullptr) slab->next->previous = slab->previous;
  slab->next = slab->previous = nullptr;
}

SessionPool::Slab* SessionPool::addSlab(SizeClass& sizeClass) noexcept {
  // mmap promises page alignment only: map twice the size and give the ends back.
  void* mapped = mmap(nullptr, 2 * kSlabBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t aligned = (start + kSlabBytes - 1) & ~(kSlabBytes - 1);
  if (aligned > start) munmap(mapped, aligned - start);
  const uintptr_t end = start + 2 * kSlabBytes;
  if (end > aligned + kSlabBytes) munmap(reinterpret_cast<void*>(aligned + kSlabBytes), end - aligned - kSlabBytes);
  // Keys stay out of core dumps.
  madvise(reinterpret_cast<void*>(aligned), kSlabBytes, MADV_DONTDUMP);
  auto* slab = reinterpret_cast<Slab*>(aligned);
  *slab = {};
  link(sizeClass, slab);
  ++sizeClass.empty;
  ++slabs_;
  return slab;
}

void SessionPool::dropSlab(SizeClass& sizeClass, Slab* slab) noexcept {
  unlink(sizeClass, slab);
  --sizeClass.empty;
  --slabs_;
  munmap(slab, kSlabBytes);
}

void* SessionPool::allocate(size_t bytes) noexcept {
  if (bytes == 0 || bytes > kMaxSlot) return nullptr;
  const size_t units = unitsOf(bytes);
  auto& sizeClass = classes_[units];
  Slab* slab = sizeClass.withRoom != nullptr ? sizeClass.withRoom : addSlab(sizeClass);
  if (slab == nullptr) return nullptr;
  void* slot;
  if (slab->free != nullptr) {
    slot = slab->free;
    slab->free = slab->free->next;
    std::memset(slot, 0, sizeof(FreeSlot));
  } else {
    slot = reinterpret_cast<std::byte*>(slab) + kUnit * (1 + units * slab->touched++);
  }
  if (slab->used++ == 0) --sizeClass.empty;
  if (slab->used == capacity(units)) unlink(sizeClass, slab);
  return slot;
}

void SessionPool::release(void* slot, size_t bytes) noexcept {
  const size_t units = unitsOf(bytes);
  auto& sizeClass = classes_[units];
  auto* slab = reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(slot) & ~(kSlabBytes - 1));
  wipe(slot, units * kUnit);
  slab->free = new (slot) FreeSlot{slab->free};
  if (slab->used-- == capacity(units)) link(sizeClass, slab);
  if (slab->used == 0 && ++sizeClass.empty > 1) dropSlab(sizeClass, slab);
}

}  // namespace socrypt::ocf
