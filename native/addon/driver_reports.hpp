// What drivers of the crypto framework do in this process, besides those of engines: in the frameworks of JavaScript's
// threads, of devices (CryptoDevice) and of daemons (cryptod). Counters only grow: what those did that are gone stays counted.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ocf/driver_report.hpp"

namespace socrypt::addon {

/// One framework's place in the list; it leaves with this object.
class ListedReport {
 public:
  /// `refresh`, if any, is called by each look at the list, in the thread that looks: it publishes, or asks whoever may.
  explicit ListedReport(std::function<void()> refresh = {});
  ~ListedReport();
  ListedReport(const ListedReport&) = delete;
  ListedReport& operator=(const ListedReport&) = delete;

  [[nodiscard]] ocf::DriverReport& report() noexcept { return *report_; }

 private:
  std::unique_ptr<ocf::DriverReport> report_;
};

/// Those of all frameworks in the list, and what those did that left it, with id 0.
[[nodiscard]] std::vector<ocf::DriverInfo> listedDrivers();

}  // namespace socrypt::addon
