// NativePrivateKey: a key::PrivateKey behind a JavaScript object.
#pragma once

#include <napi.h>

#include <optional>

#include "addon/ocf_loop.hpp"
#include "ocf/key.hpp"

namespace socrypt::addon {

class PrivateKeyBinding : public Napi::ObjectWrap<PrivateKeyBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  /// A new object around `key`; undefined with an exception pending when it could not be made.
  static Napi::Value wrap(Napi::Env env, const Napi::FunctionReference& constructor, key::PrivateKey key);

  /// A share of the key whose `handle` another environment has told; nothing when that key is gone.
  static std::optional<key::PrivateKey> shared(uint64_t handle);

  /// From wrap() only; `new` in JavaScript throws.
  explicit PrivateKeyBinding(const Napi::CallbackInfo& info);
  ~PrivateKeyBinding() override;

 private:
  Napi::Value type(const Napi::CallbackInfo& info);
  Napi::Value curve(const Napi::CallbackInfo& info);
  Napi::Value bits(const Napi::CallbackInfo& info);
  Napi::Value publicKey(const Napi::CallbackInfo& info);
  Napi::Value sign(const Napi::CallbackInfo& info);
  Napi::Value handle(const Napi::CallbackInfo& info);
  Napi::Value signAsync(const Napi::CallbackInfo& info);
  ocf::Session* session(Napi::Env env);

  std::optional<key::PrivateKey> key_;
  uint64_t handle_ = 0;
  // Of the loop's framework, which may end before this object.
  std::weak_ptr<OcfLoop> loop_;
  ocf::SessionHandle session_;
};

}  // namespace socrypt::addon
