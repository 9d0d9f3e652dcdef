// What a framework's thread tells other threads of its drivers: for metrics.
#pragma once

#include <mutex>
#include <vector>

#include "ocf/framework.hpp"

namespace socrypt::ocf {

class DriverReport {
 public:
  /// Of the framework's thread. What drivers did that are gone stays counted, by name, in one with id 0.
  void publish(std::vector<DriverInfo> drivers);
  /// Of any thread: what drivers of another report did, which is no more, stays counted here.
  void absorb(const DriverReport& other);
  /// Of any thread: what was published last.
  [[nodiscard]] std::vector<DriverInfo> read() const;

 private:
  void leave(const DriverInfo& driver);

  mutable std::mutex mutex_;
  std::vector<DriverInfo> drivers_, gone_;
};

}  // namespace socrypt::ocf
