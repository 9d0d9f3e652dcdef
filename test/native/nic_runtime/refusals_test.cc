// What the NIC does not take: real sockets, and each time software seals, the reason is counted, and no plaintext leaves.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "laboratory.hpp"
#include "nic/port/host_socket.hpp"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_AO_ADD_KEY
#define TCP_AO_ADD_KEY 38
#endif

namespace {

std::atomic<bool> asksForMptcp{false};

}  // namespace

// The C library's, and what mptcpize(8) preloads to have MPTCP in programs that ask for TCP.
extern "C" int socket(int domain, int type, int protocol) noexcept {
  const bool stream = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
  if (asksForMptcp && domain == AF_INET && stream && protocol == 0) protocol = IPPROTO_MPTCP;
  return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
}

using namespace laboratory;
using engine::Counter;
using harness::Client;
using harness::eventually;

namespace {

constexpr uint32_t kHost = 0x0a090001, kPeer = 0x0a090002;

uint64_t sealed(const Laboratory& lab, engine::PathKind path) {
  return lab.server->counter(static_cast<Counter>(static_cast<size_t>(Counter::records_sealed) + static_cast<size_t>(path)));
}

sockaddr_in addressOf(uint32_t address, uint16_t port) {
  sockaddr_in made{};
  made.sin_family = AF_INET;
  made.sin_addr.s_addr = htonl(address);
  made.sin_port = htons(port);
  return made;
}

/// A socket of this process that `fits`: the engine does not show its own.
int socketThat(const std::function<bool(int)>& fits) {
  for (int fd = 3; fd < 1024; ++fd)
    if (fcntl(fd, F_GETFD) >= 0 && fits(fd)) return fd;
  return -1;
}

int listenerOf(uint16_t port) {
  return socketThat([port](int fd) {
    int listens = 0;
    socklen_t length = sizeof listens;
    sockaddr_in local{};
    socklen_t size = sizeof local;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0 &&
           getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) == 0 && ntohs(local.sin_port) == port;
  });
}

/// The server's end of the connection of a client.
int acceptedFrom(uint32_t peer, uint16_t port) {
  return socketThat([=](int fd) {
    const auto key = nic::flowKeyOf(fd);
    return key && key->localPort == port && key->remoteAddress[15] == (peer & 0xff);
  });
}

bool sign(int socket, uint32_t peer) {
  tcp_md5sig key{};
  const sockaddr_in to = addressOf(peer, 0);
  std::memcpy(&key.tcpm_addr, &to, sizeof to);
  key.tcpm_keylen = 6;
  std::memcpy(key.tcpm_key, "secret", 6);
  return setsockopt(socket, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof key) == 0;
}

/// A request is answered in full, sealed by software, for this reason.
void expectSoftware(const Laboratory& lab, Client& client, Counter reason) {
  CHECK(client.get("/file").body == content(200'000));
  CHECK(lab.server->counter(reason) == 1);
  CHECK(sealed(lab, engine::PathKind::Nic) == 0);
  CHECK(sealed(lab, engine::PathKind::Software) > 10);
  CHECK(lab.device->device().flows() == 0);
  CHECK(lab.wire.canaries == 0);
}

/// A NIC whose device lacks a suite.
class Lacking final : public nic::Nic, nic::Device {
 public:
  Lacking(std::shared_ptr<nic::InlineNic> inner, record::Suite lacks) : inner_(std::move(inner)), lacks_(lacks) {}
  nic::Device& device() noexcept override { return *this; }
  HostPort hostPort() override { return inner_->hostPort(); }
  bool broken(nic::FlowId flow) override { return inner_->broken(flow); }
  std::shared_ptr<void> watch(std::function<void()> changed) override { return inner_->watch(std::move(changed)); }
  ocf::Status add(const nic::FlowKey& key, const record::TrafficKeys& keys, uint32_t sequence, uint32_t unacknowledged, nic::FlowId* flow) override {
    return keys.suite == lacks_ ? ocf::Status::NoDriver : inner_->device().add(key, keys, sequence, unacknowledged, flow);
  }
  ocf::Status rekey(nic::FlowId flow, const record::TrafficKeys& keys) override { return inner_->device().rekey(flow, keys); }
  ocf::Status push(nic::FlowId flow, std::span<record::NewRecord> records) override { return inner_->device().push(flow, records); }
  void acknowledged(nic::FlowId flow, uint64_t offset) override { inner_->device().acknowledged(flow, offset); }
  void resync(nic::FlowId flow, uint64_t offset) override { inner_->device().resync(flow, offset); }
  void remove(nic::FlowId flow) override { inner_->device().remove(flow); }
  void release(const nic::FlowKey& key) override { inner_->device().release(key); }

 private:
  std::shared_ptr<nic::InlineNic> inner_;
  record::Suite lacks_;
};

}  // namespace

TEST_CASE("refused: TCP-MD5") {
  Laboratory lab;
  lab.server->root.write("file", content(200'000));
  const int listener = listenerOf(lab.server->port());
  REQUIRE(listener >= 0);
  REQUIRE(sign(listener, kPeer));
  lab.onPeer([&] {
    Client client(*lab.server, {}, [](int fd) { REQUIRE(sign(fd, kHost)); });
    expectSoftware(lab, client, Counter::not_taken_tcp_md5);
  });
}

TEST_CASE("what covers a payload is told of IPv4 by an IPv6 socket, too, and is not known without a connection") {
  const net::Namespace host;
  host.in([] {
    const nic::Descriptor listener(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int off = 0;
    REQUIRE(setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(4433);
    REQUIRE(bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0);
    REQUIRE(listen(listener.get(), 4) == 0);
    CHECK(nic::coverOf(listener.get()) == nic::Cover::Unknown);
    const sockaddr_in at = addressOf(INADDR_LOOPBACK, 4433);
    const nic::Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(client.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    const nic::Descriptor accepted(accept(listener.get(), nullptr, nullptr));
    REQUIRE(accepted);
    CHECK(nic::coverOf(accepted.get()) == nic::Cover::None);
    CHECK(nic::coverOf(client.get()) == nic::Cover::None);
  });
}

TEST_CASE("refused: MPTCP, of which a plain client of an MPTCP listener is none") {
  const net::Namespace host;
  host.in([] {
    const nic::Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
    if (!listener) {
      MESSAGE("skipped: this kernel has no MPTCP");
      return;
    }
    const sockaddr_in at = addressOf(INADDR_LOOPBACK, 4433);
    REQUIRE(bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(listen(listener.get(), 4) == 0);
    for (const int protocol : {IPPROTO_MPTCP, IPPROTO_TCP}) {
      const nic::Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol));
      REQUIRE(connect(client.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
      const nic::Descriptor accepted(accept(listener.get(), nullptr, nullptr));
      REQUIRE(accepted);
      CHECK(nic::coverOf(accepted.get()) == (protocol == IPPROTO_MPTCP ? nic::Cover::Mptcp : nic::Cover::None));
    }
  });
}

TEST_CASE("refused: MPTCP, of a server that was given it from outside, and not its plain clients") {
  asksForMptcp = true;
  if (const nic::Descriptor trial(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); !trial) {
    asksForMptcp = false;
    MESSAGE("skipped: this kernel has no MPTCP");
    return;
  }
  Laboratory lab;
  lab.server->root.write("file", content(200'000));
  lab.onPeer([&] {
    Client client(*lab.server, {}, [](int fd) { REQUIRE(nic::coverOf(fd) == nic::Cover::Mptcp); });
    asksForMptcp = false;
    expectSoftware(lab, client, Counter::not_taken_mptcp);
    CHECK(Client(*lab.server, {}, [](int fd) { REQUIRE(nic::coverOf(fd) != nic::Cover::Mptcp); }).get("/file").body == content(200'000));
    CHECK(sealed(lab, engine::PathKind::Nic) > 10);
  });
  CHECK(lab.server->counter(Counter::not_taken_mptcp) == 1);
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("a server's own listener has no MPTCP: who asks for it gets TCP, by the NIC") {
  Laboratory lab;
  lab.server->root.write("file", content(200'000));
  lab.onPeer([&] {
    asksForMptcp = true;
    Client client(*lab.server);
    asksForMptcp = false;
    CHECK(client.get("/file").body == content(200'000));
    CHECK(sealed(lab, engine::PathKind::Nic) > 10);
  });
  CHECK(lab.server->counter(Counter::not_taken_mptcp) == 0);
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("refused: TCP-AO") {
  // struct tcp_ao_add (Linux 6.7): newer than most systems' headers.
  struct alignas(8) {
    sockaddr_storage address{};
    char algorithm[64] = "hmac(sha1)";
    int32_t interface = 0;
    uint32_t flags = 0b11;  // current, and the next to receive by
    uint16_t reserved = 0;
    uint8_t prefix = 32, sendId = 100, receiveId = 100, macLength = 12, keyFlags = 0, keyLength = 6;
    uint8_t key[80] = {'s', 'e', 'c', 'r', 'e', 't'};
  } add;
  const nic::Descriptor trial(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto key = [&add](int socket, uint32_t peer) {
    const sockaddr_in to = addressOf(peer, 0);
    std::memcpy(&add.address, &to, sizeof to);
    return setsockopt(socket, IPPROTO_TCP, TCP_AO_ADD_KEY, &add, sizeof add) == 0;
  };
  if (!key(trial.get(), kPeer) && errno == ENOPROTOOPT) {
    MESSAGE("skipped: this kernel has no TCP-AO (CONFIG_TCP_AO)");
    return;
  }
  Laboratory lab;
  lab.server->root.write("file", content(200'000));
  add.flags = 0;  // a listener has no current key
  REQUIRE(key(listenerOf(lab.server->port()), kPeer));
  lab.onPeer([&] {
    Client client(*lab.server, {}, [&](int fd) {
      add.flags = 0b11;
      REQUIRE(key(fd, kHost));
    });
    expectSoftware(lab, client, Counter::not_taken_tcp_ao);
  });
}

TEST_CASE("refused: a suite that the device has not") {
  Laboratory lab({}, nic::HostDriver::Tap, {}, [](std::shared_ptr<nic::InlineNic> inner) -> std::shared_ptr<nic::Nic> {
    return std::make_shared<Lacking>(std::move(inner), record::Suite::ChaCha20Poly1305Sha256);
  });
  lab.server->root.write("file", content(200'000));
  // One that nobody knows, of the device itself.
  record::TrafficKeys unknown;
  unknown.suite = static_cast<record::Suite>(0x1304);
  nic::FlowId none{};
  CHECK(lab.device->device().add({}, unknown, 1, 0, &none) == ocf::Status::NoDriver);
  lab.onPeer([&] {
    lab.server->suite = record::Suite::ChaCha20Poly1305Sha256;
    Client client(*lab.server);
    expectSoftware(lab, client, Counter::not_taken_suite);
    // The connection has another way out again, and the next one with another suite goes by the NIC.
    lab.server->suite = record::Suite::Aes128GcmSha256;
    CHECK(Client(*lab.server).get("/file").body == content(200'000));
    CHECK(sealed(lab, engine::PathKind::Nic) > 10);
  });
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("refused: a peer on the same host, and one behind another interface") {
  Laboratory lab([](engine::EngineOptions& options) { options.host = "0.0.0.0"; });
  lab.server->root.write("file", content(200'000));
  const net::Namespace other;
  REQUIRE(lab.host.sh("ip link add o0 type veth peer name o1 netns " + other.path() + " && ip addr add 10.8.0.1/24 dev o0 && ip link set o0 up"));
  REQUIRE(other.sh("ip addr add 10.8.0.2/24 dev o1 && ip link set o1 up"));
  lab.host.in([&] {
    const Sniffer sniffer("lo");
    Client client(*lab.server);
    expectSoftware(lab, client, Counter::not_taken_same_host);
    const auto [bytes, canaries] = sniffer.take();
    CHECK(bytes > 200'000);
    CHECK(canaries == 0);
  });
  lab.server->address = 0x0a080001;
  other.in([&] {
    const Sniffer sniffer("o1");
    Client client(*lab.server);
    expectSoftware(lab, client, Counter::not_taken_other_route);
    const auto [bytes, canaries] = sniffer.take();
    CHECK(bytes > 200'000);
    CHECK(canaries == 0);
  });
}

TEST_CASE("urgent data never leaves a flow's socket, in whatever way it got there") {
  Laboratory lab;
  lab.server->root.write("file", content(200'000));
  lab.onPeer([&] {
    Client client(*lab.server);
    CHECK(client.get("/file").body == content(200'000));
    CHECK(sealed(lab, engine::PathKind::Nic) > 10);
    // Behind the engine's back, which sends none.
    const int server = acceptedFrom(kPeer, lab.server->port());
    REQUIRE(server >= 0);
    const auto dropped = [&] {
      const nic::Counters& now = lab.device->device().counters();
      return now.tx_tls_drop_unsupported + now.tx_tls_drop_no_sync_data;
    };
    const uint64_t before = dropped();
    const std::string text(kCanary);
    REQUIRE(send(server, text.data(), text.size(), MSG_OOB | MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
    CHECK(eventually([&] { return dropped() > before; }));
  });
  CHECK(lab.wire.canaries == 0);
}

TEST_CASE("urgent data from a peer ends the connection, with an alert") {
  Laboratory lab;
  lab.server->root.write("file", content(200'000));
  lab.onPeer([&] {
    Client client(*lab.server);
    CHECK(client.get("/file").status == 200);
    const std::string request = client.sealed("GET /file HTTP/1.1\r\nHost: h\r\n\r\n");
    const size_t half = request.size() / 2;
    client.sendRaw(std::string_view(request).substr(0, half));
    REQUIRE(send(client.fd(), request.data() + half, 1, MSG_NOSIGNAL | MSG_OOB) == 1);
    CHECK(client.receive().status == 0);
    CHECK(client.lastAlert == static_cast<int>(record::Alert::UnexpectedMessage));
    CHECK(eventually([&] { return lab.device->device().flows() == 0; }));
  });
  CHECK(lab.wire.canaries == 0);
}
