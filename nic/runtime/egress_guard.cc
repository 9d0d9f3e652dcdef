#include "nic/runtime/egress_guard.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <sstream>

#include "nic/port/bpf.hpp"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace socrypt::nic {
namespace {

struct Cgroup {
  std::string mount;  // the topmost that is seen from here
  std::string own;    // below it
};

// cgroups(7): the line "0::/path" of /proc/self/cgroup, below wherever cgroup2 is mounted.
std::optional<Cgroup> findCgroup(std::string& why) {
  std::string line, path, mount;
  for (std::ifstream file("/proc/self/cgroup"); std::getline(file, line);)
    if (line.starts_with("0::")) path = line.substr(3);
  for (std::ifstream file("/proc/self/mountinfo"); std::getline(file, line) && mount.empty();) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos || !line.substr(dash + 3).starts_with("cgroup2 ")) continue;
    std::istringstream fields(line);
    std::string ignored;
    fields >> ignored >> ignored >> ignored >> ignored >> mount;
  }
  if (path.empty() || mount.empty()) {
    why = "no cgroup2 file system is mounted (mount -t cgroup2 none /sys/fs/cgroup), or this process is in none of its groups";
    return std::nullopt;
  }
  return Cgroup{mount, path};
}

constexpr int kLoad = BPF_LDX | BPF_MEM, kMove = BPF_ALU64 | BPF_MOV;

// Passes a packet unless all of this holds: it has a full socket, the socket is bound to the host port and of this
// namespace, and the packet is about to leave by another interface.
Descriptor load(unsigned hostPort, std::optional<uint64_t> namespaceCookie) {
  constexpr int kPass = 16;
  const auto interface = static_cast<int32_t>(hostPort);
  const uint64_t cookie = namespaceCookie.value_or(0);
  const auto to = [](int target, int here) { return static_cast<int16_t>(target - here - 1); };
  const std::array<bpf_insn, 18> program{{
      instruction(kMove | BPF_X, 6, 1, 0, 0),
      instruction(kLoad | BPF_DW, 1, 6, offsetof(__sk_buff, sk), 0),
      instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, to(kPass, 2), 0),
      instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_fullsock),
      instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, to(kPass, 4), 0),
      instruction(kLoad | BPF_W, 1, 0, offsetof(bpf_sock, bound_dev_if), 0),
      instruction(BPF_JMP | BPF_JNE | BPF_K, 1, 0, to(kPass, 6), interface),
      instruction(kLoad | BPF_W, 1, 6, offsetof(__sk_buff, ifindex), 0),
      instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, to(kPass, 8), interface),
      instruction(kMove | BPF_X, 1, 6, 0, 0),
      namespaceCookie ? instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_netns_cookie) : instruction(kMove | BPF_K, 0, 0, 0, 0),
      instruction(BPF_LD | BPF_DW | BPF_IMM, 1, 0, 0, static_cast<int32_t>(cookie)),
      instruction(0, 0, 0, 0, static_cast<int32_t>(cookie >> 32)),
      instruction(BPF_JMP | BPF_JNE | BPF_X, 0, 1, to(kPass, 13), 0),
      instruction(kMove | BPF_K, 0, 0, 0, 0),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      instruction(kMove | BPF_K, 0, 0, 0, 1),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  }};
  return loadProgram({.type = BPF_PROG_TYPE_CGROUP_SKB, .instructions = program, .expectedAttachType = BPF_CGROUP_INET_EGRESS});
}

}  // namespace

std::unique_ptr<EgressGuard> EgressGuard::attach(unsigned hostPort, Senders senders, std::string& why) {
  const auto cgroup = findCgroup(why);
  if (!cgroup) return nullptr;

  // Interfaces have their numbers per network namespace, and cgroups span them.
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  const Descriptor here(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (getsockopt(here.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0) return why = systemError("the network namespace cannot be told from others (SO_NETNS_COOKIE: Linux 5.14)"), nullptr;

  std::unique_ptr<EgressGuard> guard(new EgressGuard);
  guard->program_ = load(hostPort, cookie);
  // Before Linux 6.15 such a program cannot ask for its namespace. Then a socket of another one, bound to an interface of
  // the same number, is held to the same rule.
  if (!guard->program_ && errno == EINVAL) guard->program_ = load(hostPort, std::nullopt);
  if (!guard->program_) return why = systemError("the egress program was refused (CAP_BPF and CAP_NET_ADMIN are needed)"), nullptr;
  const std::string own = cgroup->mount + cgroup->own;
  if (senders == Senders::ThisProcess) {
    guard->whose_ = "of this process's cgroup";
    return guard->attachTo(own, why) ? std::move(guard) : nullptr;
  }
  std::string refused;
  if (guard->attachTo(cgroup->mount, refused)) {
    // Documentation/admin-guide/cgroup-v2.rst: the host's own root is the one cgroup without a type.
    const bool host = access((cgroup->mount + "/cgroup.type").c_str(), F_OK) != 0;
    guard->whose_ = host ? "of every process" : "of every process in this container, and of none outside";
    return guard;
  }
  guard->whose_ = "of this process's cgroup alone, and of no other server's: " + refused;
  return guard->attachTo(own, why) ? std::move(guard) : nullptr;
}

bool EgressGuard::attachTo(const std::string& cgroup, std::string& why) {
  const Descriptor directory(open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return why = systemError("the cgroup " + cgroup + " cannot be opened"), false;
  link_ = linkProgram(program_, static_cast<unsigned>(directory.get()), BPF_CGROUP_INET_EGRESS);
  if (!link_) return why = systemError("the egress program cannot be attached to " + cgroup), false;
  return true;
}

}  // namespace socrypt::nic
