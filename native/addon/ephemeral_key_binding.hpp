// NativeEphemeralKey: a key::EphemeralKey behind a JavaScript object.
#pragma once

#include <napi.h>

#include <optional>

#include "ocf/key.hpp"

namespace socrypt::addon {

class EphemeralKeyBinding : public Napi::ObjectWrap<EphemeralKeyBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  /// A new object around `key`; undefined with an exception pending when it could not be made.
  static Napi::Value wrap(Napi::Env env, const Napi::FunctionReference& constructor, key::EphemeralKey key);

  /// From wrap() only; `new` in JavaScript throws.
  explicit EphemeralKeyBinding(const Napi::CallbackInfo& info);

 private:
  Napi::Value publicKey(const Napi::CallbackInfo& info);
  Napi::Value agree(const Napi::CallbackInfo& info);
  Napi::Value wipe(const Napi::CallbackInfo& info);

  std::optional<key::EphemeralKey> key_;
};

}  // namespace socrypt::addon
