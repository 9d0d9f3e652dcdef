#include "nic/port/host_socket.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nic/port/descriptor.hpp"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_AO_INFO
#define TCP_AO_INFO 40
#endif

namespace socrypt::nic {
namespace {

bool put(const sockaddr_storage& from, std::array<uint8_t, 16>& address, uint16_t& port) noexcept {
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    address = {};
    address[10] = address[11] = 0xff;
    std::memcpy(address.data() + 12, &v4.sin_addr, 4);
    port = ntohs(v4.sin_port);
    return true;
  }
  if (from.ss_family != AF_INET6) return false;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
  std::memcpy(address.data(), &v6.sin6_addr, 16);
  port = ntohs(v6.sin6_port);
  return true;
}

}  // namespace

std::optional<FlowKey> flowKeyOf(int socket) noexcept {
  sockaddr_storage local{}, remote{};
  socklen_t localLength = sizeof local, remoteLength = sizeof remote;
  FlowKey key;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&local), &localLength) != 0 ||
      getpeername(socket, reinterpret_cast<sockaddr*>(&remote), &remoteLength) != 0 ||
      !put(local, key.localAddress, key.localPort) || !put(remote, key.remoteAddress, key.remotePort))
    return std::nullopt;
  return key;
}

bool isIpv4(const std::array<uint8_t, 16>& address) noexcept {
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

namespace {

// There is no getsockopt() for TCP-MD5: sock_diag(7) tells those with CAP_NET_ADMIN. None: it does not tell.
std::optional<bool> hasMd5(int socket) noexcept {
  const auto key = flowKeyOf(socket);
  const Descriptor diag(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!key || !diag) return std::nullopt;
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  const bool ipv4 = isIpv4(key->remoteAddress);
  request.body.sdiag_family = ipv4 ? AF_INET : AF_INET6;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = UINT32_MAX;
  // The kernel tells of keys together with TCP_INFO alone.
  request.body.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  request.body.id.idiag_sport = htons(key->localPort);
  request.body.id.idiag_dport = htons(key->remotePort);
  const size_t from = ipv4 ? 12 : 0;
  std::memcpy(request.body.id.idiag_src, key->localAddress.data() + from, 16 - from);
  std::memcpy(request.body.id.idiag_dst, key->remoteAddress.data() + from, 16 - from);
  request.body.id.idiag_cookie[0] = request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  alignas(nlmsghdr) std::array<uint8_t, 4096> answer;
  if (send(diag.get(), &request, sizeof request, 0) != sizeof request) return std::nullopt;
  const ssize_t got = recv(diag.get(), answer.data(), answer.size(), 0);
  nlmsghdr header;
  if (got < static_cast<ssize_t>(sizeof header)) return std::nullopt;
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return std::nullopt;
  const size_t end = std::min<size_t>(header.nlmsg_len, static_cast<size_t>(got));
  nlattr attribute;
  for (size_t at = NLMSG_LENGTH(sizeof(inet_diag_msg)); at + sizeof attribute <= end; at += NLA_ALIGN(attribute.nla_len)) {
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute) return std::nullopt;
    if (attribute.nla_type == INET_DIAG_MD5SIG) return true;
  }
  return false;
}

}  // namespace

Cover coverOf(int socket) noexcept {
  int protocol = 0;
  socklen_t length = sizeof protocol;
  if (getsockopt(socket, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0 || protocol != IPPROTO_TCP) return Cover::Mptcp;
  // struct tcp_ao_info_opt; ENOENT: no TCP-AO here.
  std::array<uint8_t, 64> info{};
  length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_AO_INFO, info.data(), &length) == 0) return Cover::TcpAo;
  const auto md5 = hasMd5(socket);
  return !md5 ? Cover::Unknown : *md5 ? Cover::TcpMd5 : Cover::None;
}

std::optional<uint32_t> nextSequence(int socket) noexcept {
  int on = TCP_REPAIR_ON;
  if (setsockopt(socket, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0) return std::nullopt;
  int queue = TCP_SEND_QUEUE;
  uint32_t sequence = 0;
  socklen_t length = sizeof sequence;
  const bool good = setsockopt(socket, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue) == 0 &&
                    getsockopt(socket, IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence, &length) == 0;
  const int reason = errno;
  // Without the window probe that the end of a repair sends otherwise.
  int off = TCP_REPAIR_OFF_NO_WP;
  if (setsockopt(socket, IPPROTO_TCP, TCP_REPAIR, &off, sizeof off) != 0) return std::nullopt;
  if (!good) {
    errno = reason;
    return std::nullopt;
  }
  return sequence;
}

bool tcpClosed(int socket) noexcept {
  tcp_info info{};
  socklen_t length = sizeof info;
  return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 || info.tcpi_state == TCP_CLOSE;
}

std::optional<uint32_t> unacknowledged(int socket) noexcept {
  int bytes = 0;
  if (ioctl(socket, SIOCOUTQ, &bytes) != 0 || bytes < 0) return std::nullopt;
  return static_cast<uint32_t>(bytes);
}

}  // namespace socrypt::nic
