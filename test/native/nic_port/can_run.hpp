// Whether this machine can run tests between network namespaces.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "namespaces.hpp"
#include "nic/port/af_xdp.hpp"
#include "nic/port/tap.hpp"

namespace net {

/// Empty: it can.
inline std::string whyNot() {
  if (std::system("ip -V >/dev/null 2>&1") != 0) return "ip was not found; install iproute2";
  const Namespace trial;
  if (!trial.there()) return "network namespaces cannot be made (CAP_SYS_ADMIN is needed)";
  std::string why;
  trial.in([&] {
    if (socrypt::nic::TapPort::open("trial", why) == nullptr) return;
    if (std::system("ip link add name try0 type veth peer name try1 && ip link set try0 up") != 0) {
      why = "veth interfaces cannot be made";
      return;
    }
    static_cast<void>(socrypt::nic::AfXdpPort::open("try0", {}, why));
  });
  return why;
}

/// For --can-run: exit status 0, or 1 with the reason on standard output.
inline int sayWhyNot() {
  const std::string why = whyNot();
  if (!why.empty()) std::puts(why.c_str());
  return why.empty() ? 0 : 1;
}

}  // namespace net
