#include "ocf/driver_report.hpp"

#include <algorithm>
#include <utility>

namespace socrypt::ocf {
namespace {

void add(DriverInfo& to, const DriverInfo& from) {
  to.stats.ops += from.stats.ops;
  to.stats.bytes += from.stats.bytes;
  to.stats.failed += from.stats.failed;
  to.stats.refused += from.stats.refused;
  to.stats.rescued += from.stats.rescued;
  to.stats.checks += from.stats.checks;
  to.stats.wrong += from.stats.wrong;
  for (const DriverInfo::Offer& offer : from.offers) {
    auto at = std::find_if(to.offers.begin(), to.offers.end(), [&](const auto& each) { return each.alg == offer.alg && each.mac == offer.mac; });
    if (at == to.offers.end()) at = to.offers.insert(at, DriverInfo::Offer{.alg = offer.alg, .mac = offer.mac});
    at->ops += offer.ops;
    at->bytes += offer.bytes;
    at->failed += offer.failed;
  }
}

}  // namespace

void DriverReport::publish(std::vector<DriverInfo> drivers) {
  const std::lock_guard lock(mutex_);
  for (const DriverInfo& before : drivers_) {
    if (std::none_of(drivers.begin(), drivers.end(), [&](const auto& each) { return each.id == before.id; })) leave(before);
  }
  drivers_ = std::move(drivers);
}

void DriverReport::leave(const DriverInfo& driver) {
  auto at = std::find_if(gone_.begin(), gone_.end(), [&](const auto& each) { return each.name == driver.name; });
  if (at == gone_.end()) {
    at = gone_.insert(at, DriverInfo{});
    at->name = driver.name;
  }
  add(*at, driver);
}

void DriverReport::absorb(const DriverReport& other) {
  const std::vector<DriverInfo> all = other.read();
  const std::lock_guard lock(mutex_);
  for (const DriverInfo& driver : all) leave(driver);
}

std::vector<DriverInfo> DriverReport::read() const {
  const std::lock_guard lock(mutex_);
  std::vector<DriverInfo> all = drivers_;
  all.insert(all.end(), gone_.begin(), gone_.end());
  return all;
}

}  // namespace socrypt::ocf
