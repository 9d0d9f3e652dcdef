// exports.crypto: the key schedules of TLS 1.2 and 1.3, one call per step of a handshake.
#include "addon/crypto_parts.hpp"

namespace socrypt::addon {
namespace {

using key::Hash;

// Fills a new array of `length` bytes with `write`; undefined with an exception pending when that fails.
template <typename Write>
Napi::Value filled(const Napi::CallbackInfo& info, size_t length, const char* function, Write&& write) {
  Napi::Uint8Array out = Napi::Uint8Array::New(info.Env(), length);
  if (out.IsEmpty()) return info.Env().Undefined();
  if (!write(std::span<uint8_t>(out.Data(), length))) return failed(info.Env(), function);
  return out;
}

Napi::Value prf12(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "prf12");
  const Hash which = readHash(info, arguments);
  const Bytes secret = arguments.bytes(1, "secret");
  const std::string label = arguments.text(2, "label");
  const Bytes seed = arguments.bytes(3, "seed");
  const uint64_t length = arguments.integer(4, "length", 0, 65536);
  if (!arguments.good()) return info.Env().Undefined();
  return filled(info, length, "prf12",
                [&](std::span<uint8_t> out) { return key::prf12(which, secret, label, seed, out); });
}

Napi::Value handshakeStage(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "handshakeStage");
  const Hash which = readHash(info, arguments);
  const uint64_t keyLength = arguments.integer(1, "keyLength", 16, 32);
  const Bytes salt = arguments.bytesOf(2, "salt", key::hashLength(which));
  const Bytes sharedSecret = arguments.bytes(3, "sharedSecret");
  const Bytes transcript = arguments.bytesOf(4, "transcriptHash", key::hashLength(which));
  if (!arguments.good()) return info.Env().Undefined();
  return filled(info, key::handshakeStageLength(which, keyLength), "handshakeStage", [&](std::span<uint8_t> out) {
    return key::handshakeStage(which, keyLength, salt, sharedSecret, transcript, out);
  });
}

Napi::Value applicationStage(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "applicationStage");
  const Hash which = readHash(info, arguments);
  const uint64_t keyLength = arguments.integer(1, "keyLength", 16, 32);
  const Bytes secret = arguments.bytesOf(2, "handshakeSecret", key::hashLength(which));
  const Bytes transcript = arguments.bytesOf(3, "transcriptHash", key::hashLength(which));
  if (!arguments.good()) return info.Env().Undefined();
  return filled(info, key::applicationStageLength(which, keyLength), "applicationStage", [&](std::span<uint8_t> out) {
    return key::applicationStage(which, keyLength, secret, transcript, out);
  });
}

}  // namespace

void addKeySchedule(Napi::Env env, Napi::Object crypto) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    crypto.Set(name, Napi::Function::New(env, function, name));
  };
  add("prf12", prf12);
  add("handshakeStage", handshakeStage);
  add("applicationStage", applicationStage);
}

}  // namespace socrypt::addon
