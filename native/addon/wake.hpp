// A JavaScript function that any thread may have called soon, until it is closed or its environment ends. An
// environment (the main one, or a worker's) ends whenever it likes, process.exit() and worker.terminate() included:
// `onEnd` is then called while everything still stands, and has to see to it that nobody calls any more.
//
// Plain Node-API: the C++ wrapper's own call ends the process when the environment is being terminated.
#pragma once

#include <napi.h>

#include <functional>
#include <utility>

namespace socrypt::addon {

class Wake {
 public:
  /// Call opened() before caller(): false, with an exception pending, when it could not be made.
  Wake(Napi::Env env, Napi::Function function, const char* name, std::function<void()> onEnd)
      : env_(env), onEnd_(std::move(onEnd)) {
    const Napi::String resource = Napi::String::New(env, name);
    if (napi_create_threadsafe_function(env_, function, nullptr, resource, 0, 1, nullptr, nullptr, nullptr, &Wake::call, &function_) != napi_ok) {
      function_ = nullptr;
      Napi::Error::New(env, "no thread-safe function could be made").ThrowAsJavaScriptException();
      return;
    }
    // Hooks run in the reverse order, and node deletes the thread-safe function in one that it has added just now.
    napi_add_env_cleanup_hook(env_, &Wake::atEnd, this);
  }
  ~Wake() { close(); }
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  [[nodiscard]] bool opened() const noexcept { return function_ != nullptr; }
  [[nodiscard]] std::function<void()> caller() const {
    return [function = function_] { napi_call_threadsafe_function(function, nullptr, napi_tsfn_nonblocking); };
  }
  /// Whether the event loop goes on for its sake; it does at first. In the environment's thread.
  void ref() noexcept {
    if (function_ != nullptr) napi_ref_threadsafe_function(env_, function_);
  }
  void unref() noexcept {
    if (function_ != nullptr) napi_unref_threadsafe_function(env_, function_);
  }
  /// In the environment's thread, when no caller() will be called any more. Idempotent.
  void close() {
    if (function_ == nullptr) return;
    napi_remove_env_cleanup_hook(env_, &Wake::atEnd, this);
    napi_release_threadsafe_function(std::exchange(function_, nullptr), napi_tsfn_release);
  }

 private:
  static void atEnd(void* self) {
    auto* wake = static_cast<Wake*>(self);
    wake->onEnd_();
    wake->close();
  }
  static void call(napi_env env, napi_value function, void*, void*) {
    napi_value receiver = nullptr, thrown = nullptr;
    if (env == nullptr || napi_get_undefined(env, &receiver) != napi_ok) return;
    if (napi_call_function(env, receiver, function, 0, nullptr, nullptr) == napi_ok) return;
    // Like any other callback: an 'uncaughtException'. There is none when the environment is being terminated.
    bool pending = false;
    if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
    if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok && thrown != nullptr) napi_fatal_exception(env, thrown);
  }

  napi_env env_;
  napi_threadsafe_function function_ = nullptr;
  std::function<void()> onEnd_;
};

}  // namespace socrypt::addon
