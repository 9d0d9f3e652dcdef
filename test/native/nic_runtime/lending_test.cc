// Who may do what with a lent NIC: clients of several users, each with a socket of its own, and real connections of theirs.
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "laboratory.hpp"
#include "nic/port/host_socket.hpp"
#include "nic/remote/server.hpp"

using namespace laboratory;
using nic::Descriptor;
using nic::FlowKey;
using nic::remote::Kind;
using nic::remote::Reply;
using nic::remote::Server;
using nic::remote::ServerOptions;

namespace {

namespace remote = nic::remote;

constexpr uid_t kRoot = 0, kAlice = 65534, kMallory = 65533;
constexpr timeval kPatience{5, 0};

bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// Runs `body` as another user: the system call is of one thread, the C library's function of all.
template <typename Body>
void as(uid_t user, Body body) {
  std::thread([&] {
    if (syscall(SYS_setresuid, user, user, user) == 0) body();
  }).join();
}

class Client {
 public:
  Client(const std::string& path, uid_t user) : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    as(user, [&] { REQUIRE(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0); });
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  }
  bool send(std::span<const uint8_t> packet, int descriptor = -1) const { return remote::sendPacket(socket_.get(), packet, descriptor, true); }
  std::optional<Reply> answer() {
    Reply reply;
    Descriptor came;
    const ssize_t n = remote::receivePacket(socket_.get(), {reinterpret_cast<uint8_t*>(&reply), sizeof reply}, came, true);
    if (came) notices_ = std::move(came);
    return n == static_cast<ssize_t>(sizeof reply) ? std::optional(reply) : std::nullopt;
  }
  /// Whether it is let in.
  bool greet() { return send(remote::greet()) && answer().has_value(); }
  /// Whether the server has hung up, and said nothing before.
  bool ended() const {
    uint8_t byte;
    return recv(socket_.get(), &byte, 1, 0) <= 0 && errno != EAGAIN;
  }
  std::optional<Reply> add(const FlowKey& key, uint32_t sequence) {
    record::TrafficKeys keys;
    keys.suite = record::Suite::Aes128GcmSha256;
    const Descriptor file = remote::writeKeys(keys);
    return send(remote::add(key, keys, sequence, 0), file.get()) ? answer() : std::nullopt;
  }

 private:
  Descriptor socket_, notices_;
};

struct Connection {
  Descriptor socket, peer;
  FlowKey key{};
  uint32_t sequence = 0;
};

struct Lending {
  explicit Lending(ServerOptions options = {}) {
    REQUIRE(host.there());
    REQUIRE(peer.there());
    REQUIRE(host.sh("ip link add w0 type veth peer name w1 netns " + peer.path() + " && ip link set w0 up"));
    REQUIRE(peer.sh("ip addr add 10.9.0.2/24 dev w1 && ip link set w1 up"));
    REQUIRE(peer.checksumsOn("w1"));
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    REQUIRE(chmod(directory.c_str(), 0755) == 0);
    options.path = path = directory + "/flows";
    options.mode = 0666;
    options.users = {kAlice};
    std::string why;
    host.in([&] {
      device = nic::InlineNic::open({.wire = {.interface = "w0"},
                                     .host = {.name = "h0", .addresses = {*nic::parseCidr("10.9.0.1/24")}},
                                     .senders = nic::Senders::Any,
                                     .wrapWire = [this](std::unique_ptr<nic::Port> port) { return std::make_unique<WatchedPort>(std::move(port), wire); }},
                                    why);
      if (device != nullptr) server = Server::open(device, std::move(options), why);
    });
    INFO(why);
    REQUIRE(server != nullptr);
    peer.in([&] {
      listener = Descriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      REQUIRE(listen(listener.get(), 16) == 0);
      socklen_t length = sizeof address;
      REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
    });
    address.sin_addr.s_addr = htonl(0x0a090002);
  }
  ~Lending() {
    server.reset();
    std::filesystem::remove_all(directory);
  }

  /// Through the host port, of `user`.
  Connection connect(uid_t user) const {
    Connection made;
    host.in([&] {
      as(user, [&] {
        made.socket = Descriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        setsockopt(made.socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
        REQUIRE(setsockopt(made.socket.get(), SOL_SOCKET, SO_BINDTODEVICE, "h0", 2) == 0);
        REQUIRE(::connect(made.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
      });
    });
    made.peer = Descriptor(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    REQUIRE(made.peer);
    made.key = *nic::flowKeyOf(made.socket.get());
    made.sequence = *nic::nextSequence(made.socket.get());
    return made;
  }
  size_t flows() const { return device->device().flows(); }
  /// Whether the device knows nothing of this key: neither a flow nor the marker that drops what a removed one still sends.
  bool forgotten(const Connection& connection) const {
    record::TrafficKeys keys;
    keys.suite = record::Suite::Aes128GcmSha256;
    nic::FlowId flow{};
    if (device->device().add(connection.key, keys, 0, 0, &flow) != ocf::Status::Ok) return false;
    device->device().remove(flow);
    return true;
  }

  Wire wire;
  Namespace host, peer;
  std::string directory = "/tmp/socrypt-lending-XXXXXX", path;
  sockaddr_in address{};
  Descriptor listener;
  std::shared_ptr<nic::InlineNic> device;
  std::unique_ptr<Server> server;
};

/// Cgroups of version 2 that this process is in for a while.
class Cgroups {
 public:
  Cgroups() {
    std::string line;
    for (std::ifstream file("/proc/self/mountinfo"); std::getline(file, line) && mount_.empty();) {
      if (line.find(" - cgroup2 ") == std::string::npos) continue;
      std::istringstream fields(line);
      for (int i = 0; i < 5; ++i) fields >> mount_;
    }
    for (std::ifstream file("/proc/self/cgroup"); std::getline(file, line);)
      if (line.starts_with("0::")) before_ = line.substr(3);
  }
  ~Cgroups() {
    static_cast<void>(join(before_));
    for (const auto& path : made_) rmdir(path.c_str());
  }
  /// False: there are none, or the rights are missing.
  [[nodiscard]] bool enter(const std::string& name) {
    const std::string path = "/socrypt-test-" + std::to_string(getpid()) + "-" + name;
    if (mount_.empty() || mkdir((mount_ + path).c_str(), 0755) != 0) return false;
    made_.push_back(mount_ + path);
    return join(path);
  }

 private:
  bool join(const std::string& path) const {
    std::ofstream file(mount_ + path + "/cgroup.procs");
    file << getpid() << std::flush;
    return file.good();
  }
  std::string mount_, before_;
  std::vector<std::string> made_;
};

}  // namespace

TEST_CASE("lent: what a dead client's socket still sends is dropped, whatever another client says of it") {
  const Lending lent;
  const Connection victim = lent.connect(kAlice);
  {
    Client alice(lent.path, kAlice);
    REQUIRE(alice.greet());
    const auto added = alice.add(victim.key, victim.sequence);
    REQUIRE(added);
    REQUIRE(added->status == 0);
  }
  REQUIRE(soon([&] { return lent.flows() == 0; }));

  for (const uid_t user : {kAlice, kRoot}) {
    Client other(lent.path, user);
    REQUIRE(other.greet());
    REQUIRE(other.send(remote::release(victim.key)));
    // It has been read once a later message is answered.
    REQUIRE(other.add(victim.key, victim.sequence)->status != 0);
  }
  // Longer than the device waits for its queues to be empty.
  std::this_thread::sleep_for(std::chrono::milliseconds(1300));
  const std::string text = content(1000);
  REQUIRE(send(victim.socket.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  CHECK(soon([&] { return lent.device->device().counters().tx_tls_drop_removed != 0; }));
  CHECK(lent.wire.canaries == 0);
}

TEST_CASE("lent: a client that never stops talking keeps nobody's socket that is gone from being forgotten") {
  const Lending lent;
  Connection gone = lent.connect(kAlice);
  {
    Client alice(lent.path, kAlice);
    REQUIRE(alice.greet());
    REQUIRE(alice.add(gone.key, gone.sequence)->status == 0);
  }
  REQUIRE(soon([&] { return lent.flows() == 0; }));
  Client busy(lent.path, kRoot);
  REQUIRE(busy.greet());
  std::atomic<bool> stop{false};
  std::thread talk([&] {
    // Of no flow of its own: read, and nothing else.
    while (!stop && busy.send(remote::about(Kind::Acknowledged, nic::FlowId{12345}, 1))) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  });
  // The peer first: no RST tells the device, and no TIME_WAIT stays.
  gone.peer = Descriptor();
  char byte;
  CHECK(recv(gone.socket.get(), &byte, 1, 0) == 0);
  gone.socket = Descriptor();
  CHECK(soon([&] { return lent.forgotten(gone); }));
  stop = true;
  talk.join();
}

TEST_CASE("lent: to root and to the users named, and to no more of them than was said") {
  const Lending lent({.maxClients = 2});
  CHECK_FALSE(Client(lent.path, kMallory).greet());
  CHECK(lent.server->counts().refused == 1);
  CHECK(lent.server->counts().clients == 0);

  Client root(lent.path, kRoot);
  CHECK(root.greet());
  {
    Client alice(lent.path, kAlice);
    CHECK(alice.greet());
    CHECK_FALSE(Client(lent.path, kRoot).greet());
    CHECK(lent.server->counts().refused == 2);
  }
  REQUIRE(soon([&] { return lent.server->counts().clients == 1; }));
  CHECK(Client(lent.path, kAlice).greet());
  CHECK(lent.server->counts().accepted == 3);
  CHECK(lent.server->counts().violations == 0);
}

TEST_CASE("lent: for a user's own connections, bound to the host port, as many as was said") {
  const Lending lent({.maxFlows = 1});
  const Connection roots = lent.connect(kRoot), first = lent.connect(kAlice), second = lent.connect(kAlice);
  FlowKey nobodys = first.key;
  nobodys.remotePort ^= 1;
  Client alice(lent.path, kAlice), root(lent.path, kRoot);
  REQUIRE(alice.greet());
  REQUIRE(root.greet());
  const auto invalid = static_cast<int16_t>(ocf::Status::Invalid);
  CHECK(alice.add(roots.key, roots.sequence)->status == invalid);
  CHECK(alice.add(nobodys, 1)->status == invalid);
  CHECK(root.add(nobodys, 1)->status == invalid);
  CHECK(lent.flows() == 0);
  const auto own = alice.add(first.key, first.sequence);
  CHECK(own->status == 0);
  CHECK(alice.add(second.key, second.sequence)->status == static_cast<int16_t>(ocf::Status::Full));
  // Root may add any, but none that another has already.
  CHECK(root.add(first.key, first.sequence)->status == invalid);
  CHECK(root.add(second.key, second.sequence)->status == 0);
  CHECK(lent.flows() == 2);

  // What another's flow is called does not make it one's own.
  const auto flow = static_cast<nic::FlowId>(own->flow);
  record::TrafficKeys keys;
  keys.suite = record::Suite::Aes128GcmSha256;
  keys.epoch = 1;
  const Descriptor file = remote::writeKeys(keys);
  CHECK(root.send(remote::rekey(flow, keys), file.get()));
  CHECK(root.answer()->status == invalid);
  CHECK(root.send(remote::about(Kind::Remove, flow)));
  CHECK(root.send(remote::about(Kind::Acknowledged, flow, 1 << 20)));
  CHECK(root.add(nobodys, 1)->status == static_cast<int16_t>(ocf::Status::Full));  // it has read so far
  CHECK(lent.flows() == 2);
  CHECK(lent.device->device().usage(flow)->acknowledged == 0);
  CHECK(lent.server->counts().violations == 0);
}

TEST_CASE("lent: a client that speaks nonsense is ended with its flows, and no other") {
  const Lending lent;
  const Connection one = lent.connect(kAlice), two = lent.connect(kAlice);
  Client good(lent.path, kAlice);
  REQUIRE(good.greet());
  REQUIRE(good.add(one.key, one.sequence)->status == 0);
  {
    Client bad(lent.path, kAlice);
    REQUIRE(bad.greet());
    REQUIRE(bad.add(two.key, two.sequence)->status == 0);
    CHECK(bad.send(std::vector<uint8_t>(10, 0xff)));
    CHECK(bad.ended());
  }
  CHECK(soon([&] { return lent.flows() == 1; }));
  CHECK(lent.server->counts().violations == 1);

  Client early(lent.path, kAlice);
  CHECK(early.send(remote::about(Kind::Remove, nic::FlowId{1})));
  CHECK(early.ended());
  Client keyless(lent.path, kAlice);
  REQUIRE(keyless.greet());
  CHECK(keyless.send(remote::add(two.key, {}, two.sequence, 0)));
  CHECK(keyless.ended());
  Client twice(lent.path, kAlice);
  REQUIRE(twice.greet());
  CHECK_FALSE(twice.greet());
  // A pipe for a file would make the device wait.
  Client pipes(lent.path, kAlice);
  REQUIRE(pipes.greet());
  const Connection three = lent.connect(kAlice);
  const auto added = pipes.add(three.key, three.sequence);
  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
  const Descriptor out(ends[0]), in(ends[1]);
  record::NewRecord record;
  record.ref = {0, 100, 0, 0};
  record.type = record::ContentType::ApplicationData;
  record.guarded = true;
  CHECK(pipes.send(remote::push(static_cast<nic::FlowId>(added->flow), {&record, 1}, true), out.get()));
  CHECK(pipes.ended());
  CHECK(soon([&] { return lent.server->counts().violations == 5 && lent.server->counts().clients == 1; }));
  CHECK(lent.flows() == 1);
  CHECK(good.add(two.key, two.sequence)->status == static_cast<int16_t>(ocf::Status::Invalid));  // its marker is there
}

TEST_CASE("lent: what a server in another cgroup has bound to the host port leaves by no other interface") {
  Cgroups cgroups;
  if (!cgroups.enter("nic")) {
    MESSAGE("skipped: no cgroup2 file system is mounted, or it is read-only");
    return;
  }
  const Lending lent;
  CHECK(lent.device->status().guard.find("of every process") != std::string::npos);
  REQUIRE(cgroups.enter("server"));
  const Connection connection = lent.connect(kRoot);
  std::optional<Sniffer> loopback;
  lent.host.in([&] { loopback.emplace("lo"); });
  // From now on the way to the peer is the way to this host, which being bound to an interface does not keep from.
  REQUIRE(lent.host.sh("ip address add 10.9.0.2/32 dev h0"));
  const std::string text = content(1000);
  REQUIRE(send(connection.socket.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  CHECK(loopback->take().canaries == 0);
}
