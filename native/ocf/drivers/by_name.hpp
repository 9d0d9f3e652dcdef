// Drivers by the names that people write: `soft`, `thread` (another processor), `dpdk:crypto_aesni_gcm`, `model:FILE`. The
// one table of them; src/ocf/driver-names.ts says the same to people, and a test compares the two.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ocf/ocf.hpp"

namespace socrypt::ocf {

struct DriverKind {
  std::string_view name;
  /// What may stand behind a colon, "" for nothing; without it where that is not `optional`.
  std::string_view argument;
  bool optional = false;
  /// Why no engine may give records to it; empty when it may.
  std::string_view notForRecords;
  std::unique_ptr<Driver> (*make)(const std::string& argument, std::string& why);
};
[[nodiscard]] std::span<const DriverKind> driverKinds() noexcept;

/// nullptr, with what was expected or what is missing in `why`.
[[nodiscard]] std::unique_ptr<Driver> makeDriverByName(const std::string& name, std::string& why);
/// Makes and attaches each; false at the first that fails.
[[nodiscard]] bool attachByName(Framework& framework, std::span<const std::string> names, std::string& why);
/// Whether an engine may give records to a driver of this name; false, with the reason in `why`, also when there is none.
[[nodiscard]] bool servesRecords(const std::string& name, std::string& why);

}  // namespace socrypt::ocf
