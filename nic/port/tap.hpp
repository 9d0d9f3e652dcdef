// The host's side as a tap device with virtio headers: the host's stack leaves checksums and the cutting of
// segments of up to 64 KiB (TSO) to the device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nic/port/descriptor.hpp"
#include "nic/port/port.hpp"

namespace socrypt::nic {

class TapPort final : public Port {
 public:
  /// Creates the interface in the network namespace of the calling thread; it goes with the port, also
  /// when the process dies. Needs CAP_NET_ADMIN. `name`: 1 to 15 characters. Null: `why` says what was
  /// missing.
  [[nodiscard]] static std::unique_ptr<TapPort> open(const std::string& name, std::string& why);

  [[nodiscard]] int descriptor() const noexcept override { return fd_.get(); }
  size_t receive(FrameReceiver& receiver, size_t most) override;
  [[nodiscard]] size_t room() noexcept override { return SIZE_MAX; }
  /// Checksums of `head` and `rest` are verified by the host's stack.
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override;
  bool flush() noexcept override { return true; }

 private:
  explicit TapPort(Descriptor fd);
  Descriptor fd_;
  std::vector<uint8_t> buffer_;
};

}  // namespace socrypt::nic
