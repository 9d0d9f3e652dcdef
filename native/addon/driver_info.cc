#include "addon/driver_info.hpp"

#include <string>

namespace socrypt::addon {

Napi::Array describeDrivers(Napi::Env env, std::span<const ocf::DriverInfo> drivers) {
  Napi::Array list = Napi::Array::New(env);
  for (const ocf::DriverInfo& each : drivers) {
    Napi::Object object = Napi::Object::New(env);
    const auto set = [&](const char* name, double value) { object.Set(name, Napi::Number::New(env, value)); };
    object.Set("name", Napi::String::New(env, each.name));
    set("id", each.id);
    set("flags", each.caps.flags);
    set("maxLength", each.caps.maxLen);
    set("queueDepth", each.caps.queueDepth);
    set("maxSessions", each.caps.maxSessions);
    set("state", static_cast<double>(each.state));
    set("sessions", static_cast<double>(each.sessions));
    set("inFlight", static_cast<double>(each.inFlight));
    set("queued", static_cast<double>(each.queued));
    set("ops", static_cast<double>(each.stats.ops));
    set("bytes", static_cast<double>(each.stats.bytes));
    set("failed", static_cast<double>(each.stats.failed));
    set("refused", static_cast<double>(each.stats.refused));
    set("rescued", static_cast<double>(each.stats.rescued));
    set("checks", static_cast<double>(each.stats.checks));
    set("wrong", static_cast<double>(each.stats.wrong));
    Napi::Array offers = Napi::Array::New(env);
    for (const auto& offer : each.offers) {
      Napi::Object one = Napi::Object::New(env);
      one.Set("alg", Napi::Number::New(env, static_cast<double>(offer.alg)));
      one.Set("mac", Napi::Number::New(env, static_cast<double>(offer.mac)));
      one.Set("withdrawn", Napi::Boolean::New(env, offer.withdrawn));
      one.Set("batchNs", Napi::Number::New(env, static_cast<double>(offer.cost.batchNs)));
      one.Set("opNs", Napi::Number::New(env, static_cast<double>(offer.cost.opNs)));
      one.Set("byteNs", Napi::Number::New(env, static_cast<double>(offer.cost.byteNs)));
      one.Set("lanes", Napi::Number::New(env, offer.cost.lanes));
      one.Set("ops", Napi::Number::New(env, static_cast<double>(offer.ops)));
      one.Set("bytes", Napi::Number::New(env, static_cast<double>(offer.bytes)));
      one.Set("failed", Napi::Number::New(env, static_cast<double>(offer.failed)));
      one.Set("sessions", Napi::Number::New(env, static_cast<double>(offer.sessions)));
      one.Set("learned", Napi::Number::New(env, static_cast<double>(offer.learned)));
      offers.Set(offers.Length(), one);
    }
    object.Set("offers", offers);
    list.Set(list.Length(), object);
  }
  return list;
}

}  // namespace socrypt::addon
