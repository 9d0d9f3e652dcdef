// NativePrivateKey: a key::PrivateKey behind a JavaScript object.
#pragma once

#include <napi.h>

#include <optional>

#include "ocf/key.hpp"

namespace socrypt::addon {

class PrivateKeyBinding : public Napi::ObjectWrap<PrivateKeyBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  /// A new object around `key`; undefined with an exception pending when it could not be made.
  static Napi::Value wrap(Napi::Env env, const Napi::FunctionReference& constructor, key::PrivateKey key);

  /// From wrap() only; `new` in JavaScript throws.
  explicit PrivateKeyBinding(const Napi::CallbackInfo& info);

 private:
  Napi::Value type(const Napi::CallbackInfo& info);
  Napi::Value curve(const Napi::CallbackInfo& info);
  Napi::Value bits(const Napi::CallbackInfo& info);
  Napi::Value publicKey(const Napi::CallbackInfo& info);
  Napi::Value sign(const Napi::CallbackInfo& info);

  std::optional<key::PrivateKey> key_;
};

}  // namespace socrypt::addon
