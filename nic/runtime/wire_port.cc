#include "nic/runtime/wire_port.hpp"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>

#include "nic/port/af_xdp.hpp"
#include "nic/port/bpf.hpp"
#include "nic/port/dpdk.hpp"

namespace socrypt::nic {
namespace {

// Newer than some systems' headers: TCX_DROP (Linux 6.6).
constexpr int32_t kTcxDrop = 2;
constexpr size_t kEthernetHeader = 14;

// Multicast is for us too (neighbour discovery), for as long as the descriptor is open: packet(7).
Descriptor allMulticast(unsigned interface) {
  Descriptor fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  packet_mreq request{};
  request.mr_ifindex = static_cast<int>(interface);
  request.mr_type = PACKET_MR_ALLMULTI;
  if (fd && setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) != 0) return {};
  return fd;
}

// A packet socket (and libpcap, which has one) gets copies: the kernel's stack would answer the same frames a second time, and reset connections that
// are bound to the host port. It is behind the packet sockets that this program stands, and it drops all. As a link it
// goes with the process.
bool dropIngress(unsigned interface, Descriptor& program, Descriptor& link) {
  const std::array instructions{instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, kTcxDrop), instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
  program = loadProgram({.type = BPF_PROG_TYPE_SCHED_CLS, .instructions = instructions});
  if (program) link = linkProgram(program, interface, kTcxIngress);
  return static_cast<bool>(link);
}

}  // namespace

std::string interfaceOf(const std::string& device) {
  // What receives before what only sends.
  static constexpr std::array<std::string_view, 1> kOne{",iface="};
  static constexpr std::array<std::string_view, 4> kPcap{",iface=", ",rx_iface_in=", ",rx_iface=", ",tx_iface="};
  std::span<const std::string_view> keys;
  if (device.starts_with("net_af_packet") || device.starts_with("net_af_xdp")) keys = kOne;
  if (device.starts_with("net_pcap")) keys = kPcap;
  for (const std::string_view key : keys) {
    const size_t at = device.find(key);
    if (at == std::string::npos) continue;
    const std::string value = device.substr(at + key.size());
    return value.substr(0, value.find(','));
  }
  return {};
}

bool WirePort::takeInterface(Netlink& netlink, std::string& why) {
  const auto link = netlink.link(name_);
  if (!link) return why = noInterface(name_), false;
  if (!link->up) return why = "interface \"" + name_ + "\" is down; ip link set " + name_ + " up", false;
  link_ = *link;
  multicast_ = allMulticast(link_.index);
  return multicast_ ? true : (why = systemError("no packet socket on the interface \"" + name_ + "\" (CAP_NET_RAW is needed)"), false);
}

bool WirePort::openDpdk(const std::string& device, std::string& why) {
  if (link_.index != 0 && !dropIngress(link_.index, program_, ingress_))
    return why = systemError("the kernel's own stack cannot be kept off the interface \"" + name_ + "\" (a program at its ingress: Linux 6.6, CAP_BPF and CAP_NET_ADMIN are needed)"), false;
  DpdkPortFacts facts;
  port_ = openDpdkPort(device, facts, why);
  if (port_ == nullptr) return false;
  if (link_.index == 0) {
    link_.mac = facts.mac;
    link_.mtu = facts.mtu;
    link_.up = true;
  } else {
    link_.mtu = std::min<uint32_t>(link_.mtu, facts.mtu);
  }
  words_ = (link_.index == 0 ? "" : name_ + ", ") + "DPDK " + device.substr(0, device.find(','));
  return true;
}

std::unique_ptr<WirePort> WirePort::open(const WireOptions& options, Netlink& netlink, std::string& why) {
  std::unique_ptr<WirePort> made(new WirePort);
  const std::string on = interfaceOf(options.dpdk);
  made->name_ = options.interface.empty() ? on : options.interface;
  if (!on.empty() && made->name_ != on)
    return why = "the DPDK device " + options.dpdk + " is on the interface \"" + on + "\", and \"" + options.interface + "\" was given as the wire; leave one of them out", nullptr;
  if (options.dpdk.empty() && made->name_.empty()) return why = "neither an interface to take over was given nor a DPDK device", nullptr;
  if (!made->name_.empty() && !made->takeInterface(netlink, why)) return nullptr;
  if (!options.dpdk.empty()) return made->openDpdk(options.dpdk, why) ? std::move(made) : nullptr;
  auto port = AfXdpPort::open(made->name_, {.queues = options.queues}, why);
  if (port == nullptr) return nullptr;
  made->link_.mtu = std::min(made->link_.mtu, static_cast<uint32_t>(port->mostFrame() - kEthernetHeader));
  made->words_ = made->name_ + ", AF_XDP, " + (port->queues() == 1 ? "" : std::to_string(port->queues()) + " queues, ") + (port->zeroCopy() ? "zero-copy" : "copy") + (port->native() ? ", native" : ", generic");
  made->port_ = std::move(port);
  return made;
}

}  // namespace socrypt::nic
