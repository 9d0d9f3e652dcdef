#include "nic/port/bridge.hpp"

#include <poll.h>

#include <algorithm>

namespace socrypt::nic {
namespace {

constexpr size_t kBurst = 64;
// A segment of 64 KiB in pieces of an IPv6 minimum MTU: what one frame of the host may become.
constexpr size_t kMostPieces = 56;

// How often an idle host's side is looked at while removed flows wait for that, in milliseconds.
constexpr int kRecheck = 20;

class ToWire final : public FrameReceiver {
 public:
  ToWire(InlineDevice& device, Port& wire) noexcept : device_(device), wire_(wire) {}
  void frame(std::span<uint8_t> frame, const FrameOffload& offload) override { device_.transmit(frame, offload, wire_); }

 private:
  InlineDevice& device_;
  Port& wire_;
};

class ToHost final : public FrameReceiver {
 public:
  ToHost(InlineDevice& device, Port& host, uint64_t& lost) noexcept : device_(device), host_(host), lost_(lost) {}
  void frame(std::span<uint8_t> frame, const FrameOffload&) override {
    if (!device_.deliverable(frame)) return;
    if (!host_.send(frame, {})) ++lost_;
  }

 private:
  InlineDevice& device_;
  Port& host_;
  uint64_t& lost_;
};

}  // namespace

size_t Bridge::once() {
  // A full wire is told to the host's stack by leaving its frames in its queue, not by losing them.
  const size_t most = std::min(kBurst, wire_.room() / kMostPieces);
  hostWaits_ = most == 0;
  const uint64_t now = clock_.now();
  device_.setTime(now);
  ToWire toWire(device_, wire_);
  const size_t fromHost = most == 0 ? 0 : host_.receive(toWire, most);
  size_t moved = fromHost;
  if (fromHost < most)
    flowsWait_ = device_.hostIdle(now / 1'000'000);
  wireWaits_ = !wire_.flush();
  ToHost toHost(device_, host_, lostToHost_);
  moved += wire_.receive(toHost, kBurst);
  if (!host_.flush()) wireWaits_ = true;
  return moved;
}

void Bridge::wait(int milliseconds, int wake) {
  // A negative descriptor is ignored by poll(). A wire without room is asked again within a millisecond.
  pollfd list[] = {{hostWaits_ ? -1 : host_.descriptor(), POLLIN, 0}, {wire_.descriptor(), POLLIN, 0}, {wake, POLLIN, 0}};
  if (hostWaits_ || wireWaits_) milliseconds = milliseconds < 0 ? 1 : std::min(milliseconds, 1);
  if (flowsWait_) milliseconds = milliseconds < 0 ? kRecheck : std::min(milliseconds, kRecheck);
  const bool polled = host_.descriptor() < 0 || wire_.descriptor() < 0;
  if (!polled) {
    poll(list, 3, milliseconds);
  } else {
    // A port that cannot say when it has something.
    constexpr timespec kBetweenPolls{0, 50'000};
    ppoll(list, 3, &kBetweenPolls, nullptr);
  }
}

}  // namespace socrypt::nic
