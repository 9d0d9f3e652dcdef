// The NIC as those see it who send through it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "nic/device/device.hpp"

namespace socrypt::nic {

/// All calls from any thread.
class Nic {
 public:
  virtual ~Nic() = default;

  [[nodiscard]] virtual Device& device() noexcept = 0;

  struct HostPort {
    unsigned interface = 0;  // 0: the device is dead, and nothing leaves
    std::string name{};
    uint32_t generation = 0;  // another one: another device, whose host port is another interface
  };
  [[nodiscard]] virtual HostPort hostPort() = 0;

  /// The guard has found that a file of this flow changed: nothing of the flow leaves any more.
  [[nodiscard]] virtual bool broken(FlowId flow) = 0;

  /// Whether the device that is there now has this flow: one that a predecessor in another process had is gone.
  [[nodiscard]] virtual bool has(FlowId /*flow*/) { return true; }

  /// `changed` is called, from any thread, after the device has died and after another has taken its place, for as long
  /// as what this returns lives. It must not call back.
  [[nodiscard]] virtual std::shared_ptr<void> watch(std::function<void()> changed) = 0;
};

}  // namespace socrypt::nic
