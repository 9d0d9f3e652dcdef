#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "nic/port/dpdk.hpp"
#include "nic/port/dpdk/frames.hpp"
#include "nic/port/dpdk/interrupts.hpp"

namespace socrypt::nic {

class EthdevPort final : public Port {
 public:
  [[nodiscard]] static std::unique_ptr<EthdevPort> open(const std::string& device, std::string& why);
  ~EthdevPort() override;

  [[nodiscard]] DpdkPortFacts facts() const noexcept;
  /// DPDK polls.
  [[nodiscard]] int descriptor() const noexcept override { return -1; }
  size_t receive(FrameReceiver& receiver, size_t most) override;
  [[nodiscard]] size_t room() noexcept override;
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override;
  [[nodiscard]] bool flush() noexcept override;

 private:
  EthdevPort() = default;
  [[nodiscard]] bool up() noexcept;
  void connectAgain() noexcept;
  [[nodiscard]] bool start(const std::string& name, std::string& why);
  void close() noexcept;

  std::string virtualName_;  // of a device that was made for this port
  std::unique_ptr<interrupts::Turns> turns_;  // with net_memif
  uint16_t id_ = RTE_MAX_ETHPORTS;
  uint16_t frame_ = 0;  // the longest
  bool started_ = false;
  bool up_ = false;
  bool connects_ = false;  // a memif whose other end is the server
  std::chrono::steady_clock::time_point connectAt_{};
  FramePool frames_;
  std::vector<rte_mbuf*> waiting_;  // to be sent
  std::vector<uint8_t> joined_;     // of a frame in several buffers
};

}  // namespace socrypt::nic
