#include "nic/port/dpdk.hpp"

#include <dlfcn.h>

#include <cstdlib>

namespace socrypt::nic {
namespace {

// Beside the file that holds this function, or where SOCRYPT_NIC_DPDK says.
std::string pluginPath() {
  if (const char* path = std::getenv("SOCRYPT_NIC_DPDK"); path != nullptr && *path != '\0') return path;
  static const char kInside = 0;
  Dl_info here{};
  if (dladdr(&kInside, &here) == 0 || here.dli_fname == nullptr) return "socrypt-nic-dpdk.so";
  const std::string file = here.dli_fname;
  const size_t slash = file.find_last_of('/');
  return (slash == std::string::npos ? "./" : file.substr(0, slash + 1)) + "socrypt-nic-dpdk.so";
}

const DpdkPortPlugin* load(std::string& why) {
  const std::string path = pluginPath();
  // For ever: EAL starts once per process and its threads never end.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* const error = dlerror();
    why = std::string("no DPDK plugin: ") + (error != nullptr ? error : path.c_str()) + "; install libdpdk-dev and build again";
    return nullptr;
  }
  auto* const entry = reinterpret_cast<const DpdkPortPlugin* (*)()>(dlsym(library, kDpdkPortEntry));
  const DpdkPortPlugin* const plugin = entry == nullptr ? nullptr : entry();
  if (plugin == nullptr || plugin->abi != kDpdkPortAbi) {
    why = path + " is of another build; build again";
    return nullptr;
  }
  return plugin;
}

}  // namespace

std::unique_ptr<Port> openDpdkPort(const std::string& device, DpdkPortFacts& facts, std::string& why) {
  static std::string reason;
  static const DpdkPortPlugin* const plugin = load(reason);
  if (plugin == nullptr) {
    why = reason;
    return nullptr;
  }
  return std::unique_ptr<Port>(plugin->open(device.c_str(), facts, why));
}

}  // namespace socrypt::nic
