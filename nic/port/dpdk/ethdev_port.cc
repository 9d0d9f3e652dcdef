#include "nic/port/dpdk/ethdev_port.hpp"

#include <rte_bus_vdev.h>
#include <rte_devargs.h>
#include <rte_errno.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "dpdk/eal.hpp"

namespace socrypt::nic {
namespace {

constexpr uint16_t kBurst = 64;
constexpr uint16_t kDescriptors = 512;
constexpr size_t kMostWaiting = 512;
// Frames of one port: enough for both rings and what waits. 5 MiB, with jumbo frames 20.
constexpr unsigned kFrames = 2047;
// net_af_xdp takes 2048 to receive into at its start, and gives back what it has sent by the thousand. 24 MiB.
constexpr unsigned kXdpFrames = 6143;
// A frame is in one buffer. net_af_xdp takes none above a page.
constexpr uint16_t kFrame = 2048, kJumboFrame = 9216;
// How often the other end of a memif is looked for.
constexpr std::chrono::seconds kBetweenConnects{1};

std::string dpdkError(const std::string& what, int error) { return what + ": " + rte_strerror(error < 0 ? -error : error); }

// Virtual devices are called after their drivers, which are plugins of DPDK's.
bool hasDriver(const std::string& name) {
  rte_devargs parsed{};
  const bool good = rte_devargs_parse(&parsed, name.c_str()) == 0;
  // rte_devargs_reset, which does the same, is experimental.
  std::free(parsed.data);
  return good;
}

}  // namespace

std::unique_ptr<EthdevPort> EthdevPort::open(const std::string& device, std::string& why) {
  const size_t comma = device.find(',');
  const std::string name = device.substr(0, comma);
  const std::string arguments = comma == std::string::npos ? "" : device.substr(comma + 1);
  if (name.empty()) return why = "expected the name of a DPDK network device, such as net_af_packet0,iface=eth0", nullptr;
  if (const std::string& failure = dpdk::startEal(name); !failure.empty()) return why = failure, nullptr;
  std::unique_ptr<EthdevPort> port(new EthdevPort);
  if (!dpdk::isPciAddress(name)) {
    if (!hasDriver(name)) return why = "DPDK has no driver for a device " + name + " here; the names of its network drivers begin with net_, and distributions package them one by one (librte-net-…)", nullptr;
    if (name.starts_with("net_memif")) {
      port->turns_ = std::make_unique<interrupts::Turns>();
      port->connects_ = arguments.find("role=server") == std::string::npos;
    }
    const int result = rte_vdev_init(name.c_str(), arguments.c_str());
    if (result != 0)
      return why = dpdkError("DPDK cannot make the device " + device, result) + " (DPDK has said above what it missed)", nullptr;
    port->virtualName_ = name;
  }
  return port->start(name, why) ? std::move(port) : nullptr;
}

bool EthdevPort::start(const std::string& name, std::string& why) {
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id_) != 0) {
    id_ = RTE_MAX_ETHPORTS;
    return why = "DPDK finds no network device " + name + (dpdk::isPciAddress(name) ? "; it has to be bound to a driver that DPDK takes (dpdk-devbind.py -b vfio-pci " + name + ")" : ""), false;
  }
  uint16_t mtu = 0;
  const bool xdp = name.starts_with("net_af_xdp");
  frame_ = rte_eth_dev_get_mtu(id_, &mtu) == 0 && mtu > RTE_ETHER_MTU && !xdp ? kJumboFrame : kFrame;
  frames_ = xdp ? makeFramesInPages(kXdpFrames) : makeFrames(kFrames, frame_);
  if (frames_ == nullptr) return why = dpdkError("no memory for the frames of " + name, rte_errno), false;
  rte_eth_conf configuration{};
  uint16_t receive = kDescriptors, transmit = kDescriptors;
  int result = rte_eth_dev_configure(id_, 1, 1, &configuration);
  if (result == 0) result = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &receive, &transmit);
  if (result == 0) result = rte_eth_rx_queue_setup(id_, 0, receive, SOCKET_ID_ANY, nullptr, frames_.get());
  if (result == 0) result = rte_eth_tx_queue_setup(id_, 0, transmit, SOCKET_ID_ANY, nullptr);
  if (result == 0) result = rte_eth_dev_start(id_);
  if (result != 0) return why = dpdkError(name + " cannot be started", result), false;
  started_ = true;
  connectAt_ = std::chrono::steady_clock::now() + kBetweenConnects;
  // What is not for this card's own address is the host's all the same. Not every virtual device has the notion. An
  // interface of the kernel's would stay so when this process is gone.
  if (!name.starts_with("net_af_")) static_cast<void>(rte_eth_promiscuous_enable(id_));
  waiting_.reserve(kMostWaiting);
  return true;
}

DpdkPortFacts EthdevPort::facts() const noexcept {
  DpdkPortFacts facts;
  rte_ether_addr address{};
  if (rte_eth_macaddr_get(id_, &address) == 0) std::copy_n(address.addr_bytes, facts.mac.size(), facts.mac.begin());
  // What fits into a frame here: header and one VLAN tag beside it.
  const auto most = static_cast<uint16_t>(frame_ - RTE_ETHER_HDR_LEN - RTE_VLAN_HLEN);
  uint16_t mtu = 0;
  facts.mtu = rte_eth_dev_get_mtu(id_, &mtu) == 0 && mtu != 0 ? std::min(mtu, most) : RTE_ETHER_MTU;
  return facts;
}

EthdevPort::~EthdevPort() {
  rte_pktmbuf_free_bulk(waiting_.data(), static_cast<unsigned>(waiting_.size()));
  if (turns_ != nullptr) {
    interrupts::run([this] { close(); });
    interrupts::settle();
    interrupts::run([this] { turns_.reset(); });
  } else {
    close();
  }
}

void EthdevPort::close() noexcept {
  if (started_) rte_eth_dev_stop(id_);
  if (id_ != RTE_MAX_ETHPORTS) rte_eth_dev_close(id_);
  if (!virtualName_.empty()) rte_vdev_uninit(virtualName_.c_str());
}

// net_memif sets its rings up on the interrupt thread, and its other end may go and come.
bool EthdevPort::up() noexcept {
  if (up_ && turns_ == nullptr) return true;
  rte_eth_link link{};
  up_ = started_ && rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
  if (!up_ && connects_) connectAgain();
  return up_;
}

// The driver connects when the device is started, and at no other time.
void EthdevPort::connectAgain() noexcept {
  const auto now = std::chrono::steady_clock::now();
  if (now < connectAt_) return;
  interrupts::run([this] { rte_eth_dev_stop(id_); });
  interrupts::settle();
  interrupts::run([this] { started_ = rte_eth_dev_start(id_) == 0; });
  connectAt_ = std::chrono::steady_clock::now() + kBetweenConnects;
}

size_t EthdevPort::receive(FrameReceiver& receiver, size_t most) {
  if (!up()) return 0;
  std::array<rte_mbuf*, kBurst> burst;
  const uint16_t n = [&] {
    const interrupts::Burst now(turns_ != nullptr);
    return rte_eth_rx_burst(id_, 0, burst.data(), static_cast<uint16_t>(std::min<size_t>(most, kBurst)));
  }();
  for (uint16_t i = 0; i < n; ++i) {
    rte_mbuf* const first = burst[i];
    if (first->nb_segs == 1) {
      receiver.frame({rte_pktmbuf_mtod(first, uint8_t*), first->data_len}, {});
    } else {
      joined_.clear();
      for (const rte_mbuf* part = first; part != nullptr; part = part->next) {
        const auto* data = rte_pktmbuf_mtod(part, const uint8_t*);
        joined_.insert(joined_.end(), data, data + part->data_len);
      }
      receiver.frame(joined_, {});
    }
    rte_pktmbuf_free(first);
  }
  return n;
}

size_t EthdevPort::room() noexcept {
  if (!up()) return 0;
  if (waiting_.size() > kMostWaiting / 2) static_cast<void>(flush());
  return std::min<size_t>(kMostWaiting - waiting_.size(), rte_mempool_avail_count(frames_.get()));
}

bool EthdevPort::send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept {
  const size_t size = head.size() + rest.size();
  if (size > frame_) return false;
  if (waiting_.size() == kMostWaiting && !flush() && waiting_.size() == kMostWaiting) return false;
  rte_mbuf* const frame = rte_pktmbuf_alloc(frames_.get());
  if (frame == nullptr) return false;
  auto* const to = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(frame, static_cast<uint16_t>(size)));
  std::copy(head.begin(), head.end(), to);
  std::copy(rest.begin(), rest.end(), to + head.size());
  waiting_.push_back(frame);
  return true;
}

bool EthdevPort::flush() noexcept {
  if (!up()) return waiting_.empty();
  size_t done = 0;
  const interrupts::Burst now(turns_ != nullptr);
  while (done < waiting_.size()) {
    const uint16_t n = rte_eth_tx_burst(id_, 0, waiting_.data() + done, static_cast<uint16_t>(waiting_.size() - done));
    if (n == 0) break;
    done += n;
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(done));
  return waiting_.empty();
}

}  // namespace socrypt::nic
