#include "engine/driver_admission.hpp"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace socrypt::engine {

bool sealsRecords(const std::vector<ocf::DriverInfo::Offer>& offers) noexcept {
  return std::any_of(offers.begin(), offers.end(), [](const auto& offer) { return ocf::factsOf(offer.alg).family == ocf::Family::Aead; });
}

std::string whyNotServing(const std::string& name, ocf::Status status, const std::vector<ocf::DriverInfo::Offer>& offers) {
  if (status == ocf::Status::Ok && sealsRecords(offers)) return {};
  const bool wrong = status != ocf::Status::Ok && status != ocf::Status::NoDriver;
  return "the driver " + name + (wrong ? " gave wrong answers to its known-answer tests" : " has none of the algorithms of TLS records");
}

DriverAdmission::~DriverAdmission() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  given_.notify_one();
  thread_.join();
}

void DriverAdmission::begin(uint64_t token, std::string name) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({token, std::move(name)});
  }
  given_.notify_one();
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

std::vector<DriverAdmission::Done> DriverAdmission::harvest() {
  const std::lock_guard lock(mutex_);
  hasDone_.store(false, std::memory_order_relaxed);
  return std::exchange(done_, {});
}

void DriverAdmission::run() {
  pthread_setname_np(pthread_self(), "socrypt-admit");
  std::unique_lock lock(mutex_);
  for (;;) {
    given_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    Done done = admit(job);
    lock.lock();
    done_.push_back(std::move(done));
    hasDone_.store(true, std::memory_order_release);
    wake_();
  }
}

DriverAdmission::Done DriverAdmission::admit(const Job& job) const {
  Done done{job.token, {}, {}};
  std::unique_ptr<ocf::Driver> driver = make_(job.name, done.why);
  if (driver == nullptr) return done;
  const std::string name(driver->name());
  ocf::Status status = ocf::Status::Ok;
  done.examined = framework_.examineApart(std::move(driver), &status);
  done.why = whyNotServing(name, status, done.examined.offers);
  if (!done.why.empty()) done.examined = {};
  return done;
}

}  // namespace socrypt::engine
