// A NIC in a host's namespace, a peer in another, and a wire between them that can be cut and that looks for plaintext.
#pragma once

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "../engine/harness.hpp"
#include "../nic_port/namespaces.hpp"
#include "nic/runtime/inline_nic.hpp"

namespace laboratory {

using namespace socrypt;
using net::Namespace;

inline constexpr std::string_view kCanary = "this-is-plaintext-and-must-not-be-on-the-wire";

struct Wire {
  std::atomic<bool> cut{false};      // frames to the peer are lost
  std::atomic<unsigned> nth{0};      // every nth frame to the peer is lost; 0: none
  std::atomic<uint64_t> frames{0}, lost{0}, canaries{0}, longest{0};
};

class WatchedPort final : public nic::Port {
 public:
  WatchedPort(std::unique_ptr<nic::Port> inner, Wire& wire) : inner_(std::move(inner)), wire_(wire) {}
  [[nodiscard]] int descriptor() const noexcept override { return inner_->descriptor(); }
  size_t receive(nic::FrameReceiver& receiver, size_t most) override { return inner_->receive(receiver, most); }
  [[nodiscard]] size_t room() noexcept override { return inner_->room(); }
  bool flush() noexcept override { return inner_->flush(); }
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    const uint64_t n = ++wire_.frames;
    std::string bytes(head.begin(), head.end());
    bytes.append(rest.begin(), rest.end());
    if (bytes.size() > wire_.longest) wire_.longest = bytes.size();
    if (bytes.find(kCanary) != std::string::npos) ++wire_.canaries;
    const unsigned nth = wire_.nth;
    if (wire_.cut || (nth != 0 && n % nth == 0)) return ++wire_.lost, true;
    return inner_->send(head, rest);
  }

 private:
  std::unique_ptr<nic::Port> inner_;
  Wire& wire_;
};

/// The canary, and numbers that tell places apart.
inline std::string content(size_t size) {
  std::string text;
  for (size_t line = 0; text.size() < size; ++line) text.append(kCanary).append(" ").append(std::to_string(line)).append("\n");
  text.resize(size);
  return text;
}

/// All that passes an interface, of the namespace that it is made in.
class Sniffer {
 public:
  explicit Sniffer(const char* interface) : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    const int room = 1 << 24;
    REQUIRE(setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0);
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    REQUIRE(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
  }
  struct Seen {
    size_t bytes = 0, canaries = 0;
  };
  [[nodiscard]] Seen take() const {
    Seen seen;
    std::string frame(1 << 17, '\0');
    for (ssize_t n; (n = recv(fd_.get(), frame.data(), frame.size(), 0)) > 0;) {
      seen.bytes += static_cast<size_t>(n);
      if (std::string_view(frame.data(), static_cast<size_t>(n)).find(kCanary) != std::string_view::npos) ++seen.canaries;
    }
    return seen;
  }

 private:
  nic::Descriptor fd_;
};

class Laboratory {
 public:
  explicit Laboratory(const std::function<void(engine::EngineOptions&)>& adjust = {}, nic::HostDriver driver = nic::HostDriver::Tap, const nic::DeviceOptions& limits = {},
                      const std::function<std::shared_ptr<nic::Nic>(std::shared_ptr<nic::InlineNic>)>& around = {}, const std::string& link = {}) {
    REQUIRE(host.there());
    REQUIRE(peer.there());
    REQUIRE(host.sh("ip link add w0 " + link + " type veth peer name w1 " + link + " netns " + peer.path() + " && ip link set w0 up"));
    REQUIRE(peer.sh("ip addr add 10.9.0.2/24 dev w1 && ip link set w1 up"));
    REQUIRE(peer.checksumsOn("w1"));
    std::string why;
    host.in([&] {
      device = nic::InlineNic::open({.wire = {.interface = "w0"},
                                     .host = {.name = "h0", .driver = driver, .addresses = {*nic::parseCidr("10.9.0.1/24")}},
                                     .device = limits,
                                     .wrapWire = [this](std::unique_ptr<nic::Port> port) { return std::make_unique<WatchedPort>(std::move(port), wire); }},
                                    why);
    });
    INFO(why);
    REQUIRE(device != nullptr);
    host.in([&] {
      server = std::make_unique<harness::Server>([&](engine::EngineOptions& options) {
        options.host = "10.9.0.1";
        if (around) options.nic = around(device);
        else options.nic = device;
        if (adjust) adjust(options);
      });
    });
    server->address = 0x0a090001;
  }

  /// Runs `body` where the peer is.
  template <typename Body>
  void onPeer(Body body) const {
    peer.in(std::move(body));
  }
  void restart() {
    std::string why;
    bool good = false;
    host.in([&] { good = device->restart(why); });
    INFO(why);
    REQUIRE(good);
  }
  void pause(bool pause) const { server->submit(std::move(harness::Message(engine::Down::PauseNic, 0).number<uint8_t>(pause ? 1 : 0))); }

  Wire wire;
  Namespace host, peer;
  std::shared_ptr<nic::InlineNic> device;
  std::unique_ptr<harness::Server> server;
};

}  // namespace laboratory
