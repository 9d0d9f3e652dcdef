// What the driver asks the host's TCP about one of its connections.
#pragma once

#include <cstdint>
#include <optional>

#include "nic/device/packet.hpp"

namespace socrypt::nic {

/// The 4-tuple, as packets from this host show it. None: not a connected TCP socket.
[[nodiscard]] std::optional<FlowKey> flowKeyOf(int socket) noexcept;

/// Whether an address of a key is IPv4; its last 4 bytes are the address then.
[[nodiscard]] bool isIpv4(const std::array<uint8_t, 16>& address) noexcept;

/// What covers the payload before a device could seal it: MPTCP's checksums, or a signature. Urgent data, which has no
/// place in records either, is never sent by who owns the socket.
/// Unknown: the kernel does not tell.
enum class Cover : uint8_t { None, Mptcp, TcpMd5, TcpAo, Unknown };
[[nodiscard]] Cover coverOf(int socket) noexcept;

/// The sequence number of the next byte to be written. Takes TCP_REPAIR for a moment, which needs
/// CAP_NET_ADMIN; call it when nothing waits to be sent, since a segment that would leave in that moment is
/// left to the retransmission timer. None: `errno` says why.
[[nodiscard]] std::optional<uint32_t> nextSequence(int socket) noexcept;

/// Bytes written and not yet acknowledged by the peer, as TCP counts them: what was written minus this is
/// what Device::acknowledged() may be told. A FIN counts as one. None: not a connected TCP socket.
[[nodiscard]] std::optional<uint32_t> unacknowledged(int socket) noexcept;

/// The connection is over for TCP itself (a reset, or it gave up): it sends nothing any more.
[[nodiscard]] bool tcpClosed(int socket) noexcept;

}  // namespace socrypt::nic
