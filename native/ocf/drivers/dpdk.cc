#include "ocf/drivers/dpdk.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

namespace socrypt::ocf {

namespace {

// Beside the file that holds this function, or where SOCRYPT_DPDK says.
std::string pluginPath() {
  if (const char* path = std::getenv("SOCRYPT_DPDK"); path != nullptr && *path != '\0') return path;
  Dl_info here{};
  static const char inside = 0;
  if (dladdr(&inside, &here) == 0 || here.dli_fname == nullptr) return "socrypt-dpdk.so";
  const std::string file = here.dli_fname;
  return file.substr(0, file.find_last_of('/') + 1) + "socrypt-dpdk.so";
}

const DpdkPlugin* load(std::string& why) {
  const std::string path = pluginPath();
  // For ever: EAL starts once per process and its threads never end.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* const error = dlerror();
    why = std::string("no DPDK plugin: ") + (error != nullptr ? error : path.c_str()) + "; install libdpdk-dev and build again (npm run build:native)";
    return nullptr;
  }
  auto* const entry = reinterpret_cast<const DpdkPlugin* (*)()>(dlsym(library, kDpdkEntry));
  const DpdkPlugin* const plugin = entry == nullptr ? nullptr : entry();
  if (plugin == nullptr || plugin->abi != kDpdkAbi) {
    why = path + " is of another build; build again (npm run build:native)";
    return nullptr;
  }
  return plugin;
}

}  // namespace

std::unique_ptr<Driver> makeDpdkDriver(const std::string& device, std::string& why) {
  static std::string reason;
  static const DpdkPlugin* const plugin = load(reason);
  if (plugin == nullptr) {
    why = reason;
    return nullptr;
  }
  return std::unique_ptr<Driver>(plugin->make(device.c_str(), why));
}

}  // namespace socrypt::ocf
