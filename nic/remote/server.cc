#include "nic/remote/server.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <unordered_map>

#include "record/file_payload.hpp"

namespace socrypt::nic::remote {
namespace {

// How often guarded flows and orphans are looked at, however much there is to read.
using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{100};
constexpr int kLooksPerOrphanLook = 10;
// Messages of one client in one turn: nobody keeps the NIC's thread from its frames by talking.
constexpr int kMessagesPerTurn = 256;

bool setSignal(int fd) noexcept {
  const uint64_t one = 1;
  return ::write(fd, &one, sizeof one) == static_cast<ssize_t>(sizeof one);
}

void clearSignal(int fd) noexcept {
  uint64_t ignored;
  [[maybe_unused]] const auto n = ::read(fd, &ignored, sizeof ignored);
}

}  // namespace

struct Server::Client {
  struct Flow {
    FlowKey key{};
    record::PayloadRef file{};  // of guarded records, until another is given
    bool watched = false;       // the guard may find something
    bool told = false;
  };
  Descriptor socket, notices;
  uint64_t id = 0;  // never another's, as a descriptor or an address would be
  uid_t user = 0;
  bool greeted = false;
  std::unordered_map<uint64_t, Flow> flows;

  [[nodiscard]] bool answer(const Reply& reply, int descriptor = -1) const noexcept {
    return sendPacket(socket.get(), {reinterpret_cast<const uint8_t*>(&reply), sizeof reply}, descriptor);
  }
  /// A client that reads no notices learns of no loss; it ends by the device's own refusals.
  void notice(const Notice& what) const noexcept {
    [[maybe_unused]] const bool sent = sendPacket(notices.get(), {reinterpret_cast<const uint8_t*>(&what), sizeof what});
  }
};

Server::Server(std::shared_ptr<InlineNic> nic, ServerOptions options) : nic_(std::move(nic)), options_(std::move(options)) {}

std::unique_ptr<Server> Server::open(std::shared_ptr<InlineNic> nic, ServerOptions options, std::string& why) {
  std::unique_ptr<Server> server(new Server(std::move(nic), std::move(options)));
  server->events_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  server->stop_ = Descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  server->changed_ = Descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!server->events_ || !server->stop_ || !server->changed_) return why = noDescriptor("no event descriptor"), nullptr;
  if (!server->owner_.opened()) return why = systemError("owners of sockets cannot be asked for (sock_diag)"), nullptr;
  if (!server->listen(why)) return nullptr;
  for (const int fd : {server->stop_.get(), server->changed_.get(), server->listener_.get()}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(server->events_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return why = noDescriptor("a socket cannot be waited for (epoll)"), nullptr;
  }
  server->watcher_ = server->nic_->watch([fd = server->changed_.get()] { (void)setSignal(fd); });
  server->nic_->device().setCatchUp(server.get());
  server->thread_ = std::thread([raw = server.get()] { raw->run(); });
  return server;
}

bool Server::listen(std::string& why) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options_.path.empty() || options_.path.size() >= sizeof address.sun_path) 
    return why = "the path of a Unix socket has 1 to 107 bytes, this has " + std::to_string(options_.path.size()) + ": " + options_.path + "; take a shorter one, in /run for instance", false;
  std::copy(options_.path.begin(), options_.path.end(), address.sun_path);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  // A socket that nobody listens on is what a dead process has left.
  const Descriptor probe(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), name, sizeof address) == 0) return why = options_.path + " is in use by another process", false;
  struct stat found;
  if (lstat(options_.path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) return why = options_.path + " is there, and is no socket", false;
    unlink(options_.path.c_str());
  }
  listener_ = Descriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Nobody may connect between bind() and chmod().
  const mode_t before = umask(0177);
  const bool bound = listener_ && bind(listener_.get(), name, sizeof address) == 0;
  umask(before);
  if (!bound || chmod(options_.path.c_str(), options_.mode) != 0 || ::listen(listener_.get(), 16) != 0) return why = systemError(options_.path), false;
  return true;
}

Server::~Server() {
  if (thread_.joinable()) {
    watcher_.reset();
    (void)setSignal(stop_.get());
    thread_.join();
    // From here on the NIC's thread does not come back.
    nic_->device().setCatchUp(nullptr);
    while (!clients_.empty()) end(clients_.size() - 1);
  }
  if (listener_) unlink(options_.path.c_str());
}

void Server::run() {
  pthread_setname_np(pthread_self(), "socrypt-nicd");
  std::array<epoll_event, 32> ready;
  int looks = 0;
  auto nextLook = Clock::now() + kLook;
  for (;;) {
    // Rounded up: a wait that ends before the time would come back at once, again and again.
    const auto left = std::max(std::chrono::ceil<std::chrono::milliseconds>(nextLook - Clock::now()), std::chrono::milliseconds(0));
    const int n = epoll_wait(events_.get(), ready.data(), static_cast<int>(ready.size()), static_cast<int>(left.count()));
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < n; ++i) {
      const int fd = ready[static_cast<size_t>(i)].data.fd;
      if (fd == stop_.get()) return;
      if (fd == listener_.get()) {
        accept();
      } else if (fd == changed_.get()) {
        clearSignal(fd);
        sayHostPort();
      } else {
        const auto it = std::find_if(clients_.begin(), clients_.end(), [fd](const auto& one) { return one->socket.get() == fd; });
        if (it != clients_.end() && !drain(**it)) end(static_cast<size_t>(it - clients_.begin()));
      }
    }
    const auto now = Clock::now();
    if (now < nextLook) continue;
    nextLook = now + kLook;
    lookAtFlows();
    if (++looks % kLooksPerOrphanLook == 0) lookAtOrphans();
  }
}

// Called by the NIC's thread. A client that is to end is ended by the server's own.
void Server::catchUp() {
  const std::lock_guard lock(mutex_);
  for (auto& client : clients_)
    if (!drain(*client)) shutdown(client->socket.get(), SHUT_RDWR);
}

Server::Counts Server::counts() {
  const std::lock_guard lock(mutex_);
  Counts counts = counts_;
  counts.clients = clients_.size();
  return counts;
}

bool Server::welcome(int socket, uid_t user) {
  if (clients_.size() >= options_.maxClients) return false;
  if (user != 0 && user != geteuid() && std::find(options_.users.begin(), options_.users.end(), user) == options_.users.end()) return false;
  epoll_event event{.events = EPOLLIN, .data = {.fd = socket}};
  return epoll_ctl(events_.get(), EPOLL_CTL_ADD, socket, &event) == 0;
}

void Server::accept() {
  Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || !welcome(socket.get(), peer.uid)) {
    ++counts_.refused;
    return;
  }
  ++counts_.accepted;
  auto client = std::make_unique<Client>();
  client->socket = std::move(socket);
  client->id = ++lastClient_;
  client->user = peer.uid;
  clients_.push_back(std::move(client));
}

bool Server::drain(Client& client) {
  std::array<uint8_t, kMaxMessage> buffer;
  for (int turn = 0; turn < kMessagesPerTurn; ++turn) {
    Descriptor descriptor;
    const ssize_t n = receivePacket(client.socket.get(), buffer, descriptor);
    if (n < 0 && errno == EAGAIN) return true;
    if (n == 0) return false;
    auto message = n < 0 ? std::nullopt : read(std::span(buffer).first(static_cast<size_t>(n)));
    if (!message || needsDescriptor(*message) != static_cast<bool>(descriptor) || !handle(client, *message, std::move(descriptor))) {
      ++counts_.violations;
      return false;
    }
  }
  return true;
}

bool Server::handle(Client& client, Message& message, Descriptor descriptor) {
  if (message.kind == Kind::Greet) return greet(client, message.version);
  if (!client.greeted) return false;
  if (message.kind == Kind::Add) return add(client, message, descriptor.get());
  Device& device = nic_->device();
  if (message.kind == Kind::Release) {
    // Of a flow that this client had, and has removed. Another's marker is all that keeps the other's plaintext in.
    const auto orphan =
        std::find_if(orphans_.begin(), orphans_.end(), [&](const Orphan& one) { return one.key == message.add.key && one.client == client.id; });
    if (orphan == orphans_.end()) return true;
    orphans_.erase(orphan);
    device.release(message.add.key);
    return true;
  }
  // A flow that is not the client's own is nobody's: it may have ended here by itself.
  const auto it = client.flows.find(static_cast<uint64_t>(message.flow));
  if (it == client.flows.end()) return message.kind != Kind::Rekey || client.answer({.status = static_cast<int16_t>(ocf::Status::Invalid)});
  switch (message.kind) {
    case Kind::Rekey: return rekey(client, message, descriptor.get());
    case Kind::Push: return push(client, message, std::move(descriptor));
    case Kind::Acknowledged: device.acknowledged(message.flow, message.streamOffset); return true;
    case Kind::Resync: device.resync(message.flow, message.streamOffset); return true;
    case Kind::Remove:
      device.remove(message.flow);
      orphans_.push_back({it->second.key, client.id});
      client.flows.erase(it);
      return true;
    default: return false;
  }
}

bool Server::greet(Client& client, uint32_t version) {
  if (client.greeted) return false;
  Reply reply;
  if (version != kVersion) {
    reply.status = static_cast<int16_t>(ocf::Status::NoDriver);
    (void)client.answer(reply);
    return false;
  }
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  client.notices = Descriptor(pair[0]);
  const Descriptor theirs(pair[1]);
  const Nic::HostPort port = nic_->hostPort();
  reply.records = record::RecordMapLimits{}.records;
  reply.hostInterface = port.interface;
  reply.generation = port.generation;
  port.name.copy(reply.hostName, sizeof reply.hostName - 1);
  client.greeted = true;
  return client.answer(reply, theirs.get());
}

bool Server::add(Client& client, const Message& message, int keys) {
  Reply reply;
  const auto refuse = [&](ocf::Status status) {
    reply.status = static_cast<int16_t>(status);
    return client.answer(reply);
  };
  if (client.flows.size() >= options_.maxFlows) return refuse(ocf::Status::Full);
  // Whoever may use the NIC may use it for his own connections.
  const SocketOwner::Answer owner = owner_.of(message.add.key, nic_->hostPort().interface);
  if (owner.found != SocketOwner::Found::Yes || (client.user != 0 && owner.user != client.user)) return refuse(ocf::Status::Invalid);
  record::TrafficKeys traffic;
  traffic.suite = message.keys.suite;
  traffic.epoch = message.keys.epoch;
  traffic.recordSeq = message.keys.recordSeq;
  traffic.streamOffset = message.keys.streamOffset;
  if (!readKeys(keys, traffic)) return refuse(ocf::Status::Invalid);
  FlowId flow{};
  const ocf::Status status = nic_->device().add(message.add.key, traffic, message.add.tcpSequence, message.add.unacknowledged, &flow);
  if (status != ocf::Status::Ok) return refuse(status);
  client.flows[static_cast<uint64_t>(flow)].key = message.add.key;
  reply.flow = static_cast<uint64_t>(flow);
  return client.answer(reply);
}

bool Server::rekey(Client& client, const Message& message, int keys) {
  record::TrafficKeys traffic;
  traffic.suite = message.keys.suite;
  traffic.epoch = message.keys.epoch;
  traffic.recordSeq = message.keys.recordSeq;
  traffic.streamOffset = message.keys.streamOffset;
  Reply reply;
  reply.status = static_cast<int16_t>(readKeys(keys, traffic) ? nic_->device().rekey(message.flow, traffic) : ocf::Status::Invalid);
  return client.answer(reply);
}

bool Server::push(Client& client, Message& message, Descriptor file) {
  Client::Flow& flow = client.flows.find(static_cast<uint64_t>(message.flow))->second;
  if (message.newFile) {
    struct stat found;
    // What the guard reads again is a file's pages. A pipe, or a socket, would make the device wait.
    if (fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode)) return false;
    flow.file = record::PayloadRef(std::make_unique<record::FilePayload>(dup(file.get()), 0));
  }
  for (auto& record : message.records) {
    if (!record.guarded) continue;
    record.payload = flow.file;
    flow.watched = true;
  }
  if (nic_->device().push(message.flow, message.records) == ocf::Status::Ok) return true;
  // The client counts what a flow may have; it does not come to this by itself. Its bytes have no records, so nothing
  // of them leaves.
  client.notice({.kind = Notice::Kind::Lost, .flow = static_cast<uint64_t>(message.flow)});
  return true;
}

void Server::end(size_t index) {
  Client& client = *clients_[index];
  for (const auto& [id, flow] : client.flows) {
    nic_->device().remove(static_cast<FlowId>(id));
    orphans_.push_back({flow.key, client.id});
  }
  clients_.erase(clients_.begin() + static_cast<ptrdiff_t>(index));
}

void Server::lookAtFlows() {
  for (auto& client : clients_) {
    for (auto& [id, flow] : client->flows) {
      if (!flow.watched || flow.told || !nic_->broken(static_cast<FlowId>(id))) continue;
      flow.told = true;
      client->notice({.kind = Notice::Kind::Broken, .flow = id});
    }
  }
}

// The host's stack sends what a dead process has written, for minutes. Until its socket is gone, the device drops that.
void Server::lookAtOrphans() {
  const unsigned interface = nic_->hostPort().interface;
  if (interface == 0) return;  // the device is dead: nothing leaves, and nothing is found
  std::erase_if(orphans_, [this, interface](const Orphan& orphan) {
    if (owner_.of(orphan.key, interface).found != SocketOwner::Found::No) return false;
    nic_->device().release(orphan.key);
    return true;
  });
}

void Server::sayHostPort() {
  const Nic::HostPort port = nic_->hostPort();
  Notice notice{.hostInterface = port.interface, .generation = port.generation};
  port.name.copy(notice.hostName, sizeof notice.hostName - 1);
  for (const auto& client : clients_)
    if (client->greeted) client->notice(notice);
}

}  // namespace socrypt::nic::remote
