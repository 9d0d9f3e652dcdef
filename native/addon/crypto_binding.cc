// exports.crypto: handshake cryptography (native/ocf/key.hpp) and single AEAD operations.
#include <openssl/crypto.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "addon/arguments.hpp"
#include "addon/crypto_parts.hpp"
#include "addon/ephemeral_key_binding.hpp"
#include "addon/private_key_binding.hpp"
#include "addon/registry.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/key.hpp"
#include "record/record.hpp"

namespace socrypt::addon {
namespace {

using key::Hash;
using record::Suite;

// One per JavaScript environment, whose thread is the only one to use it.
struct State {
  ocf::Framework framework;
  bool attached = false;
  Napi::FunctionReference privateKeyClass, ephemeralKeyClass;
};

State& stateOf(const Napi::CallbackInfo& info) { return *static_cast<State*>(info.Data()); }

Suite readSuite(Arguments& arguments) {
  const auto suite = static_cast<Suite>(arguments.integer(0, "suite", 0, 0xffff));
  if (!record::factsOf(suite).known) arguments.refuse("suite", "an AEAD suite of TLS 1.3, or of ECDHE in TLS 1.2", "another code point");
  return suite;
}

// The framework, with the software driver attached on first use; nullptr with an exception pending.
ocf::Framework* framework(const Napi::CallbackInfo& info) {
  State& state = stateOf(info);
  if (!state.attached) {
    ocf::Status status = ocf::Status::Ok;
    state.attached = state.framework.attach(ocf::makeSoftDriver(), &status) != 0;
    if (!state.attached) {
      raise(info.Env(), "ERR_SOCRYPT_DRIVER",
            "the software crypto driver could not be attached: " +
                (ocf::softDriverName().empty() ? ocf::ipsecMbAbsence() + " (SOCRYPT_SOFT_DRIVER asks for ipsec-mb)"
                                               : std::string("it gave wrong answers to known questions")));
      return nullptr;
    }
  }
  return &state.framework;
}

// ── hashes and HKDF ──

Napi::Value hash(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "hash");
  const Hash which = readHash(info, arguments);
  const Bytes data = arguments.bytes(1, "data");
  if (!arguments.good()) return info.Env().Undefined();
  key::Digest out;
  return key::digest(which, data, out) ? copy(info.Env(), out.view()) : failed(info.Env(), "hash");
}

Napi::Value hmac(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "hmac");
  const Hash which = readHash(info, arguments);
  const Bytes secret = arguments.bytes(1, "key");
  const Bytes data = arguments.bytes(2, "data");
  if (!arguments.good()) return info.Env().Undefined();
  key::Digest out;
  return key::hmac(which, secret, data, out) ? copy(info.Env(), out.view()) : failed(info.Env(), "hmac");
}

Napi::Value hkdfExtract(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "hkdfExtract");
  const Hash which = readHash(info, arguments);
  const Bytes salt = arguments.bytes(1, "salt");
  const Bytes ikm = arguments.bytes(2, "ikm");
  if (!arguments.good()) return info.Env().Undefined();
  key::Digest out;
  return key::hkdfExtract(which, salt, ikm, out) ? copy(info.Env(), out.view()) : failed(info.Env(), "hkdfExtract");
}

Napi::Value hkdfExpandLabel(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "hkdfExpandLabel");
  const Hash which = readHash(info, arguments);
  const Bytes secret = arguments.bytes(1, "secret");
  const std::string label = arguments.text(2, "label");
  const Bytes context = arguments.bytes(3, "context");
  const uint64_t length = arguments.integer(4, "length", 0, 255 * key::hashLength(which));
  if (arguments.good() && (label.empty() || label.size() > 249))
    arguments.refuse("label", "1 to 249 bytes", std::to_string(label.size()) + " bytes");
  if (arguments.good() && context.size() > 255)
    arguments.refuse("context", "at most 255 bytes", std::to_string(context.size()) + " bytes");
  if (!arguments.good()) return info.Env().Undefined();
  Napi::Uint8Array out = Napi::Uint8Array::New(info.Env(), length);
  if (out.IsEmpty()) return info.Env().Undefined();
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  if (!key::hkdfExpandLabel(which, secret, label, context, {out.Data(), length})) return failed(info.Env(), "hkdfExpandLabel");
  return out;
}

// ── keys ──

Napi::Value keyShareResult(Napi::Env env, key::Agreement result, const key::KeyShare& share) {
  if (result == key::Agreement::InvalidShare) return env.Null();
  if (result == key::Agreement::Failed) return failed(env, "keyShare");
  Napi::Object object = Napi::Object::New(env);
  object.Set("publicKey", copy(env, {share.publicKey.data(), share.publicLength}));
  object.Set("sharedSecret", copy(env, {share.secret.data(), share.secretLength}));
  return object;
}

key::Group readGroup(Arguments& arguments) {
  const uint64_t code = arguments.integer(0, "group", 0x0017, 0x001d);
  if (arguments.good() && code != 0x0017 && code != 0x0018 && code != 0x001d)
    arguments.refuse("group", "secp256r1 (0x17), secp384r1 (0x18) or x25519 (0x1d)", std::to_string(code));
  return static_cast<key::Group>(code);
}

Napi::Value keyShare(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "keyShare");
  const key::Group group = readGroup(arguments);
  const Bytes peer = arguments.bytes(1, "peerPublic");
  if (!arguments.good()) return info.Env().Undefined();
  key::KeyShare share;
  const key::Agreement result = key::keyShare(group, peer, share);
  return keyShareResult(info.Env(), result, share);
}

Napi::Value generateKeyShare(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "generateKeyShare");
  const key::Group group = readGroup(arguments);
  if (!arguments.good()) return info.Env().Undefined();
  std::optional<key::EphemeralKey> made = key::EphemeralKey::generate(group);
  if (!made) return failed(info.Env(), "generateKeyShare");
  return EphemeralKeyBinding::wrap(info.Env(), stateOf(info).ephemeralKeyClass, std::move(*made));
}

Napi::Value agree(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "agree");
  const key::Group group = readGroup(arguments);
  const Bytes own = arguments.bytesOf(1, "privateKey", group == key::Group::P384 ? 48 : 32);
  const Bytes peer = arguments.bytes(2, "peerPublic");
  if (!arguments.good()) return info.Env().Undefined();
  key::KeyShare share;
  const key::Agreement result = key::agree(group, own, peer, share);
  if (result == key::Agreement::InvalidShare) return info.Env().Null();
  if (result == key::Agreement::Failed) return failed(info.Env(), "agree");
  return copy(info.Env(), {share.secret.data(), share.secretLength});
}

Napi::Value importPrivateKey(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "importPrivateKey");
  const Bytes der = arguments.bytes(0, "pkcs8");
  if (!arguments.good()) return info.Env().Undefined();
  std::string why;
  std::optional<key::PrivateKey> made = key::PrivateKey::fromPkcs8(der, why);
  if (!made) {
    raise(info.Env(), "ERR_SOCRYPT_KEY_INVALID", "importPrivateKey: " + why);
    return info.Env().Undefined();
  }
  return PrivateKeyBinding::wrap(info.Env(), stateOf(info).privateKeyClass, std::move(*made));
}

Napi::Value sharedPrivateKey(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "sharedPrivateKey");
  const uint64_t handle = arguments.integer(0, "handle", 1, uint64_t{1} << 53);
  if (!arguments.good()) return info.Env().Undefined();
  std::optional<key::PrivateKey> shared = PrivateKeyBinding::shared(handle);
  if (!shared) {
    raise(info.Env(), "ERR_SOCRYPT_KEY_INVALID", "sharedPrivateKey: expected the handle of a key that is held, received " + std::to_string(handle));
    return info.Env().Undefined();
  }
  return PrivateKeyBinding::wrap(info.Env(), stateOf(info).privateKeyClass, std::move(*shared));
}

Napi::Value verify(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "verify");
  const auto scheme = static_cast<uint16_t>(arguments.integer(0, "scheme", 0, 0xffff));
  const Bytes spki = arguments.bytes(1, "spki");
  const Bytes data = arguments.bytes(2, "data");
  const Bytes signature = arguments.bytes(3, "signature");
  if (!arguments.good()) return info.Env().Undefined();
  switch (key::verify(scheme, spki, data, signature)) {
    case key::Verdict::Good: return Napi::Boolean::New(info.Env(), true);
    case key::Verdict::Bad: return Napi::Boolean::New(info.Env(), false);
    case key::Verdict::NotOurs: break;
  }
  return info.Env().Null();
}

// ── AEAD ──

struct OneShot {
  ocf::SessionHandle session;
  ocf::Seg in{}, out{};
  ocf::Op op{};

  // False with an exception pending.
  bool prepare(const Napi::CallbackInfo& info, Arguments& arguments, ocf::Kind kind) {
    const ocf::AlgId id = record::factsOf(readSuite(arguments)).alg;
    const ocf::Alg alg{.id = id, .key = arguments.bytesOf(1, "key", ocf::keyLength(id))};
    const Bytes nonce = arguments.bytesOf(2, "nonce", 12);
    const Bytes aad = arguments.bytes(3, "aad");
    if (!arguments.good()) return false;
    ocf::Framework* with = framework(info);
    if (with == nullptr) return false;
    ocf::Status status = ocf::Status::Ok;
    session = with->open({.chain = {&alg, 1}}, &status);
    if (session == nullptr) {
      failed(info.Env(), kind == ocf::Kind::Seal ? "aeadSeal" : "aeadOpen");
      return false;
    }
    op.ses = session.get();
    op.kind = kind;
    op.nIn = op.nOut = 1;
    std::memcpy(op.iv, nonce.data(), nonce.size());
    op.in = &in;
    op.out = &out;
    op.aad = {const_cast<uint8_t*>(aad.data()), static_cast<uint32_t>(aad.size())};
    return true;
  }
  ocf::Status run(const Napi::CallbackInfo& info) {
    ocf::Op* list[] = {&op};
    return stateOf(info).framework.dispatch(list, 1) == 1 ? op.status : ocf::Status::Full;
  }
};

constexpr size_t kOneShotLimit = 1u << 24;

Napi::Value aeadSeal(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "aeadSeal");
  const Bytes plaintext = arguments.bytes(4, "plaintext");
  if (plaintext.size() > kOneShotLimit)
    arguments.refuse("plaintext", "at most 16777216 bytes", std::to_string(plaintext.size()) + " bytes");
  OneShot one;
  if (!one.prepare(info, arguments, ocf::Kind::Seal)) return info.Env().Undefined();
  const auto length = static_cast<uint32_t>(plaintext.size());
  Napi::Uint8Array sealed = Napi::Uint8Array::New(info.Env(), plaintext.size() + 16);
  if (sealed.IsEmpty()) return info.Env().Undefined();
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  one.in = {const_cast<uint8_t*>(plaintext.data()), length};
  one.out = {sealed.Data(), length + 16};
  one.op.len = one.op.tagAt = length;
  return one.run(info) == ocf::Status::Ok ? sealed : failed(info.Env(), "aeadSeal");
}

Napi::Value aeadOpen(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "aeadOpen");
  const Bytes sealed = arguments.bytes(4, "sealed");
  if (sealed.size() > kOneShotLimit + 16)
    arguments.refuse("sealed", "at most 16777232 bytes", std::to_string(sealed.size()) + " bytes");
  OneShot one;
  if (!one.prepare(info, arguments, ocf::Kind::Open)) return info.Env().Undefined();
  if (sealed.size() < 16) return info.Env().Null();
  const auto length = static_cast<uint32_t>(sealed.size() - 16);
  Napi::Uint8Array plaintext = Napi::Uint8Array::New(info.Env(), length);
  if (plaintext.IsEmpty()) return info.Env().Undefined();
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  one.in = {const_cast<uint8_t*>(sealed.data()), length + 16};
  one.out = {plaintext.Data(), length};
  one.op.len = one.op.tagAt = length;
  const ocf::Status status = one.run(info);
  if (status == ocf::Status::BadTag) return info.Env().Null();
  return status == ocf::Status::Ok ? plaintext : failed(info.Env(), "aeadOpen");
}

// ── records, for tests and doctor ──

record::TrafficKeys readTrafficKeys(Arguments& arguments) {
  record::TrafficKeys keys;
  keys.suite = readSuite(arguments);
  const record::SuiteFacts facts = record::factsOf(keys.suite);
  const Bytes secret = arguments.bytesOf(1, "key", ocf::keyLength(facts.alg));
  const Bytes iv = arguments.bytesOf(2, "iv", facts.ivLength);
  keys.recordSeq = arguments.bigint(3, "recordSeq");
  if (!arguments.good()) return keys;
  std::memcpy(keys.key.data(), secret.data(), secret.size());
  std::memcpy(keys.iv.data(), iv.data(), iv.size());
  return keys;
}

Napi::Value sealRecords(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "sealRecords");
  const record::TrafficKeys keys = readTrafficKeys(arguments);
  if (arguments.good() && !info[4].IsArray()) arguments.refuse("payloads", "an array of Uint8Array", "something else");
  if (!arguments.good()) return info.Env().Undefined();
  const Napi::Array payloads = info[4].As<Napi::Array>();
  const record::Framing framing = record::factsOf(keys.suite).framing;
  std::vector<Bytes> views;
  size_t total = 0;
  for (uint32_t i = 0; i < payloads.Length() && arguments.good(); ++i) {
    views.push_back(arguments.array(payloads.Get(i), "payloads"));
    if (views.back().size() > record::kMaxPlaintext) arguments.refuse("payloads", "at most 16384 bytes each", "more");
    total += views.back().size() + framing.overhead();
  }
  ocf::Framework* with = arguments.good() ? framework(info) : nullptr;
  if (with == nullptr) return info.Env().Undefined();
  Napi::Uint8Array stream = Napi::Uint8Array::New(info.Env(), total);
  if (stream.IsEmpty()) return info.Env().Undefined();
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  std::vector<record::Slot> slots;
  uint8_t* at = stream.Data();
  for (const Bytes& view : views) {
    if (!view.empty()) std::memcpy(at + framing.before, view.data(), view.size());
    slots.push_back({at, static_cast<uint32_t>(view.size())});
    at += view.size() + framing.overhead();
  }
  record::RecordWriter writer(*with);
  writer.setRecordLimit(UINT64_MAX);
  if (writer.install(keys) != ocf::Status::Ok ||
      writer.seal(record::ContentType::ApplicationData, slots) != slots.size())
    return failed(info.Env(), "sealRecords");
  return stream;
}

Napi::Value openRecord(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "openRecord");
  const record::TrafficKeys keys = readTrafficKeys(arguments);
  const Bytes bytes = arguments.bytes(4, "record");
  ocf::Framework* with = arguments.good() ? framework(info) : nullptr;
  if (with == nullptr) return info.Env().Undefined();
  record::RecordReader reader(*with);
  if (reader.install(keys) != ocf::Status::Ok) return failed(info.Env(), "openRecord");
  std::vector<uint8_t> buffer(bytes.begin(), bytes.end());
  record::RecordReader::Opened opened{};
  switch (reader.open(buffer, opened)) {
    case record::RecordReader::Result::NeedMore: return info.Env().Null();
    case record::RecordReader::Result::Fail: return Napi::Number::New(info.Env(), static_cast<double>(reader.alert()));
    case record::RecordReader::Result::Record: break;
  }
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("type", Napi::Number::New(info.Env(), static_cast<double>(opened.type)));
  object.Set("content", copy(info.Env(), opened.content));
  object.Set("consumed", Napi::Number::New(info.Env(), static_cast<double>(opened.consumed)));
  return object;
}

Napi::Value measureSeal(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "measureSeal");
  record::TrafficKeys keys;
  keys.suite = readSuite(arguments);
  const uint64_t payload = arguments.integer(1, "payload", 0, record::kMaxPlaintext);
  const uint64_t records = arguments.integer(2, "records", 1, 10'000'000);
  ocf::Framework* with = arguments.good() ? framework(info) : nullptr;
  if (with == nullptr) return info.Env().Undefined();
  constexpr size_t kBurst = 16;
  const size_t stride = payload + record::factsOf(keys.suite).framing.overhead();
  std::vector<uint8_t> memory(kBurst * stride);
  std::vector<record::Slot> slots;
  for (size_t i = 0; i < kBurst; ++i) slots.push_back({memory.data() + i * stride, static_cast<uint32_t>(payload)});
  record::RecordWriter writer(*with);
  if (writer.install(keys) != ocf::Status::Ok) return failed(info.Env(), "measureSeal");
  const auto seal = [&](uint64_t n) {
    for (uint64_t left = n; left > 0;) {
      const size_t now = static_cast<size_t>(std::min<uint64_t>(left, kBurst));
      if (writer.seal(record::ContentType::ApplicationData, std::span(slots).first(now)) != now) return false;
      left -= now;
    }
    return true;
  };
  bool good = seal(kBurst);  // page faults are not the driver's
  const auto start = std::chrono::steady_clock::now();
  good = good && seal(records);
  const auto took = std::chrono::steady_clock::now() - start;
  if (!good) return failed(info.Env(), "measureSeal");
  return Napi::Number::New(info.Env(), std::chrono::duration<double, std::nano>(took).count());
}

// ── the rest ──

Napi::Value equal(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "equal");
  const Bytes a = arguments.bytes(0, "a");
  const Bytes b = arguments.bytes(1, "b");
  if (!arguments.good()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), a.size() == b.size() && ocf::equalConstantTime(a.data(), b.data(), a.size()));
}

Napi::Value softDriverName(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), ocf::softDriverName()); }

Napi::Value libcryptoVersion(const Napi::CallbackInfo& info) {
  // The full string has node's own suffix, as process.versions.openssl has.
  return Napi::String::New(info.Env(), OpenSSL_version(OPENSSL_FULL_VERSION_STRING));
}

void registerCrypto(Napi::Env env, Napi::Object exports) {
  auto state = std::make_unique<State>();
  State* data = state.get();
  data->privateKeyClass = Napi::Persistent(PrivateKeyBinding::define(env));
  data->ephemeralKeyClass = Napi::Persistent(EphemeralKeyBinding::define(env));
  Napi::Object crypto = Napi::Object::New(env);
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    crypto.Set(name, Napi::Function::New(env, function, name, data));
  };
  add("importPrivateKey", importPrivateKey);
  add("sharedPrivateKey", sharedPrivateKey);
  add("keyShare", keyShare);
  add("generateKeyShare", generateKeyShare);
  add("agree", agree);
  add("verify", verify);
  add("hash", hash);
  add("hmac", hmac);
  add("hkdfExtract", hkdfExtract);
  add("hkdfExpandLabel", hkdfExpandLabel);
  add("aeadSeal", aeadSeal);
  add("aeadOpen", aeadOpen);
  add("equal", equal);
  add("sealRecords", sealRecords);
  add("openRecord", openRecord);
  add("measureSeal", measureSeal);
  add("softDriverName", softDriverName);
  add("libcryptoVersion", libcryptoVersion);
  addKeySchedule(env, crypto);
  addWorkbench(env, crypto);
  exports.Set("crypto", crypto);
  env.AddCleanupHook([](State* ours) { delete ours; }, state.release());
}

const Registration registration(registerCrypto);

}  // namespace
}  // namespace socrypt::addon
