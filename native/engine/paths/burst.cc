#include "engine/paths/burst.hpp"

#include <algorithm>

namespace socrypt::engine {

namespace {

// An alert, a KeyUpdate, most tickets.
constexpr size_t kControlBytes = 1024;
constexpr size_t kSpareControls = 64;

}  // namespace

BurstPool::BurstPool(Counters& counters, size_t records, uint64_t bytes)
    : counters_(counters),
      capacity_(std::max(records * record::kMaxRecord, record::kMaxReceived)),
      most_(std::max<size_t>(1, static_cast<size_t>(bytes / (2 * capacity_)))) {}

BurstPool::~BurstPool() {
  while (freeControl_ != nullptr) {
    const std::unique_ptr<Burst> burst(freeControl_);
    freeControl_ = burst->next;
  }
}

Burst* BurstPool::make(size_t capacity) {
  auto burst = std::make_unique<Burst>();
  burst->in = std::make_unique_for_overwrite<uint8_t[]>(capacity);
  burst->out = std::make_unique_for_overwrite<uint8_t[]>(capacity);
  burst->capacity = capacity;
  counters_.add(Counter::buffer_bytes_allocated, 2 * capacity);
  return burst.release();
}

Burst* BurstPool::take() {
  if (free_ == nullptr) {
    if (all_.size() == most_) return nullptr;
    all_.emplace_back(make(capacity_));
    return all_.back().get();
  }
  Burst* burst = free_;
  free_ = burst->next;
  return burst;
}

Burst* BurstPool::takeControl(size_t bytes) {
  if (bytes <= kControlBytes && freeControl_ != nullptr) {
    Burst* burst = freeControl_;
    freeControl_ = burst->next;
    --freeControls_;
    return burst;
  }
  Burst* burst = make(std::max(bytes, kControlBytes));
  burst->control = true;
  return burst;
}

void BurstPool::release(Burst* burst) noexcept {
  if (burst->records != 0) counters_.sub(Counter::buffer_bytes_used, 2 * burst->capacity);
  burst->owner = nullptr;
  burst->failed = false;
  burst->records = burst->left = 0;
  if (!burst->control) {
    // The last one first: its memory is still in the cache.
    burst->next = free_;
    free_ = burst;
  } else if (burst->capacity == kControlBytes && freeControls_ < kSpareControls) {
    burst->next = freeControl_;
    freeControl_ = burst;
    ++freeControls_;
  } else {
    counters_.sub(Counter::buffer_bytes_allocated, 2 * burst->capacity);
    delete burst;
  }
}

}  // namespace socrypt::engine
