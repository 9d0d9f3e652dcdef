#include "ocf/drivers/soft.hpp"

#include <cstdlib>
#include <string_view>

#include "ocf/drivers/backends.hpp"

namespace socrypt::ocf {

SoftBackend softBackend() noexcept {
  static const SoftBackend chosen = [] {
    const char* wish = std::getenv("SOCRYPT_SOFT_DRIVER");
    const std::string_view name = wish == nullptr ? "" : wish;
    if (name == "libcrypto") return SoftBackend::Libcrypto;
    if (name == "ipsec-mb") return SoftBackend::IpsecMb;
    return ipsecMbUsable() ? SoftBackend::IpsecMb : SoftBackend::Libcrypto;
  }();
  return chosen;
}

std::unique_ptr<Driver> makeSoftDriver(SoftBackend backend) {
  return backend == SoftBackend::IpsecMb ? makeIpsecMbDriver() : makeLibcryptoDriver();
}

std::unique_ptr<Driver> makeSoftDriver() { return makeSoftDriver(softBackend()); }

const std::string& softDriverName() {
  return softBackend() == SoftBackend::IpsecMb ? ipsecMbName() : libcryptoName();
}

}  // namespace socrypt::ocf
