#include "nic/port/host_socket.hpp"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

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

std::optional<uint32_t> unacknowledged(int socket) noexcept {
  int bytes = 0;
  if (ioctl(socket, SIOCOUTQ, &bytes) != 0 || bytes < 0) return std::nullopt;
  return static_cast<uint32_t>(bytes);
}

}  // namespace socrypt::nic
