// Drivers that are attached while the engine serves: made, tested and measured in a thread of its own, since a driver that
// is slow, or says nothing at all, must not keep connections waiting.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ocf/framework.hpp"

namespace socrypt::engine {

class DriverAdmission {
 public:
  /// nullptr, and `why`: there is none.
  using Maker = std::function<std::unique_ptr<ocf::Driver>(const std::string& name, std::string& why)>;
  struct Done {
    uint64_t token;
    ocf::Framework::Examined examined;  // no driver: it was refused
    std::string why;
  };

  /// `wake` is called from the thread when one is done.
  DriverAdmission(const ocf::Framework& framework, Maker make, std::function<void()> wake)
      : framework_(framework), make_(std::move(make)), wake_(std::move(wake)) {}
  /// Waits for the one that is being tested; the others are forgotten.
  ~DriverAdmission();
  DriverAdmission(const DriverAdmission&) = delete;
  DriverAdmission& operator=(const DriverAdmission&) = delete;

  void begin(uint64_t token, std::string name);
  [[nodiscard]] bool hasDone() const noexcept { return hasDone_.load(std::memory_order_acquire); }
  [[nodiscard]] std::vector<Done> harvest();

 private:
  struct Job {
    uint64_t token;
    std::string name;
  };
  void run();
  [[nodiscard]] Done admit(const Job& job) const;

  const ocf::Framework& framework_;
  const Maker make_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable given_;
  std::deque<Job> jobs_;
  std::vector<Done> done_;
  bool stopping_ = false;
  std::atomic<bool> hasDone_{false};
  std::thread thread_;  // begins with the first job
};

/// Whether any of them is for TLS records.
[[nodiscard]] bool sealsRecords(const std::vector<ocf::DriverInfo::Offer>& offers) noexcept;
/// Why a driver cannot serve; "" when it can.
[[nodiscard]] std::string whyNotServing(const std::string& name, ocf::Status status, const std::vector<ocf::DriverInfo::Offer>& offers);

}  // namespace socrypt::engine
