// exports.LabWire: NativeLabWire of src/native.ts: a faulty wire between two interfaces of another network namespace.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "addon/arguments.hpp"
#include "addon/lab_plan.hpp"
#include "addon/registry.hpp"
#include "nic/lab/faulty_wire.hpp"
#include "nic/port/af_xdp.hpp"

namespace socrypt::addon {
namespace {

using nic::AfXdpPort;
using nic::Descriptor;
using nic::lab::FaultyWire;

uint64_t microseconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

class NativeLabWire final : public Napi::ObjectWrap<NativeLabWire> {
 public:
  static void announce(Napi::Env env, Napi::Object exports) {
    exports.Set("LabWire", DefineClass(env, "NativeLabWire",
                                       {InstanceMethod<&NativeLabWire::state>("state"), InstanceMethod<&NativeLabWire::pcap>("pcap"),
                                        InstanceMethod<&NativeLabWire::act>("act"),
                                        InstanceMethod<&NativeLabWire::close>("close")}));
  }

  explicit NativeLabWire(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeLabWire>(info) {
    nic::lab::Plan plan;
    if (!info[0].IsObject() || !info[1].IsObject()) {
      raise(info.Env(), "ERR_SOCRYPT_ARGUMENT", "NativeLabWire: expected a plan, and where the wire is");
      return;
    }
    if (!readPlan(info[0].As<Napi::Object>(), plan)) return;
    const auto where = info[1].As<Napi::Object>();
    const auto text = [&](const char* name) { return where.Get(name).ToString().Utf8Value(); };
    const bool capture = where.Get("capture").ToBoolean();
    std::promise<std::string> opened;
    auto failed = opened.get_future();
    wake_ = Descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    thread_ = std::thread([this, plan, capture, opened = std::move(opened), space = text("namespace"), first = text("first"), second = text("second"),
                           canary = text("canary")]() mutable {
      pthread_setname_np(pthread_self(), "socrypt-wire");
      std::string why = open(space, first, second);
      if (why.empty()) {
        wire_.emplace(plan, *first_, *second_, std::move(canary));
        wire_->capture(capture);
      }
      const bool good = why.empty();
      opened.set_value(std::move(why));
      if (good) run();
      // In this thread, since it is in their namespace.
      first_.reset();
      second_.reset();
    });
    if (const std::string why = failed.get(); !why.empty()) {
      stop();
      raise(info.Env(), "ERR_SOCRYPT_NIC", "the laboratory's wire: " + why);
    }
  }
  ~NativeLabWire() override { stop(); }

 private:
  std::string open(const std::string& space, const std::string& first, const std::string& second) {
    const Descriptor there(::open(space.c_str(), O_RDONLY | O_CLOEXEC));
    if (!wake_ || !there || setns(there.get(), CLONE_NEWNET) != 0) return "the network namespace " + space + " cannot be entered";
    std::string why;
    first_ = AfXdpPort::open(first, {}, why);
    if (first_ != nullptr) second_ = AfXdpPort::open(second, {}, why);
    return second_ == nullptr ? why : "";
  }

  void run() {
    for (;;) {
      uint64_t wait = 0;
      {
        const std::lock_guard lock(mutex_);
        const uint64_t now = microseconds();
        if (wire_->once(now) != 0) continue;
        wait = wire_->unfinished() ? 1000 : std::min<uint64_t>(100'000, wire_->due() <= now ? 0 : wire_->due() - now);
      }
      std::array<pollfd, 3> list{{{first_->descriptor(), POLLIN, 0}, {second_->descriptor(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
      const timespec time{0, static_cast<long>(wait) * 1000};
      ppoll(list.data(), list.size(), &time, nullptr);
      if (list[2].revents != 0) return;
    }
  }

  void stop() {
    if (!thread_.joinable()) return;
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_.get(), &one, sizeof one);
    thread_.join();
  }

  Napi::Value state(const Napi::CallbackInfo& info) {
    auto result = Napi::Object::New(info.Env());
    auto counts = Napi::Object::New(info.Env());
    const std::lock_guard lock(mutex_);
    const auto& all = wire_->counts();
#define COUNT(name, help) counts.Set(#name, Napi::Number::New(info.Env(), static_cast<double>(all.name)));
#include "nic/lab/wire_counts.def"
#undef COUNT
    result.Set("counts", counts);
    result.Set("finding", info.Env().Null());
    if (const auto& found = wire_->finding()) {
      auto finding = Napi::Object::New(info.Env());
      finding.Set("invariant", found->invariant);
      finding.Set("what", found->what);
      finding.Set("frame", Napi::Number::New(info.Env(), static_cast<double>(wire_->foundAt())));
      result.Set("finding", finding);
    }
    return result;
  }
  Napi::Value act(const Napi::CallbackInfo& info) {
    nic::lab::Deed deed;
    if (!info[0].IsObject()) {
      raise(info.Env(), "ERR_SOCRYPT_ARGUMENT", "act: expected a deed");
      return info.Env().Undefined();
    }
    if (!readDeed(info[0].As<Napi::Object>(), deed)) return info.Env().Undefined();
    const std::lock_guard lock(mutex_);
    return Napi::Boolean::New(info.Env(), wire_->act(deed, microseconds()));
  }
  Napi::Value pcap(const Napi::CallbackInfo& info) {
    const std::lock_guard lock(mutex_);
    const auto file = wire_->captured().pcap();
    auto array = Napi::Uint8Array::New(info.Env(), file.size());
    std::copy(file.begin(), file.end(), array.Data());
    return array;
  }
  void close(const Napi::CallbackInfo&) { stop(); }

  Descriptor wake_;
  std::unique_ptr<AfXdpPort> first_, second_;
  std::mutex mutex_;  // of the wire
  std::optional<FaultyWire> wire_;
  std::thread thread_;
};

const Registration registration(&NativeLabWire::announce);

}  // namespace
}  // namespace socrypt::addon
