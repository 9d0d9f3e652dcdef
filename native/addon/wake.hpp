// A JavaScript function that any thread may have called soon, until it is closed or its environment ends. An
// environment (the main one, or a worker's) ends whenever it likes, process.exit() and worker.terminate() included:
// `onEnd` is then called while everything still stands, and has to see to it that nobody calls any more.
#pragma once

#include <napi.h>

#include <functional>
#include <utility>

namespace socrypt::addon {

class Wake {
 public:
  Wake(Napi::Env env, Napi::Function function, const char* name, std::function<void()> onEnd)
      : env_(env), function_(Napi::ThreadSafeFunction::New(env, function, name, 0, 1)), onEnd_(std::move(onEnd)) {
    // Hooks run in the reverse order, and node deletes the thread-safe function in one that it has added just now.
    napi_add_env_cleanup_hook(env_, &Wake::atEnd, this);
  }
  ~Wake() { close(); }
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  [[nodiscard]] std::function<void()> caller() const {
    return [function = function_] { function.NonBlockingCall(); };
  }
  /// In the environment's thread, when no caller() will be called any more. Idempotent.
  void close() {
    if (!open_) return;
    open_ = false;
    napi_remove_env_cleanup_hook(env_, &Wake::atEnd, this);
    function_.Release();
  }

 private:
  static void atEnd(void* self) {
    auto* wake = static_cast<Wake*>(self);
    wake->onEnd_();
    wake->close();
  }

  napi_env env_;
  Napi::ThreadSafeFunction function_;
  std::function<void()> onEnd_;
  bool open_ = true;
};

}  // namespace socrypt::addon
