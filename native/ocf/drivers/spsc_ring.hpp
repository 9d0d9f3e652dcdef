// A bounded ring between one producer and one consumer.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace socrypt::ocf {

template <typename T>
class SpscRing {
 public:
  explicit SpscRing(size_t capacity) : slots_(std::bit_ceil(capacity)), mask_(slots_.size() - 1) {}

  /// Of the producer: takes a prefix.
  size_t push(const T* values, size_t n) noexcept {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (slots_.size() - (tail - seenHead_) < n) seenHead_ = head_.load(std::memory_order_acquire);
    const size_t room = slots_.size() - (tail - seenHead_);
    if (n > room) n = room;
    for (size_t i = 0; i < n; ++i) slots_[(tail + i) & mask_] = values[i];
    tail_.store(tail + n, std::memory_order_release);
    return n;
  }
  /// Of the consumer.
  size_t pop(T* values, size_t max) noexcept {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (seenTail_ == head) seenTail_ = tail_.load(std::memory_order_acquire);
    size_t n = seenTail_ - head;
    if (n > max) n = max;
    for (size_t i = 0; i < n; ++i) values[i] = slots_[(head + i) & mask_];
    head_.store(head + n, std::memory_order_release);
    return n;
  }
  /// Of either; a hint, but sure for the consumer when false.
  [[nodiscard]] bool empty() const noexcept {
    return head_.load(std::memory_order_seq_cst) == tail_.load(std::memory_order_seq_cst);
  }

 private:
  std::vector<T> slots_;
  size_t mask_;
  alignas(64) std::atomic<size_t> head_{0};
  size_t seenTail_ = 0;  // the consumer's
  alignas(64) std::atomic<size_t> tail_{0};
  size_t seenHead_ = 0;  // the producer's
};

}  // namespace socrypt::ocf
