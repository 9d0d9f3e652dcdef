// Each binding file announces itself with one Registration; module.cc runs them all.
#pragma once

#include <napi.h>

namespace socrypt::addon {

using RegisterFunction = void (*)(Napi::Env, Napi::Object exports);

struct Registration {
  explicit Registration(RegisterFunction function) noexcept : run(function), next(head) { head = this; }
  RegisterFunction run;
  Registration* next;
  inline static Registration* head = nullptr;
};

}  // namespace socrypt::addon
