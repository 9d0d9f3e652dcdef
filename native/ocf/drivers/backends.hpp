// The two backends of the software driver, for soft.cc.
#pragma once

#include <memory>
#include <string>

#include "ocf/ocf.hpp"

namespace socrypt::ocf {

/// nullptr, with the reason in ipsecMbAbsence(), when the library cannot be used.
[[nodiscard]] std::unique_ptr<Driver> makeIpsecMbDriver();
[[nodiscard]] bool ipsecMbUsable() noexcept;
/// "ipsec-mb 1.3.0 (VAES)"; empty when it cannot be used.
[[nodiscard]] const std::string& ipsecMbName();

[[nodiscard]] std::unique_ptr<Driver> makeLibcryptoDriver();
/// "libcrypto 3.0.19"
[[nodiscard]] const std::string& libcryptoName();

}  // namespace socrypt::ocf
