#include "addon/private_key_binding.hpp"

#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "addon/crypto_parts.hpp"

namespace socrypt::addon {

namespace {

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

using SignResult = key::PrivateKey::SignResult;

constexpr const char* kTypeNames[] = {"ec", "rsa", "ed25519"};

Napi::Error errorOf(Napi::Env env, SignResult result, const key::PrivateKey& key, uint16_t scheme) {
  const bool wrong = result == SignResult::WrongScheme;
  const std::string curve(key.curve());
  const std::string what = kTypeNames[static_cast<size_t>(key.type())] + (curve.empty() ? "" : " " + curve);
  Napi::Error error = Napi::Error::New(
      env, wrong ? "sign: expected a signature scheme that fits the key (" + what + "), received " + hex(scheme)
                 : std::string("sign: libcrypto reported a failure"));
  error.Set("code", wrong ? "ERR_SOCRYPT_KEY_SCHEME" : "ERR_SOCRYPT_CRYPTO");
  return error;
}

// One signature on libuv's pool. It holds what it needs: the JavaScript key may be gone before it is made.
class SignWorker : public Napi::AsyncWorker {
 public:
  SignWorker(Napi::Env env, key::PrivateKey key, uint16_t scheme, Bytes data)
      : Napi::AsyncWorker(env, "socrypt:sign"),
        deferred_(Napi::Promise::Deferred::New(env)),
        key_(std::move(key)),
        scheme_(scheme),
        data_(data.begin(), data.end()) {}
  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { result_ = key_.sign(scheme_, data_, signature_); }
  void OnOK() override {
    if (result_ == SignResult::Ok)
      deferred_.Resolve(copy(Env(), signature_));
    else
      deferred_.Reject(errorOf(Env(), result_, key_, scheme_).Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  key::PrivateKey key_;
  uint16_t scheme_;
  std::vector<uint8_t> data_, signature_;
  SignResult result_ = SignResult::Failed;
};

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
                         InstanceMethod<&PrivateKeyBinding::signAsync>("signAsync"),
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
  return Napi::String::New(info.Env(), kTypeNames[static_cast<size_t>(key_->type())]);
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
  const SignResult result = key_->sign(scheme, data, signature);
  if (result == SignResult::Ok) return copy(info.Env(), signature);
  errorOf(info.Env(), result, *key_, scheme).ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

Napi::Value PrivateKeyBinding::signAsync(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "signAsync");
  const auto scheme = static_cast<uint16_t>(arguments.integer(0, "scheme", 0, 0xffff));
  const Bytes data = arguments.bytes(1, "data");
  if (!arguments.good()) return info.Env().Undefined();
  auto* const worker = new SignWorker(info.Env(), key_->share(), scheme, data);
  const Napi::Promise promise = worker->promise();
  worker->Queue();  // and it deletes itself when it is done
  return promise;
}

}  // namespace socrypt::addon
