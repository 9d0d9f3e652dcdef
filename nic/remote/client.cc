#include "nic/remote/client.hpp"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace socrypt::nic::remote {
namespace {

using ocf::Status;

// The NIC's process answers within microseconds; one that does not is as good as dead.
constexpr timeval kPatience{2, 0};
constexpr int kNameBits = 48;
constexpr uint64_t kNameMask = (uint64_t{1} << kNameBits) - 1;

FlowId ours(uint32_t connection, uint64_t theirs) noexcept { return static_cast<FlowId>(uint64_t{connection} << kNameBits | (theirs & kNameMask)); }
FlowId theirs(FlowId flow) noexcept { return static_cast<FlowId>(static_cast<uint64_t>(flow) & kNameMask); }

}  // namespace

std::shared_ptr<RemoteNic> RemoteNic::open(std::string path, std::string& why) {
  std::shared_ptr<RemoteNic> nic(new RemoteNic(std::move(path)));
  const std::lock_guard lock(nic->mutex_);
  return nic->connect(why) ? nic : nullptr;
}

RemoteNic::~RemoteNic() {
  if (notices_) shutdown(notices_->get(), SHUT_RDWR);
  if (listener_.joinable()) listener_.join();
}

bool RemoteNic::connect(std::string& why) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.empty() || path_.size() >= sizeof address.sun_path) return why = "the path of a Unix socket has 1 to 107 bytes, and \"" + path_ + "\" has " + std::to_string(path_.size()), false;
  std::copy(path_.begin(), path_.end(), address.sun_path);
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return why = systemError(path_), false;
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  Reply reply;
  Descriptor notices;
  if (!sendPacket(socket.get(), greet(), -1, true) ||
      receivePacket(socket.get(), {reinterpret_cast<uint8_t*>(&reply), sizeof reply}, notices, true) != static_cast<ssize_t>(sizeof reply))
    return why = path_ + ": the NIC's process does not let this user in (socrypt nic up --user " + std::to_string(geteuid()) + "), or has all the clients it takes (socrypt nic status)", false;
  if (reply.status != 0 || !notices) return why = path_ + ": the NIC's process is of another version; have both of one", false;
  reply.hostName[sizeof reply.hostName - 1] = 0;
  socket_ = std::move(socket);
  ++connection_;
  records_ = reply.records;
  host_ = {reply.hostInterface, reply.hostName, reply.generation};
  notices_ = std::make_shared<Descriptor>(std::move(notices));
  listener_ = std::thread([this, kept = notices_] { listen(kept->get()); });
  return true;
}

bool RemoteNic::reconnect(std::string& why) {
  std::thread finished;
  {
    const std::lock_guard lock(mutex_);
    if (socket_) return true;
    finished = std::move(listener_);
  }
  if (finished.joinable()) finished.join();
  {
    const std::lock_guard lock(mutex_);
    const uint32_t generation = host_.generation;
    if (!connect(why)) return false;
    // Another device than the one that sockets are bound to, whatever its own count says.
    host_.generation += generation + 1;
  }
  watchers_.tell();
  return true;
}

void RemoteNic::listen(int notices) {
  pthread_setname_np(pthread_self(), "socrypt-nicc");
  for (;;) {
    Notice notice;
    Descriptor none;
    const ssize_t n = receivePacket(notices, {reinterpret_cast<uint8_t*>(&notice), sizeof notice}, none, true);
    if (n != static_cast<ssize_t>(sizeof notice)) break;
    {
      const std::lock_guard lock(mutex_);
      const auto flow = static_cast<uint64_t>(ours(connection_, notice.flow));
      notice.hostName[sizeof notice.hostName - 1] = 0;
      if (notice.kind == Notice::Kind::HostPort) host_ = {notice.hostInterface, notice.hostName, notice.generation};
      if (notice.kind == Notice::Kind::Broken) broken_.insert(flow);
      if (notice.kind == Notice::Kind::Lost) gone_.insert(flow);
    }
    watchers_.tell();
  }
  {
    const std::lock_guard lock(mutex_);
    lost();
  }
  watchers_.tell();
}

void RemoteNic::lost() {
  socket_ = Descriptor();
  host_.interface = 0;
  flows_.clear();
  broken_.clear();
  gone_.clear();
}

Nic::HostPort RemoteNic::hostPort() {
  const std::lock_guard lock(mutex_);
  return host_;
}

bool RemoteNic::alive() {
  const std::lock_guard lock(mutex_);
  return socket_ && host_.interface != 0;
}

size_t RemoteNic::flows() {
  const std::lock_guard lock(mutex_);
  return flows_.size();
}

bool RemoteNic::current(FlowId flow) const noexcept { return socket_ && static_cast<uint64_t>(flow) >> kNameBits == connection_; }

bool RemoteNic::broken(FlowId flow) {
  const std::lock_guard lock(mutex_);
  return broken_.contains(static_cast<uint64_t>(flow));
}

bool RemoteNic::has(FlowId flow) {
  const std::lock_guard lock(mutex_);
  return current(flow) && !gone_.contains(static_cast<uint64_t>(flow));
}

bool RemoteNic::ask(std::span<const uint8_t> packet, int descriptor, Reply& reply) {
  Descriptor none;
  if (!socket_) return false;
  if (sendPacket(socket_.get(), packet, descriptor, true) &&
      receivePacket(socket_.get(), {reinterpret_cast<uint8_t*>(&reply), sizeof reply}, none, true) == static_cast<ssize_t>(sizeof reply))
    return true;
  // An answer that comes later would be taken for the next one's.
  lost();
  return false;
}

Status RemoteNic::add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged, FlowId* flow) {
  const Descriptor file = writeKeys(keys);
  if (!file) return Status::NoMemory;
  const std::lock_guard lock(mutex_);
  Reply reply;
  const bool answered = ask(remote::add(key, keys, tcpSequence, unacknowledged), file.get(), reply);
  wipeKeys(file.get());
  if (!answered) return Status::NoDriver;
  if (reply.status != 0) return static_cast<Status>(reply.status);
  *flow = ours(connection_, reply.flow);
  flows_[static_cast<uint64_t>(*flow)];
  return Status::Ok;
}

Status RemoteNic::rekey(FlowId flow, const record::TrafficKeys& keys) {
  const Descriptor file = writeKeys(keys);
  if (!file) return Status::NoMemory;
  const std::lock_guard lock(mutex_);
  Reply reply;
  const bool answered = current(flow) && ask(remote::rekey(theirs(flow), keys), file.get(), reply);
  wipeKeys(file.get());
  return answered ? static_cast<Status>(reply.status) : Status::Invalid;
}

// What the device would refuse for want of room is refused here: there is no answer to wait for.
Status RemoteNic::push(FlowId flow, std::span<record::NewRecord> records) {
  const std::lock_guard lock(mutex_);
  const auto it = flows_.find(static_cast<uint64_t>(flow));
  if (!current(flow) || it == flows_.end()) return Status::Invalid;
  Flow& known = it->second;
  if (known.ends.size() + records.size() > records_) return Status::Full;
  while (!records.empty()) {
    // One file per message: those before it, and then those of it.
    const record::Payload* file = nullptr;
    const record::NewRecord* first = nullptr;
    size_t n = 0;
    for (; n < std::min(records.size(), kMaxRecords); ++n) {
      if (!records[n].guarded) continue;
      const record::Payload* own = records[n].payload.operator->();
      if (file != nullptr && own != file) break;
      file = own;
      first = &records[n];
    }
    // A file that another flow's records have had as well is another's: each flow is told of its own.
    const bool newFile = file != nullptr && (!known.file || known.file.operator->() != file);
    const int descriptor = newFile ? file->descriptor() : -1;
    if (newFile && descriptor < 0) return Status::Invalid;
    if (!sendPacket(socket_.get(), remote::push(theirs(flow), records.first(n), newFile), descriptor)) {
      // Of a burst of which a part is announced the rest cannot be taken back.
      if (errno != EAGAIN) return Status::Invalid;
      if (!sendPacket(socket_.get(), remote::push(theirs(flow), records.first(n), newFile), descriptor, true)) return Status::Invalid;
    }
    if (newFile) known.file = first->payload;
    for (const auto& record : records.first(n)) known.ends.push_back(record.ref.streamOffset + record.ref.length);
    records = records.subspan(n);
  }
  return Status::Ok;
}

void RemoteNic::acknowledged(FlowId flow, uint64_t streamOffset) {
  const std::lock_guard lock(mutex_);
  const auto it = flows_.find(static_cast<uint64_t>(flow));
  if (!current(flow) || it == flows_.end()) return;
  // First the device, then the count of what it has: a push must not come before the room that it uses.
  if (!sendPacket(socket_.get(), about(Kind::Acknowledged, theirs(flow), streamOffset), -1, true)) return;
  auto& ends = it->second.ends;
  while (!ends.empty() && ends.front() <= streamOffset) ends.pop_front();
}

void RemoteNic::resync(FlowId flow, uint64_t streamOffset) {
  const std::lock_guard lock(mutex_);
  if (current(flow)) (void)sendPacket(socket_.get(), about(Kind::Resync, theirs(flow), streamOffset), -1, true);
}

void RemoteNic::remove(FlowId flow) {
  const std::lock_guard lock(mutex_);
  if (!current(flow)) return;
  (void)sendPacket(socket_.get(), about(Kind::Remove, theirs(flow)), -1, true);
  flows_.erase(static_cast<uint64_t>(flow));
  broken_.erase(static_cast<uint64_t>(flow));
  gone_.erase(static_cast<uint64_t>(flow));
}

void RemoteNic::release(const FlowKey& key) {
  const std::lock_guard lock(mutex_);
  if (socket_) (void)sendPacket(socket_.get(), remote::release(key), -1, true);
}

}  // namespace socrypt::nic::remote
