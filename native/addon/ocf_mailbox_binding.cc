// Drivers written in JavaScript (native/ocf/drivers/mailbox.hpp): what a driver is given, and what it answers.
#include <algorithm>
#include <string>
#include <vector>

#include "addon/arguments.hpp"
#include "addon/crypto_parts.hpp"
#include "addon/ocf_state.hpp"
#include "ocf/key_known_answers.hpp"
#include "ocf/known_answers.hpp"

namespace socrypt::addon {
namespace {

OcfState& stateOf(const Napi::CallbackInfo& info) { return *static_cast<OcfState*>(info.Data()); }
Napi::Value num(Napi::Env env, double value) { return Napi::Number::New(env, value); }

double field(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
}

// attachMailbox({ name, flags, queueDepth, maxLength, maxSessions }, offers): its id, or a status.
Napi::Value attachMailbox(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "attachMailbox");
  if (!info[0].IsObject() || !info[1].IsArray()) {
    arguments.refuse("driver", "an object and its offers", "something else");
    return info.Env().Undefined();
  }
  const Napi::Object object = info[0].As<Napi::Object>();
  const Napi::Array list = info[1].As<Napi::Array>();
  OcfState& state = stateOf(info);
  const std::shared_ptr<OcfLoop> loop = state.use(info.Env());
  if (loop == nullptr) return info.Env().Undefined();
  std::vector<ocf::MailboxDriver::Offer> offers;
  std::vector<ocf::DriverInfo::Offer> examined;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Object one = list.Get(i).As<Napi::Object>();
    const auto alg = static_cast<ocf::AlgId>(field(one, "alg")), mac = static_cast<ocf::AlgId>(field(one, "mac"));
    const ocf::Cost cost{static_cast<float>(field(one, "batchNs")), static_cast<float>(field(one, "opNs")), static_cast<float>(field(one, "byteNs")),
                         static_cast<uint16_t>(std::max(1.0, field(one, "lanes")))};
    offers.push_back({alg, mac, static_cast<int>(field(one, "rank")), cost});
    examined.push_back({alg, mac, cost, 1, false});
  }
  const ocf::Caps caps{.flags = static_cast<uint32_t>(field(object, "flags")),
                       .maxLen = static_cast<uint32_t>(field(object, "maxLength")),
                       .queueDepth = static_cast<uint32_t>(field(object, "queueDepth")),
                       .maxSessions = static_cast<uint32_t>(field(object, "maxSessions"))};
  auto driver = std::make_unique<ocf::MailboxDriver>(object.Get("name").ToString().Utf8Value(), caps, std::move(offers));
  const OcfState::Mailbox mailbox{driver.get(), driver->alive()};
  ocf::Status why = ocf::Status::Ok;
  const uint32_t id = loop->framework().attachExamined(std::move(driver), examined, &why);
  if (id == 0) return num(info.Env(), static_cast<double>(why));
  std::erase_if(state.mailboxes, [](const auto& each) { return each.second.alive.expired(); });
  state.mailboxes.emplace(id, mailbox);
  return num(info.Env(), id);
}

Napi::Object described(Napi::Env env, const ocf::MailboxDriver::Taken& taken) {
  const ocf::Op& op = *taken.op;
  Napi::Object object = Napi::Object::New(env);
  object.Set("token", num(env, static_cast<double>(taken.token)));
  object.Set("session", num(env, taken.session));
  object.Set("kind", num(env, static_cast<double>(op.kind)));
  if (ocf::isKeyKind(op.kind)) {
    Napi::Array inputs = Napi::Array::New(env), rooms = Napi::Array::New(env);
    for (uint32_t i = 0; i < op.nIn; ++i) inputs.Set(i, copy(env, {op.in[i].p, op.in[i].n}));
    for (uint32_t i = 0; i < op.nOut; ++i) rooms.Set(i, num(env, op.out[i].n));
    object.Set("scheme", num(env, op.scheme));
    object.Set("inputs", inputs);
    object.Set("rooms", rooms);
    return object;
  }
  std::vector<uint8_t> input = ocf::MailboxDriver::inputOf(op);
  object.Set("input", copy(env, input));
  ocf::wipe(input.data(), input.size());
  object.Set("length", num(env, op.len));
  object.Set("aad", copy(env, {op.aad.p, op.aad.n}));
  object.Set("iv", copy(env, {op.iv, ocf::factsOf(op.ses->alg()).ivBytes}));
  object.Set("isMac", Napi::Boolean::New(env, ocf::factsOf(op.ses->alg()).family == ocf::Family::Mac));
  object.Set("resultLength", num(env, static_cast<double>(ocf::MailboxDriver::resultLength(op))));
  return object;
}

// takeOps(driver): { opened, closed, ops }; undefined: the driver is gone.
Napi::Value takeOps(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "takeOps");
  ocf::MailboxDriver* const driver = stateOf(info).mailbox(static_cast<uint32_t>(arguments.integer(0, "driver", 1, UINT32_MAX)));
  if (!arguments.good() || driver == nullptr) return info.Env().Undefined();
  const Napi::Env env = info.Env();
  Napi::Array opened = Napi::Array::New(env), closed = Napi::Array::New(env), ops = Napi::Array::New(env);
  for (ocf::MailboxDriver::Opened& session : driver->opened()) {
    Napi::Object object = Napi::Object::New(env);
    Napi::Array chain = Napi::Array::New(env);
    for (auto& part : session.chain) {
      Napi::Object one = Napi::Object::New(env);
      one.Set("id", num(env, static_cast<double>(part.id)));
      one.Set("tagLength", num(env, part.tagLen));
      one.Set("key", copy(env, part.key));
      ocf::wipe(part.key.data(), part.key.size());
      chain.Set(chain.Length(), one);
    }
    object.Set("session", num(env, session.number));
    object.Set("chain", chain);
    opened.Set(opened.Length(), object);
  }
  for (const uint32_t session : driver->closed()) closed.Set(closed.Length(), num(env, session));
  std::vector<ocf::MailboxDriver::Taken> taken;
  driver->take(taken);
  for (const auto& one : taken) ops.Set(ops.Length(), described(env, one));
  Napi::Object result = Napi::Object::New(env);
  result.Set("opened", opened);
  result.Set("closed", closed);
  result.Set("ops", ops);
  return result;
}

// answerOp(driver, token, status, results): 0 taken, 1 unknown, 2 of the wrong length.
Napi::Value answerOp(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "answerOp");
  ocf::MailboxDriver* const driver = stateOf(info).mailbox(static_cast<uint32_t>(arguments.integer(0, "driver", 1, UINT32_MAX)));
  const uint64_t token = arguments.integer(1, "token", 0, uint64_t{1} << 53);
  const double status = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
  std::vector<Bytes> results;
  if (info[3].IsArray()) {
    const Napi::Array list = info[3].As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length() && arguments.good(); ++i) results.push_back(arguments.array(list.Get(i), "results"));
  }
  if (!arguments.good()) return info.Env().Undefined();
  if (driver == nullptr) return num(info.Env(), static_cast<double>(ocf::MailboxDriver::Answer::Unknown));
  return num(info.Env(), static_cast<double>(driver->answer(token, static_cast<ocf::Status>(status), results)));
}

Napi::Value abandonMailbox(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "abandonMailbox");
  ocf::MailboxDriver* const driver = stateOf(info).mailbox(static_cast<uint32_t>(arguments.integer(0, "driver", 1, UINT32_MAX)));
  if (driver != nullptr) driver->abandon();
  return info.Env().Undefined();
}

// knownAnswers(): those of symmetric algorithms and of key operations, as the framework has them.
Napi::Value knownAnswers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array symmetric = Napi::Array::New(env), keys = Napi::Array::New(env);
  ocf::eachKnownAnswer([&](const ocf::KnownAnswer& known) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("alg", num(env, static_cast<double>(known.alg)));
    one.Set("mac", num(env, static_cast<double>(known.mac)));
    one.Set("kind", num(env, static_cast<double>(known.kind)));
    one.Set("key", copy(env, known.key));
    one.Set("macKey", copy(env, known.macKey));
    one.Set("iv", copy(env, known.iv));
    one.Set("aad", copy(env, known.aad));
    one.Set("plaintext", copy(env, known.plaintext));
    one.Set("ciphertext", copy(env, known.ciphertext));
    one.Set("tag", copy(env, known.tag));
    one.Set("longTag", copy(env, known.longTag));
    one.Set("longLength", num(env, ocf::payloadOf(known, ocf::kLongPattern)));
    symmetric.Set(symmetric.Length(), one);
    return true;
  });
  for (const ocf::KeyKnownAnswer& known : ocf::keyKnownAnswers()) {
    Napi::Object one = Napi::Object::New(env);
    Napi::Array in = Napi::Array::New(env), out = Napi::Array::New(env);
    for (uint32_t i = 0; i < known.nIn(); ++i) in.Set(i, copy(env, known.in[i]));
    for (uint32_t i = 0; i < known.nOut; ++i) out.Set(i, copy(env, known.out[i]));
    one.Set("alg", num(env, static_cast<double>(known.alg)));
    one.Set("kind", num(env, static_cast<double>(known.kind)));
    one.Set("scheme", num(env, known.scheme));
    one.Set("key", copy(env, known.key));
    one.Set("inputs", in);
    one.Set("outputs", out);
    one.Set("status", num(env, static_cast<double>(known.status)));
    one.Set("verifyKey", copy(env, known.verifyKey));
    keys.Set(keys.Length(), one);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("symmetric", symmetric);
  result.Set("keys", keys);
  return result;
}

}  // namespace

void addMailboxes(Napi::Env env, Napi::Object ocf, OcfState* state) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    ocf.Set(name, Napi::Function::New(env, function, name, state));
  };
  add("attachMailbox", attachMailbox);
  add("takeOps", takeOps);
  add("answerOp", answerOp);
  add("abandonMailbox", abandonMailbox);
  add("knownAnswers", knownAnswers);
}

}  // namespace socrypt::addon
