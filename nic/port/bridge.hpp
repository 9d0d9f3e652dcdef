// Two ports with the device between them: from the host through the device to the wire, from the wire to
// the host untouched.
#pragma once

#include "nic/device/inline_device.hpp"
#include "nic/port/clock.hpp"
#include "nic/port/port.hpp"

namespace socrypt::nic {

class Bridge {
 public:
  Bridge(InlineDevice& device, const Clock& clock, Port& host, Port& wire) noexcept : device_(device), clock_(clock), host_(host), wire_(wire) {}

  /// Moves what is there, at most a burst from either side. Returns how many frames were taken in.
  size_t once();
  /// Waits until a port has something, at most `milliseconds` (-1: for ever), or until `wake` is readable
  /// (-1: no such descriptor).
  void wait(int milliseconds, int wake = -1);

  /// Frames that the host's side had no room for.
  [[nodiscard]] uint64_t lostToHost() const noexcept { return lostToHost_; }

 private:
  InlineDevice& device_;
  const Clock& clock_;
  Port& host_;
  Port& wire_;
  bool hostWaits_ = false;  // frames of the host are left where they are until the wire has room
  bool flowsWait_ = false;  // removed flows wait for the host's side to be empty
  bool wireWaits_ = false;  // frames are left that a later flush has to move
  uint64_t lostToHost_ = 0;
};

}  // namespace socrypt::nic
