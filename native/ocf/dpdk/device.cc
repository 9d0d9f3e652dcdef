#include "ocf/dpdk/device.hpp"

#include <rte_bus_vdev.h>
#include <rte_errno.h>

#include <map>
#include <sstream>

#include "dpdk/eal.hpp"

namespace socrypt::ocf::dpdk {

namespace {

struct Known {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Device>> devices;
};
Known& known() {
  static Known all;
  return all;
}

// A virtual device that is not there yet is made; a scheduler's workers before it.
bool plug(const std::string& name, const std::string& args, std::string& why) {
  if (rte_cryptodev_get_dev_id(name.c_str()) >= 0) return true;
  std::istringstream list(args);
  for (std::string one; std::getline(list, one, ',');) {
    constexpr std::string_view kWorker = "worker=";
    if (one.starts_with(kWorker) && !plug(one.substr(kWorker.size()), "", why)) return false;
  }
  const std::string all = "max_nb_queue_pairs=" + std::to_string(Device::kQueuePairs) + (args.empty() ? "" : "," + args);
  const int result = rte_vdev_init(name.c_str(), all.c_str());
  if (result == 0 && rte_cryptodev_get_dev_id(name.c_str()) >= 0) return true;
  why = name + ": DPDK has no such crypto device (" + rte_strerror(-result) + ")";
  return false;
}

}  // namespace

std::shared_ptr<Device> Device::get(const std::string& spec, std::string& why) {
  Known& all = known();
  const std::lock_guard lock(all.mutex);
  if (const auto found = all.devices.find(spec); found != all.devices.end()) return found->second;
  std::shared_ptr<Device> device(new Device);
  if (!device->open(spec, why)) return nullptr;
  return all.devices[spec] = device;
}

bool Device::open(const std::string& spec, std::string& why) {
  const size_t comma = spec.find(',');
  const std::string name = spec.substr(0, comma);
  const std::string args = comma == std::string::npos ? "" : spec.substr(comma + 1);
  if (name.empty()) return why = "expected the name of a DPDK crypto device, such as crypto_aesni_gcm", false;
  if (const std::string& failure = socrypt::dpdk::startEal(name); !failure.empty()) return why = failure, false;
  if (socrypt::dpdk::isPciAddress(name) ? rte_cryptodev_get_dev_id(name.c_str()) < 0 : !plug(name, args, why)) {
    if (why.empty()) why = name + ": DPDK finds no crypto device at this address";
    return false;
  }
  id_ = static_cast<uint8_t>(rte_cryptodev_get_dev_id(name.c_str()));

  rte_cryptodev_info info{};
  rte_cryptodev_info_get(id_, &info);
  features_ = info.feature_flags;
  const uint16_t pairs = static_cast<uint16_t>(info.max_nb_queue_pairs == 0 || info.max_nb_queue_pairs > kQueuePairs ? kQueuePairs : info.max_nb_queue_pairs);
  const int socket = rte_cryptodev_socket_id(id_);
  const std::string poolName = "socrypt" + std::to_string(id_);
  sessions_ = rte_cryptodev_sym_session_pool_create(poolName.c_str(), kSessions, rte_cryptodev_sym_get_private_session_size(id_), 0, 0, socket);
  if (sessions_ == nullptr) return why = name + ": no memory for sessions: " + rte_strerror(rte_errno), false;

  rte_cryptodev_config config{};
  config.socket_id = socket;
  config.nb_queue_pairs = pairs;
  config.ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO;
  rte_cryptodev_qp_conf pair{};
  pair.nb_descriptors = kDescriptors;
  pair.mp_session = sessions_;
  int result = rte_cryptodev_configure(id_, &config);
  for (uint16_t i = 0; i < pairs && result == 0; ++i) result = rte_cryptodev_queue_pair_setup(id_, i, &pair, socket);
  if (result == 0) result = rte_cryptodev_start(id_);
  if (result != 0) return why = name + ": " + rte_strerror(-result), false;
  for (int i = pairs; i-- > 0;) freeQueuePairs_.push_back(i);
  return true;
}

int Device::takeQueuePair() {
  const std::lock_guard lock(mutex_);
  if (freeQueuePairs_.empty()) return -1;
  const int taken = freeQueuePairs_.back();
  freeQueuePairs_.pop_back();
  return taken;
}

void Device::giveQueuePair(int queuePair) {
  const std::lock_guard lock(mutex_);
  freeQueuePairs_.push_back(queuePair);
}

}  // namespace socrypt::ocf::dpdk
