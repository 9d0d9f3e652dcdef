// NativeSimulation of src/native.ts: a world of the fault laboratory, from a plan in an object.
#include <napi.h>

#include <cmath>
#include <memory>
#include <string>

#include "addon/arguments.hpp"
#include "addon/lab_plan.hpp"
#include "addon/registry.hpp"
#include "nic/lab/world.hpp"

namespace socrypt::addon {
namespace {

using nic::lab::Plan;
using nic::lab::World;

constexpr std::array<std::string_view, 3> kResyncs{"order-free", "prefix-replay", "next-record"};
constexpr std::array<std::string_view, 2> kRetentions{"until-tag", "until-acknowledged"};

// Reads the fields of an object; the first that is wrong leaves an exception pending.
class Fields {
 public:
  explicit Fields(const Napi::Object& object) : object_(object) {}
  [[nodiscard]] bool good() const noexcept { return good_; }

  template <typename Number>
  void number(const char* name, Number& into) {
    const Napi::Value value = object_.Get(name);
    if (value.IsUndefined() || !good_) return;
    const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
    const double most = std::min(static_cast<double>(std::numeric_limits<Number>::max()), 9007199254740991.0);
    if (std::floor(given) == given && given >= 0 && given <= most) {
      into = static_cast<Number>(given);
    } else if (given != INFINITY || sizeof(Number) != 8) {
      refuse(name, "a whole number that is not negative");
    }
  }
  void flag(const char* name, bool& into) {
    const Napi::Value value = object_.Get(name);
    if (value.IsUndefined() || !good_) return;
    if (!value.IsBoolean()) return refuse(name, "a boolean");
    into = value.As<Napi::Boolean>();
  }
  template <typename Enum, size_t n>
  void name(const char* field, const std::array<std::string_view, n>& names, Enum& into) {
    const Napi::Value value = object_.Get(field);
    if (value.IsUndefined() || !good_) return;
    const std::string given = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
    for (size_t i = 0; i < n; ++i)
      if (names[i] == given) {
        into = static_cast<Enum>(i);
        return;
      }
    std::string all;
    for (const auto one : names) all += (all.empty() ? "" : ", ") + std::string(one);
    refuse(field, "one of " + all);
  }
  template <typename Each>
  void list(const char* name, Each each) {
    const Napi::Value value = object_.Get(name);
    if (value.IsUndefined() || !good_) return;
    if (!value.IsArray()) return refuse(name, "an array");
    const auto array = value.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length() && good_; ++i) {
      const Napi::Value one = array.Get(i);
      if (!one.IsObject()) return refuse(name, "an array of objects");
      Fields fields(one.As<Napi::Object>());
      each(fields);
      good_ = fields.good();
    }
  }

 private:
  void refuse(const char* name, const std::string& expected) {
    good_ = false;
    raise(object_.Env(), "ERR_SOCRYPT_LAB_PLAN", std::string("a plan of the laboratory: expected ") + expected + " for " + name);
  }
  Napi::Object object_;
  bool good_ = true;
};

void readDeedFields(Fields& fields, nic::lab::Deed& deed) {
  fields.name("action", nic::lab::kActions, deed.action);
  fields.number("at", deed.at);
  fields.number("every", deed.every);
  fields.number("amount", deed.amount);
}

}  // namespace

bool readDeed(const Napi::Object& object, nic::lab::Deed& deed) {
  Fields fields(object);
  readDeedFields(fields, deed);
  return fields.good();
}

bool readPlan(const Napi::Object& object, Plan& plan) {
  Fields fields(object);
  fields.number("seed", plan.seed);
  fields.name("resync", kResyncs, plan.resync);
  fields.name("retention", kRetentions, plan.retention);
  fields.flag("payload", plan.payload);
  fields.number("suite", plan.suite);
  fields.number("connections", plan.connections);
  fields.number("bytes", plan.bytes);
  fields.number("recordBytes", plan.recordBytes);
  fields.number("segmentBytes", plan.segmentBytes);
  fields.number("tsoPercent", plan.tsoPercent);
  fields.number("guardedPercent", plan.guardedPercent);
  fields.number("fileBytes", plan.fileBytes);
  fields.number("roundTrip", plan.roundTrip);
  fields.number("bitsPerSecond", plan.bitsPerSecond);
  fields.number("sendBuffer", plan.sendBuffer);
  fields.number("receiveBuffer", plan.receiveBuffer);
  fields.number("mapRecords", plan.mapRecords);
  fields.number("mapPayload", plan.mapPayload);
  fields.number("totalPayload", plan.totalPayload);
  fields.number("reportPercent", plan.reportPercent);
  fields.name("device", nic::lab::kMutants, plan.mutant);
  fields.list("rules", [&](Fields& of) {
    nic::lab::Rule rule;
    of.name("seam", nic::lab::kSeams, rule.seam);
    of.name("fault", nic::lab::kFaults, rule.fault);
    of.number("perMillion", rule.perMillion);
    of.number("amount", rule.amount);
    of.number("from", rule.from);
    of.number("to", rule.to);
    plan.rules.push_back(rule);
  });
  fields.list("deeds", [&](Fields& of) { readDeedFields(of, plan.deeds.emplace_back()); });
  if (!fields.good()) return false;
  const std::string why = nic::lab::problemOf(plan);
  if (!why.empty()) raise(object.Env(), "ERR_SOCRYPT_LAB_PLAN", "a plan of the laboratory: " + why);
  return why.empty();
}

namespace {

class NativeSimulation final : public Napi::ObjectWrap<NativeSimulation> {
 public:
  static Napi::Function constructor(Napi::Env env) {
    return DefineClass(env, "NativeSimulation",
                       {InstanceMethod<&NativeSimulation::run>("run"), InstanceMethod<&NativeSimulation::stopBehind>("stopBehind"),
                        InstanceMethod<&NativeSimulation::windDown>("windDown"),
                        InstanceMethod<&NativeSimulation::act>("act"), InstanceMethod<&NativeSimulation::capture>("capture"),
                        InstanceMethod<&NativeSimulation::state>("state"), InstanceMethod<&NativeSimulation::statistics>("statistics"),
                        InstanceMethod<&NativeSimulation::counters>("counters"), InstanceMethod<&NativeSimulation::samples>("samples"),
                        InstanceMethod<&NativeSimulation::pcap>("pcap")});
  }

  explicit NativeSimulation(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeSimulation>(info) {
    Plan plan;
    if (!info[0].IsObject()) {
      raise(info.Env(), "ERR_SOCRYPT_ARGUMENT", "NativeSimulation: expected a plan");
      return;
    }
    if (!readPlan(info[0].As<Napi::Object>(), plan)) return;
    world_ = std::make_unique<World>(plan);
  }

 private:
  void run(const Napi::CallbackInfo& info) { world_->run(limit(info[0]), limit(info[1])); }
  void stopBehind(const Napi::CallbackInfo& info) { world_->stopBehind(limit(info[0])); }
  void windDown(const Napi::CallbackInfo&) { world_->windDown(); }
  void act(const Napi::CallbackInfo& info) {
    nic::lab::Deed deed;
    if (!info[0].IsObject()) return raise(info.Env(), "ERR_SOCRYPT_ARGUMENT", "act: expected a deed");
    if (addon::readDeed(info[0].As<Napi::Object>(), deed)) world_->act(deed);
  }
  void capture(const Napi::CallbackInfo& info) { world_->capture(info[0].ToBoolean()); }

  Napi::Value state(const Napi::CallbackInfo& info) {
    auto result = Napi::Object::New(info.Env());
    put(result, "packets", world_->packets());
    put(result, "time", world_->now());
    result.Set("over", Napi::Boolean::New(info.Env(), world_->over()));
    result.Set("stopped", Napi::Boolean::New(info.Env(), world_->stopped()));
    result.Set("finding", info.Env().Null());
    if (const auto& found = world_->finding()) {
      auto finding = Napi::Object::New(info.Env());
      finding.Set("invariant", found->violation.invariant);
      finding.Set("what", found->violation.what);
      put(finding, "packet", found->packet);
      put(finding, "time", found->time);
      put(finding, "connection", found->connection);
      result.Set("finding", finding);
    }
    return result;
  }
  Napi::Value statistics(const Napi::CallbackInfo& info) {
    auto result = Napi::Object::New(info.Env());
    const auto& s = world_->statistics();
#define STATISTIC(name, help) put(result, #name, s.name);
#include "nic/lab/statistics.def"
#undef STATISTIC
    const auto& t = world_->tcp();
    put(result, "segments", t.segments);
    put(result, "retransmissions", t.retransmissions);
    put(result, "timeouts", t.timeouts);
    put(result, "fastRetransmits", t.fastRetransmits);
    put(result, "tailProbes", t.tailProbes);
    put(result, "windowProbes", t.windowProbes);
    put(result, "renegings", t.renegings);
    return result;
  }
  Napi::Value counters(const Napi::CallbackInfo& info) {
    auto result = Napi::Object::New(info.Env());
    for (const auto& [name, value] : world_->counters()) put(result, name.c_str(), value);
    return result;
  }
  Napi::Value samples(const Napi::CallbackInfo& info) {
    auto result = Napi::Array::New(info.Env());
    uint32_t at = 0;
    for (const auto& sample : world_->samples()) {
      auto one = Napi::Object::New(info.Env());
      put(one, "suite", static_cast<uint16_t>(sample.keys.suite));
      one.Set("key", bytes(info.Env(), sample.keys.key));
      one.Set("iv", bytes(info.Env(), sample.keys.iv));
      one.Set("recordSeq", Napi::BigInt::New(info.Env(), sample.recordSeq));
      put(one, "type", sample.type);
      one.Set("content", bytes(info.Env(), sample.content));
      one.Set("wire", bytes(info.Env(), sample.wire));
      result.Set(at++, one);
    }
    return result;
  }
  Napi::Value pcap(const Napi::CallbackInfo& info) { return bytes(info.Env(), world_->captured().pcap()); }

  static uint64_t limit(const Napi::Value& value) {
    const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : INFINITY;
    return given < 9007199254740992.0 ? static_cast<uint64_t>(std::max(0.0, given)) : UINT64_MAX;
  }
  static void put(Napi::Object& object, const char* name, uint64_t value) { object.Set(name, Napi::Number::New(object.Env(), static_cast<double>(value))); }
  static Napi::Value bytes(Napi::Env env, std::span<const uint8_t> from) {
    auto array = Napi::Uint8Array::New(env, from.size());
    std::copy(from.begin(), from.end(), array.Data());
    return array;
  }

  std::unique_ptr<World> world_;
};

template <size_t n>
Napi::Array list(Napi::Env env, const std::array<std::string_view, n>& names) {
  auto array = Napi::Array::New(env, n);
  for (uint32_t i = 0; i < n; ++i) array.Set(i, Napi::String::New(env, std::string(names[i])));
  return array;
}

const Registration registration([](Napi::Env env, Napi::Object exports) {
  auto lab = Napi::Object::New(env);
  lab.Set("Simulation", NativeSimulation::constructor(env));
  lab.Set("seams", list(env, nic::lab::kSeams));
  lab.Set("faults", list(env, nic::lab::kFaults));
  lab.Set("actions", list(env, nic::lab::kActions));
  lab.Set("devices", list(env, nic::lab::kMutants));
  exports.Set("lab", lab);
});

}  // namespace
}  // namespace socrypt::addon
