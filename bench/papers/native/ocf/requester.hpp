// A thread that issues one request after the other and sleeps until each is complete, as a process on /dev/crypto does.
#pragma once

#include "bench.hpp"

namespace papers {

class Requester {
 public:
  /// Attaches the driver; says so before anything is dispatched, so that it can be woken.
  explicit Requester(std::unique_ptr<socrypt::ocf::Driver> driver);
  [[nodiscard]] socrypt::ocf::Framework& framework() noexcept { return framework_; }
  /// Dispatches and sleeps until it is complete. Ends the program unless it is Ok.
  void run(socrypt::ocf::Op& op);
  /// Seconds that it slept.
  [[nodiscard]] double slept() const noexcept { return slept_; }
  void forget() noexcept { slept_ = 0; }

 private:
  socrypt::ocf::Framework framework_;
  int wake_;
  double slept_ = 0;
};

}  // namespace papers
