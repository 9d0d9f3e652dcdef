// DPDK's environment layer, which a process has once, whoever of its plugins starts it.
#pragma once

#include <string>

namespace socrypt::dpdk {

/// Starts EAL unless it runs: without huge pages and shared files, on a thread of its own, since it pins the
/// thread that starts it. `device`: what is going to be opened; a PCI address is allowed for. Empty: it runs;
/// else why not. SOCRYPT_DPDK_EAL replaces the arguments.
[[nodiscard]] const std::string& startEal(const std::string& device);

[[nodiscard]] bool isPciAddress(const std::string& device) noexcept;

}  // namespace socrypt::dpdk
