// exports.RemoteNic and exports.NicServer: NativeRemoteNic and NativeNicServer of src/native.ts.
#include <memory>
#include <string>

#include "addon/arguments.hpp"
#include "addon/nic_binding.hpp"
#include "addon/registry.hpp"
#include "addon/wake.hpp"
#include "nic/remote/client.hpp"
#include "nic/remote/server.hpp"

namespace socrypt::addon {
namespace {

using nic::remote::RemoteNic;
using nic::remote::Server;

// Random, so that no foreign object passes for one.
constexpr napi_type_tag kTag{0x9c1d55e07a3f4b12, 0xb6e20d8f4471c9a3};

class NativeRemoteNic final : public Napi::ObjectWrap<NativeRemoteNic> {
 public:
  static void announce(Napi::Env env, Napi::Object exports) {
    exports.Set("RemoteNic", DefineClass(env, "NativeRemoteNic",
                                         {InstanceMethod<&NativeRemoteNic::restart>("restart"), InstanceMethod<&NativeRemoteNic::status>("status"),
                                          InstanceMethod<&NativeRemoteNic::close>("close")}));
  }

  explicit NativeRemoteNic(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeRemoteNic>(info) {
    const Napi::Env env = info.Env();
    Arguments arguments(info, "NativeRemoteNic");
    std::string path = arguments.text(0, "path");
    if (!info[1].IsFunction()) arguments.refuse("changed", "a function", "something else");
    if (!arguments.good()) return;
    path_ = path;
    wake_ = std::make_unique<Wake>(env, info[1].As<Napi::Function>(), "socrypt-nic", [this] { release(); });
    if (!wake_->opened()) return;
    std::string why;
    nic_ = RemoteNic::open(std::move(path), why);
    if (nic_ == nullptr) {
      wake_->close();
      raise(env, "ERR_SOCRYPT_NIC", why);
      return;
    }
    watcher_ = nic_->watch(wake_->caller());
    info.This().As<Napi::Object>().TypeTag(&kTag);
  }
  ~NativeRemoteNic() override { shutDown(); }

  [[nodiscard]] const std::shared_ptr<RemoteNic>& nic() const noexcept { return nic_; }

 private:
  void restart(const Napi::CallbackInfo& info) {
    std::string why = "used after close()";
    if (nic_ == nullptr || !nic_->reconnect(why)) raise(info.Env(), "ERR_SOCRYPT_NIC", why);
  }
  Napi::Value status(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Napi::Object result = Napi::Object::New(env);
    const bool alive = nic_ != nullptr && nic_->alive();
    result.Set("alive", Napi::Boolean::New(env, alive));
    result.Set("reason", alive ? "" : nic_ == nullptr ? "closed" : "the process at " + path_ + " is gone, or its device is dead");
    result.Set("wirePort", "that of the process at " + path_);
    result.Set("hostPort", nic_ == nullptr ? std::string() : nic_->hostPort().name);
    result.Set("guard", "bound to the host port, and watched as far as `socrypt nic status` says");
    result.Set("flows", Napi::Number::New(env, nic_ == nullptr ? 0 : static_cast<double>(nic_->flows())));
    result.Set("retainedBytes", Napi::Number::New(env, 0));
    return result;
  }
  void close(const Napi::CallbackInfo&) { shutDown(); }
  void release() {
    watcher_.reset();
    nic_.reset();
  }
  void shutDown() {
    release();
    if (wake_ != nullptr) wake_->close();
  }

  std::string path_;
  std::unique_ptr<Wake> wake_;
  std::shared_ptr<RemoteNic> nic_;
  std::shared_ptr<void> watcher_;
};

class NativeNicServer final : public Napi::ObjectWrap<NativeNicServer> {
 public:
  static void announce(Napi::Env env, Napi::Object exports) {
    exports.Set("NicServer", DefineClass(env, "NativeNicServer",
                                         {InstanceMethod<&NativeNicServer::counts>("counts"), InstanceMethod<&NativeNicServer::close>("close")}));
  }

  explicit NativeNicServer(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeNicServer>(info) {
    Arguments arguments(info, "NativeNicServer");
    std::shared_ptr<nic::InlineNic> nic = unwrapInlineNic(info[0]);
    if (nic == nullptr) arguments.refuse("nic", "an open NativeNic", "something else");
    nic::remote::ServerOptions options;
    options.path = arguments.text(1, "path");
    options.mode = static_cast<mode_t>(arguments.integer(2, "mode", 0, 0777));
    if (!info[3].IsArray()) arguments.refuse("users", "a list of user ids", "something else");
    if (!arguments.good()) return;
    const auto users = info[3].As<Napi::Array>();
    for (uint32_t i = 0; i < users.Length(); ++i) options.users.push_back(users.Get(i).ToNumber().Uint32Value());
    std::string why;
    server_ = Server::open(std::move(nic), std::move(options), why);
    if (server_ == nullptr) raise(info.Env(), "ERR_SOCRYPT_NIC", why);
  }

 private:
  Napi::Value counts(const Napi::CallbackInfo& info) {
    const Server::Counts now = server_ == nullptr ? Server::Counts{} : server_->counts();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("clients", static_cast<double>(now.clients));
    result.Set("accepted", static_cast<double>(now.accepted));
    result.Set("refused", static_cast<double>(now.refused));
    result.Set("violations", static_cast<double>(now.violations));
    return result;
  }
  void close(const Napi::CallbackInfo&) { server_.reset(); }

  std::unique_ptr<Server> server_;
};

const Registration remote(&NativeRemoteNic::announce);
const Registration server(&NativeNicServer::announce);

}  // namespace

std::shared_ptr<nic::Nic> unwrapNic(Napi::Value value) {
  if (std::shared_ptr<nic::InlineNic> own = unwrapInlineNic(value)) return own;
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) return nullptr;
  return Napi::ObjectWrap<NativeRemoteNic>::Unwrap(value.As<Napi::Object>())->nic();
}

}  // namespace socrypt::addon
