// exports.CryptoDevice: NativeCryptoDevice of src/native.ts, on a framework of its own with the drivers it names.
#include <napi.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "addon/arguments.hpp"
#include "addon/driver_reports.hpp"
#include "addon/registry.hpp"
#include "ocf/crypto_device.hpp"
#include "ocf/drivers/by_name.hpp"

namespace socrypt::addon {
namespace {

class NativeCryptoDevice final : public Napi::ObjectWrap<NativeCryptoDevice> {
 public:
  static void install(Napi::Env env, Napi::Object exports) {
    exports.Set("CryptoDevice", DefineClass(env, "NativeCryptoDevice",
                                            {InstanceMethod<&NativeCryptoDevice::openSession>("openSession"),
                                             InstanceMethod<&NativeCryptoDevice::closeSession>("closeSession"),
                                             InstanceMethod<&NativeCryptoDevice::crypt>("crypt"), InstanceMethod<&NativeCryptoDevice::submit>("submit"),
                                             InstanceMethod<&NativeCryptoDevice::fetch>("fetch"), InstanceMethod<&NativeCryptoDevice::key>("key"),
                                             InstanceMethod<&NativeCryptoDevice::find>("find"), InstanceMethod<&NativeCryptoDevice::close>("close")}));
  }

  // (drivers, allowSoftware, maxSessions, maxPending)
  explicit NativeCryptoDevice(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeCryptoDevice>(info) {
    Arguments arguments(info, "NativeCryptoDevice");
    const auto sessions = static_cast<uint32_t>(arguments.integer(2, "maxSessions", 1, 1u << 20));
    const auto pending = static_cast<uint32_t>(arguments.integer(3, "maxPending", 1, 65'536));
    std::vector<std::string> names;
    if (arguments.good() && !info[0].IsArray()) arguments.refuse("drivers", "a list of names", "something else");
    if (!arguments.good()) return;
    const auto list = info[0].As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i) names.push_back(list.Get(i).ToString().Utf8Value());
    framework_ = std::make_unique<ocf::Framework>();
    listed_ = std::make_unique<ListedReport>([this] {
      if (std::this_thread::get_id() == thread_) publish();
    });
    std::string why;
    if (!ocf::attachByName(*framework_, names, why)) {
      raise(info.Env(), "ERR_SOCRYPT_DRIVER", why);
      listed_.reset();
      framework_.reset();
      return;
    }
    device_ = std::make_unique<ocf::CryptoDevice>(*framework_, info[1].ToBoolean().Value(), ocf::CryptoDevice::Limits{.sessions = sessions, .pending = pending});
  }

 private:
  // An op that JavaScript waits for, with its memory held.
  struct Pending {
    ocf::CryptOp op;
    uint64_t cookie = 0;
    Napi::Reference<Napi::Array> memory;
  };

  [[nodiscard]] bool open(const Napi::CallbackInfo& info) const {
    if (device_ != nullptr) return true;
    raise(info.Env(), "ERR_SOCRYPT_OCF_CLOSED", "CryptoDevice: expected a device that is open; this one is closed");
    return false;
  }
  static Napi::Value status(const Napi::CallbackInfo& info, ocf::Status status) { return Napi::Number::New(info.Env(), static_cast<int>(status)); }

  // (place, [{ id, ivLength, tagLength, key }, …]): the session, or a negative status
  Napi::Value openSession(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "openSession");
    const uint64_t place = arguments.integer(0, "place", 0, 2);
    if (arguments.good() && !info[1].IsArray()) arguments.refuse("chain", "a list of algorithms", "something else");
    if (!arguments.good() || !open(info)) return info.Env().Undefined();
    const auto list = info[1].As<Napi::Array>();
    std::vector<ocf::Alg> chain;
    for (uint32_t i = 0; i < list.Length() && i < 3; ++i) {
      const Napi::Object each = list.Get(i).ToObject();
      const auto number = [&](const char* name) { return each.Get(name).ToNumber().Uint32Value(); };
      const Bytes key = arguments.array(each.Get("key"), "key");
      chain.push_back({.id = static_cast<ocf::AlgId>(number("id")),
                       .ivLen = static_cast<uint8_t>(number("ivLength")),
                       .tagLen = static_cast<uint8_t>(number("tagLength")),
                       .rounds = 0,
                       .key = key});
    }
    if (!arguments.good()) return info.Env().Undefined();
    ocf::SessionParams params{};
    params.chain = chain;
    params.where = place == 0 ? ocf::SessionParams::Where::Any : place == 1 ? ocf::SessionParams::Where::Accelerator : ocf::SessionParams::Where::Software;
    uint32_t session = 0;
    const ocf::Status outcome = device_->openSession(params, session);
    return outcome == ocf::Status::Ok ? Napi::Number::New(info.Env(), session) : status(info, outcome);
  }

  Napi::Value closeSession(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "closeSession");
    const uint64_t session = arguments.integer(0, "session", 0, UINT32_MAX);
    if (!arguments.good() || !open(info)) return info.Env().Undefined();
    return status(info, device_->closeSession(static_cast<uint32_t>(session)));
  }

  // (session, kind, iv, source, destination, aad, tag)
  static bool read(const Napi::CallbackInfo& info, const char* function, ocf::CryptOp& op) {
    Arguments arguments(info, function);
    op.session = static_cast<uint32_t>(arguments.integer(0, "session", 0, UINT32_MAX));
    op.kind = static_cast<ocf::Kind>(arguments.integer(1, "kind", 0, static_cast<uint64_t>(ocf::Kind::Null)));
    const Bytes iv = arguments.bytes(2, "iv");
    const Bytes source = arguments.bytes(3, "source");
    const Bytes destination = arguments.bytes(4, "destination");
    op.aad = arguments.bytes(5, "aad");
    const Bytes tag = arguments.bytes(6, "tag");
    const bool writes = op.kind != ocf::Kind::Mac;
    if (source.size() > UINT32_MAX) arguments.refuse("source", "less than 4 GiB", std::to_string(source.size()) + " bytes");
    if (writes && destination.size() < source.size())
      arguments.refuse("destination", "at least " + std::to_string(source.size()) + " bytes", std::to_string(destination.size()) + " bytes");
    if (iv.size() > sizeof op.iv) arguments.refuse("iv", "at most 16 bytes", std::to_string(iv.size()) + " bytes");
    if (!arguments.good()) return false;
    std::copy(iv.begin(), iv.end(), op.iv);
    op.ivLength = static_cast<uint8_t>(iv.size());
    op.source = source.data();
    op.destination = const_cast<uint8_t*>(destination.data());
    op.length = static_cast<uint32_t>(source.size());
    op.mac = tag.empty() ? nullptr : const_cast<uint8_t*>(tag.data());
    return true;
  }
  // Whether the tag's buffer has room for the session's tag.
  [[nodiscard]] ocf::Status tagFits(const ocf::CryptOp& op, size_t room) const {
    uint32_t tag = 0;
    const ocf::Status known = device_->tagLength(op.session, tag);
    if (known != ocf::Status::Ok) return known;
    const bool wanted = op.kind == ocf::Kind::Seal || op.kind == ocf::Kind::Open || op.kind == ocf::Kind::Mac;
    return wanted && room < tag ? ocf::Status::Range : ocf::Status::Ok;
  }
  static size_t tagRoom(const Napi::CallbackInfo& info) { return info[6].As<Napi::Uint8Array>().ByteLength(); }

  Napi::Value crypt(const Napi::CallbackInfo& info) {
    ocf::CryptOp op;
    if (!read(info, "crypt", op) || !open(info)) return info.Env().Undefined();
    const ocf::Status wrong = tagFits(op, tagRoom(info));
    if (wrong != ocf::Status::Ok) return status(info, wrong);
    const ocf::Status outcome = device_->crypt(op);
    publishNowAndThen();
    return status(info, outcome);
  }

  // (…crypt, cookie): 1 when taken, 0 when fetch() comes first, or a negative status
  Napi::Value submit(const Napi::CallbackInfo& info) {
    auto pending = std::make_unique<Pending>();
    Arguments arguments(info, "submit");
    pending->cookie = arguments.integer(7, "cookie", 0, uint64_t{1} << 53);
    if (!arguments.good() || !read(info, "submit", pending->op) || !open(info)) return info.Env().Undefined();
    const ocf::Status wrong = tagFits(pending->op, tagRoom(info));
    if (wrong != ocf::Status::Ok) return status(info, wrong);
    Napi::Array memory = Napi::Array::New(info.Env(), 4);
    for (uint32_t i = 0; i < 4; ++i) memory.Set(i, info[i + 3]);
    pending->memory = Napi::Persistent(memory);
    pending->op.opaque = pending.get();
    ocf::CryptOp* const list[] = {&pending->op};
    if (device_->submit(list, 1) == 0) return Napi::Number::New(info.Env(), 0);
    (void)pending.release();
    return Napi::Number::New(info.Env(), 1);
  }

  // [cookie, status, cookie, status, …]
  Napi::Value fetch(const Napi::CallbackInfo& info) {
    ocf::CryptOp* done[64];
    const size_t n = device_ == nullptr ? 0 : device_->fetch(done, 64);
    if (n != 0) publishNowAndThen();
    Napi::Float64Array result = Napi::Float64Array::New(info.Env(), 2 * n);
    for (size_t i = 0; i < n; ++i) {
      const std::unique_ptr<Pending> pending(static_cast<Pending*>(done[i]->opaque));
      result[2 * i] = static_cast<double>(pending->cookie);
      result[2 * i + 1] = static_cast<double>(pending->op.status);
    }
    return result;
  }

  // (kind, alg, scheme, key, inputs, out): bytes written, or a negative status
  Napi::Value key(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "key");
    ocf::KeyOp op;
    op.kind = static_cast<ocf::Kind>(arguments.integer(0, "kind", static_cast<uint64_t>(ocf::Kind::Sign), static_cast<uint64_t>(ocf::Kind::ModExpCrt)));
    op.alg = static_cast<ocf::AlgId>(arguments.integer(1, "algorithm", 0, 0xffff));
    op.scheme = static_cast<uint16_t>(arguments.integer(2, "scheme", 0, 0xffff));
    op.key = arguments.bytes(3, "key");
    if (arguments.good() && !info[4].IsArray()) arguments.refuse("inputs", "a list of Uint8Arrays", "something else");
    const Bytes out = arguments.bytes(5, "out");
    if (!arguments.good() || !open(info)) return info.Env().Undefined();
    const auto list = info[4].As<Napi::Array>();
    std::vector<Bytes> inputs;
    for (uint32_t i = 0; i < list.Length() && i <= ocf::CryptoDevice::kMaxKeyInputs; ++i) inputs.push_back(arguments.array(list.Get(i), "inputs"));
    if (!arguments.good()) return info.Env().Undefined();
    op.in = inputs;
    op.out = {const_cast<uint8_t*>(out.data()), out.size()};
    const ocf::Status outcome = device_->key(op);
    publishNowAndThen();
    return outcome == ocf::Status::Ok ? Napi::Number::New(info.Env(), op.produced) : status(info, outcome);
  }

  Napi::Value find(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "find");
    const std::string name = arguments.text(0, "driver");
    if (!arguments.good() || !open(info)) return info.Env().Undefined();
    uint32_t id = 0;
    return device_->find(name, id) == ocf::Status::Ok ? Napi::Number::New(info.Env(), id) : info.Env().Null();
  }

  void end() {
    if (device_ == nullptr) return;
    device_->drain();
    ocf::CryptOp* done[64];
    for (size_t n; (n = device_->fetch(done, 64)) != 0;)
      for (size_t i = 0; i < n; ++i) delete static_cast<Pending*>(done[i]->opaque);
    device_.reset();
    publish();
    listed_.reset();
    framework_.reset();
  }

  void publish() {
    publishedAt_ = ocf::steadyClock().now();
    listed_->report().publish(framework_->drivers());
  }
  // For those who look from other threads: the framework is this one's.
  void publishNowAndThen() {
    constexpr uint64_t kEveryNs = 50'000'000;
    if (ocf::steadyClock().now() - publishedAt_ > kEveryNs) publish();
  }
  void close(const Napi::CallbackInfo&) { end(); }

 public:
  ~NativeCryptoDevice() override { end(); }

 private:
  const std::thread::id thread_ = std::this_thread::get_id();
  uint64_t publishedAt_ = 0;
  std::unique_ptr<ocf::Framework> framework_;
  std::unique_ptr<ListedReport> listed_;
  std::unique_ptr<ocf::CryptoDevice> device_;
};

const Registration registration{&NativeCryptoDevice::install};

}  // namespace
}  // namespace socrypt::addon
