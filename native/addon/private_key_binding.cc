#include "addon/private_key_binding.hpp"

#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "addon/arguments.hpp"

namespace socrypt::addon {

namespace {

Napi::Value copy(Napi::Env env, const std::vector<uint8_t>& bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
  if (!env.IsExceptionPending()) std::memcpy(array.Data(), bytes.data(), bytes.size());
  return array;
}

// Keys that other environments of the process may take a share of, for as long as the key object that told its
// handle lives.
struct SharedKeys {
  std::mutex mutex;
  std::map<uint64_t, key::PrivateKey> byHandle;
  uint64_t last = 0;
};
SharedKeys& sharedKeys() {
  static SharedKeys all;
  return all;
}

std::string hex(uint16_t code) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 12; shift >= 0; shift -= 4) text += kDigits[(code >> shift) & 15];
  return text;
}

}  // namespace

Napi::Function PrivateKeyBinding::define(Napi::Env env) {
  return DefineClass(env, "NativePrivateKey",
                     {
                         InstanceAccessor<&PrivateKeyBinding::type>("type"),
                         InstanceAccessor<&PrivateKeyBinding::curve>("curve"),
                         InstanceAccessor<&PrivateKeyBinding::bits>("bits"),
                         InstanceMethod<&PrivateKeyBinding::publicKey>("publicKey"),
                         InstanceMethod<&PrivateKeyBinding::sign>("sign"),
                         InstanceMethod<&PrivateKeyBinding::handle>("handle"),
                     });
}

Napi::Value PrivateKeyBinding::wrap(Napi::Env env, const Napi::FunctionReference& constructor, key::PrivateKey key) {
  // The constructor moves the key out of the external; it lives until then on this stack.
  const Napi::Object object = constructor.New({Napi::External<key::PrivateKey>::New(env, &key)});
  return env.IsExceptionPending() ? env.Undefined() : Napi::Value(object);
}

PrivateKeyBinding::PrivateKeyBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PrivateKeyBinding>(info) {
  if (info.Length() == 1 && info[0].IsExternal()) {
    key_.emplace(std::move(*info[0].As<Napi::External<key::PrivateKey>>().Data()));
  } else {
    raise(info.Env(), "ERR_SOCRYPT_ARGUMENT", "NativePrivateKey: expected importPrivateKey() to make it, received `new`");
  }
}

PrivateKeyBinding::~PrivateKeyBinding() {
  if (handle_ == 0) return;
  SharedKeys& keys = sharedKeys();
  const std::lock_guard lock(keys.mutex);
  keys.byHandle.erase(handle_);
}

Napi::Value PrivateKeyBinding::handle(const Napi::CallbackInfo& info) {
  if (handle_ == 0) {
    SharedKeys& keys = sharedKeys();
    const std::lock_guard lock(keys.mutex);
    handle_ = ++keys.last;
    keys.byHandle.emplace(handle_, key_->share());
  }
  return Napi::Number::New(info.Env(), static_cast<double>(handle_));
}

std::optional<key::PrivateKey> PrivateKeyBinding::shared(uint64_t handle) {
  SharedKeys& keys = sharedKeys();
  const std::lock_guard lock(keys.mutex);
  const auto found = keys.byHandle.find(handle);
  if (found == keys.byHandle.end()) return std::nullopt;
  return found->second.share();
}

Napi::Value PrivateKeyBinding::type(const Napi::CallbackInfo& info) {
  static constexpr const char* kNames[] = {"ec", "rsa", "ed25519"};
  return Napi::String::New(info.Env(), kNames[static_cast<size_t>(key_->type())]);
}

Napi::Value PrivateKeyBinding::curve(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), std::string(key_->curve()));
}

Napi::Value PrivateKeyBinding::bits(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), key_->bits()); }

Napi::Value PrivateKeyBinding::publicKey(const Napi::CallbackInfo& info) {
  const std::vector<uint8_t> der = key_->publicKey();
  if (der.empty()) {
    raise(info.Env(), "ERR_SOCRYPT_CRYPTO", "publicKey: libcrypto reported a failure");
    return info.Env().Undefined();
  }
  return copy(info.Env(), der);
}

Napi::Value PrivateKeyBinding::sign(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "sign");
  const auto scheme = static_cast<uint16_t>(arguments.integer(0, "scheme", 0, 0xffff));
  const Bytes data = arguments.bytes(1, "data");
  if (!arguments.good()) return info.Env().Undefined();
  std::vector<uint8_t> signature;
  switch (key_->sign(scheme, data, signature)) {
    case key::PrivateKey::SignResult::Ok: return copy(info.Env(), signature);
    case key::PrivateKey::SignResult::WrongScheme:
      raise(info.Env(), "ERR_SOCRYPT_KEY_SCHEME",
            "sign: expected a signature scheme that fits the key (" + type(info).As<Napi::String>().Utf8Value() +
                (key_->curve().empty() ? "" : " " + std::string(key_->curve())) + "), received " + hex(scheme));
      break;
    case key::PrivateKey::SignResult::Failed:
      raise(info.Env(), "ERR_SOCRYPT_CRYPTO", "sign: libcrypto reported a failure");
      break;
  }
  return info.Env().Undefined();
}

}  // namespace socrypt::addon
