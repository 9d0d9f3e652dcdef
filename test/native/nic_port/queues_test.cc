// Frames leave an interface by several queues, those of one flow by one.
#include <doctest/doctest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <vector>

#include "namespaces.hpp"
#include "nic/port/af_xdp.hpp"

using namespace socrypt;
using net::Descriptor;
using net::Namespace;

namespace {

constexpr size_t kFlows = 64, kFrames = 40;

/// A TCP segment of a flow, as far as a switch looks at it; its number stands where the sequence number does.
std::vector<uint8_t> frameOf(size_t flow, uint8_t number, bool ipv6, bool tagged) {
  std::vector<uint8_t> frame(120);
  frame[0] = 2;
  size_t at = 12;
  if (tagged) {
    frame[at] = 0x81;
    frame[at + 3] = 7;
    at += 4;
  }
  frame[at] = ipv6 ? 0x86 : 0x08;
  frame[at + 1] = ipv6 ? 0xdd : 0;
  at += 2;
  frame[at] = ipv6 ? 0x60 : 0x45;
  frame[at + (ipv6 ? 6 : 9)] = 6;
  at += ipv6 ? 40 : 20;
  frame[at] = 0x80;
  frame[at + 1] = static_cast<uint8_t>(flow);
  frame[at + 7] = number;
  return frame;
}

/// In which order the frames of each flow have come.
struct Arrived final : nic::FrameReceiver {
  void frame(std::span<uint8_t> bytes, const nic::FrameOffload&) override { take(bytes, ports); }
  void take(std::span<const uint8_t> bytes, size_t at) {
    if (bytes.size() == 120 && bytes[at] == 0x80) flows[bytes[at + 1]].push_back(bytes[at + 7]);
  }
  size_t ports = 0;
  std::map<uint8_t, std::vector<uint8_t>> flows;
};

}  // namespace

TEST_CASE("AF_XDP with several queues: flows are spread, and each stays in order") {
  for (const auto& [ipv6, tagged] : {std::pair{false, false}, {true, false}, {false, true}, {true, true}}) {
    const Namespace here, there;
    REQUIRE(here.sh("ip link add w0 numtxqueues 4 numrxqueues 4 type veth peer name w1 numtxqueues 4 numrxqueues 4 netns " + there.path() +
                    " && ip link set w0 up"));
    REQUIRE(there.sh("ip link set w1 up"));
    std::string why;
    std::unique_ptr<nic::AfXdpPort> out, in;
    Descriptor others;
    here.in([&] { out = nic::AfXdpPort::open("w0", {.queues = 0}, why); });
    // One queue comes to a port, the others go to the kernel, and a packet socket sees them there.
    there.in([&] {
      in = nic::AfXdpPort::open("w1", {.queues = 1}, why);
      others = Descriptor(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    });
    INFO(why);
    REQUIRE(out != nullptr);
    REQUIRE(in != nullptr);
    CHECK(out->queues() == 4);
    const int room = 1 << 23;
    REQUIRE(setsockopt(others.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0);

    Arrived first, rest;
    // The kernel takes a VLAN tag out of what it shows.
    first.ports = (tagged ? 18u : 14u) + (ipv6 ? 40u : 20u);
    rest.ports = 14u + (ipv6 ? 40u : 20u);
    const auto take = [&] {
      while (in->receive(first, 64) != 0) {
      }
      std::array<uint8_t, 2048> bytes;
      for (ssize_t n; (n = recv(others.get(), bytes.data(), bytes.size(), 0)) > 0;) {
        const auto frame = std::span<const uint8_t>(bytes).first(static_cast<size_t>(n));
        if (n == (tagged ? 116 : 120)) {
          std::vector<uint8_t> whole(frame.begin(), frame.end());
          whole.resize(120);
          rest.take(whole, rest.ports);
        }
      }
    };
    for (uint8_t number = 0; number < kFrames; ++number) {
      for (size_t flow = 0; flow < kFlows; ++flow) {
        const auto frame = frameOf(flow, number, ipv6, tagged);
        // In two pieces, as segments are cut, also within the headers.
        REQUIRE(out->room() > 0);
        REQUIRE(out->send(std::span(frame).first(30), std::span(frame).subspan(30)));
      }
      for (int i = 0; i < 100 && !out->flush(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      take();
    }
    const auto arrived = [](const Arrived& side) {
      size_t n = 0;
      for (const auto& [flow, numbers] : side.flows) n += numbers.size();
      return n;
    };
    for (int i = 0; i < 500 && arrived(first) + arrived(rest) < kFlows * kFrames; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      take();
    }
    CHECK(arrived(first) + arrived(rest) == kFlows * kFrames);
    // A quarter of them, more or less.
    CHECK(first.flows.size() > kFlows / 16);
    CHECK(first.flows.size() < kFlows / 2);
    CHECK(first.flows.size() + rest.flows.size() == kFlows);
    for (const Arrived* side : {&first, &rest}) {
      for (const auto& [flow, numbers] : side->flows) {
        CHECK(numbers.size() == kFrames);
        CHECK(std::is_sorted(numbers.begin(), numbers.end()));
      }
    }
  }
}
