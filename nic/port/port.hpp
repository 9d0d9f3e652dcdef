// Where frames come from and go to. A device has two: the host's side and the wire's.
#pragma once

#include <cstddef>
#include <span>

#include "nic/device/segmenter.hpp"

namespace socrypt::nic {

class FrameReceiver {
 public:
  virtual ~FrameReceiver() = default;
  /// `frame` is the receiver's to change for the time of the call.
  virtual void frame(std::span<uint8_t> frame, const FrameOffload& offload) = 0;
};

/// One thread at a time. Frames that were given to send() leave with flush() at the latest, if it succeeds.
class Port : public FrameSink {
 public:
  /// Readable when receive() has something; for poll(). -1: none, receive() has to be asked.
  [[nodiscard]] virtual int descriptor() const noexcept = 0;
  /// Up to `most` frames that have arrived, without waiting. Returns how many.
  virtual size_t receive(FrameReceiver& receiver, size_t most) = 0;
  /// Frames that send() would take now. May write to the kernel to find out.
  [[nodiscard]] virtual size_t room() noexcept = 0;
  /// False: some frames could not leave yet; to be called again soon.
  [[nodiscard]] virtual bool flush() noexcept = 0;
};

}  // namespace socrypt::nic
