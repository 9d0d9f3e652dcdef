#include "dpdk/eal.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <vector>

namespace socrypt::dpdk {
namespace {

// "0@(0,1,3)": one lcore that may run wherever this process may; the threads that EAL makes inherit it.
std::string lcores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return "0@0";
  std::string list;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) list += (list.empty() ? "" : ",") + std::to_string(cpu);
  return "0@(" + list + ")";
}

std::vector<std::string> arguments(const std::string& device) {
  std::vector<std::string> list{"socrypt"};
  if (const char* own = std::getenv("SOCRYPT_DPDK_EAL"); own != nullptr && *own != '\0') {
    std::istringstream words(own);
    for (std::string word; words >> word;) list.push_back(word);
    return list;
  }
  // --in-memory would be the natural choice, and is refused together with --no-huge.
  list.insert(list.end(), {"--no-huge", "-m", "128", "--no-shconf", "--no-telemetry", "--log-level=*:error", "--lcores", lcores()});
  if (isPciAddress(device)) {
    list.insert(list.end(), {"-a", device});
  } else {
    list.emplace_back("--no-pci");
  }
  return list;
}

}  // namespace

bool isPciAddress(const std::string& device) noexcept {
  return device.find(':') != std::string::npos && std::isxdigit(static_cast<unsigned char>(device[0])) != 0;
}

const std::string& startEal(const std::string& device) {
  static const std::string failure = [&] {
    std::string why;
    std::thread([&] {
      std::vector<std::string> words = arguments(device);
      std::vector<char*> argv;
      for (std::string& word : words) argv.push_back(word.data());
      // Another plugin of this process may have started it.
      if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0 && rte_errno != EALREADY)
        why = std::string("DPDK's EAL did not start: ") + rte_strerror(rte_errno) + " (SOCRYPT_DPDK_EAL gives it other arguments)";
    }).join();
    return why;
  }();
  return failure;
}

}  // namespace socrypt::dpdk
