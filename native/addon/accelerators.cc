#include "addon/accelerators.hpp"

#include "ocf/drivers/dpdk.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"

namespace socrypt::addon {

bool nameAccelerator(const std::string& name, const std::string& argument, engine::AcceleratorOptions& options, std::string& why) {
  using Made = std::unique_ptr<ocf::Driver>;
  if (name == "soft") {
    options.inThread = true;
    return true;
  }
  if (name == "thread") {
    options.drivers.push_back([](std::string& reason) -> Made {
      auto driver = ocf::makeThreadDriver(ocf::makeSoftDriver());
      if (driver == nullptr) reason = "no thread could be started for the driver thread";
      return driver;
    });
    return true;
  }
  if (name == "dpdk") {
    const std::string device = argument.empty() ? "crypto_aesni_gcm" : argument;
    options.drivers.push_back([device](std::string& reason) -> Made { return ocf::makeDpdkDriver(device, reason); });
    return true;
  }
  why = "this build has no driver " + name;
  return false;
}

}  // namespace socrypt::addon
