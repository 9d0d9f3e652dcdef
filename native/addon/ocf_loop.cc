#include "addon/ocf_loop.hpp"

#include <array>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "addon/arguments.hpp"
#include "ocf/drivers/key.hpp"
#include "ocf/drivers/soft.hpp"

namespace socrypt::addon {
namespace {

struct Loops {
  std::mutex mutex;
  std::map<napi_env, std::shared_ptr<OcfLoop>> byEnvironment;
};
Loops& loops() {
  static Loops all;
  return all;
}

void forget(napi_env env) noexcept {
  std::shared_ptr<OcfLoop> last;  // ends outside the lock: it waits for threads
  const std::lock_guard lock(loops().mutex);
  const auto at = loops().byEnvironment.find(env);
  if (at == loops().byEnvironment.end()) return;
  last = std::move(at->second);
  loops().byEnvironment.erase(at);
}

// exit() with an environment that nobody has torn down: process.exit().
void forgetAll() noexcept {
  std::map<napi_env, std::shared_ptr<OcfLoop>> last;
  const std::lock_guard lock(loops().mutex);
  last.swap(loops().byEnvironment);
}

}  // namespace

std::shared_ptr<OcfLoop> OcfLoop::of(Napi::Env env) {
  {
    const std::lock_guard lock(loops().mutex);
    const auto at = loops().byEnvironment.find(env);
    if (at != loops().byEnvironment.end()) return at->second;
  }
  std::shared_ptr<OcfLoop> made(new OcfLoop(env));
  if (!made->start()) return nullptr;
  // What drivers and reports have of the process is made by now. What is made last is destroyed first: `loops`, older
  // than that, would end them too late.
  static const int registered = std::atexit(forgetAll);
  static_cast<void>(registered);
  const std::lock_guard lock(loops().mutex);
  loops().byEnvironment.emplace(env, made);
  return made;
}

bool OcfLoop::exists(Napi::Env env) {
  const std::lock_guard lock(loops().mutex);
  return loops().byEnvironment.contains(env);
}

OcfLoop::OcfLoop(Napi::Env env) : env_(env), owned_(std::make_unique<ocf::Framework>()), framework_(*owned_) {}

OcfLoop::~OcfLoop() { end(); }

// Drivers let go of the waiters' memory before the waiters go.
void OcfLoop::end() noexcept {
  if (listed_ != nullptr) report();
  listed_.reset();
  for (ocf::SessionHandle* session : sessions_) session->reset();
  sessions_.clear();
  owned_.reset();
  waiters_.clear();
}

bool OcfLoop::start() {
  const Napi::Function harvest = Napi::Function::New(
      env_, [](const Napi::CallbackInfo& info) { static_cast<OcfLoop*>(info.Data())->poll(); }, "harvest", this);
  wake_ = std::make_unique<Wake>(env_, harvest, "socrypt:ocf", [env = napi_env(env_)] { forget(env); });
  if (!wake_->opened()) return false;
  wake_->unref();
  call_ = wake_->caller();
  framework_.onWake([](void* self) { static_cast<OcfLoop*>(self)->call_(); }, this);
  ocf::Status status = ocf::Status::Ok;
  for (auto make : {+[] { return ocf::makeSoftDriver(); }, +[] { return ocf::makeInlineKeyDriver(); }, +[] { return ocf::makeKeyDriver(); }}) {
    if (framework_.attach(make(), &status) != 0) continue;
    raise(env_, "ERR_SOCRYPT_DRIVER", "a crypto driver could not be attached: " + std::string(ocf::statusName(status)));
    end();
    wake_->close();
    return false;
  }
  // Of this environment drivers are told as they are; of another as they were when it was asked last.
  listed_ = std::make_unique<ListedReport>([this] {
    if (std::this_thread::get_id() == thread_) report();
    else if (!reportWanted_.exchange(true)) call_();
  });
  return true;
}

// In the environment's thread.
void OcfLoop::report() {
  reportWanted_.store(false);
  reportedAt_ = ocf::steadyClock().now();
  listed_->report().publish(framework_.drivers());
}

void OcfLoop::keep(std::unique_ptr<Waiter> waiter) {
  if (waiters_.empty()) wake_->ref();
  Waiter* const key = waiter.get();
  waiters_.emplace(key, std::move(waiter));
}

void OcfLoop::poll() {
  const Napi::HandleScope scope(env_);
  std::array<ocf::Op*, 64> done;
  for (size_t n = done.size(); n == done.size();) {
    n = framework_.poll(done.data(), done.size());
    for (size_t i = 0; i < n; ++i) {
      auto* const waiter = static_cast<Waiter*>(done[i]->opaque);
      if (waiter->completed(env_, *done[i])) waiters_.erase(waiter);
    }
  }
  if (waiters_.empty()) wake_->unref();
  constexpr uint64_t kReportNs = 100'000'000;
  if (reportWanted_.load(std::memory_order_relaxed) || ocf::steadyClock().now() - reportedAt_ > kReportNs) report();
  if (afterPoll_) afterPoll_(env_);
}

}  // namespace socrypt::addon
