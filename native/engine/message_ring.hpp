// A bounded single-producer single-consumer ring of variable-length messages, between an engine and
// the control plane. Every message starts with its own length (MessageHeader), is 8-byte aligned, and
// is contiguous in memory, so that a reader may look at it in place.
//
// The two indices are bytes since the beginning of time and never wrap in practice (2^64); a message
// that would cross the end of the storage is preceded by a skip marker that fills the rest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace socrypt::engine {

struct MessageHeader {
  uint32_t length;  // of the whole message, header included, padding to 8 excluded
  uint16_t type;    // 0 is the skip marker
  uint16_t flags;
  uint64_t id;  // connection id or request token
};
static_assert(sizeof(MessageHeader) == 16);

inline constexpr size_t alignMessage(size_t length) noexcept { return (length + 7) & ~size_t{7}; }

class MessageRing {
 public:
  /// `capacity` must be a power of two; the largest message is half of it.
  explicit MessageRing(size_t capacity) : storage_(new uint64_t[capacity / 8]), capacity_(capacity) {}

  [[nodiscard]] size_t maxMessage() const noexcept { return capacity_ / 2; }

  // ── producer ──

  /// Room for a message of `length` bytes, or nullptr when the ring is full. Fill it, then publish().
  [[nodiscard]] uint8_t* reserve(size_t length) noexcept {
    const size_t need = alignMessage(length);
    if (length < sizeof(MessageHeader) || need > maxMessage()) return nullptr;
    size_t at = static_cast<size_t>(head_ & (capacity_ - 1));
    size_t skip = at + need > capacity_ ? capacity_ - at : 0;
    if (head_ + skip + need - tailSeen_ > capacity_) {
      tailSeen_ = tail_.load(std::memory_order_acquire);
      if (head_ + skip + need - tailSeen_ > capacity_) return nullptr;
    }
    if (skip != 0) {
      const MessageHeader marker{static_cast<uint32_t>(skip), 0, 0, 0};
      // The rest of the storage is a multiple of 8, but may be shorter than a header: length and type suffice.
      std::memcpy(base() + at, &marker, 8);
      head_ += skip;
      at = 0;
    }
    reserved_ = need;
    return base() + at;
  }
  void publish() noexcept {
    head_ += reserved_;
    headShared_.store(head_, std::memory_order_release);
  }
  [[nodiscard]] bool empty() const noexcept {
    return headShared_.load(std::memory_order_seq_cst) == tail_.load(std::memory_order_seq_cst);
  }

  // ── consumer ──

  /// The next message in place, or an empty span. It stays until release().
  [[nodiscard]] std::span<uint8_t> peek() noexcept {
    for (;;) {
      const uint64_t tail = tail_.load(std::memory_order_relaxed);
      if (tail == headSeen_) {
        headSeen_ = headShared_.load(std::memory_order_acquire);
        if (tail == headSeen_) return {};
      }
      uint8_t* at = base() + static_cast<size_t>(tail & (capacity_ - 1));
      uint32_t length;
      uint16_t type;
      std::memcpy(&length, at, 4);
      std::memcpy(&type, at + 4, 2);
      if (type != 0) return {at, length};
      tail_.store(tail + length, std::memory_order_release);
    }
  }
  void release(std::span<const uint8_t> message) noexcept {
    tail_.store(tail_.load(std::memory_order_relaxed) + alignMessage(message.size()), std::memory_order_release);
  }

 private:
  [[nodiscard]] uint8_t* base() const noexcept { return reinterpret_cast<uint8_t*>(storage_.get()); }

  std::unique_ptr<uint64_t[]> storage_;
  size_t capacity_;
  alignas(64) uint64_t head_ = 0;  // producer's own
  uint64_t tailSeen_ = 0;
  size_t reserved_ = 0;
  alignas(64) std::atomic<uint64_t> headShared_{0};
  alignas(64) std::atomic<uint64_t> tail_{0};
  uint64_t headSeen_ = 0;  // consumer's own
};

}  // namespace socrypt::engine
