#include "addon/driver_reports.hpp"

#include <map>
#include <mutex>
#include <utility>

namespace socrypt::addon {
namespace {

struct List {
  std::mutex mutex;
  std::map<const ocf::DriverReport*, std::function<void()>> refresh;
  ocf::DriverReport gone;
};
List& list() {
  static List all;
  return all;
}

}  // namespace

ListedReport::ListedReport(std::function<void()> refresh) : report_(std::make_unique<ocf::DriverReport>()) {
  const std::lock_guard lock(list().mutex);
  list().refresh.emplace(report_.get(), std::move(refresh));
}

ListedReport::~ListedReport() {
  const std::lock_guard lock(list().mutex);
  list().refresh.erase(report_.get());
  list().gone.absorb(*report_);
}

std::vector<ocf::DriverInfo> listedDrivers() {
  const std::lock_guard lock(list().mutex);
  std::vector<ocf::DriverInfo> all = list().gone.read();
  for (const auto& [report, refresh] : list().refresh) {
    if (refresh) refresh();
    for (ocf::DriverInfo& driver : report->read()) all.push_back(std::move(driver));
  }
  return all;
}

}  // namespace socrypt::addon
