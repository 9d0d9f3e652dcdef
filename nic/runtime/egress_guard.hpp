// Plaintext may leave by the host port and by nothing else.
//
// SO_BINDTODEVICE sees to that for every route there is or will be: the kernel looks a route up with the host port
// as the only way out, and without the host port there is none. What remains is the way to this host itself: when
// the peer's address becomes one of the host port's own, packets go by the loopback interface. So a program at the
// end of IP's way out (BPF_PROG_TYPE_CGROUP_SKB, egress) drops what a socket that is bound to the host port would
// send by another interface.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "nic/port/descriptor.hpp"

namespace socrypt::nic {

/// Whose sockets may be bound to the host port.
enum class Senders : uint8_t {
  ThisProcess,  // its cgroup alone is watched, so that no other packets pay for it
  Any,          // the NIC is lent
};

class EgressGuard {
 public:
  /// For the sockets of this network namespace that are of this process's cgroup and below, or of all cgroups that this
  /// process can see: a socket stays in the cgroup that it was made in, which need not be the one of the process that has it.
  /// It ends with the object, or the process. Needs a cgroup2 mount and CAP_BPF. Null: `why` says what was missing.
  [[nodiscard]] static std::unique_ptr<EgressGuard> attach(unsigned hostPort, Senders senders, std::string& why);

  /// Whose sockets it watches, in words.
  [[nodiscard]] const std::string& whose() const noexcept { return whose_; }

 private:
  EgressGuard() = default;
  [[nodiscard]] bool attachTo(const std::string& cgroup, std::string& why);
  std::string whose_;
  Descriptor program_;
  Descriptor link_;
};

}  // namespace socrypt::nic
