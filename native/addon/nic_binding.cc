// exports.Nic: NativeNic of src/native.ts.
#include "addon/nic_binding.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "addon/arguments.hpp"
#include "addon/registry.hpp"
#include "addon/wake.hpp"
#include "nic/port/host_socket.hpp"

namespace socrypt::addon {
namespace {

using nic::InlineNic;

// Random, so that no foreign object passes for a NIC.
constexpr napi_type_tag kTag{0x3f0d9a51c27e4b86, 0xa4c87d1e60b92f53};

std::string wordsOf(std::initializer_list<const char*> names) {
  std::string all;
  for (const char* const name : names) all += (all.empty() ? "" : ", ") + std::string(name);
  return all;
}

/// The place of the named option's value in `names`.
size_t choice(Arguments& arguments, const Napi::Object& given, const char* name, std::initializer_list<const char*> names) {
  // With an exception pending nothing can be read any more.
  if (!arguments.good()) return 0;
  const std::string value = given.Get(name).ToString().Utf8Value();
  const auto* const found = std::find(names.begin(), names.end(), value);
  if (found == names.end()) arguments.refuse(name, "one of " + wordsOf(names), value);
  return static_cast<size_t>(found - names.begin());
}

std::vector<nic::Cidr> addresses(Arguments& arguments, const Napi::Object& given, const char* name) {
  std::vector<nic::Cidr> all;
  if (!arguments.good()) return all;
  if (!given.Get(name).IsArray()) arguments.refuse(name, "a list of addresses", "something else");
  if (!arguments.good()) return all;
  const auto list = given.Get(name).As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length() && arguments.good(); ++i) {
    const std::string one = list.Get(i).ToString().Utf8Value();
    const auto cidr = nic::parseCidr(one);
    if (!cidr) arguments.refuse(name, "IPv4 and IPv6 addresses", one);
    all.push_back(cidr.value_or(nic::Cidr{}));
  }
  return all;
}

nic::NicOptions read(Arguments& arguments, const Napi::Object& given) {
  nic::NicOptions options;
  if (given.Get("wire").IsString()) options.wire.interface = given.Get("wire").As<Napi::String>().Utf8Value();
  constexpr std::string_view kDpdk = "dpdk:";
  if (const std::string driver = given.Get("portDriver").ToString().Utf8Value(); driver.starts_with(kDpdk))
    options.wire.dpdk = driver.substr(kDpdk.size());
  else if (driver != "af_xdp")
    arguments.refuse("portDriver", "af_xdp or dpdk:DEVICE", driver);
  if (!arguments.good()) return options;
  options.host.name = given.Get("hostPort").ToString().Utf8Value();
  options.host.driver = static_cast<nic::HostDriver>(choice(arguments, given, "hostDriver", {"tap", "veth"}));
  options.host.addresses = addresses(arguments, given, "addresses");
  options.host.gateways = addresses(arguments, given, "gateways");
  options.device.flow.resync = static_cast<nic::Resync>(choice(arguments, given, "resync", {"order-free", "prefix-replay", "next-record"}));
  if (!arguments.good()) return options;
  if (given.Get("traceRecords").IsNumber()) options.device.flow.traceRecords = given.Get("traceRecords").ToNumber().Uint32Value();
  if (given.Get("lent").ToBoolean()) options.senders = nic::Senders::Any;
  return options;
}

std::string textOf(const std::array<uint8_t, 16>& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool ipv4 = nic::isIpv4(address);
  inet_ntop(ipv4 ? AF_INET : AF_INET6, address.data() + (ipv4 ? 12 : 0), text.data(), text.size());
  return ipv4 ? text.data() : "[" + std::string(text.data()) + "]";
}

class NativeNic final : public Napi::ObjectWrap<NativeNic> {
 public:
  static void announce(Napi::Env env, Napi::Object exports) {
    Napi::Array facts = Napi::Array::New(env);
    nic::Counters().each([&](std::string_view name, std::string_view help, uint64_t) {
      Napi::Object one = Napi::Object::New(env);
      one.Set("name", std::string(name));
      one.Set("help", std::string(help));
      facts.Set(facts.Length(), one);
    });
    exports.Set("Nic", DefineClass(env, "NativeNic",
                                   {InstanceMethod<&NativeNic::restart>("restart"), InstanceMethod<&NativeNic::kill>("kill"),
                                    InstanceMethod<&NativeNic::evict>("evict"), InstanceMethod<&NativeNic::leapClock>("leapClock"),
                                    InstanceMethod<&NativeNic::status>("status"), InstanceMethod<&NativeNic::counters>("counters"),
                                    InstanceMethod<&NativeNic::flows>("flows"), InstanceMethod<&NativeNic::trace>("trace"),
                                    InstanceMethod<&NativeNic::close>("close"), StaticValue("counterFacts", facts)}));
  }

  explicit NativeNic(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeNic>(info) {
    const Napi::Env env = info.Env();
    Arguments arguments(info, "NativeNic");
    if (!info[0].IsObject()) arguments.refuse("options", "an object", "something else");
    if (!info[1].IsFunction()) arguments.refuse("changed", "a function", "something else");
    if (!arguments.good()) return;
    nic::NicOptions options = read(arguments, info[0].As<Napi::Object>());
    if (!arguments.good()) return;
    wake_ = std::make_unique<Wake>(env, info[1].As<Napi::Function>(), "socrypt-nic", [this] { release(); });
    if (!wake_->opened()) return;
    std::string why;
    nic_ = InlineNic::open(std::move(options), why);
    if (nic_ == nullptr) {
      wake_->close();
      raise(env, "ERR_SOCRYPT_NIC", why);
      return;
    }
    watcher_ = nic_->watch(wake_->caller());
    info.This().As<Napi::Object>().TypeTag(&kTag);
  }
  ~NativeNic() override { shutDown(); }

  [[nodiscard]] const std::shared_ptr<InlineNic>& nic() const noexcept { return nic_; }

 private:
  void restart(const Napi::CallbackInfo& info) {
    std::string why = "used after close()";
    if (nic_ == nullptr || !nic_->restart(why)) raise(info.Env(), "ERR_SOCRYPT_NIC", why);
  }
  void kill(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "NativeNic.kill");
    const std::string reason = arguments.text(0, "reason");
    if (arguments.good() && nic_ != nullptr) nic_->kill(reason);
  }
  void evict(const Napi::CallbackInfo&) {
    if (nic_ != nullptr) nic_->evict();
  }
  void leapClock(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "NativeNic.leapClock");
    const uint64_t milliseconds = arguments.integer(0, "milliseconds", 0, uint64_t{1} << 40);
    if (arguments.good() && nic_ != nullptr) nic_->leapClock(milliseconds * 1'000'000);
  }
  Napi::Value status(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Napi::Object result = Napi::Object::New(env);
    const InlineNic::Status now = nic_ == nullptr ? InlineNic::Status{.reason = "closed"} : nic_->status();
    result.Set("alive", Napi::Boolean::New(env, now.alive));
    result.Set("reason", now.reason);
    result.Set("wirePort", now.wirePort);
    result.Set("hostPort", now.hostPort);
    result.Set("guard", now.guard);
    result.Set("flows", Napi::Number::New(env, nic_ == nullptr ? 0 : static_cast<double>(nic_->device().flows())));
    result.Set("retainedBytes", Napi::Number::New(env, nic_ == nullptr ? 0 : static_cast<double>(nic_->device().retainedBytes())));
    return result;
  }
  Napi::Value counters(const Napi::CallbackInfo& info) {
    std::vector<double> now;
    if (nic_ != nullptr) nic_->device().counters().each([&](std::string_view, std::string_view, uint64_t n) { now.push_back(static_cast<double>(n)); });
    Napi::Float64Array out = Napi::Float64Array::New(info.Env(), now.size());
    std::copy(now.begin(), now.end(), out.Data());
    return out;
  }
  Napi::Value flows(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Napi::Array all = Napi::Array::New(env);
    if (nic_ == nullptr) return all;
    for (const auto& [id, key, usage] : nic_->device().list()) {
      Napi::Object one = Napi::Object::New(env);
      one.Set("id", static_cast<double>(id));
      one.Set("local", textOf(key.localAddress) + ":" + std::to_string(key.localPort));
      one.Set("remote", textOf(key.remoteAddress) + ":" + std::to_string(key.remotePort));
      one.Set("acknowledged", static_cast<double>(usage.acknowledged));
      one.Set("records", usage.records);
      one.Set("openRecords", usage.openRecords);
      one.Set("retainedBytes", static_cast<double>(usage.payloadBytes));
      one.Set("epochs", usage.epochs);
      one.Set("broken", usage.broken);
      all.Set(all.Length(), one);
    }
    return all;
  }
  Napi::Value trace(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Arguments arguments(info, "NativeNic.trace");
    const uint64_t flow = arguments.integer(0, "flow", 0, uint64_t{1} << 53);
    if (!arguments.good() || nic_ == nullptr) return env.Null();
    const auto records = nic_->device().trace(static_cast<nic::FlowId>(flow));
    if (!records) return env.Null();
    constexpr const char* kTagNames[] = {"none", "computed", "kept"};
    constexpr const char* kGuardNames[] = {"unwatched", "same", "changed"};
    Napi::Array all = Napi::Array::New(env);
    for (const auto& record : *records) {
      Napi::Object one = Napi::Object::New(env);
      one.Set("epoch", record.epoch);
      one.Set("recordSeq", static_cast<double>(record.recordSeq));
      one.Set("streamOffset", static_cast<double>(record.streamOffset));
      one.Set("length", record.length);
      one.Set("firstSendNs", static_cast<double>(record.firstSend));
      one.Set("lastSendNs", static_cast<double>(record.lastSend));
      one.Set("segments", record.segments);
      one.Set("retransmittedBytes", static_cast<double>(record.bytes > record.length ? record.bytes - record.length : 0));
      one.Set("dropped", record.dropped);
      one.Set("path", record.software ? "software" : "nic");
      one.Set("tag", kTagNames[static_cast<size_t>(record.tag)]);
      one.Set("guard", kGuardNames[static_cast<size_t>(record.guard)]);
      all.Set(all.Length(), one);
    }
    return all;
  }
  void close(const Napi::CallbackInfo&) { shutDown(); }

  // The NIC itself goes with the last engine that is attached to it.
  void release() {
    watcher_.reset();
    nic_.reset();
  }
  void shutDown() {
    release();
    if (wake_ != nullptr) wake_->close();
  }

  std::unique_ptr<Wake> wake_;
  std::shared_ptr<InlineNic> nic_;
  std::shared_ptr<void> watcher_;
};

const Registration registration(&NativeNic::announce);

}  // namespace

std::shared_ptr<InlineNic> unwrapInlineNic(Napi::Value value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) return nullptr;
  return Napi::ObjectWrap<NativeNic>::Unwrap(value.As<Napi::Object>())->nic();
}

}  // namespace socrypt::addon
