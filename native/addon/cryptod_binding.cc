// exports.cryptod: the daemon, and what a client in JavaScript needs of the system (a sealed memfd and its passing).
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/arguments.hpp"
#include "addon/driver_reports.hpp"
#include "addon/registry.hpp"
#include "cryptod/client.hpp"
#include "cryptod/server.hpp"
#include "engine/beneath.hpp"
#include "ocf/drivers/by_name.hpp"

namespace socrypt::addon {
namespace {

constexpr std::pair<const char*, cryptod::Counters::Cell cryptod::Counters::*> kCounters[] = {
    {"connections", &cryptod::Counters::connections},
    {"connections_open", &cryptod::Counters::connectionsOpen},
    {"refused_user", &cryptod::Counters::refusedUid},
    {"refused_limit", &cryptod::Counters::refusedLimit},
    {"protocol_errors", &cryptod::Counters::protocolErrors},
    {"sessions_opened", &cryptod::Counters::sessionsOpened},
    {"sessions_refused", &cryptod::Counters::sessionsRefused},
    {"ops", &cryptod::Counters::ops},
    {"op_bytes", &cryptod::Counters::opBytes},
    {"ops_failed", &cryptod::Counters::opsFailed},
    {"ops_full", &cryptod::Counters::opsFull},
    {"key_ops", &cryptod::Counters::keyOps},
};

std::vector<std::string> texts(const Napi::Value& value) {
  std::vector<std::string> list;
  if (!value.IsArray()) return list;
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    if (item.IsString()) list.push_back(item.As<Napi::String>().Utf8Value());
  }
  return list;
}

// One thread with its own framework; JavaScript starts, asks and stops it.
class NativeCryptod final : public Napi::ObjectWrap<NativeCryptod> {
 public:
  static Napi::Function define(Napi::Env env) {
    Napi::Array names = Napi::Array::New(env);
    for (uint32_t i = 0; i < std::size(kCounters); ++i) names.Set(i, Napi::String::New(env, kCounters[i].first));
    return DefineClass(env, "NativeCryptod",
                       {InstanceMethod<&NativeCryptod::start>("start"), InstanceMethod<&NativeCryptod::stop>("stop"),
                        InstanceMethod<&NativeCryptod::counters>("counters"), InstanceMethod<&NativeCryptod::drivers>("drivers"),
                        StaticValue("counterNames", names)});
  }

  // (path, mode, users, allowSoftware, drivers, maxConnections, maxSessions, maxPending, maxArenaBytes)
  explicit NativeCryptod(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeCryptod>(info) {
    Arguments arguments(info, "NativeCryptod");
    cryptod::ServerOptions options;
    options.path = arguments.text(0, "path");
    options.mode = static_cast<mode_t>(arguments.integer(1, "mode", 0, 0777));
    if (info[2].IsArray()) {
      const auto users = info[2].As<Napi::Array>();
      for (uint32_t i = 0; i < users.Length(); ++i) {
        const Napi::Value user = users.Get(i);
        if (user.IsNumber()) options.users.push_back(user.As<Napi::Number>().Uint32Value());
      }
    }
    options.allowSoftware = info[3].IsBoolean() && info[3].As<Napi::Boolean>().Value();
    options.attach = [names = texts(info[4])](ocf::Framework& framework, std::string& why) { return ocf::attachByName(framework, names, why); };
    options.limits.connections = static_cast<uint32_t>(arguments.integer(5, "maxConnections", 1, 65'536));
    options.limits.sessions = static_cast<uint32_t>(arguments.integer(6, "maxSessions", 1, 1u << 20));
    options.limits.pending = static_cast<uint32_t>(arguments.integer(7, "maxPending", 1, 65'536));
    options.limits.arenaBytes = arguments.integer(8, "maxArenaBytes", 4096, uint64_t{1} << 32);
    if (!arguments.good()) return;
    listed_ = std::make_unique<ListedReport>();
    options.report = &listed_->report();
    server_ = std::make_unique<cryptod::Server>(std::move(options));
  }

 private:
  void start(const Napi::CallbackInfo& info) {
    std::string why;
    if (server_ == nullptr || !server_->start(why)) raise(info.Env(), "ERR_SOCRYPT_CRYPTOD", "cryptod: " + why);
  }
  void stop(const Napi::CallbackInfo&) {
    if (server_ == nullptr) return;
    server_->stop();
    // None is running; what they did stays counted.
    listed_->report().publish({});
  }
  Napi::Value counters(const Napi::CallbackInfo& info) {
    Napi::Float64Array result = Napi::Float64Array::New(info.Env(), std::size(kCounters));
    for (size_t i = 0; i < std::size(kCounters); ++i)
      result[i] = static_cast<double>((server_->counters().*kCounters[i].second).load(std::memory_order_relaxed));
    return result;
  }
  Napi::Value drivers(const Napi::CallbackInfo& info) {
    Napi::Array list = Napi::Array::New(info.Env());
    for (const ocf::DriverInfo& driver : server_->drivers()) list.Set(list.Length(), Napi::String::New(info.Env(), driver.name));
    return list;
  }

  std::unique_ptr<ListedReport> listed_;
  std::unique_ptr<cryptod::Server> server_;
};

/// connect(path, arenaBytes): { fd, memory }: greeted; the answer is to be read from `fd`, which the caller owns.
Napi::Value connect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info, "connect");
  const std::string path = arguments.text(0, "path");
  const uint64_t bytes = arguments.integer(1, "arenaBytes", 0, uint64_t{1} << 32);
  if (!arguments.good()) return env.Undefined();
  std::optional<cryptod::Arena> arena = bytes == 0 ? cryptod::Arena() : cryptod::Arena::create(bytes);
  cryptod::Descriptor socket;
  if (arena) socket = cryptod::connectAndGreet(path, arena->fd(), arena->memory().size());
  if (!socket) {
    const int error = errno;
    Napi::Error failure = Napi::Error::New(env, std::string(engine::errnoName(error)) + ": " + std::strerror(error) + ", connect '" + path + "'");
    failure.Set("code", Napi::String::New(env, engine::errnoName(error)));
    failure.Set("syscall", Napi::String::New(env, "connect"));
    failure.ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  const std::span<uint8_t> memory = arena->release();
  if (memory.empty()) {
    result.Set("memory", Napi::ArrayBuffer::New(env, 0));
  } else {
    // Unmapped when JavaScript lets go of it. What the daemon still writes goes to its own mapping.
    auto* const owner = new cryptod::Arena(cryptod::Arena::own(memory));
    const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, memory.data(), memory.size(), [](Napi::BasicEnv, void*, cryptod::Arena* mapped) { delete mapped; }, owner);
    if (env.IsExceptionPending()) return env.Undefined();
    result.Set("memory", buffer);
  }
  result.Set("fd", Napi::Number::New(env, socket.release()));
  return result;
}

const Registration registration{[](Napi::Env env, Napi::Object exports) {
  Napi::Object cryptod = Napi::Object::New(env);
  cryptod.Set("Daemon", NativeCryptod::define(env));
  cryptod.Set("connect", Napi::Function::New<connect>(env, "connect"));
  exports.Set("cryptod", cryptod);
}};

}  // namespace
}  // namespace socrypt::addon
