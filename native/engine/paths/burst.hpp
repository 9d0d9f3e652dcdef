// Records of one connection that are sealed, or opened, together by drivers of the crypto framework, and the memory
// that they live in until the last of them is done.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/counters.hpp"
#include "engine/paths/burst_queue.hpp"
#include "engine/paths/path.hpp"
#include "ocf/ocf.hpp"
#include "record/record.hpp"

namespace socrypt::engine {

class AcceleratorPath;

struct Burst {
  static constexpr size_t kRecords = 16;

  AcceleratorPath* path = nullptr;
  Connection* owner = nullptr;  // nullptr: nobody waits for it any more
  Burst* next = nullptr;        // behind it in its connection's queue, or in a list of free ones
  Burst* nextDone = nullptr;    // in the list of what next() gives
  Direction direction = Direction::Tx;
  bool control = false;  // of BurstPool::takeControl()
  bool failed = false;   // an op of it ended with an error
  uint32_t records = 0;
  uint32_t left = 0;  // ops that are not complete
  size_t length = 0;  // bytes on the wire

  // Out of place, so that an op whose driver dies under it can be done again by another one, and so that ciphertext
  // behind a KeyUpdate is still there.
  std::array<ocf::Op, kRecords> ops;
  std::array<ocf::Seg, kRecords> from, to;
  std::array<record::Framed, kRecords> framed;
  std::unique_ptr<uint8_t[]> in, out;
  size_t capacity = 0;  // of each

  [[nodiscard]] bool done() const noexcept { return left == 0; }
  /// Where record `i` begins, in `in` and in `out`.
  [[nodiscard]] size_t at(size_t i) const noexcept { return static_cast<size_t>(framed[i].ref.streamOffset - framed[0].ref.streamOffset); }
};

inline void BurstQueue::push(Burst& burst) noexcept {
  burst.next = nullptr;
  (last != nullptr ? last->next : first) = &burst;
  last = &burst;
  records += burst.records;
}
inline Burst* BurstQueue::pop() noexcept {
  Burst* burst = first;
  first = burst->next;
  if (first == nullptr) last = nullptr;
  burst->next = nullptr;
  records -= burst->records;
  return burst;
}

class BurstPool {
 public:
  /// Bursts of `records` records of full length, in `bytes` of memory at most, but one burst in any case.
  BurstPool(Counters& counters, size_t records, uint64_t bytes);
  ~BurstPool();
  BurstPool(const BurstPool&) = delete;
  BurstPool& operator=(const BurstPool&) = delete;

  /// nullptr: all are in use.
  [[nodiscard]] Burst* take();
  /// For an alert or a handshake message: beyond the bound of take(), since there are few of them and none may wait.
  [[nodiscard]] Burst* takeControl(size_t bytes);
  /// It has records: from here on it counts as memory in use.
  void use(Burst& burst, size_t records) noexcept {
    burst.records = static_cast<uint32_t>(records);
    counters_.add(Counter::buffer_bytes_used, 2 * burst.capacity);
  }
  void release(Burst* burst) noexcept;
  [[nodiscard]] bool hasRoom() const noexcept { return free_ != nullptr || all_.size() < most_; }

 private:
  [[nodiscard]] Burst* make(size_t capacity);

  Counters& counters_;
  size_t capacity_;
  size_t most_;
  std::vector<std::unique_ptr<Burst>> all_;  // but those for control
  Burst* free_ = nullptr;
  Burst* freeControl_ = nullptr;
  size_t freeControls_ = 0;
};

}  // namespace socrypt::engine
