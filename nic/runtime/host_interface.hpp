// The host port as an interface of this machine: created, given its addresses, and removed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nic/port/port.hpp"
#include "nic/runtime/netlink.hpp"

namespace socrypt::nic {

enum class HostDriver : uint8_t {
  Tap,   // TSO and checksums are left to the device
  Veth,  // one packet at a time, by AF_XDP on the other end
};

struct HostInterfaceOptions {
  std::string name;
  HostDriver driver = HostDriver::Tap;
  std::vector<Cidr> addresses{};
  std::vector<Cidr> gateways{};
};

class HostInterface {
 public:
  /// Creates the interface with the wire's MAC address, so that the wire's filter lets through what is for it, and the
  /// wire's MTU. An interface of this name that a dead process of ours has left is removed first; any other is an
  /// error. Null: `why` says what was missing, and nothing is left behind.
  [[nodiscard]] static std::unique_ptr<HostInterface> create(const HostInterfaceOptions& options, const Link& wire, std::string& why);
  /// Removes it.
  ~HostInterface();

  [[nodiscard]] Port& port() noexcept { return *port_; }
  [[nodiscard]] unsigned index() const noexcept { return index_; }

 private:
  HostInterface() = default;
  Netlink netlink_;  // of the namespace that it was created in
  std::unique_ptr<Port> port_;
  unsigned index_ = 0;
  std::string removable_;  // the name, when it does not go with its port
};

}  // namespace socrypt::nic
