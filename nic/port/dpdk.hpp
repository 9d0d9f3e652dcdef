// A DPDK ethdev as a port: a card that DPDK drives, or one of its virtual devices. DPDK is optional, at build
// and at run time: all that includes its headers is in the plugin socrypt-nic-dpdk.so (nic/port/dpdk), which
// is loaded when such a port is asked for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "nic/port/port.hpp"

namespace socrypt::nic {

/// What an interface of the kernel's would tell.
struct DpdkPortFacts {
  std::array<uint8_t, 6> mac{};
  uint32_t mtu = 0;
};

/// `device`: as DPDK calls it, with its arguments: "net_af_packet0,iface=eth0", "net_tap0,iface=host0",
/// "net_memif0,role=client", or a PCI address. Virtual devices are made in the network namespace of the
/// calling thread and go with the port. Null: `why` says what was missing.
[[nodiscard]] std::unique_ptr<Port> openDpdkPort(const std::string& device, DpdkPortFacts& facts, std::string& why);

/// What the plugin exports. Both sides are of one build: `abi` tells.
struct DpdkPortPlugin {
  size_t abi;
  Port* (*open)(const char* device, DpdkPortFacts& facts, std::string& why);
};
inline constexpr size_t kDpdkPortAbi = 2u << 16 | sizeof(FrameOffload);
inline constexpr const char* kDpdkPortEntry = "socrypt_nic_dpdk_plugin";

}  // namespace socrypt::nic
