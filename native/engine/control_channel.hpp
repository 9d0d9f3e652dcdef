// One pair of rings between an engine and a thread of the control plane, and the wake-ups of both sides. An engine
// has one for everything, or a second one for handshakes, which another thread of the control plane attaches to.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "engine/connection.hpp"
#include "engine/message_ring.hpp"
#include "engine/messages.hpp"

namespace socrypt::engine {

/// What an engine's thread sleeps on. It outlives the engine as long as somebody may ring.
class Doorbell {
 public:
  Doorbell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  void ring() noexcept {
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = write(fd_.get(), &one, sizeof one);  // a full counter wakes as well
  }
  void ringIfAsleep() noexcept {
    if (sleeping_.exchange(false, std::memory_order_seq_cst)) ring();
  }
  /// Before the engine looks for messages a last time: what is published later rings.
  void fallAsleep() noexcept { sleeping_.exchange(true, std::memory_order_seq_cst); }
  void awake() noexcept { sleeping_.store(false, std::memory_order_seq_cst); }

 private:
  Descriptor fd_;
  std::atomic<bool> sleeping_{false};
};

class ControlChannel {
 public:
  static constexpr size_t kRing = 256 * 1024;

  explicit ControlChannel(std::shared_ptr<Doorbell> doorbell) : doorbell_(std::move(doorbell)), up_(kRing), down_(kRing) {}

  // ── the control plane's side: one thread at a time ──

  /// `wake` is called, by the engine's thread, when messages wait and once now. False: somebody is attached.
  bool attach(std::function<void()> wake);
  /// `wake` is not called any more once this returns, and the engine ends the connections that waited for an answer.
  void detach();
  /// Copies whole messages from the engine into `into`; returns the bytes used.
  size_t poll(std::span<uint8_t> into);
  /// Takes whole messages from `messages`; returns how many bytes were taken.
  size_t submit(std::span<const uint8_t> messages);

  // ── the engine's side ──

  /// Sends a message whose body is written by `write(MessageWriter&)`; false when the ring is full. announce() tells of it.
  template <typename Write>
  bool send(Up type, uint64_t id, size_t bodyLength, Write&& write) {
    uint8_t* at = up_.reserve(sizeof(MessageHeader) + bodyLength);
    if (at == nullptr) {
      blocked_.store(true, std::memory_order_seq_cst);
      // The control plane may have emptied the ring, and looked at blocked_, between the two lines above.
      notify();
      return false;
    }
    const MessageHeader header{static_cast<uint32_t>(sizeof(MessageHeader) + bodyLength), static_cast<uint16_t>(type), 0, id};
    std::memcpy(at, &header, sizeof header);
    MessageWriter writer(at + sizeof header);
    write(writer);
    up_.publish();
    if (++unannounced_ >= kAnnounceAt) announce();
    return true;
  }
  /// Wakes the other side if something was sent since the last time: once per turn of the engine's loop, since on a core
  /// that both share a wake-up at the first message would be a switch for every message.
  void announce() {
    if (std::exchange(unannounced_, 0) != 0) notify();
  }
  /// The ring was full, and nothing was read from it since.
  [[nodiscard]] bool blocked() const noexcept { return blocked_.load(std::memory_order_seq_cst); }
  [[nodiscard]] bool empty() const noexcept { return down_.empty(); }
  /// Calls `onMessage(std::span<uint8_t>)` with each waiting message, and wipes it: keys pass through here.
  template <typename OnMessage>
  void take(OnMessage&& onMessage) {
    for (;;) {
      const auto message = down_.peek();
      if (message.empty()) return;
      MessageHeader header;
      std::memcpy(&header, message.data(), sizeof header);
      if (header.type == kLargeMessage) {
        std::vector<uint8_t> large = takeLarge();
        onMessage(std::span<uint8_t>(large));
        explicit_bzero(large.data(), large.size());
      } else {
        onMessage(message);
        explicit_bzero(message.data(), message.size());
      }
      down_.release({message.data(), header.length});
    }
  }
  /// Whether detach() was called since this was last asked.
  [[nodiscard]] bool takeAbandoned() noexcept {
    return abandoned_.load(std::memory_order_relaxed) && abandoned_.exchange(false, std::memory_order_acquire);
  }

 private:
  static constexpr uint16_t kLargeMessage = UINT16_MAX;
  // On a core of its own the other side need not wait for the end of a long turn.
  static constexpr uint32_t kAnnounceAt = 16;
  void notify() {
    if (!notified_.exchange(true, std::memory_order_seq_cst)) wake();
  }
  void wake();
  std::vector<uint8_t> takeLarge();

  std::shared_ptr<Doorbell> doorbell_;
  MessageRing up_, down_;
  std::mutex overflowMutex_;
  std::deque<std::vector<uint8_t>> overflow_;  // messages too large for the ring
  uint32_t unannounced_ = 0;  // the engine's own
  std::atomic<bool> notified_{false}, blocked_{false}, abandoned_{false};
  std::mutex wakeMutex_;
  std::function<void()> wake_;  // empty: nobody is attached
};

}  // namespace socrypt::engine
