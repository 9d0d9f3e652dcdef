#include "engine/control_channel.hpp"

#include <cstring>

namespace socrypt::engine {

bool ControlChannel::attach(std::function<void()> wake) {
  const std::lock_guard lock(wakeMutex_);
  if (wake_) return false;
  wake_ = std::move(wake);
  // What came while nobody was attached has rung no bell.
  notified_.store(true, std::memory_order_seq_cst);
  wake_();
  return true;
}

void ControlChannel::detach() {
  {
    const std::lock_guard lock(wakeMutex_);
    if (!wake_) return;
    wake_ = nullptr;
  }
  abandoned_.store(true, std::memory_order_release);
  doorbell_->ring();
}

void ControlChannel::wake() {
  // Not held by anybody but for attaching and detaching, and taken once per batch of messages.
  const std::lock_guard lock(wakeMutex_);
  if (wake_) wake_();
}

size_t ControlChannel::poll(std::span<uint8_t> into) {
  notified_.exchange(false, std::memory_order_seq_cst);
  size_t used = 0;
  for (;;) {
    const auto message = up_.peek();
    const size_t length = alignMessage(message.size());
    if (message.empty() || length > into.size() - used) break;
    std::memcpy(into.data() + used, message.data(), message.size());
    explicit_bzero(message.data(), message.size());
    // peek() after this reads the header of the next message, never of this one again.
    up_.release({message.data(), message.size()});
    const auto padded = static_cast<uint32_t>(length);
    std::memcpy(into.data() + used, &padded, 4);
    // The reader steps by the padded length and finds the true one in the fields themselves.
    used += length;
  }
  if (blocked_.exchange(false, std::memory_order_seq_cst)) doorbell_->ring();
  return used;
}

size_t ControlChannel::submit(std::span<const uint8_t> messages) {
  size_t taken = 0;
  while (messages.size() - taken >= sizeof(MessageHeader)) {
    MessageHeader header;
    std::memcpy(&header, messages.data() + taken, sizeof header);
    const size_t padded = alignMessage(header.length);
    if (header.length < sizeof header || padded > messages.size() - taken) break;
    const auto message = messages.subspan(taken, header.length);
    if (padded > down_.maxMessage() / 2) {
      uint8_t* at = down_.reserve(sizeof header);
      if (at == nullptr) break;
      {
        const std::lock_guard lock(overflowMutex_);
        overflow_.emplace_back(message.begin(), message.end());
      }
      const MessageHeader marker{sizeof header, kLargeMessage, 0, 0};
      std::memcpy(at, &marker, sizeof marker);
    } else {
      uint8_t* at = down_.reserve(header.length);
      if (at == nullptr) break;
      std::memcpy(at, message.data(), message.size());
    }
    down_.publish();
    taken += padded;
  }
  if (taken != 0) doorbell_->ringIfAsleep();
  return taken;
}

std::vector<uint8_t> ControlChannel::takeLarge() {
  const std::lock_guard lock(overflowMutex_);
  std::vector<uint8_t> large = std::move(overflow_.front());
  overflow_.pop_front();
  return large;
}

}  // namespace socrypt::engine
