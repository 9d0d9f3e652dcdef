// NativeEngine of src/native.ts.
#include <napi.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "addon/access_log_binding.hpp"
#include "addon/channel_registry.hpp"
#include "addon/driver_info.hpp"
#include "addon/nic_binding.hpp"
#include "addon/registry.hpp"
#include "addon/wake.hpp"
#include "engine/engine.hpp"
#include "ocf/drivers/by_name.hpp"
#include "ocf/time_slice.hpp"

namespace socrypt::addon {

namespace {

using engine::Counters;
using engine::Engine;
using engine::EngineOptions;

// Less than the 0.7 to 2.8 ms of a thread that asks for nothing (by the number of processors).
constexpr std::chrono::microseconds kLoopSlice{300};

Napi::Error systemError(Napi::Env env, const char* call, int code, const EngineOptions& options) {
  const std::string message = std::string(call) + " " + options.host + ":" + std::to_string(options.port) + ": " + strerror(code);
  Napi::Error error = Napi::Error::New(env, message);
  const char* name = code == EADDRINUSE      ? "EADDRINUSE"
                     : code == EACCES        ? "EACCES"
                     : code == EADDRNOTAVAIL ? "EADDRNOTAVAIL"
                     : code == EMFILE        ? "EMFILE"
                     : code == EINVAL        ? "EINVAL"
                     : code == ENOENT        ? "ENOENT"
                     : code == EPERM         ? "EPERM"
                                             : "EIO";
  error.Set("code", Napi::String::New(env, name));
  error.Set("errno", Napi::Number::New(env, -code));
  error.Set("syscall", Napi::String::New(env, call));
  return error;
}

// Records that wait for an accelerator before software takes the next: four bursts.
constexpr uint32_t kAcceleratorQueue = 64;

uint64_t number(const Napi::Object& options, const char* name) {
  const Napi::Value value = options.Get(name);
  if (!value.IsNumber()) return 0;
  const double given = value.As<Napi::Number>().DoubleValue();
  return given > 0 ? static_cast<uint64_t>(given) : 0;
}

class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static void install(Napi::Env env, Napi::Object exports) {
    Napi::Array names = Napi::Array::New(env);
    uint32_t at = 0;
    for (const auto& name : Counters::names()) names.Set(at++, Napi::String::New(env, name));
    const Napi::Function constructor =
        DefineClass(env, "NativeEngine",
                    {InstanceMethod<&NativeEngine::listen>("listen"), InstanceMethod<&NativeEngine::start>("start"),
                     InstanceMethod<&NativeEngine::poll>("poll"), InstanceMethod<&NativeEngine::submit>("submit"),
                     InstanceMethod<&NativeEngine::drain>("drain"), InstanceMethod<&NativeEngine::stop>("stop"),
                     InstanceMethod<&NativeEngine::counters>("counters"),
                     InstanceMethod<&NativeEngine::drivers>("drivers"),
                     InstanceMethod<&NativeEngine::handshakeChannel>("handshakeChannel"), StaticValue("counterNames", names)});
    exports.Set("Engine", constructor);
  }

  explicit NativeEngine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeEngine>(info) {
    const Napi::Env env = info.Env();
    if (info.Length() != 3 || !info[0].IsObject() || !info[2].IsFunction()) {
      Napi::TypeError::New(env, "NativeEngine: expected (options, accessLog | null, wake)").ThrowAsJavaScriptException();
      return;
    }
    const auto given = info[0].As<Napi::Object>();
    options_.host = given.Get("host").ToString().Utf8Value();
    options_.port = static_cast<uint16_t>(number(given, "port"));
    options_.backlog = static_cast<int>(number(given, "backlog"));
    if (given.Get("congestionControl").IsString()) options_.congestionControl = given.Get("congestionControl").As<Napi::String>().Utf8Value();
    options_.maxConnections = static_cast<uint32_t>(number(given, "maxConnections"));
    options_.maxHandshakeBytes = static_cast<uint32_t>(number(given, "maxHandshakeBytes"));
    options_.maxRequestsPerConnection = static_cast<uint32_t>(number(given, "maxRequestsPerConnection"));
    options_.maxBodyBytes = static_cast<uint32_t>(number(given, "maxBodyBytes"));
    constexpr uint64_t kMs = 1'000'000;
    options_.handshakeTimeoutNs = number(given, "handshakeTimeoutMs") * kMs;
    options_.headerTimeoutNs = number(given, "headerTimeoutMs") * kMs;
    options_.keepAliveTimeoutNs = number(given, "keepAliveTimeoutMs") * kMs;
    options_.writeTimeoutNs = number(given, "writeTimeoutMs") * kMs;
    options_.http.maxHeaderBytes = static_cast<uint32_t>(number(given, "maxHeaderBytes"));
    options_.http.maxTargetBytes = static_cast<uint32_t>(number(given, "maxTargetBytes"));
    options_.cache.entries = number(given, "cacheEntries");
    options_.cache.bytes = number(given, "cacheBytes");
    options_.cache.revalidateNs = number(given, "revalidateMs") * kMs;
    options_.cacheFileBytes = number(given, "cacheFileBytes");
    options_.keyByOrigin = given.Get("keyByOrigin").ToBoolean();
    options_.separateHandshakes = given.Get("separateHandshakes").ToBoolean();
    options_.recordLimit = number(given, "recordLimit");
    if (const auto value = given.Get("nic"); value.IsObject()) {
      const auto nic = value.As<Napi::Object>();
      options_.nic = unwrapNic(nic.Get("native"));
      if (options_.nic == nullptr) {
        Napi::TypeError::New(env, "NativeEngine: nic.native is no open NativeNic").ThrowAsJavaScriptException();
        return;
      }
      options_.nicMustRetain = nic.Get("mustRetain").ToBoolean();
      options_.zeroCopy = nic.Get("zeroCopy").ToString().Utf8Value() == "guard" ? engine::ZeroCopy::Guard : engine::ZeroCopy::Copy;
      options_.onDeviceLoss =
          nic.Get("onDeviceLoss").ToString().Utf8Value() == "close" ? engine::OnDeviceLoss::Close : engine::OnDeviceLoss::Software;
    }
    if (given.Get("accelerator").IsObject() && !readAccelerator(env, given.Get("accelerator").As<Napi::Object>())) return;
    // Open files kept with entries leave most descriptors to connections.
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    options_.cache.descriptors = std::max<uint64_t>(8, limit.rlim_cur / 8);

    std::shared_ptr<engine::AccessLog> log;
    if (info[1].IsObject()) {
      log = unwrapAccessLog(info[1]);
      if (log == nullptr) {
        Napi::TypeError::New(env, "NativeEngine: accessLog is no open NativeAccessLog").ThrowAsJavaScriptException();
        return;
      }
      options_.logFormat = log->format();
    }
    wake_ = std::make_unique<Wake>(env, info[2].As<Napi::Function>(), "socrypt-engine", [this] { stopEngine(); });
    if (!wake_->opened()) return;
    // The event loop sleeps and wakes up a thousand times a second and more. Beside threads that compute it would wait each
    // time until the tick that ends their turns, 4 ms where HZ is 250.
    ocf::askForSlice(kLoopSlice, false);
    engine_ = std::make_unique<Engine>(options_, std::move(log), wake_->caller());
    options_.nic.reset();  // the engine's, and gone with it
  }
  ~NativeEngine() override { shutDown(); }

 private:
  bool readAccelerator(Napi::Env env, const Napi::Object& given) {
    engine::AcceleratorOptions& accelerator = options_.accelerator;
    accelerator.recordsInFlight = static_cast<uint32_t>(number(given, "recordsInFlight"));
    // Whoever names a driver wants it to work; software helps when it is full or gone.
    accelerator.policy.smallMax = given.Get("always").ToBoolean() ? 0 : -1;
    accelerator.policy.queueLimit = kAcceleratorQueue;
    accelerator.policy.spotEvery = static_cast<uint32_t>(number(given, "checkEvery"));
    // What serves is asked again of those that are attached later.
    accelerator.byName = [](const std::string& name, std::string& reason) {
      return ocf::servesRecords(name, reason) ? ocf::makeDriverByName(name, reason) : nullptr;
    };
    const std::string name = given.Get("driver").ToString().Utf8Value();
    std::string why;
    if (ocf::servesRecords(name, why)) {
      accelerator.inThread = name == "soft";
      if (!accelerator.inThread) accelerator.drivers.push_back([name](std::string& reason) { return ocf::makeDriverByName(name, reason); });
      return true;
    }
    Napi::Error error = Napi::Error::New(env, why);
    error.Set("code", Napi::String::New(env, "ERR_SOCRYPT_DRIVER"));
    error.ThrowAsJavaScriptException();
    return false;
  }

  Napi::Value listen(const Napi::CallbackInfo& info) {
    if (!alive(info.Env())) return {};
    const char* call = "listen";
    if (const int error = engine_->listen(&call); error != 0) {
      systemError(info.Env(), call, error, options_).ThrowAsJavaScriptException();
      return {};
    }
    return Napi::Number::New(info.Env(), engine_->port());
  }

  void start(const Napi::CallbackInfo& info) {
    std::string why;
    if (!alive(info.Env()) || engine_->start(why)) return;
    Napi::Error error = Napi::Error::New(info.Env(), why);
    error.Set("code", Napi::String::New(info.Env(), "ERR_SOCRYPT_DRIVER"));
    error.ThrowAsJavaScriptException();
  }

  Napi::Value poll(const Napi::CallbackInfo& info) {
    if (engine_ == nullptr) return Napi::Number::New(info.Env(), 0);
    const auto into = bytes(info);
    return Napi::Number::New(info.Env(), static_cast<double>(engine_->poll(into)));
  }

  Napi::Value submit(const Napi::CallbackInfo& info) {
    const auto all = bytes(info);
    const size_t length = info.Length() > 1 ? static_cast<size_t>(info[1].As<Napi::Number>().Int64Value()) : 0;
    if (engine_ == nullptr || length > all.size()) return Napi::Number::New(info.Env(), 0);
    const size_t taken = engine_->submit(all.first(length));
    // Keys pass through here.
    explicit_bzero(all.data(), taken);
    return Napi::Number::New(info.Env(), static_cast<double>(taken));
  }

  void drain(const Napi::CallbackInfo& info) {
    if (engine_ == nullptr) return;
    const int64_t ms = info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().Int64Value() : 0;
    engine_->drain(static_cast<uint64_t>(std::max<int64_t>(ms, 0)) * 1'000'000);
  }

  void stop(const Napi::CallbackInfo&) { shutDown(); }

  Napi::Value counters(const Napi::CallbackInfo& info) {
    Napi::Float64Array out = Napi::Float64Array::New(info.Env(), engine::kCounters);
    if (engine_ != nullptr) engine_->counters().snapshot({out.Data(), engine::kCounters});
    return out;
  }

  Napi::Value drivers(const Napi::CallbackInfo& info) {
    return describeDrivers(info.Env(), engine_ == nullptr ? std::vector<ocf::DriverInfo>{} : engine_->drivers());
  }

  bool alive(Napi::Env env) {
    if (engine_ != nullptr) return true;
    Napi::Error::New(env, "NativeEngine: used after stop()").ThrowAsJavaScriptException();
    return false;
  }

  static std::span<uint8_t> bytes(const Napi::CallbackInfo& info) {
    if (info.Length() < 1 || !info[0].IsTypedArray()) return {};
    auto array = info[0].As<Napi::Uint8Array>();
    return {array.Data(), array.ByteLength()};
  }

  Napi::Value handshakeChannel(const Napi::CallbackInfo& info) {
    const auto channel = engine_ == nullptr ? nullptr : engine_->handshakes();
    return Napi::Number::New(info.Env(), channel == nullptr ? 0 : static_cast<double>(announceChannel(channel)));
  }

  void stopEngine() {
    if (engine_ == nullptr) return;
    engine_->stop();
    engine_.reset();
  }
  void shutDown() {
    stopEngine();
    if (wake_ != nullptr) wake_->close();
  }

  EngineOptions options_;
  std::unique_ptr<Wake> wake_;
  std::unique_ptr<Engine> engine_;
};

const Registration registration{&NativeEngine::install};

}  // namespace

}  // namespace socrypt::addon
