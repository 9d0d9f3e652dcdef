// The device between two network namespaces, under the kernel's own TCP: a server writes framed plaintext
// records into an ordinary socket, a client across the wire reads them with libssl.
//
//   namespace "host"          this process            namespace "peer"
//   server, TCP ── tap0 or veth ── Bridge ── AF_XDP on veth ──── TCP, SSL_read
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "dpdk_devices.hpp"
#include "faulty_port.hpp"
#include "namespaces.hpp"
#include "patch.hpp"
#include "nic/port/af_xdp.hpp"
#include "nic/port/bridge.hpp"
#include "nic/port/host_socket.hpp"
#include "nic/port/tap.hpp"
#include "record/file_payload.hpp"
#include "tls_peer.hpp"

using namespace socrypt;
using net::Descriptor;
using net::Namespace;

namespace {

constexpr std::string_view kCanary = "this-is-plaintext-and-must-not-be-on-the-wire";
constexpr uint16_t kPort = 4433;

uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("SOCRYPT_TEST_SEED");
    const uint64_t chosen = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("seed: SOCRYPT_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return value;
}

// Of content per transfer; for longer runs.
uint64_t megabytes() {
  const char* given = std::getenv("SOCRYPT_NIC_MEGABYTES");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 3;
}

// The content of the transfer at any place: the canary, and numbers that tell places apart.
uint8_t contentAt(uint64_t at) {
  const uint64_t line = at / 64, column = at % 64;
  if (column < kCanary.size()) return static_cast<uint8_t>(kCanary[column]);
  return static_cast<uint8_t>(line * 0x9e3779b97f4a7c15 >> (column % 8 * 8));
}

struct Setup {
  const char* suite = "TLS_AES_128_GCM_SHA256";
  bool tap = true;
  bool ipv6 = false;
  nic::Resync resync = nic::Resync::OrderFree;
  faulty::Faults faults{};
  uint64_t bytes = megabytes() << 20;
  bool keyUpdates = true;
  unsigned mtu = 1500;
  std::string dpdkWire{};     // the wire's port as a DPDK device; else AF_XDP
  std::string dpdkFarWire{};  // the other end of that device, if it is not the interface
};

// Both namespaces, their interfaces, and the thread that moves frames between them.
class Network {
 public:
  explicit Network(const Setup& setup) : device({.flow = {.resync = setup.resync}}) {
    REQUIRE(host.there());
    REQUIRE(wire_.there());
    REQUIRE(peer.there());
    const std::string mtu = " mtu " + std::to_string(setup.mtu);
    REQUIRE(wire_.sh("ip link add w0" + mtu + " type veth peer name w1" + mtu + " netns " + peer.path() + " && ip link set w0 up"));
    REQUIRE(peer.checksumsOn("w1"));
    std::string why;
    if (setup.tap) {
      host.in([&] { hostPort_ = nic::TapPort::open("h0", why); });
    } else {
      REQUIRE(wire_.sh("ip link add v0" + mtu + " type veth peer name h0" + mtu + " netns " + host.path() + " && ip link set v0 up"));
      wire_.in([&] { hostPort_ = nic::AfXdpPort::open("v0", {.checksumsUnknown = true}, why); });
    }
    INFO(why);
    REQUIRE(hostPort_ != nullptr);
    wire_.in([&] {
      nic::DpdkPortFacts facts;
      if (setup.dpdkWire.empty()) {
        wirePort_ = nic::AfXdpPort::open("w0", {}, why);
      } else {
        wirePort_ = nic::openDpdkPort(setup.dpdkWire, facts, why);
      }
      if (wirePort_ == nullptr || setup.dpdkFarWire.empty()) return;
      auto far = nic::openDpdkPort(setup.dpdkFarWire, facts, why);
      auto interface = nic::AfXdpPort::open("w0", {}, why);
      if (far != nullptr && interface != nullptr) patch_ = std::make_unique<net::Patch>(std::move(far), std::move(interface));
    });
    INFO(why);
    REQUIRE(wirePort_ != nullptr);
    REQUIRE((patch_ != nullptr || setup.dpdkFarWire.empty()));
    // No duplicate address detection: it would only cost a second.
    REQUIRE(host.sh("ip addr add 10.9.0.1/24 dev h0 && ip addr add fd09::1/64 dev h0 nodad && ip link set h0" + mtu + " up"));
    REQUIRE(peer.sh("ip addr add 10.9.0.2/24 dev w1 && ip addr add fd09::2/64 dev w1 nodad && ip link set w1 up"));
    toWire = std::make_unique<faulty::FaultyPort>(*wirePort_, setup.faults, seed() + 1, kCanary);
    toHost = std::make_unique<faulty::FaultyPort>(*hostPort_, setup.faults, seed() + 2, kCanary);
    wake_ = Descriptor(eventfd(0, EFD_CLOEXEC));
    bridge_ = std::make_unique<nic::Bridge>(device, clock_, *toHost, *toWire);
    thread_ = std::thread([this] {
      while (!stop_.load()) {
        while (bridge_->once() != 0 && !stop_.load()) {
        }
        bridge_->wait(-1, wake_.get());
      }
    });
  }
  ~Network() {
    stop_ = true;
    const uint64_t one = 1;
    if (write(wake_.get(), &one, sizeof one) != sizeof one) std::abort();
    thread_.join();
  }

  Namespace host;
  Namespace peer;
  nic::InlineDevice device;
  std::unique_ptr<faulty::FaultyPort> toWire;
  std::unique_ptr<faulty::FaultyPort> toHost;

 private:
  Namespace wire_;
  std::unique_ptr<nic::Port> hostPort_;
  std::unique_ptr<nic::Port> wirePort_;
  std::unique_ptr<net::Patch> patch_;
  nic::Clock clock_;
  std::unique_ptr<nic::Bridge> bridge_;
  Descriptor wake_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Descriptor tcp(bool ipv6) {
  Descriptor socket(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // A hang is a failure.
  const timeval limit{60, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return socket;
}

sockaddr_storage addressOf(bool ipv6, socklen_t& length) {
  sockaddr_storage storage{};
  if (ipv6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(kPort);
    v6.sin6_addr.s6_addr[0] = 0xfd;
    v6.sin6_addr.s6_addr[1] = 0x09;
    v6.sin6_addr.s6_addr[15] = 1;
    length = sizeof v6;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(kPort);
    v4.sin_addr.s_addr = htonl(0x0a090001);
    length = sizeof v4;
  }
  return storage;
}

// The driver's part for one connection, as an engine would do it.
class OffloadedSender {
 public:
  OffloadedSender(nic::InlineDevice& device, int socket, tls::Sending sending, bool payload)
      : device_(device), socket_(socket), sending_(std::move(sending)), payload_(payload) {
    const auto key = nic::flowKeyOf(socket);
    const auto sequence = nic::nextSequence(socket);
    REQUIRE(key.has_value());
    REQUIRE(sequence.has_value());
    key_ = *key;
    const auto unacknowledged = nic::unacknowledged(socket);
    REQUIRE(unacknowledged.has_value());
    REQUIRE(device.add(key_, sending_.keys, *sequence, *unacknowledged, &flow_) == ocf::Status::Ok);
    number_ = sending_.keys.recordSeq;
  }

  void record(record::ContentType type, std::vector<uint8_t> content) {
    const auto facts = record::factsOf(sending_.keys.suite);
    const size_t length = content.size() + facts.framing.overhead();
    std::vector<uint8_t> plain(length);
    plain[0] = static_cast<uint8_t>(facts.tls12 ? type : record::ContentType::ApplicationData);
    plain[1] = plain[2] = 3;
    nic::put16(plain.data() + 3, static_cast<uint32_t>(length - 5));
    if (facts.framing.before > 5) {
      nic::put32(plain.data() + 5, static_cast<uint32_t>(number_ >> 32));
      nic::put32(plain.data() + 9, static_cast<uint32_t>(number_));
    }
    std::copy(content.begin(), content.end(), plain.begin() + facts.framing.before);
    if (!facts.tls12) plain[facts.framing.before + content.size()] = static_cast<uint8_t>(type);

    record::NewRecord record{.ref = {offset_, static_cast<uint32_t>(length), sending_.keys.epoch, number_++}, .type = type};
    if (payload_) record.payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(std::move(content)));
    while (device_.push(flow_, {&record, 1}) == ocf::Status::Full) waitForAcknowledgement();
    record.payload = {};
    for (size_t at = 0; at < length;) {
      const ssize_t n = send(socket_, plain.data() + at, length - at, MSG_NOSIGNAL);
      REQUIRE(n > 0);
      at += static_cast<size_t>(n);
    }
    offset_ += length;
    acknowledged();
  }

  /// A record whose payload is the file's pages: sendfile(2) between its header and its tag's room.
  /// False: the guard has ended the flow.
  bool recordOfFile(int file, uint64_t at, size_t n) {
    REQUIRE_FALSE(record::factsOf(sending_.keys.suite).tls12);
    const size_t length = n + record::kOverhead;
    uint8_t header[5] = {23, 3, 3};
    nic::put16(header + 3, static_cast<uint32_t>(length - 5));
    uint8_t tail[17] = {23};
    record::NewRecord record{.ref = {offset_, static_cast<uint32_t>(length), sending_.keys.epoch, number_++},
                             .payload = record::PayloadRef(std::make_unique<record::FilePayload>(dup(file), at)),
                             .guarded = true};
    while (device_.push(flow_, {&record, 1}) == ocf::Status::Full) waitForAcknowledgement();
    // Without blocking, since the other side of a flow that has ended acknowledges nothing any more.
    const auto all = [&](size_t size, auto write) {
      for (size_t done = 0; done < size;) {
        if (device_.usage(flow_)->broken) return false;
        const ssize_t now = write(done);
        if (now < 0 && errno == EAGAIN) {
          waitForAcknowledgement();
          continue;
        }
        REQUIRE(now > 0);
        done += static_cast<size_t>(now);
      }
      return true;
    };
    auto from = static_cast<off_t>(at);
    const bool good = all(5, [&](size_t done) { return send(socket_, header + done, 5 - done, MSG_NOSIGNAL | MSG_MORE | MSG_DONTWAIT); }) &&
                      all(n, [&](size_t done) {
                        fcntl(socket_, F_SETFL, O_NONBLOCK);
                        const ssize_t sent = sendfile(socket_, file, &from, n - done);
                        fcntl(socket_, F_SETFL, 0);
                        return sent;
                      }) &&
                      all(17, [&](size_t done) { return send(socket_, tail + done, 17 - done, MSG_NOSIGNAL | MSG_DONTWAIT); });
    offset_ += length;
    acknowledged();
    return good;
  }

  /// RST, as after a change that the guard has found.
  void abort(Descriptor socket) {
    const linger hard{1, 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    // Its queue is full of plaintext, which from here on must be dropped.
    device_.remove(flow_);
    socket = {};
    device_.release(key_);
  }

  void keyUpdate() {
    // RFC 8446 4.6.3: update_not_requested. The message goes under the old keys.
    record(record::ContentType::Handshake, {24, 0, 0, 1, 0});
    sending_.update();
    while (device_.rekey(flow_, sending_.keys) == ocf::Status::Full) waitForAcknowledgement();
    number_ = 0;
  }

  /// False: the guard has ended the flow.
  [[nodiscard]] bool finish() {
    record(record::ContentType::Alert, {1, 0});
    shutdown(socket_, SHUT_WR);
    for (int i = 0; nic::unacknowledged(socket_).value_or(0) != 0; ++i) {
      REQUIRE(i < 60000);
      if (device_.usage(flow_)->broken) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    device_.acknowledged(flow_, offset_);
    usage = *device_.usage(flow_);
    device_.remove(flow_);
    device_.release(key_);
    return true;
  }

  nic::Flow::Usage usage{};

 private:
  void waitForAcknowledgement() {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    acknowledged();
  }
  void acknowledged() { device_.acknowledged(flow_, offset_ - std::min<uint64_t>(offset_, nic::unacknowledged(socket_).value_or(UINT32_MAX))); }

  nic::InlineDevice& device_;
  int socket_;
  tls::Sending sending_;
  bool payload_;
  nic::FlowKey key_;
  nic::FlowId flow_{};
  uint64_t offset_ = 0;
  uint64_t number_ = 0;
};

void transfer(const Setup& setup) {
  Network network(setup);
  std::mt19937_64 random(seed());
  Descriptor listener;
  network.host.in([&] {
    listener = tcp(setup.ipv6);
    const int on = 1;
    setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t length;
    const auto address = addressOf(setup.ipv6, length);
    REQUIRE(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
    REQUIRE(listen(listener.get(), 8) == 0);
  });

  uint64_t received = 0;
  uint64_t wrong = 0;
  bool clean = false;
  std::thread client = network.peer.start([&] {
    const Descriptor socket = tcp(setup.ipv6);
    socklen_t length;
    const auto address = addressOf(setup.ipv6, length);
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return;
    const tls::Ssl ssl = tls::connect(socket.get());
    if (ssl == nullptr) return;
    // The receive direction, too, goes through the ports.
    SSL_write(ssl.get(), "request", 7);
    std::vector<uint8_t> buffer(1 << 15);
    for (;;) {
      const int n = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (n <= 0) {
        clean = SSL_get_error(ssl.get(), n) == SSL_ERROR_ZERO_RETURN;
        return;
      }
      for (int i = 0; i < n; ++i) wrong += buffer[static_cast<size_t>(i)] != contentAt(received++);
    }
  });

  uint64_t sent = 0;
  nic::Flow::Usage usage{};
  std::string request(7, ' ');
  const auto started = std::chrono::steady_clock::now();
  network.host.in([&] {
    const Descriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(static_cast<bool>(socket));
    const timeval limit{60, 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    tls::Sending sending;
    const tls::Ssl ssl = tls::accept(socket.get(), setup.suite, sending);
    REQUIRE(ssl != nullptr);
    REQUIRE(SSL_read(ssl.get(), request.data(), 7) == 7);
    const bool updates = setup.keyUpdates && !sending.tls12;
    OffloadedSender sender(network.device, socket.get(), std::move(sending), true);
    while (sent < setup.bytes) {
      const size_t n = random() % 4 == 0 ? 1 + random() % 2000 : 1u << 14;
      std::vector<uint8_t> content(n);
      for (size_t i = 0; i < n; ++i) content[i] = contentAt(sent + i);
      sender.record(record::ContentType::ApplicationData, std::move(content));
      sent += n;
      if (updates && random() % 40 == 0) sender.keyUpdate();
    }
    REQUIRE(sender.finish());
    usage = sender.usage;
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  client.join();
  const auto& c = network.device.counters();
  std::printf("seed %s %s %s, mode %d, loss %u/1000: %.1f MB in %.2f s; sealed %llu packets, ooo %llu, retransmitted %llu bytes, replayed %llu\n",
              setup.suite, setup.tap ? "tap" : "veth", setup.ipv6 ? "IPv6" : "IPv4", static_cast<int>(setup.resync), setup.faults.lossPerMille,
              static_cast<double>(sent) / 1e6, seconds, static_cast<unsigned long long>(c.tx_tls_encrypted_packets.load()),
              static_cast<unsigned long long>(c.tx_tls_ooo.load()), static_cast<unsigned long long>(c.tx_tls_retransmitted_bytes.load()),
              static_cast<unsigned long long>(c.tx_tls_resync_bytes.load()));
  CHECK(request == "request");
  CHECK(received == sent);
  CHECK(wrong == 0);
  CHECK(clean);
  CHECK(network.toWire->canaries.load() == 0);
  CHECK(c.tx_tls_encrypted_packets > sent / setup.mtu);
  if (setup.faults.lossPerMille == 0) CHECK(c.tx_tls_encrypted_packets < 6 * sent / setup.mtu);
  // A retransmission that its acknowledgement has overtaken in the queue is rightly unknown by now.
  if (setup.faults.lossPerMille == 0) CHECK(c.tx_tls_drop_no_sync_data == 0);
  CHECK(c.tx_tls_drop_header + c.tx_tls_drop_failed + c.tx_tls_drop_unsupported + c.tx_drop_unclear + c.tx_drop_offload == 0);
  CHECK(usage.records == 0);
  CHECK(usage.payloadBytes == 0);
  CHECK(usage.epochs == 1);
  if (setup.faults.lossPerMille != 0) {
    CHECK(network.toWire->lost.load() > 0);
    CHECK(c.tx_tls_retransmitted_bytes > 0);
  }
}

}  // namespace

TEST_CASE("a TLS client reads what the device sealed: tap with TSO, AF_XDP on the wire") { transfer({}); }
TEST_CASE("the same over IPv6") { transfer({.suite = "TLS_AES_256_GCM_SHA384", .ipv6 = true}); }
TEST_CASE("the same from a veth, one packet at a time") { transfer({.suite = "TLS_CHACHA20_POLY1305_SHA256", .tap = false}); }
TEST_CASE("jumbo frames, which come and go in several buffers") {
  transfer({.mtu = 9000});
  // Some 200 packets: with fewer losses in 1000, there might be none.
  transfer({.suite = "TLS_AES_256_GCM_SHA384", .tap = false, .ipv6 = true, .faults = {80, 10, 20}, .mtu = 16000});
}
TEST_CASE("DPDK devices: packet sockets on the wire") {
  if (const auto why = dpdk::whyNot("net_null0"); !why.empty()) {
    MESSAGE("skipped: ", why);
    return;
  }
  transfer({.dpdkWire = "net_af_packet0,iface=w0"});
  transfer({.ipv6 = true, .faults = {20, 10, 20}, .dpdkWire = "net_af_packet1,iface=w0"});
}
TEST_CASE("DPDK devices: AF_XDP on the wire, for longer than its buffers last that do not come back") {
  if (const auto why = dpdk::whyNot("net_af_xdp0,iface=none"); !why.empty()) {
    MESSAGE("skipped: ", why);
    return;
  }
  transfer({.bytes = 12u << 20, .dpdkWire = "net_af_xdp0,iface=w0"});
  transfer({.suite = "TLS_AES_256_GCM_SHA384", .ipv6 = true, .faults = {20, 10, 20}, .bytes = 12u << 20, .dpdkWire = "net_af_xdp0,iface=w0"});
}
TEST_CASE("DPDK devices: memif on the wire") {
  const dpdk::Memif memif(0);
  if (const auto why = dpdk::whyNot(memif.server()); !why.empty()) {
    MESSAGE("skipped: ", why);
    return;
  }
  transfer({.dpdkWire = memif.server(), .dpdkFarWire = memif.client()});
  transfer({.suite = "TLS_AES_256_GCM_SHA384", .ipv6 = true, .faults = {20, 10, 20}, .dpdkWire = memif.server(), .dpdkFarWire = memif.client()});
}
TEST_CASE("TLS 1.2") {
  transfer({.suite = "ECDHE-ECDSA-AES128-GCM-SHA256"});
  transfer({.suite = "ECDHE-ECDSA-CHACHA20-POLY1305", .tap = false, .ipv6 = true});
}
TEST_CASE("loss, repetition and reordering, both ways, in each mode") {
  for (const auto resync : {nic::Resync::OrderFree, nic::Resync::PrefixReplay, nic::Resync::NextRecord})
    transfer({.resync = resync, .faults = {20, 10, 20}});
  transfer({.suite = "TLS_CHACHA20_POLY1305_SHA256", .tap = false, .ipv6 = true, .faults = {20, 10, 20}});
}

namespace {

// One ICMP echo, as ping sends it. The kernel on the other side answers.
bool ping(const Namespace& from, uint32_t to) {
  bool answered = false;
  from.in([&] {
    const Descriptor raw(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
    const timeval limit{5, 0};
    setsockopt(raw.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(to);
    std::vector<uint8_t> echo = {8, 0, 0, 0, 0x12, 0x34, 0, 1, 'e', 'c', 'h', 'o'};
    nic::put16(echo.data() + 2, static_cast<uint16_t>(~nic::checksumFold(nic::checksumAdd(echo))));
    if (sendto(raw.get(), echo.data(), echo.size(), 0, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) return;
    std::vector<uint8_t> got(200);
    for (int i = 0; i < 10 && !answered; ++i) {
      const ssize_t n = recv(raw.get(), got.data(), got.size(), 0);
      if (n < 0) return;
      answered = n >= 28 && got[20] == 0 && got[24] == 0x12;
    }
  });
  return answered;
}

}  // namespace

namespace {

struct FileOutcome {
  uint64_t received = 0;
  bool clean = false;
  bool forged = false;  // the client's TLS refused a record
  bool broken = false;
};

// Sends a file with sendfile(2); `rewrite`: somebody writes into it meanwhile.
FileOutcome transferFile(bool rewrite) {
  Network network({.faults = {30, 5, 20}});
  Descriptor listener;
  network.host.in([&] {
    listener = tcp(false);
    socklen_t length;
    const auto address = addressOf(false, length);
    REQUIRE(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
    REQUIRE(listen(listener.get(), 8) == 0);
  });
  FileOutcome outcome;
  std::thread client = network.peer.start([&] {
    const Descriptor socket = tcp(false);
    socklen_t length;
    const auto address = addressOf(false, length);
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return;
    const tls::Ssl ssl = tls::connect(socket.get());
    if (ssl == nullptr) return;
    std::vector<uint8_t> buffer(1 << 15);
    for (;;) {
      const int n = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (n > 0) {
        outcome.received += static_cast<uint64_t>(n);
        continue;
      }
      const int reason = SSL_get_error(ssl.get(), n);
      outcome.clean = reason == SSL_ERROR_ZERO_RETURN;
      outcome.forged = reason == SSL_ERROR_SSL;
      return;
    }
  });
  const size_t size = megabytes() << 20;
  network.host.in([&] {
    const Descriptor file(memfd_create("file", MFD_CLOEXEC));
    std::vector<uint8_t> bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = contentAt(i);
    REQUIRE(write(file.get(), bytes.data(), size) == static_cast<ssize_t>(size));
    Descriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(static_cast<bool>(socket));
    tls::Sending sending;
    const tls::Ssl ssl = tls::accept(socket.get(), "TLS_AES_128_GCM_SHA256", sending);
    REQUIRE(ssl != nullptr);
    OffloadedSender sender(network.device, socket.get(), std::move(sending), true);
    std::atomic<bool> done{false};
    std::thread writer([&] {
      // The canary stays, so that the search on the wire means something.
      std::mt19937_64 random(seed());
      while (rewrite && !done) {
        const auto at = static_cast<off_t>(random() % (size / 64) * 64 + kCanary.size());
        const auto value = static_cast<uint8_t>(random());
        if (pwrite(file.get(), &value, 1, at) != 1) return;
      }
    });
    bool good = true;
    for (size_t at = 0; good && at < size; at += 1u << 14) good = sender.recordOfFile(file.get(), at, std::min<size_t>(1u << 14, size - at));
    if (good) good = sender.finish();
    outcome.broken = !good;
    done = true;
    writer.join();
    if (!good) sender.abort(std::move(socket));
  });
  client.join();
  const auto& c = network.device.counters();
  std::printf("seed sendfile%s: %.1f MB of %.1f, retransmitted %llu bytes, changed %llu\n", rewrite ? ", file rewritten" : "",
              static_cast<double>(outcome.received) / 1e6, static_cast<double>(size) / 1e6,
              static_cast<unsigned long long>(c.tx_tls_retransmitted_bytes.load()), static_cast<unsigned long long>(c.tx_tls_guard_changed.load()));
  CHECK(network.toWire->canaries.load() == 0);
  CHECK(c.tx_tls_guard_changed == (outcome.broken ? 1 : 0));
  CHECK(outcome.clean == !outcome.broken);
  CHECK_FALSE(outcome.forged);
  if (outcome.clean) CHECK(outcome.received == size);
  return outcome;
}

}  // namespace

TEST_CASE("zero copy: records around sendfile, under loss") { CHECK(transferFile(false).clean); }

TEST_CASE("zero copy: a file that is rewritten ends the connection; no record that the peer would refuse") {
  bool ended = false;
  // Whether a change meets a retransmission is chance; every transfer is checked, whichever way it goes.
  for (int i = 0; i < 10 && !ended; ++i) ended = transferFile(true).broken;
  CHECK(ended);
}

TEST_CASE("what is no flow passes: ARP, ICMP, UDP, another TCP connection, while a flow exists") {
  for (const bool tap : {true, false}) {
    CAPTURE(tap);
    Network network({.tap = tap});
    nic::FlowKey key;
    key.localPort = 1;
    nic::FlowId flow{};
    REQUIRE(network.device.add(key, {}, 0, 0, &flow) == ocf::Status::Ok);
    CHECK(ping(network.host, 0x0a090002));
    CHECK(ping(network.peer, 0x0a090001));
    for (const bool ipv6 : {false, true}) {
      for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
        CAPTURE(ipv6);
        CAPTURE(type);
        socklen_t length;
        const auto address = addressOf(ipv6, length);
        const auto* where = reinterpret_cast<const sockaddr*>(&address);
        const std::string sent(type == SOCK_STREAM ? 300000 : 1200, 'x');
        std::string received;
        Descriptor listener;
        network.host.in([&] {
          listener = Descriptor(socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0));
          const int on = 1;
          setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
          const timeval limit{20, 0};
          setsockopt(listener.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
          REQUIRE(bind(listener.get(), where, length) == 0);
          if (type == SOCK_STREAM) REQUIRE(listen(listener.get(), 1) == 0);
        });
        // Asked by the peer, sent by the host: data goes both ways.
        std::thread peer = network.peer.start([&] {
          const Descriptor client(socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0));
          const timeval limit{20, 0};
          setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
          if (connect(client.get(), where, length) != 0 || send(client.get(), "?", 1, 0) != 1) return;
          std::vector<char> buffer(1 << 16);
          while (received.size() < sent.size()) {
            const ssize_t n = recv(client.get(), buffer.data(), buffer.size(), 0);
            if (n <= 0) return;
            received.append(buffer.data(), static_cast<size_t>(n));
          }
        });
        network.host.in([&] {
          char question = 0;
          sockaddr_storage asker{};
          socklen_t askerLength = sizeof asker;
          if (type == SOCK_STREAM) {
            const Descriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
            REQUIRE(recv(socket.get(), &question, 1, 0) == 1);
            REQUIRE(send(socket.get(), sent.data(), sent.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(sent.size()));
            while (nic::unacknowledged(socket.get()).value_or(0) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
          } else {
            REQUIRE(recvfrom(listener.get(), &question, 1, 0, reinterpret_cast<sockaddr*>(&asker), &askerLength) == 1);
            REQUIRE(sendto(listener.get(), sent.data(), sent.size(), 0, reinterpret_cast<const sockaddr*>(&asker), askerLength) > 0);
          }
        });
        peer.join();
        CHECK(received == sent);
      }
    }
    CHECK(network.device.counters().tx_tls_encrypted_packets == 0);
    CHECK(network.device.counters().tx_drop_unclear == 0);
  }
}
