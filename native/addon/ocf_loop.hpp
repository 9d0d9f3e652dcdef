// The crypto framework of one JavaScript environment: its thread dispatches, and its event loop is woken when something
// that was not done at once is complete. The software driver and the key drivers are attached with it.
#pragma once

#include <napi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "addon/driver_reports.hpp"
#include "addon/wake.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::addon {

class OcfLoop {
 public:
  /// The environment's, made when first asked for. nullptr, with an exception pending, when it could not be.
  static std::shared_ptr<OcfLoop> of(Napi::Env env);
  [[nodiscard]] static bool exists(Napi::Env env);
  ~OcfLoop();
  OcfLoop(const OcfLoop&) = delete;
  OcfLoop& operator=(const OcfLoop&) = delete;

  [[nodiscard]] ocf::Framework& framework() noexcept { return framework_; }

  /// Whoever waits for ops, with their memory. `opaque` of each of them is this.
  class Waiter {
   public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    virtual ~Waiter() = default;
    /// In the environment's thread, with handles open. True: it waits for nothing more, and may be destroyed.
    virtual bool completed(Napi::Env env, ocf::Op& op) = 0;
  };
  /// Keeps it until completed() says that it is done with, or the environment ends; the event loop goes on meanwhile.
  void keep(std::unique_ptr<Waiter> waiter);
  /// Sessions are closed, at the latest, before the framework ends; to be said of every handle that lasts, and taken back
  /// before the handle goes.
  void enlist(ocf::SessionHandle& session) { sessions_.insert(&session); }
  void delist(ocf::SessionHandle& session) noexcept { sessions_.erase(&session); }
  /// Tells waiters of what is complete.
  void poll();
  /// Called at the end of each poll().
  void setAfterPoll(std::function<void(Napi::Env)> call) { afterPoll_ = std::move(call); }

 private:
  explicit OcfLoop(Napi::Env env);
  bool start();
  void end() noexcept;
  void report();

  Napi::Env env_;
  std::unique_ptr<Wake> wake_;
  std::function<void()> call_;
  std::function<void(Napi::Env)> afterPoll_;
  std::thread::id thread_ = std::this_thread::get_id();
  std::atomic<bool> reportWanted_{false};
  uint64_t reportedAt_ = 0;
  std::unordered_map<Waiter*, std::unique_ptr<Waiter>> waiters_;
  std::unordered_set<ocf::SessionHandle*> sessions_;
  std::unique_ptr<ocf::Framework> owned_;
  ocf::Framework& framework_;
  std::unique_ptr<ListedReport> listed_;
};

}  // namespace socrypt::addon
