// Cryptodevs, which all threads of a process share by queue pairs.
#pragma once

#include <rte_cryptodev.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace socrypt::ocf::dpdk {

class Device {
 public:
  /// The device by its name, made (if virtual), configured and started when first asked for. nullptr, with the reason.
  [[nodiscard]] static std::shared_ptr<Device> get(const std::string& spec, std::string& why);

  static constexpr uint16_t kQueuePairs = 8;
  static constexpr uint16_t kDescriptors = 512;
  static constexpr unsigned kSessions = 2048;

  /// A queue pair for one thread; -1: all are taken.
  [[nodiscard]] int takeQueuePair();
  void giveQueuePair(int queuePair);

  [[nodiscard]] uint8_t id() const noexcept { return id_; }
  [[nodiscard]] uint64_t features() const noexcept { return features_; }
  [[nodiscard]] rte_mempool* sessions() const noexcept { return sessions_; }

 private:
  Device() = default;
  [[nodiscard]] bool open(const std::string& spec, std::string& why);
  uint8_t id_ = 0;
  uint64_t features_ = 0;
  rte_mempool* sessions_ = nullptr;
  std::mutex mutex_;
  std::vector<int> freeQueuePairs_;
};

}  // namespace socrypt::ocf::dpdk
