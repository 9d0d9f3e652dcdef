// What the files behind exports.crypto share.
#pragma once

#include <napi.h>

#include <cstring>
#include <string>
#include <string_view>

#include "addon/arguments.hpp"
#include "ocf/key.hpp"

namespace socrypt::addon {

/// Key schedules of TLS 1.2 and 1.3: key_schedule_binding.cc.
void addKeySchedule(Napi::Env env, Napi::Object crypto);
/// The same steps on shared memory: workbench_binding.cc.
void addWorkbench(Napi::Env env, Napi::Object crypto);

inline Napi::Value failed(Napi::Env env, const char* function) {
  raise(env, "ERR_SOCRYPT_CRYPTO", std::string(function) + ": libcrypto reported a failure");
  return env.Undefined();
}

inline Napi::Value copy(Napi::Env env, Bytes bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
  if (array.IsEmpty()) return env.Undefined();  // a worker that is being terminated gets no memory, and no exception
  if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
  return array;
}

/// The first argument: 'sha256' or 'sha384'.
inline key::Hash readHash(const Napi::CallbackInfo& info, Arguments& arguments) {
  const Napi::Value value = info[0];
  char name[8] = {};
  size_t length = 0;
  if (value.IsString() && napi_get_value_string_latin1(info.Env(), value, name, sizeof name, &length) == napi_ok) {
    if (std::string_view(name, length) == "sha256") return key::Hash::Sha256;
    if (std::string_view(name, length) == "sha384") return key::Hash::Sha384;
  }
  arguments.refuse("hash", "'sha256' or 'sha384'", "something else");
  return key::Hash::Sha256;
}

}  // namespace socrypt::addon
