// The device as the laboratory sees it: the real one, or one that is broken on purpose.
#pragma once

#include <memory>

#include "nic/device/inline_device.hpp"
#include "nic/lab/plan.hpp"

namespace socrypt::nic::lab {

class Subject {
 public:
  virtual ~Subject() = default;
  /// What the driver talks to.
  [[nodiscard]] virtual Device& driver() noexcept = 0;
  /// The device that is in there.
  [[nodiscard]] virtual InlineDevice& inner() noexcept = 0;
  virtual void transmit(std::span<uint8_t> frame, const FrameOffload& offload, FrameSink& wire) = 0;
  /// The host's side was seen empty.
  virtual void hostIdle(uint64_t milliseconds) { static_cast<void>(inner().hostIdle(milliseconds)); }
  /// A TCP frame from the peer, on its way to the host.
  virtual void fromWire(const FlowKey& key, uint32_t acknowledgement) { static_cast<void>(key), static_cast<void>(acknowledgement); }
  [[nodiscard]] virtual bool looksAtWire() const noexcept { return false; }
};

[[nodiscard]] std::unique_ptr<Subject> makeSubject(const DeviceOptions& options, Mutant mutant);

}  // namespace socrypt::nic::lab
