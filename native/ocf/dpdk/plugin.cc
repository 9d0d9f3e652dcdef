// socrypt-dpdk.so: what drivers/dpdk.cc loads.
#include "ocf/drivers/dpdk.hpp"
#include "ocf/dpdk/make.hpp"

namespace socrypt::ocf::dpdk {
namespace {

Driver* make(const char* spec, std::string& why) {
  std::shared_ptr<Device> device = Device::get(spec, why);
  if (device == nullptr) return nullptr;
  std::string name = "dpdk:" + std::string(spec).substr(0, std::string(spec).find(','));
  // The scheduler hands on its workers' flag, and has no such function itself.
  rte_cryptodev_info info{};
  rte_cryptodev_info_get(device->id(), &info);
  const bool scheduler = info.driver_name != nullptr && std::string_view(info.driver_name) == "crypto_scheduler";
  if (!scheduler && (device->features() & RTE_CRYPTODEV_FF_SYM_CPU_CRYPTO) != 0) return makeSync(std::move(name), std::move(device)).release();
  return makeQueued(std::move(name), std::move(device), why).release();
}

constexpr DpdkPlugin kPlugin{kDpdkAbi, &make};

}  // namespace
}  // namespace socrypt::ocf::dpdk

extern "C" __attribute__((visibility("default"))) const socrypt::ocf::DpdkPlugin* socrypt_dpdk_plugin() { return &socrypt::ocf::dpdk::kPlugin; }
