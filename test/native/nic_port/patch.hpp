// A patch cable: what comes from one port goes to the other, on a thread of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "nic/port/port.hpp"

namespace net {

class Patch {
 public:
  Patch(std::unique_ptr<socrypt::nic::Port> one, std::unique_ptr<socrypt::nic::Port> other) : one_(std::move(one)), other_(std::move(other)), thread_([this] { run(); }) {}
  ~Patch() {
    stop_ = true;
    thread_.join();
  }

 private:
  class To final : public socrypt::nic::FrameReceiver {
   public:
    explicit To(socrypt::nic::Port& port) : port_(port) {}
    // What a full port does not take is lost, as on a wire.
    void frame(std::span<uint8_t> frame, const socrypt::nic::FrameOffload&) override { static_cast<void>(port_.send(frame, {})); }

   private:
    socrypt::nic::Port& port_;
  };
  void run() {
    To toOne(*one_), toOther(*other_);
    while (!stop_) {
      size_t moved = one_->receive(toOther, std::min<size_t>(other_->room(), 64));
      moved += other_->receive(toOne, std::min<size_t>(one_->room(), 64));
      static_cast<void>(one_->flush());
      static_cast<void>(other_->flush());
      if (moved == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  std::unique_ptr<socrypt::nic::Port> one_;
  std::unique_ptr<socrypt::nic::Port> other_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace net
