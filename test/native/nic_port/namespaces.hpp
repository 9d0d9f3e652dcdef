// Network namespaces without names: each is held by a descriptor and goes with this process, however it ends.
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "nic/port/descriptor.hpp"

namespace net {

using socrypt::nic::Descriptor;

class Namespace {
 public:
  /// Empty when the rights are missing.
  Namespace() {
    std::thread([this] {
      if (unshare(CLONE_NEWNET) == 0) fd_ = Descriptor(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }).join();
    if (fd_) static_cast<void>(sh("ip link set lo up"));
  }
  [[nodiscard]] bool there() const { return static_cast<bool>(fd_); }
  /// As an argument of `ip link … netns`.
  [[nodiscard]] std::string path() const { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_.get()); }

  /// Runs `body` in a thread of its own inside.
  template <typename Body>
  [[nodiscard]] std::thread start(Body body) const {
    return std::thread([fd = fd_.get(), body = std::move(body)]() mutable {
      if (setns(fd, CLONE_NEWNET) == 0) body();
    });
  }
  template <typename Body>
  void in(Body body) const {
    start([&body] { body(); }).join();
  }
  [[nodiscard]] bool sh(const std::string& command) const {
    int status = -1;
    in([&] { status = std::system(command.c_str()); });
    return status == 0;
  }
  /// What "ethtool -K INTERFACE tx off" does: a veth then puts whole checksums on its wire.
  [[nodiscard]] bool checksumsOn(const std::string& interface) const {
    bool good = false;
    in([&] {
      const Descriptor control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ethtool_value value{ETHTOOL_STXCSUM, 0};
      ifreq request{};
      interface.copy(request.ifr_name, IFNAMSIZ - 1);
      request.ifr_data = reinterpret_cast<char*>(&value);
      good = ioctl(control.get(), SIOCETHTOOL, &request) == 0;
    });
    return good;
  }

 private:
  Descriptor fd_;
};

}  // namespace net
