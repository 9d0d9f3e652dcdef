#include "nic/runtime/socket_owner.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "nic/port/host_socket.hpp"

namespace socrypt::nic {

SocketOwner::SocketOwner() : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {}

SocketOwner::Answer SocketOwner::of(const FlowKey& key, unsigned interface) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } asked{};
  const bool ipv4 = isIpv4(key.remoteAddress);
  asked.header.nlmsg_len = sizeof asked;
  asked.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  asked.header.nlmsg_flags = NLM_F_REQUEST;
  asked.header.nlmsg_seq = ++sequence_;
  asked.request.sdiag_family = ipv4 ? AF_INET : AF_INET6;
  asked.request.sdiag_protocol = IPPROTO_TCP;
  asked.request.idiag_states = UINT32_MAX;
  auto& id = asked.request.id;
  id.idiag_sport = htons(key.localPort);
  id.idiag_dport = htons(key.remotePort);
  const size_t skip = ipv4 ? 12 : 0;
  std::memcpy(id.idiag_src, key.localAddress.data() + skip, 16 - skip);
  std::memcpy(id.idiag_dst, key.remoteAddress.data() + skip, 16 - skip);
  // A bound socket is found by those alone who name its interface.
  id.idiag_if = interface;
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (send(fd_.get(), &asked, sizeof asked, 0) != static_cast<ssize_t>(sizeof asked)) return {};

  alignas(nlmsghdr) std::array<uint8_t, 4096> buffer;
  for (;;) {
    const ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n < static_cast<ssize_t>(sizeof(nlmsghdr))) return {};
    nlmsghdr header;
    std::memcpy(&header, buffer.data(), sizeof header);
    if (header.nlmsg_seq != sequence_) continue;  // the answer to a question that was given up
    if (header.nlmsg_type == NLMSG_ERROR) {
      nlmsgerr error{};
      std::memcpy(&error, buffer.data() + NLMSG_HDRLEN, std::min(sizeof error, static_cast<size_t>(n) - NLMSG_HDRLEN));
      return {error.error == -ENOENT ? Found::No : Found::Unknown, 0};
    }
    inet_diag_msg found;
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || static_cast<size_t>(n) < NLMSG_HDRLEN + sizeof found) return {};
    std::memcpy(&found, buffer.data() + NLMSG_HDRLEN, sizeof found);
    // Without a connection of this key the kernel names who listens for one.
    return {found.idiag_state == TCP_LISTEN ? Found::No : Found::Yes, found.idiag_uid};
  }
}

}  // namespace socrypt::nic
