// The NIC as a whole: host port, device, wire port, and the thread that moves frames between them.
//
// What a device forgets when it dies is what is in its ports. The flows (keys, record maps, what is retained, what
// segments have taught) are the driver's and outlive it, so that a successor seals the same bytes; until there is one,
// nothing leaves.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include "nic/device/inline_device.hpp"
#include "nic/port/bridge.hpp"
#include "nic/runtime/egress_guard.hpp"
#include "nic/runtime/host_interface.hpp"
#include "nic/runtime/nic.hpp"
#include "nic/runtime/watchers.hpp"
#include "nic/runtime/wire_port.hpp"

namespace socrypt::nic {

struct NicOptions {
  /// What is taken over; nothing of an interface is changed.
  WireOptions wire;
  HostInterfaceOptions host;
  DeviceOptions device{};
  Senders senders = Senders::ThisProcess;
  /// Puts something around the wire port, for tests.
  std::function<std::unique_ptr<Port>(std::unique_ptr<Port>)> wrapWire{};
};

class InlineNic final : public Nic {
 public:
  /// In the network namespace of the calling thread. Null: `why` says what was missing, and nothing is left behind.
  [[nodiscard]] static std::shared_ptr<InlineNic> open(NicOptions options, std::string& why);
  /// Removes what was created.
  ~InlineNic() override;

  [[nodiscard]] InlineDevice& device() noexcept override { return device_; }
  [[nodiscard]] HostPort hostPort() override;
  [[nodiscard]] bool broken(FlowId flow) override;
  [[nodiscard]] std::shared_ptr<void> watch(std::function<void()> changed) override;

  /// Puts another device in the place of one that has died. False: `why` says what was missing. One thread at a time.
  [[nodiscard]] bool restart(std::string& why);
  // Drills.
  /// Makes the device die.
  void kill(const std::string& reason);
  /// The device loses what segments have taught it of all flows, as one whose contexts are evicted.
  void evict() { device_.evict(); }
  /// The device's clock leaps forward.
  void leapClock(uint64_t nanoseconds) noexcept { clock_.leap(nanoseconds); }

  struct Status {
    bool alive = false;
    std::string reason;   // why it died
    std::string wirePort;
    std::string hostPort;
    std::string guard;    // what keeps plaintext on its way
  };
  [[nodiscard]] Status status();

 private:
  // What one device has, and its successor does not get.
  struct Ports;
  explicit InlineNic(NicOptions options);
  [[nodiscard]] bool start(std::string& why);
  void stop();
  void run(Ports& ports);
  [[nodiscard]] std::string look(Ports& ports, std::span<const unsigned> watched);
  void died(const std::string& reason);

  const NicOptions options_;
  InlineDevice device_;
  Clock clock_;
  std::unique_ptr<Ports> ports_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  Descriptor wake_;
  Watchers watchers_;

  std::mutex mutex_;  // of what follows
  HostPort hostPort_;
  Status status_;
  std::string killed_;
};

}  // namespace socrypt::nic
