// Drivers by the names that people write: `soft`, `thread` (another processor), `dpdk:crypto_aesni_gcm`.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "ocf/ocf.hpp"

namespace socrypt::ocf {

/// nullptr, with what was expected or what is missing in `why`.
[[nodiscard]] std::unique_ptr<Driver> makeDriverByName(const std::string& name, std::string& why);
/// Makes and attaches each; false at the first that fails.
[[nodiscard]] bool attachByName(Framework& framework, std::span<const std::string> names, std::string& why);

}  // namespace socrypt::ocf
