#include "addon/ephemeral_key_binding.hpp"

#include <utility>

#include "addon/crypto_parts.hpp"

namespace socrypt::addon {

Napi::Function EphemeralKeyBinding::define(Napi::Env env) {
  return DefineClass(env, "NativeEphemeralKey",
                     {
                         InstanceAccessor<&EphemeralKeyBinding::publicKey>("publicKey"),
                         InstanceMethod<&EphemeralKeyBinding::agree>("agree"),
                         InstanceMethod<&EphemeralKeyBinding::wipe>("wipe"),
                     });
}

Napi::Value EphemeralKeyBinding::wrap(Napi::Env env, const Napi::FunctionReference& constructor, key::EphemeralKey key) {
  // The constructor moves the key out of the external; it lives until then on this stack.
  const Napi::Object object = constructor.New({Napi::External<key::EphemeralKey>::New(env, &key)});
  return env.IsExceptionPending() ? env.Undefined() : Napi::Value(object);
}

EphemeralKeyBinding::EphemeralKeyBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EphemeralKeyBinding>(info) {
  if (info.Length() == 1 && info[0].IsExternal()) {
    key_.emplace(std::move(*info[0].As<Napi::External<key::EphemeralKey>>().Data()));
  } else {
    raise(info.Env(), "ERR_SOCRYPT_ARGUMENT", "NativeEphemeralKey: expected generateKeyShare() to make it, received `new`");
  }
}

Napi::Value EphemeralKeyBinding::publicKey(const Napi::CallbackInfo& info) {
  return copy(info.Env(), key_ ? key_->publicKey() : Bytes{});
}

Napi::Value EphemeralKeyBinding::agree(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "agree");
  const Bytes peer = arguments.bytes(0, "peerPublic");
  if (!arguments.good()) return info.Env().Undefined();
  if (!key_) {
    raise(info.Env(), "ERR_SOCRYPT_ARGUMENT", "agree: expected a key that was not wiped, received one that was; make a new one");
    return info.Env().Undefined();
  }
  key::KeyShare share;
  switch (key_->agree(peer, share)) {
    case key::Agreement::InvalidShare: return info.Env().Null();
    case key::Agreement::Failed: return failed(info.Env(), "agree");
    case key::Agreement::Ok: break;
  }
  return copy(info.Env(), {share.secret.data(), share.secretLength});
}

Napi::Value EphemeralKeyBinding::wipe(const Napi::CallbackInfo& info) {
  key_.reset();
  return info.Env().Undefined();
}

}  // namespace socrypt::addon
