// exports.AccessLog: NativeAccessLog of src/native.ts.
#include "addon/access_log_binding.hpp"

#include <cstring>
#include <string>
#include <utility>

#include "addon/arguments.hpp"
#include "addon/registry.hpp"
#include "engine/beneath.hpp"

namespace socrypt::addon {
namespace {

using engine::AccessLog;

// Random, so that no foreign object passes for a log.
constexpr napi_type_tag kTag{0x5b1c4e0a9d7f4236, 0x8e21c6b0f35a97d4};

class NativeAccessLog final : public Napi::ObjectWrap<NativeAccessLog> {
 public:
  static void announce(Napi::Env env, Napi::Object exports) {
    exports.Set("AccessLog",
                DefineClass(env, "NativeAccessLog",
                            {InstanceMethod<&NativeAccessLog::reopen>("reopen"), InstanceMethod<&NativeAccessLog::close>("close"),
                             InstanceMethod<&NativeAccessLog::counters>("counters"),
                             InstanceMethod<&NativeAccessLog::lastError>("lastError")}));
  }

  explicit NativeAccessLog(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeAccessLog>(info) {
    const Napi::Env env = info.Env();
    Arguments arguments(info, "NativeAccessLog");
    const std::string name = arguments.text(0, "format");
    const std::string path = arguments.text(1, "path");
    if (!arguments.good()) return;
    if (name != "combined" && name != "json") {
      arguments.refuse("format", "'combined' or 'json'", std::string("'") + name + "'");
      return;
    }
    const auto format = name == "json" ? http::LogFormat::Json : http::LogFormat::Combined;
    // A NUL would cut the path short without a word.
    int error = EINVAL;
    if (path.find('\0') == std::string::npos) log_ = AccessLog::open(path, format, error);
    if (log_ == nullptr) {
      const char* const code = engine::errnoName(error);
      Napi::Error failure = Napi::Error::New(env, std::string(code) + ": " + std::strerror(error) + ", open '" + path + "'");
      failure.Set("code", Napi::String::New(env, code));
      failure.Set("errno", Napi::Number::New(env, -error));
      failure.Set("syscall", Napi::String::New(env, "open"));
      failure.Set("path", Napi::String::New(env, path));
      failure.ThrowAsJavaScriptException();
      return;
    }
    info.This().As<Napi::Object>().TypeTag(&kTag);
  }

  [[nodiscard]] const std::shared_ptr<AccessLog>& log() const noexcept { return log_; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }

 private:
  // A failure is in counters() and lastError(): rotation goes on with the old file.
  void reopen(const Napi::CallbackInfo&) { log_->reopen(); }
  void close(const Napi::CallbackInfo&) {
    closed_ = true;
    log_->close();
  }
  Napi::Value counters(const Napi::CallbackInfo& info) {
    const AccessLog::Counters now = log_->counters();
    Napi::Float64Array result = Napi::Float64Array::New(info.Env(), 3);
    result[0] = static_cast<double>(now.linesWritten);
    result[1] = static_cast<double>(now.linesDropped);
    result[2] = static_cast<double>(now.writeErrors);
    return result;
  }
  Napi::Value lastError(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), log_->lastError()); }

  std::shared_ptr<AccessLog> log_;
  bool closed_ = false;
};

const Registration registration(&NativeAccessLog::announce);

}  // namespace

std::shared_ptr<AccessLog> unwrapAccessLog(Napi::Value value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) return nullptr;
  const NativeAccessLog* const wrapped = Napi::ObjectWrap<NativeAccessLog>::Unwrap(value.As<Napi::Object>());
  return wrapped->closed() ? nullptr : wrapped->log();
}

}  // namespace socrypt::addon
