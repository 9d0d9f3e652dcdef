#include "ocf/drivers/by_name.hpp"

#include "ocf/drivers/dpdk.hpp"
#include "ocf/drivers/key.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"

namespace socrypt::ocf {

std::unique_ptr<Driver> makeDriverByName(const std::string& name, std::string& why) {
  const size_t colon = name.find(':');
  const std::string kind = name.substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : name.substr(colon + 1);
  if (kind == "dpdk") return makeDpdkDriver(rest, why);
  if (kind == "soft" && rest.empty()) {
    auto driver = makeSoftDriver();
    if (driver == nullptr) why = "soft: " + ipsecMbAbsence() + " (SOCRYPT_SOFT_DRIVER asks for ipsec-mb)";
    return driver;
  }
  if (kind == "thread" && rest.empty()) {
    auto driver = makeThreadDriver(makeSoftDriver());
    if (driver == nullptr) why = "thread: no thread could be made, or there is no software driver for it";
    return driver;
  }
  if (kind == "key" && rest.empty()) {
    auto driver = makeKeyDriver();
    if (driver == nullptr) why = "key: no thread could be made";
    return driver;
  }
  if (kind == "key-inline" && rest.empty()) return makeInlineKeyDriver();
  why = "expected soft, thread, key, key-inline or dpdk:DEVICE for a driver, received " + name;
  return nullptr;
}

bool attachByName(Framework& framework, std::span<const std::string> names, std::string& why) {
  for (const std::string& name : names) {
    std::unique_ptr<Driver> driver = makeDriverByName(name, why);
    if (driver == nullptr) return false;
    Status status = Status::Ok;
    if (framework.attach(std::move(driver), &status) != 0) continue;
    why = name + (status == Status::NoDriver ? ": the device has no algorithm that is known here" : ": the driver was refused: " + std::string(statusName(status)));
    return false;
  }
  return true;
}

}  // namespace socrypt::ocf
