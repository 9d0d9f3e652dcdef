#include "addon/registry.hpp"

static Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  for (auto* part = socrypt::addon::Registration::head; part != nullptr; part = part->next) part->run(env, exports);
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, initialise)
