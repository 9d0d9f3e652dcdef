// A port in memory, for tests: what is put in on one side comes out of receive(), what is sent is kept.
#pragma once

#include <deque>
#include <vector>

#include "nic/port/port.hpp"

namespace socrypt::nic {

class MemoryPort final : public Port {
 public:
  struct Frame {
    std::vector<uint8_t> bytes;
    FrameOffload offload{};
  };
  /// `room`: frames kept until taken; more are refused, as by a full ring.
  explicit MemoryPort(size_t room = 4096) : room_(room) {}

  std::deque<Frame> arriving;
  std::vector<std::vector<uint8_t>> sent;

  [[nodiscard]] int descriptor() const noexcept override { return -1; }
  size_t receive(FrameReceiver& receiver, size_t most) override {
    size_t n = 0;
    for (; n < most && !arriving.empty(); ++n) {
      Frame frame = std::move(arriving.front());
      arriving.pop_front();
      receiver.frame(frame.bytes, frame.offload);
    }
    return n;
  }
  [[nodiscard]] size_t room() noexcept override { return room_ - sent.size(); }
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    if (sent.size() == room_) return false;
    sent.emplace_back(head.begin(), head.end());
    sent.back().insert(sent.back().end(), rest.begin(), rest.end());
    return true;
  }
  bool flush() noexcept override { return true; }

 private:
  size_t room_;
};

}  // namespace socrypt::nic
