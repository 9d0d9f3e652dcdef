// The host port as an interface: made, found, refused, removed; and what ends a device.
#include <doctest/doctest.h>
#include <net/if.h>
#include <sys/wait.h>

#include <chrono>

#include "../nic_port/namespaces.hpp"
#include "nic/runtime/inline_nic.hpp"

using namespace socrypt;
using net::Namespace;

namespace {

struct Host {
  Host() {
    REQUIRE(space.there());
    REQUIRE(space.sh("ip link add w0 type veth peer name w1 && ip link set w0 up && ip link set w1 up"));
  }
  std::shared_ptr<nic::InlineNic> open(nic::HostDriver driver, std::string& why) const {
    std::shared_ptr<nic::InlineNic> made;
    space.in([&] { made = nic::InlineNic::open({.wire = {.interface = "w0"}, .host = {.name = "h0", .driver = driver, .addresses = {*nic::parseCidr("10.9.0.1/24"), *nic::parseCidr("fd09::1/64")}, .gateways = {*nic::parseCidr("10.9.0.2")}}}, why); });
    return made;
  }
  Namespace space;
};

bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 500 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return condition();
}

}  // namespace

TEST_CASE("addresses with prefixes") {
  const auto v4 = nic::parseCidr("192.0.2.7/25");
  REQUIRE(v4.has_value());
  CHECK_FALSE(v4->ipv6);
  CHECK(v4->prefix == 25);
  CHECK(v4->bytes[3] == 7);
  CHECK(nic::parseCidr("fd00::1")->prefix == 128);
  for (const char* bad : {"", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/8x", "fd00::1/129", "host/24", "10.0.0/8"}) {
    CAPTURE(bad);
    CHECK_FALSE(nic::parseCidr(bad).has_value());
  }
}

TEST_CASE("what the kernel does not take is named, with what would do") {
  struct {
    nic::NicOptions options;
    const char* said;
  } cases[] = {
      {{.wire = {.interface = "nope0"}}, "interface \"nope0\": No such device; `ip link` lists"},
      {{}, "neither an interface to take over was given nor a DPDK device"},
      {{.wire = {.interface = "w2"}}, "interface \"w2\" is down; ip link set w2 up"},
      {{.wire = {.interface = "w0"}, .host = {.name = "h0", .addresses = {*nic::parseCidr("ff02::5/64")}}}, "\"h0\" cannot have the address ff02::5/64: "},
      {{.wire = {.interface = "w0"}, .host = {.name = "h0", .addresses = {*nic::parseCidr("10.9.0.1/24")}, .gateways = {*nic::parseCidr("10.8.0.1")}}},
       "no default route by the gateway 10.8.0.1: Network is unreachable; expected a router in the network of an address of the host port \"h0\" (10.9.0.1/24)"},
      {{.wire = {.interface = "w0"}, .host = {.name = "h0", .addresses = {*nic::parseCidr("10.9.0.1/24")}, .gateways = {*nic::parseCidr("2001:db8::1")}}},
       "; the host port \"h0\" has no IPv6 address: give one"},
      {{.wire = {.interface = "w0"}, .host = {.name = "h0", .driver = nic::HostDriver::Veth}}, "\"h0-\" cannot be made: File exists; give another name, or remove"},
  };
  const Host host;
  REQUIRE(host.space.sh("ip link add w2 type veth peer name h0-"));
  for (const auto& [options, said] : cases) {
    CAPTURE(said);
    std::string why;
    host.space.in([&] { CHECK(nic::InlineNic::open(options, why) == nullptr); });
    CAPTURE(why);
    CHECK(why.find(said) != std::string::npos);
    CHECK(host.space.sh("! ip link show h0 2>/dev/null && ! ip link show w0 | grep -q xdp"));
  }
}

TEST_CASE("an interface that has an XDP program already is not taken over, and it is said how to find it") {
  const Host host;
  std::string why;
  const auto first = host.open(nic::HostDriver::Tap, why);
  REQUIRE(first != nullptr);
  host.space.in([&] { CHECK(nic::InlineNic::open({.wire = {.interface = "w0"}, .host = {.name = "h1"}}, why) == nullptr); });
  CAPTURE(why);
  CHECK(why.find("cannot be attached to the interface \"w0\": Device or resource busy; another one is there (`ip link show dev w0`") != std::string::npos);
}

TEST_CASE("the host port has the wire's MAC address and MTU, its addresses and a route, and goes with the NIC") {
  for (const auto driver : {nic::HostDriver::Tap, nic::HostDriver::Veth}) {
    const Host host;
    const uint32_t mtu = driver == nic::HostDriver::Tap ? 1400 : 9000;
    REQUIRE(host.space.sh("ip link set w0 mtu " + std::to_string(mtu)));
    std::string why;
    auto nic = host.open(driver, why);
    INFO(why);
    REQUIRE(nic != nullptr);
    host.space.in([&] {
      nic::Netlink netlink;
      const auto wire = netlink.link("w0"), port = netlink.link("h0");
      REQUIRE(port.has_value());
      CHECK(port->mac == wire->mac);
      CHECK(port->mtu == mtu);
      CHECK(port->up);
      CHECK(port->index == nic->hostPort().interface);
      const auto near = nic::parseCidr("10.9.0.77"), far = nic::parseCidr("198.51.100.1"), self = nic::parseCidr("10.9.0.1");
      CHECK(netlink.routeTo(near->address(), self->address())->interface == port->index);
      CHECK(netlink.routeTo(far->address(), self->address())->interface == port->index);
      CHECK(netlink.routeTo(self->address(), self->address())->local);
    });
    nic.reset();
    CHECK(host.space.sh("! ip link show h0 2>/dev/null && ! ip link show h0- 2>/dev/null && ! ip link show w0 | grep -q xdp"));
  }
}

TEST_CASE("what a killed process has left is removed; what is not ours stays") {
  const Host host;
  std::string why;
  host.space.in([&] {
    const pid_t child = fork();
    if (child == 0) {
      std::string ignored;
      // Without a destructor, as after a SIGKILL.
      _exit(nic::HostInterface::create({.name = "h0", .driver = nic::HostDriver::Veth}, *nic::Netlink().link("w0"), ignored).release() != nullptr ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    REQUIRE(status == 0);
    REQUIRE(nic::Netlink().link("h0").has_value());
  });
  REQUIRE(host.open(nic::HostDriver::Tap, why) != nullptr);

  // Killed before it could say whose the interface is.
  host.space.in([] { REQUIRE(nic::Netlink().createVeth("h0", "h0-")); });
  for (const auto driver : {nic::HostDriver::Veth, nic::HostDriver::Tap}) {
    const auto next = host.open(driver, why);
    CAPTURE(why);
    REQUIRE(next != nullptr);
    host.space.in([] {
      const auto link = nic::Netlink().link("h0");
      CHECK_FALSE(link->unclaimed);
      CHECK(link->alias.starts_with("socrypt "));
    });
  }

  REQUIRE(host.space.sh("ip link add h0 type veth peer name h1"));
  CHECK(host.open(nic::HostDriver::Tap, why) == nullptr);
  CHECK(why.find("none of ours") != std::string::npos);
  REQUIRE(host.space.sh("ip link delete h0"));

  const auto first = host.open(nic::HostDriver::Veth, why);
  REQUIRE(first != nullptr);
  host.space.in([&] {
    CHECK(nic::HostInterface::create({.name = "h0"}, *nic::Netlink().link("w0"), why) == nullptr);
    CHECK(why.find("is running") != std::string::npos);
  });
}

TEST_CASE("a wire that is not there, or down, is said") {
  const Host host;
  std::string why;
  REQUIRE(host.space.sh("ip link set w0 down"));
  CHECK(host.open(nic::HostDriver::Tap, why) == nullptr);
  CHECK(why.find("is down") != std::string::npos);
  REQUIRE(host.space.sh("ip link delete w0"));
  CHECK(host.open(nic::HostDriver::Tap, why) == nullptr);
  CHECK(why.find("w0") != std::string::npos);
  CHECK(host.space.sh("! ip link show h0 2>/dev/null"));
}

TEST_CASE("an interface that goes away ends the device; another takes its place when it is there again") {
  for (const bool wire : {false, true}) {
    const Host host;
    std::string why;
    const auto nic = host.open(nic::HostDriver::Tap, why);
    REQUIRE(nic != nullptr);
    std::atomic<int> told{0};
    const auto watch = nic->watch([&] { ++told; });
    const uint32_t generation = nic->hostPort().generation;
    REQUIRE(host.space.sh(wire ? "ip link delete w0" : "ip link delete h0"));
    REQUIRE(soon([&] { return told == 1; }));
    CHECK_FALSE(nic->status().alive);
    CHECK(nic->status().reason == std::string("the interface \"") + (wire ? "w0" : "h0") + "\" is gone");
    CHECK(nic->hostPort().interface == 0);
    if (wire) {
      host.space.in([&] { CHECK_FALSE(nic->restart(why)); });
      REQUIRE(host.space.sh("ip link add w0 type veth peer name w1 && ip link set w0 up && ip link set w1 up"));
    }
    host.space.in([&] { REQUIRE(nic->restart(why)); });
    CHECK(told == 2);
    CHECK(nic->hostPort().generation == generation + 1);
    CHECK(nic->hostPort().interface != 0);
  }
}
