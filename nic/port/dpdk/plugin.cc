// socrypt-nic-dpdk.so: what nic/port/dpdk.cc loads.
#include "nic/port/dpdk.hpp"
#include "nic/port/dpdk/ethdev_port.hpp"

namespace socrypt::nic {
namespace {

Port* open(const char* device, DpdkPortFacts& facts, std::string& why) {
  auto port = EthdevPort::open(device, why);
  if (port != nullptr) facts = port->facts();
  return port.release();
}

constexpr DpdkPortPlugin kPlugin{kDpdkPortAbi, &open};

}  // namespace
}  // namespace socrypt::nic

extern "C" __attribute__((visibility("default"))) const socrypt::nic::DpdkPortPlugin* socrypt_nic_dpdk_plugin() {
  return &socrypt::nic::kPlugin;
}
