#include "nic/runtime/netlink.hpp"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <vector>

namespace socrypt::nic {
namespace {

// Linux takes no alias for an interface that is being created (rtnl_create_link()), but it takes a group. Nobody else's
// is of this one ("NICs"), and none of ours stays in it.
constexpr uint32_t kUnclaimedGroup = 0x4e494373;

uint8_t familyOf(size_t length) noexcept { return length == 16 ? AF_INET6 : AF_INET; }

// Walks the attributes behind a message's fixed part.
template <typename Each>
void attributes(const nlmsghdr& message, size_t fixed, Each each) {
  const auto* at = reinterpret_cast<const uint8_t*>(&message) + NLMSG_LENGTH(NLMSG_ALIGN(fixed));
  size_t left = message.nlmsg_len > NLMSG_LENGTH(NLMSG_ALIGN(fixed)) ? message.nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(fixed)) : 0;
  while (left >= sizeof(rtattr)) {
    rtattr header;
    std::memcpy(&header, at, sizeof header);
    if (header.rta_len < sizeof header || header.rta_len > left) return;
    each(static_cast<unsigned>(header.rta_type), std::span(at + RTA_LENGTH(0), header.rta_len - RTA_LENGTH(0)));
    const size_t step = std::min<size_t>(RTA_ALIGN(header.rta_len), left);
    at += step;
    left -= step;
  }
}

uint32_t number(std::span<const uint8_t> value) noexcept {
  uint32_t n = 0;
  std::memcpy(&n, value.data(), std::min(value.size(), sizeof n));
  return n;
}

Descriptor open(uint32_t groups) {
  Descriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (groups != 0 ? SOCK_NONBLOCK : 0), NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (fd && bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

}  // namespace

std::optional<Cidr> parseCidr(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  Cidr cidr;
  if (inet_pton(AF_INET, address.c_str(), cidr.bytes.data()) != 1) {
    cidr.ipv6 = true;
    if (inet_pton(AF_INET6, address.c_str(), cidr.bytes.data()) != 1) return std::nullopt;
  }
  const auto most = static_cast<unsigned>(cidr.length() * 8);
  unsigned prefix = most;
  if (slash != std::string::npos) {
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + slash + 1, end, prefix);
    if (read.ec != std::errc{} || read.ptr != end || prefix > most) return std::nullopt;
  }
  cidr.prefix = static_cast<uint8_t>(prefix);
  return cidr;
}

// A message under construction: header, fixed part, attributes that may nest.
class Netlink::Request {
 public:
  template <typename Fixed>
  Request(uint16_t type, uint16_t flags, const Fixed& fixed) {
    const nlmsghdr header{.nlmsg_len = 0, .nlmsg_type = type, .nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags), .nlmsg_seq = 0, .nlmsg_pid = 0};
    put(&header, sizeof header);
    put(&fixed, sizeof fixed);
  }
  Request& add(unsigned type, std::span<const uint8_t> value) {
    const rtattr header{.rta_len = static_cast<uint16_t>(RTA_LENGTH(value.size())), .rta_type = static_cast<uint16_t>(type)};
    put(&header, sizeof header);
    put(value.data(), value.size());
    return *this;
  }
  Request& add(unsigned type, uint32_t value) { return add(type, {reinterpret_cast<const uint8_t*>(&value), sizeof value}); }
  Request& add(unsigned type, const std::string& text) { return add(type, {reinterpret_cast<const uint8_t*>(text.c_str()), text.size() + 1}); }
  template <typename Fill>
  Request& nest(unsigned type, Fill fill) {
    const size_t at = bytes_.size();
    add(type, std::span<const uint8_t>{});
    fill(*this);
    const auto length = static_cast<uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &length, sizeof length);
    return *this;
  }
  /// The fixed part of another message, inside an attribute.
  template <typename Fixed>
  Request& fixed(const Fixed& value) {
    put(&value, sizeof value);
    return *this;
  }
  [[nodiscard]] std::vector<uint8_t> finish(uint32_t sequence) const {
    std::vector<uint8_t> whole = bytes_;
    nlmsghdr header;
    std::memcpy(&header, whole.data(), sizeof header);
    header.nlmsg_len = static_cast<uint32_t>(whole.size());
    header.nlmsg_seq = sequence;
    std::memcpy(whole.data(), &header, sizeof header);
    return whole;
  }

 private:
  void put(const void* data, size_t n) {
    if (n != 0) bytes_.insert(bytes_.end(), static_cast<const uint8_t*>(data), static_cast<const uint8_t*>(data) + n);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }
  std::vector<uint8_t> bytes_;
};

Netlink::Netlink() : fd_(open(0)) {}

bool Netlink::send(const Request& request) {
  const std::vector<uint8_t> bytes = request.finish(++sequence_);
  return ::send(fd_.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
}

namespace {

/// Reads the answer of `sequence`: `answer` is called with it. False: the kernel said no, in errno.
template <typename Answer>
bool receive(int fd, uint32_t sequence, Answer answer) {
  alignas(nlmsghdr) std::array<uint8_t, 16384> buffer;
  for (;;) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    auto left = static_cast<size_t>(got);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != sequence) continue;
      if (message->nlmsg_type == NLMSG_ERROR) {
        const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(message));
        errno = -error->error;
        return error->error == 0;
      }
      answer(*message);
      return true;
    }
  }
}

}  // namespace

bool Netlink::acknowledged(const Request& request) {
  return send(request) && receive(fd_.get(), sequence_, [](const nlmsghdr&) {});
}

std::optional<Link> Netlink::link(const std::string& name) {
  Request request(RTM_GETLINK, 0, ifinfomsg{.ifi_family = AF_UNSPEC});
  request.add(IFLA_IFNAME, name);
  Link link;
  const bool good = send(request) && receive(fd_.get(), sequence_, [&](const nlmsghdr& message) {
    ifinfomsg info;
    std::memcpy(&info, NLMSG_DATA(&message), sizeof info);
    link.index = static_cast<unsigned>(info.ifi_index);
    link.up = (info.ifi_flags & IFF_UP) != 0;
    attributes(message, sizeof info, [&](unsigned type, std::span<const uint8_t> value) {
      if (type == IFLA_MTU) link.mtu = number(value);
      if (type == IFLA_GROUP) link.unclaimed = number(value) == kUnclaimedGroup;
      if (type == IFLA_ADDRESS && value.size() == link.mac.size()) std::copy(value.begin(), value.end(), link.mac.begin());
      if (type == IFLA_IFALIAS) link.alias.assign(value.begin(), std::find(value.begin(), value.end(), 0));
    });
  });
  return good && link.index != 0 ? std::optional(link) : std::nullopt;
}

bool Netlink::createVeth(const std::string& name, const std::string& peer) {
  Request request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{.ifi_family = AF_UNSPEC});
  request.add(IFLA_IFNAME, name).add(IFLA_GROUP, kUnclaimedGroup).nest(IFLA_LINKINFO, [&](Request& info) {
    info.add(IFLA_INFO_KIND, std::string("veth")).nest(IFLA_INFO_DATA, [&](Request& data) {
      data.nest(VETH_INFO_PEER, [&](Request& other) { other.fixed(ifinfomsg{.ifi_family = AF_UNSPEC}).add(IFLA_IFNAME, peer); });
    });
  });
  return acknowledged(request);
}

bool Netlink::remove(unsigned interface) {
  return acknowledged(Request(RTM_DELLINK, NLM_F_ACK, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = static_cast<int>(interface)}));
}

bool Netlink::claim(unsigned interface, const std::string& alias) {
  Request request(RTM_SETLINK, NLM_F_ACK, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = static_cast<int>(interface)});
  constexpr uint32_t kDefaultGroup = 0;
  return acknowledged(request.add(IFLA_IFALIAS, alias).add(IFLA_GROUP, kDefaultGroup));
}

bool Netlink::setMac(unsigned interface, std::span<const uint8_t, 6> mac) {
  Request request(RTM_SETLINK, NLM_F_ACK, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = static_cast<int>(interface)});
  return acknowledged(request.add(IFLA_ADDRESS, std::span<const uint8_t>(mac)));
}

bool Netlink::setMtu(unsigned interface, uint32_t mtu) {
  Request request(RTM_SETLINK, NLM_F_ACK, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = static_cast<int>(interface)});
  return acknowledged(request.add(IFLA_MTU, mtu));
}

bool Netlink::setUp(unsigned interface) {
  return acknowledged(Request(RTM_SETLINK, NLM_F_ACK,
                              ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = static_cast<int>(interface), .ifi_flags = IFF_UP, .ifi_change = IFF_UP}));
}

bool Netlink::addAddress(unsigned interface, const Cidr& address) {
  Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
                  ifaddrmsg{.ifa_family = familyOf(address.length()), .ifa_prefixlen = address.prefix, .ifa_flags = static_cast<uint8_t>(address.ipv6 ? IFA_F_NODAD : 0), .ifa_scope = RT_SCOPE_UNIVERSE, .ifa_index = interface});
  return acknowledged(request.add(IFA_LOCAL, address.address()).add(IFA_ADDRESS, address.address()));
}

bool Netlink::addDefaultRoute(unsigned interface, const Cidr& gateway) {
  Request request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE,
                  rtmsg{.rtm_family = familyOf(gateway.length()), .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST});
  return acknowledged(request.add(RTA_GATEWAY, gateway.address()).add(RTA_OIF, interface));
}

std::optional<Netlink::Route> Netlink::routeTo(std::span<const uint8_t> destination, std::span<const uint8_t> source) {
  const auto bits = static_cast<uint8_t>(destination.size() * 8);
  Request request(RTM_GETROUTE, 0, rtmsg{.rtm_family = familyOf(destination.size()), .rtm_dst_len = bits, .rtm_src_len = bits});
  request.add(RTA_DST, destination).add(RTA_SRC, source);
  Route route;
  const bool good = send(request) && receive(fd_.get(), sequence_, [&](const nlmsghdr& message) {
    rtmsg info;
    std::memcpy(&info, NLMSG_DATA(&message), sizeof info);
    route.local = info.rtm_type == RTN_LOCAL;
    attributes(message, sizeof info, [&](unsigned type, std::span<const uint8_t> value) {
      if (type == RTA_OIF) route.interface = number(value);
      if (type == RTA_ENCAP_TYPE) route.encapsulated = true;
    });
  });
  return good ? std::optional(route) : std::nullopt;
}

// IPv4 routes that go with their interface are not told of, the interface is (fib_disable_ip()).
RouteMonitor::RouteMonitor()
    : fd_(open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE |
               1u << (RTNLGRP_IPV6_RULE - 1))) {}

bool RouteMonitor::changed() {
  std::array<uint8_t, 4096> ignored;
  bool any = false;
  for (;;) {
    const ssize_t got = recv(fd_.get(), ignored.data(), ignored.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    // ENOBUFS: so many that some are lost.
    if (got <= 0 && errno != ENOBUFS) return any;
    any = true;
  }
}

LinkMonitor::LinkMonitor() : fd_(open(RTMGRP_LINK)) {}

unsigned LinkMonitor::gone(std::span<const unsigned> watched) {
  alignas(nlmsghdr) std::array<uint8_t, 16384> buffer;
  unsigned lost = 0;
  for (;;) {
    const ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      // Some messages are lost: the interfaces themselves tell.
      std::array<char, IF_NAMESIZE> name;
      for (const unsigned interface : watched)
        if (lost == 0 && if_indextoname(interface, name.data()) == nullptr) lost = interface;
      continue;
    }
    if (got <= 0) return lost;
    auto left = static_cast<size_t>(got);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type != RTM_DELLINK) continue;
      ifinfomsg info;
      std::memcpy(&info, NLMSG_DATA(message), sizeof info);
      // A bridge that a port leaves says DELLINK as well, of its own family.
      if (info.ifi_family != AF_UNSPEC) continue;
      for (const unsigned interface : watched)
        if (lost == 0 && static_cast<int>(interface) == info.ifi_index) lost = interface;
    }
  }
}

}  // namespace socrypt::nic
