// NativeHandshakeChannel of src/native.ts.
#include <napi.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "addon/arguments.hpp"
#include "addon/channel_registry.hpp"
#include "addon/registry.hpp"
#include "addon/wake.hpp"

namespace socrypt::addon {

namespace {

// Shared by all environments of the process.
struct Channels {
  std::mutex mutex;
  std::map<uint64_t, std::weak_ptr<engine::ControlChannel>> byNumber;
  uint64_t last = 0;
};
Channels& channels() {
  static Channels all;
  return all;
}

}  // namespace

uint64_t announceChannel(const std::shared_ptr<engine::ControlChannel>& channel) {
  Channels& all = channels();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.byNumber, [](const auto& entry) { return entry.second.expired(); });
  for (const auto& [number, known] : all.byNumber)
    if (known.lock() == channel) return number;
  all.byNumber.emplace(++all.last, channel);
  return all.last;
}

std::shared_ptr<engine::ControlChannel> findChannel(uint64_t number) {
  Channels& all = channels();
  const std::lock_guard lock(all.mutex);
  const auto found = all.byNumber.find(number);
  return found == all.byNumber.end() ? nullptr : found->second.lock();
}

namespace {

class NativeHandshakeChannel final : public Napi::ObjectWrap<NativeHandshakeChannel> {
 public:
  static void install(Napi::Env env, Napi::Object exports) {
    exports.Set("HandshakeChannel",
                DefineClass(env, "NativeHandshakeChannel",
                            {InstanceMethod<&NativeHandshakeChannel::poll>("poll"), InstanceMethod<&NativeHandshakeChannel::submit>("submit"),
                             InstanceMethod<&NativeHandshakeChannel::detach>("detach")}));
  }

  explicit NativeHandshakeChannel(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeHandshakeChannel>(info) {
    const Napi::Env env = info.Env();
    Arguments arguments(info, "NativeHandshakeChannel");
    const uint64_t number = arguments.integer(0, "number", 1, uint64_t{1} << 53);
    if (arguments.good() && (info.Length() < 2 || !info[1].IsFunction())) arguments.refuse("wake", "a function", "something else");
    if (!arguments.good()) return;
    auto channel = findChannel(number);
    if (channel == nullptr) {
      raise(env, "ERR_SOCRYPT_CHANNEL", "NativeHandshakeChannel: expected the number of a running engine's channel, received " + std::to_string(number));
      return;
    }
    wake_ = std::make_unique<Wake>(env, info[1].As<Napi::Function>(), "socrypt-handshakes", [this] { release(); });
    if (!wake_->opened()) return;
    if (!channel->attach(wake_->caller())) {
      wake_->close();
      raise(env, "ERR_SOCRYPT_CHANNEL",
            "NativeHandshakeChannel: expected a channel that nobody answers; another thread is attached to number " + std::to_string(number));
      return;
    }
    channel_ = std::move(channel);
  }
  ~NativeHandshakeChannel() override { close(); }

 private:
  Napi::Value poll(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "poll");
    const auto into = arguments.bytes(0, "into");
    if (!arguments.good()) return info.Env().Undefined();
    const size_t used = channel_ == nullptr ? 0 : channel_->poll({const_cast<uint8_t*>(into.data()), into.size()});
    return Napi::Number::New(info.Env(), static_cast<double>(used));
  }

  Napi::Value submit(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "submit");
    const auto all = arguments.bytes(0, "messages");
    const size_t length = arguments.integer(1, "length", 0, all.size());
    if (!arguments.good()) return info.Env().Undefined();
    const size_t taken = channel_ == nullptr ? 0 : channel_->submit(all.first(length));
    // Keys pass through here.
    explicit_bzero(const_cast<uint8_t*>(all.data()), taken);
    return Napi::Number::New(info.Env(), static_cast<double>(taken));
  }

  void detach(const Napi::CallbackInfo&) { close(); }

  void release() {
    if (channel_ == nullptr) return;
    channel_->detach();
    channel_.reset();
  }
  void close() {
    release();
    if (wake_ != nullptr) wake_->close();
  }

  std::shared_ptr<engine::ControlChannel> channel_;
  std::unique_ptr<Wake> wake_;
};

const Registration registration{&NativeHandshakeChannel::install};

}  // namespace

}  // namespace socrypt::addon
