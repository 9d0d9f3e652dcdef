// Any DPDK cryptodev as a driver. DPDK is optional at build and at run time: all that includes its headers is in the plugin
// socrypt-dpdk.so (native/ocf/dpdk), which is loaded when a DPDK driver is asked for.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "ocf/ocf.hpp"

namespace socrypt::ocf {

/// `device`: what DPDK calls it, with its arguments: "crypto_aesni_gcm", "crypto_scheduler,worker=crypto_openssl", or the
/// address of a PCI device. One queue pair of it is taken until the driver is destroyed. nullptr, with the reason.
[[nodiscard]] std::unique_ptr<Driver> makeDpdkDriver(const std::string& device, std::string& why);

/// What the plugin exports. Both sides are of one build: `abi` tells.
struct DpdkPlugin {
  size_t abi;
  Driver* (*make)(const char* device, std::string& why);
};
inline constexpr size_t kDpdkAbi = sizeof(Op) << 16 ^ sizeof(SessionParams) << 8 ^ sizeof(Caps) ^ sizeof(Alg) << 24;
inline constexpr const char* kDpdkEntry = "socrypt_dpdk_plugin";

}  // namespace socrypt::ocf
