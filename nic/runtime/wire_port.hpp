// The wire's side of a NIC: an interface of this machine, taken over with AF_XDP or by a DPDK device, or a device that DPDK
// alone knows.
#pragma once

#include <memory>
#include <string>

#include "nic/port/descriptor.hpp"
#include "nic/port/port.hpp"
#include "nic/runtime/netlink.hpp"

namespace socrypt::nic {

struct WireOptions {
  /// The interface, which has to be there and up. Empty with a DPDK device: the one that its `iface` names, if it is on
  /// one (net_af_packet, net_af_xdp, net_pcap), or none.
  std::string interface{};
  /// As DPDK calls it (openDpdkPort); empty: AF_XDP.
  std::string dpdk{};
  uint32_t queues = 0;  // of AF_XDP; 0: all that the interface has
};

/// What DPDK device `device` takes its frames from, of the interfaces that stay the kernel's; empty: none.
[[nodiscard]] std::string interfaceOf(const std::string& device);

class WirePort {
 public:
  /// In the network namespace of the calling thread. Null: `why` says what was missing, and nothing is left behind.
  [[nodiscard]] static std::unique_ptr<WirePort> open(const WireOptions& options, Netlink& netlink, std::string& why);

  /// For whoever puts something around it.
  [[nodiscard]] std::unique_ptr<Port>& port() noexcept { return port_; }
  /// Address and MTU for the host port; `index` 0: there is no interface.
  [[nodiscard]] const Link& link() const noexcept { return link_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// For people: "eth0, AF_XDP, copy, native".
  [[nodiscard]] const std::string& words() const noexcept { return words_; }

 private:
  WirePort() = default;
  [[nodiscard]] bool takeInterface(Netlink& netlink, std::string& why);
  [[nodiscard]] bool openDpdk(const std::string& device, std::string& why);

  Link link_{};
  std::string name_;
  std::string words_;
  Descriptor multicast_;
  Descriptor program_;  // what keeps the kernel's stack off the wire's frames
  Descriptor ingress_;
  std::unique_ptr<Port> port_;
};

}  // namespace socrypt::nic
