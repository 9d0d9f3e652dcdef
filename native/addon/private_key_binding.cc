#include "addon/private_key_binding.hpp"

#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "addon/crypto_parts.hpp"
#include "ocf/drivers/key_costs.hpp"

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

// A signature that is not there at once. It holds what it needs: the JavaScript key may be gone before it is made.
class PendingSignature final : public OcfLoop::Waiter {
 public:
  PendingSignature(uint16_t scheme, ocf::Session* session, Bytes data, size_t room)
      : data_(data.begin(), data.end()), signature_(room), in_{data_.data(), static_cast<uint32_t>(data_.size())},
        out_{signature_.data(), static_cast<uint32_t>(signature_.size())} {
    op.ses = session;
    op.kind = ocf::Kind::Sign;
    op.scheme = scheme;
    op.nIn = op.nOut = 1;
    op.in = &in_;
    op.out = &out_;
    op.opaque = static_cast<OcfLoop::Waiter*>(this);
  }
  [[nodiscard]] Bytes signature() const { return {out_.p, out_.n}; }
  [[nodiscard]] Napi::Promise promise(Napi::Env env) {
    deferred_.emplace(Napi::Promise::Deferred::New(env));
    return deferred_->Promise();
  }
  bool completed(Napi::Env env, ocf::Op&) override {
    if (op.status == ocf::Status::Ok)
      deferred_->Resolve(copy(env, signature()));
    else
      deferred_->Reject(errorOf(env, op.status).Value());
    return true;
  }
  static Napi::Error errorOf(Napi::Env env, ocf::Status status) {
    Napi::Error error = Napi::Error::New(env, "sign: the crypto framework says " + std::string(ocf::statusName(status)));
    error.Set("code", status == ocf::Status::Full ? "ERR_SOCRYPT_OCF_FULL" : "ERR_SOCRYPT_CRYPTO");
    return error;
  }
  ocf::Op op{};

 private:
  std::vector<uint8_t> data_, signature_;
  ocf::Seg in_, out_;
  std::optional<Napi::Promise::Deferred> deferred_;
};

// What an event loop may be kept from its other work for one op, however much sooner that would be done.
constexpr float kLoopBudgetNs = 100'000;

ocf::AlgId algOf(const key::PrivateKey& key) noexcept {
  switch (key.type()) {
    case key::PrivateKey::Type::Rsa: return ocf::AlgId::Rsa;
    case key::PrivateKey::Type::Ed25519: return ocf::AlgId::Ed25519;
    case key::PrivateKey::Type::Ec: break;
  }
  return key.curve() == "P-256" ? ocf::AlgId::EcdsaP256 : ocf::AlgId::EcdsaP384;
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
  if (const std::shared_ptr<OcfLoop> loop = loop_.lock(); loop != nullptr) loop->delist(session_);
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

// A session of the environment's framework. RSA is never for its thread; the rest goes where it is done soonest, unless
// it takes so long that everything else would wait.
ocf::Session* PrivateKeyBinding::session(Napi::Env env) {
  std::shared_ptr<OcfLoop> loop = loop_.lock();
  if (loop != nullptr) return session_.get();
  loop = OcfLoop::of(env);
  if (loop == nullptr) return nullptr;
  std::vector<uint8_t> der = key_->pkcs8();
  const ocf::Alg alg = ocf::algOf(algOf(*key_), der);
  const bool elsewhere = key_->type() == key::PrivateKey::Type::Rsa || ocf::keyOpNs(alg) > kLoopBudgetNs;
  ocf::Status status = ocf::Status::Ok;
  session_ = loop->framework().open(
      {.chain = {&alg, 1}, .where = elsewhere ? ocf::SessionParams::Where::Accelerator : ocf::SessionParams::Where::Any}, &status);
  ocf::wipe(der.data(), der.size());
  if (session_ == nullptr) {
    PendingSignature::errorOf(env, status).ThrowAsJavaScriptException();
    return nullptr;
  }
  loop->enlist(session_);
  loop_ = loop;
  return session_.get();
}

Napi::Value PrivateKeyBinding::signAsync(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "signAsync");
  const auto scheme = static_cast<uint16_t>(arguments.integer(0, "scheme", 0, 0xffff));
  const Bytes data = arguments.bytes(1, "data");
  if (!arguments.good()) return info.Env().Undefined();
  if (!key_->fits(scheme)) {
    errorOf(info.Env(), SignResult::WrongScheme, *key_, scheme).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  ocf::Session* const session = this->session(info.Env());
  if (session == nullptr) return info.Env().Undefined();
  auto pending = std::make_unique<PendingSignature>(scheme, session, data, key_->signatureRoom());
  ocf::Op* list[] = {&pending->op};
  const std::shared_ptr<OcfLoop> loop = loop_.lock();
  if (loop->framework().dispatch(list, 1) == 0) pending->op.status = ocf::Status::Full;
  if (pending->op.status == ocf::Status::Ok) return copy(info.Env(), pending->signature());
  if (pending->op.status != ocf::Status::Pending) {
    PendingSignature::errorOf(info.Env(), pending->op.status).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const Napi::Promise promise = pending->promise(info.Env());
  loop->keep(std::move(pending));
  return promise;
}

}  // namespace socrypt::addon
