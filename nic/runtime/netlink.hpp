// What the runtime asks of and does to the host's interfaces, by rtnetlink(7): no other program is needed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "nic/port/descriptor.hpp"

namespace socrypt::nic {

/// An IPv4 or IPv6 address with the length of its network's prefix.
struct Cidr {
  bool ipv6 = false;
  std::array<uint8_t, 16> bytes{};  // 4 of IPv4
  uint8_t prefix = 0;
  [[nodiscard]] size_t length() const noexcept { return ipv6 ? 16 : 4; }
  [[nodiscard]] std::span<const uint8_t> address() const noexcept { return std::span(bytes).first(length()); }
};

/// "10.0.0.1/24", "fd00::1/64"; without a prefix the address alone. None: neither.
[[nodiscard]] std::optional<Cidr> parseCidr(const std::string& text);

struct Link {
  unsigned index = 0;
  uint32_t mtu = 0;
  bool up = false;
  std::array<uint8_t, 6> mac{};
  std::string alias;  // what `ip link` shows as "alias"
  bool unclaimed = false;  // of createVeth(), and without an owner yet
};

/// One socket, one request at a time. Every call that returns bool leaves the reason in errno.
class Netlink {
 public:
  /// In the network namespace of the calling thread.
  Netlink();
  [[nodiscard]] bool opened() const noexcept { return static_cast<bool>(fd_); }

  [[nodiscard]] std::optional<Link> link(const std::string& name);
  /// Unclaimed until claim().
  [[nodiscard]] bool createVeth(const std::string& name, const std::string& peer);
  [[nodiscard]] bool remove(unsigned interface);
  /// Gives it the alias that says whose it is.
  [[nodiscard]] bool claim(unsigned interface, const std::string& alias);
  [[nodiscard]] bool setMac(unsigned interface, std::span<const uint8_t, 6> mac);
  [[nodiscard]] bool setMtu(unsigned interface, uint32_t mtu);
  [[nodiscard]] bool setUp(unsigned interface);
  /// Without duplicate address detection (RFC 4862 5.4): the address was given by hand, and is needed now.
  [[nodiscard]] bool addAddress(unsigned interface, const Cidr& address);
  /// A default route, by `gateway`.
  [[nodiscard]] bool addDefaultRoute(unsigned interface, const Cidr& gateway);

  struct Route {
    unsigned interface = 0;
    bool local = false;  // the destination is this host
    bool encapsulated = false;  // packets are put into others on the way (lwtunnel: MPLS, SRv6, a tunnel)
  };
  /// The way that packets from `source` to `destination` would go now.
  [[nodiscard]] std::optional<Route> routeTo(std::span<const uint8_t> destination, std::span<const uint8_t> source);

 private:
  class Request;
  [[nodiscard]] bool send(const Request& request);
  [[nodiscard]] bool acknowledged(const Request& request);
  Descriptor fd_;
  uint32_t sequence_ = 0;
};

/// Tells when packets may have another way than before: routes, rules, addresses, or the state of an interface.
class RouteMonitor {
 public:
  /// In the network namespace of the calling thread.
  RouteMonitor();
  [[nodiscard]] bool opened() const noexcept { return static_cast<bool>(fd_); }
  /// Readable when something of that has changed.
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }
  /// Whether something has, since the last call.
  [[nodiscard]] bool changed();

 private:
  Descriptor fd_;
};

/// Tells when one of two interfaces is gone.
class LinkMonitor {
 public:
  /// In the network namespace of the calling thread.
  LinkMonitor();
  [[nodiscard]] bool opened() const noexcept { return static_cast<bool>(fd_); }
  /// Readable when something has happened to some interface.
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }
  /// The first interface of `watched` that has left this namespace since the last call; 0: none.
  [[nodiscard]] unsigned gone(std::span<const unsigned> watched);

 private:
  Descriptor fd_;
};

}  // namespace socrypt::nic
