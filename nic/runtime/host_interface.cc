#include "nic/runtime/host_interface.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "nic/port/af_xdp.hpp"
#include "nic/port/tap.hpp"

namespace socrypt::nic {
namespace {

constexpr std::string_view kAliasPrefix = "socrypt ";
constexpr size_t kEthernetHeader = 14;

// proc(5): a process number comes again, a process number with its start time does not. Empty: no such process.
std::string identityOf(const std::string& process) {
  std::string text;
  std::ifstream file("/proc/" + process + "/stat");
  if (!std::getline(file, text)) return {};
  // The second field is a name in parentheses that may hold anything; the start time is the 20th behind it.
  std::istringstream fields(text.substr(std::min(text.rfind(')') + 1, text.size())));
  std::string number, started;
  for (int i = 0; i < 20; ++i) fields >> started;
  return text.substr(0, text.find(' ')) + ' ' + started;
}

std::string textOf(const Cidr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(address.ipv6 ? AF_INET6 : AF_INET, address.bytes.data(), text.data(), text.size());
  const bool whole = address.prefix == address.length() * 8;
  return text.data() + (whole ? std::string() : '/' + std::to_string(address.prefix));
}
std::string textOf(std::span<const uint8_t, 6> mac) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text.data();
}

std::string gatewayRemedy(const std::string& port, std::span<const Cidr> addresses, const Cidr& gateway) {
  std::string networks;
  for (const Cidr& address : addresses)
    if (address.ipv6 == gateway.ipv6) networks += (networks.empty() ? "" : ", ") + textOf(address);
  if (networks.empty()) return "; " + port + " has no IPv" + (gateway.ipv6 ? "6" : "4") + " address: give one";
  return "; expected a router in the network of an address of " + port + " (" + networks + ")";
}

// What a dead process of ours has left behind goes; what is anybody else's stays, and stops us.
bool clear(Netlink& netlink, const std::string& name, std::string& why) {
  auto there = netlink.link(name);
  // Between the two requests that make an interface and claim it somebody alive is for microseconds alone.
  for (int i = 0; i < 10 && there && there->unclaimed; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    there = netlink.link(name);
  }
  if (!there) return true;
  if (there->unclaimed) {
    if (netlink.remove(there->index)) return true;
    why = systemError("the interface \"" + name + "\" that a process has left half made cannot be removed");
    return false;
  }
  if (!there->alias.starts_with(kAliasPrefix)) {
    why = "an interface \"" + name + "\" exists already, and none of ours; give another name, or remove it (ip link delete " + name + ")";
    return false;
  }
  const std::string owner = there->alias.substr(kAliasPrefix.size());
  const std::string process = owner.substr(0, owner.find(' '));
  if (identityOf(process) == owner) {
    why = "the interface \"" + name + "\" belongs to process " + process + ", which is running; give another name";
    return false;
  }
  if (netlink.remove(there->index)) return true;
  why = systemError("the interface \"" + name + "\" that process " + process + " has left cannot be removed");
  return false;
}

}  // namespace

std::unique_ptr<HostInterface> HostInterface::create(const HostInterfaceOptions& options, const Link& wire, std::string& why) {
  std::unique_ptr<HostInterface> made(new HostInterface);
  Netlink& netlink = made->netlink_;
  if (!netlink.opened()) return why = systemError("no netlink socket"), nullptr;
  const std::string port = "the host port \"" + options.name + "\"";
  // The other end of a veth; a name has 15 characters.
  const std::string inner = options.name.substr(0, 14) + "-";
  if (!clear(netlink, options.name, why)) return nullptr;

  if (options.driver == HostDriver::Tap) {
    made->port_ = TapPort::open(options.name, why);
    if (made->port_ == nullptr) return nullptr;
  } else if (!netlink.createVeth(options.name, inner)) {
    const bool there = errno == EEXIST;
    why = systemError("veth interfaces \"" + options.name + "\" and \"" + inner + "\" cannot be made");
    why += there ? "; give another name, or remove the one that is there (ip link delete " + inner + ")" : "; CAP_NET_ADMIN is needed";
    return nullptr;
  }
  const auto link = netlink.link(options.name);
  if (!link) return why = systemError(port + " was made, and is not there any more") + "; who removed or renamed it?", nullptr;
  made->index_ = link->index;
  if (options.driver == HostDriver::Veth) made->removable_ = options.name;

  const auto failed = [&why](const std::string& what, const std::string& remedy = {}) { return why = systemError(what) + remedy, nullptr; };
  // First: from here on a successor knows whose it is.
  if (!netlink.claim(link->index, std::string(kAliasPrefix) + identityOf("self"))) return failed(port + " cannot be marked as ours (its alias)");
  if (!netlink.setMac(link->index, wire.mac)) return failed(port + " cannot have the MAC address of the wire, " + textOf(wire.mac));
  uint32_t mtu = wire.mtu;
  if (options.driver == HostDriver::Veth) {
    const auto other = netlink.link(inner);
    if (!other || !netlink.setUp(other->index)) return failed("interface \"" + inner + "\", the inner end of " + port + ", cannot be set up", "; who removed or renamed it?");
    auto ring = AfXdpPort::open(inner, {.checksumsUnknown = true}, why);
    if (ring == nullptr) return nullptr;
    // Without frames in several buffers the veth takes no longer ones either, now that there is a program.
    mtu = std::min(mtu, static_cast<uint32_t>(ring->mostFrame() - kEthernetHeader));
    if (!netlink.setMtu(other->index, mtu)) return failed("interface \"" + inner + "\", the inner end of " + port + ", cannot have an MTU of " + std::to_string(mtu));
    made->port_ = std::move(ring);
  }
  if (!netlink.setMtu(link->index, mtu)) return failed(port + " cannot have an MTU of " + std::to_string(mtu), ", the wire's; give the wire another (ip link set DEV mtu N)");
  for (const Cidr& address : options.addresses)
    if (!netlink.addAddress(link->index, address))
      return failed(port + " cannot have the address " + textOf(address),
                    address.ipv6 ? "; expected one of a single host, and IPv6 to be on (sysctl net.ipv6.conf.all.disable_ipv6)" : "; expected one of a single host");
  if (!netlink.setUp(link->index)) return failed(port + " cannot be set up");
  for (const Cidr& gateway : options.gateways)
    if (!netlink.addDefaultRoute(link->index, gateway)) return failed("no default route by the gateway " + textOf(gateway), gatewayRemedy(port, options.addresses, gateway));
  return made;
}

HostInterface::~HostInterface() {
  port_.reset();
  if (removable_.empty()) return;
  // Somebody may have removed it, and made another.
  if (const auto link = netlink_.link(removable_); link && link->index == index_) static_cast<void>(netlink_.remove(index_));
}

}  // namespace socrypt::nic
