// exports.ocf: the crypto framework of this environment (src/ocf, src/native.ts). Statuses are ocf::Status, negative but
// for Ok; what they are called is src/ocf's to say.
#include <algorithm>
#include <string>

#include "addon/arguments.hpp"
#include "addon/crypto_parts.hpp"
#include "addon/driver_info.hpp"
#include "addon/ocf_state.hpp"
#include "addon/registry.hpp"
#include "ocf/drivers/by_name.hpp"

namespace socrypt::addon {

std::shared_ptr<OcfLoop> OcfState::use(Napi::Env env) {
  if (std::shared_ptr<OcfLoop> known = loop.lock(); known != nullptr) return known;
  std::shared_ptr<OcfLoop> made = OcfLoop::of(env);
  if (made == nullptr) return nullptr;
  loop = made;
  made->setAfterPoll([this](Napi::Env in) {
    const bool waits = std::any_of(mailboxes.begin(), mailboxes.end(), [](const auto& each) {
      return !each.second.alive.expired() && each.second.driver->waiting();
    });
    if (told.IsEmpty() || (finished.empty() && !waits)) return;
    Napi::Uint32Array list = Napi::Uint32Array::New(in, finished.size());
    if (list.IsEmpty()) return;
    std::copy(finished.begin(), finished.end(), list.Data());
    finished.clear();
    told.Call({list, Napi::Boolean::New(in, waits)});
  });
  return made;
}

ocf::MailboxDriver* OcfState::mailbox(uint32_t driver) const noexcept {
  const auto at = mailboxes.find(driver);
  return at == mailboxes.end() || at->second.alive.expired() ? nullptr : at->second.driver;
}

namespace {

OcfState& stateOf(const Napi::CallbackInfo& info) { return *static_cast<OcfState*>(info.Data()); }
Napi::Value number(const Napi::CallbackInfo& info, double value) { return Napi::Number::New(info.Env(), value); }
Napi::Value status(const Napi::CallbackInfo& info, ocf::Status value) { return number(info, static_cast<double>(value)); }
uint32_t u32(Arguments& arguments, size_t index, const char* name) {
  return static_cast<uint32_t>(arguments.integer(index, name, 0, UINT32_MAX));
}

// attach(name): its id, or why not.
Napi::Value attach(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "attach");
  const std::string name = arguments.text(0, "name");
  const std::shared_ptr<OcfLoop> loop = arguments.good() ? stateOf(info).use(info.Env()) : nullptr;
  if (loop == nullptr) return info.Env().Undefined();
  std::string why;
  std::unique_ptr<ocf::Driver> driver = ocf::makeDriverByName(name, why);
  if (driver == nullptr) return Napi::String::New(info.Env(), why);
  ocf::Status refused = ocf::Status::Ok;
  const uint32_t id = loop->framework().attach(std::move(driver), &refused);
  return id != 0 ? number(info, id) : status(info, refused);
}

Napi::Value driverKinds(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const ocf::DriverKind& kind : ocf::driverKinds()) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("name", std::string(kind.name));
    one.Set("argument", std::string(kind.argument));
    one.Set("optional", Napi::Boolean::New(env, kind.optional));
    one.Set("notForRecords", std::string(kind.notForRecords));
    list.Set(list.Length(), one);
  }
  return list;
}

Napi::Value withdraw(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "withdraw");
  const uint32_t driver = u32(arguments, 0, "driver");
  const auto alg = static_cast<ocf::AlgId>(arguments.integer(1, "algorithm", 0, UINT16_MAX));
  const std::shared_ptr<OcfLoop> loop = arguments.good() ? stateOf(info).use(info.Env()) : nullptr;
  return loop == nullptr ? info.Env().Undefined() : status(info, loop->framework().withdraw(driver, alg));
}

// detach(driver, milliseconds): Ok, Pending or NoDriver.
Napi::Value detach(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "detach");
  const uint32_t driver = u32(arguments, 0, "driver");
  const uint64_t deadline = arguments.integer(1, "deadline", 0, 3'600'000);
  const std::shared_ptr<OcfLoop> loop = arguments.good() ? stateOf(info).use(info.Env()) : nullptr;
  return loop == nullptr ? info.Env().Undefined() : status(info, loop->framework().detach(driver, deadline * 1'000'000));
}

Napi::Value check(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "check");
  const uint32_t driver = u32(arguments, 0, "driver");
  const std::shared_ptr<OcfLoop> loop = arguments.good() ? stateOf(info).use(info.Env()) : nullptr;
  return loop == nullptr ? info.Env().Undefined() : status(info, loop->framework().check(driver));
}

// random(bytes): a Uint8Array, or a status.
Napi::Value random(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "random");
  const size_t bytes = arguments.integer(0, "bytes", 0, 65'536);
  const std::shared_ptr<OcfLoop> loop = arguments.good() ? stateOf(info).use(info.Env()) : nullptr;
  if (loop == nullptr) return info.Env().Undefined();
  Napi::Uint8Array out = Napi::Uint8Array::New(info.Env(), bytes);
  const ocf::Status outcome = loop->framework().random({out.Data(), bytes});
  return outcome == ocf::Status::Ok ? Napi::Value(out) : status(info, outcome);
}

// poll(): what nobody was woken for, such as the end of a detach.
Napi::Value poll(const Napi::CallbackInfo& info) {
  const std::shared_ptr<OcfLoop> loop = stateOf(info).use(info.Env());
  if (loop != nullptr) loop->poll();
  return info.Env().Undefined();
}

// crossover(accelerator, software, algorithm, burst): bytes; -1: never.
Napi::Value crossover(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "crossover");
  const uint32_t accelerator = u32(arguments, 0, "accelerator"), software = u32(arguments, 1, "software");
  const auto alg = static_cast<ocf::AlgId>(arguments.integer(2, "algorithm", 0, UINT16_MAX));
  const uint32_t burst = u32(arguments, 3, "burst");
  const std::shared_ptr<OcfLoop> loop = arguments.good() ? stateOf(info).use(info.Env()) : nullptr;
  if (loop == nullptr) return info.Env().Undefined();
  const uint32_t at = loop->framework().crossover(accelerator, software, alg, burst);
  return number(info, at == UINT32_MAX ? -1.0 : at);
}

// started(): whether anybody has used it.
Napi::Value started(const Napi::CallbackInfo& info) {
  OcfState& state = stateOf(info);
  return Napi::Boolean::New(info.Env(), !state.loop.expired() || OcfLoop::exists(info.Env()));
}

Napi::Value drivers(const Napi::CallbackInfo& info) {
  const std::shared_ptr<OcfLoop> loop = stateOf(info).use(info.Env());
  return loop == nullptr ? info.Env().Undefined() : describeDrivers(info.Env(), loop->framework().drivers());
}

// reports(): drivers of all frameworks but those of engines; makes none.
Napi::Value reports(const Napi::CallbackInfo& info) { return describeDrivers(info.Env(), listedDrivers()); }

// open(chain, place, driver, ordered): the session's number, or a status.
Napi::Value open(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "open");
  if (!info[0].IsArray()) arguments.refuse("chain", "an array", "something else");
  const auto place = static_cast<ocf::SessionParams::Where>(arguments.integer(1, "place", 0, 4));
  const uint32_t driver = u32(arguments, 2, "driver");
  if (!arguments.good()) return info.Env().Undefined();
  const Napi::Array chain = info[0].As<Napi::Array>();
  ocf::Alg algs[2];
  const uint32_t count = chain.Length();
  if (count < 1 || count > 2) return status(info, ocf::Status::Invalid);
  for (uint32_t i = 0; i < count && arguments.good(); ++i) {
    const Napi::Value part = chain.Get(i);
    if (!part.IsObject()) {
      arguments.refuse("chain", "objects", "something else");
      break;
    }
    const Napi::Object object = part.As<Napi::Object>();
    const Napi::Value id = object.Get("id"), tag = object.Get("tagLength");
    if (!id.IsNumber() || !tag.IsNumber()) {
      arguments.refuse("chain", "numbers for id and tagLength", "something else");
      break;
    }
    algs[i] = ocf::algOf(static_cast<ocf::AlgId>(id.As<Napi::Number>().Uint32Value()), arguments.array(object.Get("key"), "key"));
    const uint32_t wanted = tag.As<Napi::Number>().Uint32Value();
    if (wanted != 0) algs[i].tagLen = static_cast<uint8_t>(std::min(wanted, 255U));
  }
  OcfState& state = stateOf(info);
  const std::shared_ptr<OcfLoop> loop = arguments.good() ? state.use(info.Env()) : nullptr;
  if (loop == nullptr) return info.Env().Undefined();
  ocf::Status why = ocf::Status::Ok;
  ocf::SessionHandle session = loop->framework().open(
      {.chain = {algs, count}, .where = place, .driver = driver, .ordered = info[3].ToBoolean().Value()}, &why);
  if (session == nullptr) return status(info, why);
  const auto [at, isNew] = state.sessions.emplace(++state.lastSession, std::move(session));
  loop->enlist(at->second);
  return number(info, state.lastSession);
}

Napi::Value close(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "close");
  OcfState& state = stateOf(info);
  const auto at = state.sessions.find(u32(arguments, 0, "session"));
  if (!arguments.good()) return info.Env().Undefined();
  if (at == state.sessions.end()) return status(info, ocf::Status::Closed);
  if (const std::shared_ptr<OcfLoop> loop = state.loop.lock(); loop != nullptr) loop->delist(at->second);
  state.sessions.erase(at);
  return status(info, ocf::Status::Ok);
}

// allocate(bytes): an ArrayBuffer for bursts.
Napi::Value allocate(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "allocate");
  const size_t bytes = arguments.integer(0, "bytes", kRowBytes, uint64_t{1} << 30);
  if (!arguments.good()) return info.Env().Undefined();
  OcfState& state = stateOf(info);
  auto* const memory = new std::shared_ptr<BurstMemory>(std::make_shared<BurstMemory>(bytes));
  state.memory[(*memory)->data()] = *memory;
  const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
      info.Env(), (*memory)->data(), bytes, [](Napi::Env, void*, std::shared_ptr<BurstMemory>* held) { delete held; }, memory);
  std::erase_if(state.memory, [](const auto& each) { return each.second.expired(); });
  return buffer;
}

// dispatch(memory, rows): [burst, accepted]
Napi::Value dispatch(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "dispatch");
  const uint32_t rows = static_cast<uint32_t>(arguments.integer(1, "rows", 1, kMaxRows));
  OcfState& state = stateOf(info);
  std::shared_ptr<BurstMemory> memory;
  if (info[0].IsArrayBuffer()) {
    const auto at = state.memory.find(info[0].As<Napi::ArrayBuffer>().Data());
    if (at != state.memory.end()) memory = at->second.lock();
  }
  if (memory == nullptr || memory->bytes() < rows * kRowBytes) arguments.refuse("memory", "what allocate() gave, with room for the rows", "something else");
  const std::shared_ptr<OcfLoop> loop = arguments.good() ? state.use(info.Env()) : nullptr;
  if (loop == nullptr) return info.Env().Undefined();
  const uint32_t id = ++state.lastBurst;
  auto burst = std::make_unique<Burst>(id, std::move(memory), rows, [&state](uint32_t of, uint32_t row) {
    state.finished.push_back(of);
    state.finished.push_back(row);
  });
  burst->read([&state](uint32_t number) -> ocf::Session* {
    const auto at = state.sessions.find(number);
    return at == state.sessions.end() ? nullptr : at->second.get();
  });
  const uint32_t accepted = burst->dispatch(loop->framework());
  if (!burst->idle()) loop->keep(std::move(burst));
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  result.Set(0U, Napi::Number::New(info.Env(), id));
  result.Set(1U, Napi::Number::New(info.Env(), accepted));
  return result;
}

// onTold(function): called with the rows that are complete (burst, row, burst, row, …) and whether a mailbox has ops.
Napi::Value onTold(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) {
    Arguments(info, "onTold").refuse("told", "a function", "something else");
    return info.Env().Undefined();
  }
  stateOf(info).told = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

void registerOcf(Napi::Env env, Napi::Object exports) {
  auto state = std::make_unique<OcfState>();
  Napi::Object ocf = Napi::Object::New(env);
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    ocf.Set(name, Napi::Function::New(env, function, name, state.get()));
  };
  add("attach", attach);
  add("driverKinds", driverKinds);
  add("withdraw", withdraw);
  add("detach", detach);
  add("check", check);
  add("random", random);
  add("poll", poll);
  add("crossover", crossover);
  add("drivers", drivers);
  add("reports", reports);
  add("open", open);
  add("close", close);
  add("allocate", allocate);
  add("dispatch", dispatch);
  add("onTold", onTold);
  add("started", started);
  addMailboxes(env, ocf, state.get());
  addMeasure(env, ocf);
  exports.Set("ocf", ocf);
  env.AddCleanupHook([](OcfState* ours) { delete ours; }, state.release());
}

const Registration registration(registerOcf);

}  // namespace
}  // namespace socrypt::addon
