#include "cryptod/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace socrypt::cryptod {

Descriptor connectAndGreet(const std::string& path, int arenaFd, uint64_t arenaBytes) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || path.find('\0') != std::string::npos) {
    errno = ENAMETOOLONG;
    return {};
  }
  path.copy(address.sun_path, path.size());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};

  Writer hello;
  write(hello, 0, Hello{.version = kVersion, .arenaBytes = arenaBytes});
  iovec part{const_cast<uint8_t*>(hello.view().data()), hello.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (arenaFd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &arenaFd, sizeof(int));
  }
  // A new socket's buffer is empty: the few bytes go as a whole or not at all.
  if (sendmsg(socket.get(), &message, MSG_NOSIGNAL) != static_cast<ssize_t>(part.iov_len)) return {};
  return socket;
}

std::unique_ptr<Client> Client::connect(const Options& options, std::string& why) {
  std::unique_ptr<Client> client(new Client);
  client->timeoutMs_ = options.timeoutMs;
  client->owner_ = getpid();
  if (options.arenaBytes != 0) {
    std::optional<Arena> arena = Arena::create(options.arenaBytes);
    if (!arena) {
      why = std::string("no shared memory: ") + std::strerror(errno);
      return nullptr;
    }
    client->arena_ = std::move(*arena);
  }
  client->socket_ = connectAndGreet(options.path, client->arena_.fd(), client->arena_.memory().size());
  if (!client->socket_) {
    why = options.path + ": " + std::strerror(errno);
    return nullptr;
  }
  Frame frame{};
  if (!client->answer(Type::HelloAnswer, 0, frame) || !read(frame.body, client->limits_) || client->limits_.version != kVersion) {
    why = options.path + ": the daemon refused the connection, or speaks another version";
    return nullptr;
  }
  return client;
}

bool Client::fail() noexcept {
  socket_.reset();
  out_.clear();
  done_.clear();
  pending_ = 0;
  return false;
}

void Client::abandon() noexcept {
  (void)arena_.release();
  arena_ = Arena();
  (void)fail();
}

bool Client::flush() {
  if (!alive()) return false;
  while (out_.size() != 0) {
    const ssize_t n = send(socket_.get(), out_.view().data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      out_.consume(static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return fail();
    // The daemon reads no more of us while its answers wait: take them.
    pollfd wait{socket_.get(), POLLIN | POLLOUT, 0};
    const int ready = poll(&wait, 1, timeoutMs_);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail();
    if ((wait.revents & POLLIN) != 0) {
      Frame frame{};
      bool got = false;
      if (!receive(frame, false, got) || (got && !take(frame))) return fail();
    }
  }
  return true;
}

bool Client::receive(Frame& frame, bool wait, bool& got) {
  got = false;
  if (!alive()) return false;
  for (;;) {
    switch (cutFrame({in_.data() + inTaken_, inUsed_ - inTaken_}, frame)) {
      case Cut::Malformed: return fail();
      case Cut::Whole:
        // The body stays where it is until the next call.
        inTaken_ += frame.header.length;
        got = true;
        return frame.header.type == Type::Error ? fail() : true;
      case Cut::NeedMore: break;
    }
    if (inTaken_ != 0) {
      std::copy(in_.begin() + static_cast<ptrdiff_t>(inTaken_), in_.begin() + static_cast<ptrdiff_t>(inUsed_), in_.begin());
      inUsed_ -= inTaken_;
      inTaken_ = 0;
    }
    if (in_.size() < kMaxFrame) in_.resize(kMaxFrame);
    const ssize_t n = recv(socket_.get(), in_.data() + inUsed_, in_.size() - inUsed_, MSG_DONTWAIT);
    if (n > 0) {
      inUsed_ += static_cast<size_t>(n);
      continue;
    }
    if (n == 0) return fail();
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return fail();
    if (!wait) return true;
    pollfd readable{socket_.get(), POLLIN, 0};
    const int ready = poll(&readable, 1, timeoutMs_);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail();
  }
}

// Completions of ops come between the answers to requests.
bool Client::take(const Frame& frame) {
  if (frame.header.type != Type::Done) return false;
  for (size_t i = 0; i < frame.header.count; ++i) {
    DoneRecord record{};
    if (!read(frame, i, record) || pending_ == 0) return false;
    --pending_;
    done_.push_back(record);
  }
  return true;
}

bool Client::answer(Type type, uint64_t tag, Frame& frame) {
  if (!flush()) return false;
  for (;;) {
    bool got = false;
    if (!receive(frame, true, got)) return false;
    if (frame.header.type == type && frame.header.tag == tag) return true;
    if (!take(frame)) return fail();
  }
}

bool Client::open(const OpenRequest& request, OpenAnswer& to, std::string* driver) {
  Frame frame{};
  write(out_, ++lastTag_, request);
  if (!answer(Type::Opened, lastTag_, frame)) return false;
  if (!read(frame.body, to)) return fail();
  if (driver != nullptr) *driver = to.driver;
  to.driver = {};
  return true;
}

bool Client::close(uint32_t session) {
  Frame frame{};
  int16_t status = 0;
  writeClose(out_, ++lastTag_, session);
  if (!answer(Type::Closed, lastTag_, frame)) return false;
  if (!readStatus(frame.body, status)) return fail();
  return true;
}

bool Client::key(const KeyRequest& request, std::span<uint8_t> output, KeyAnswer& to) {
  Frame frame{};
  KeyRequest bounded = request;
  bounded.outputBytes = static_cast<uint32_t>(output.size());
  write(out_, ++lastTag_, bounded);
  if (!answer(Type::KeyDone, lastTag_, frame)) return false;
  if (!read(frame.body, to) || to.output.size() > output.size()) return fail();
  std::copy(to.output.begin(), to.output.end(), output.begin());
  to.output = output.first(to.output.size());
  return true;
}

bool Client::drivers(std::vector<DriverRecord>& list, std::vector<std::string>& names) {
  Frame frame{};
  writeDrivers(out_, ++lastTag_);
  if (!answer(Type::DriverList, lastTag_, frame)) return false;
  if (!read(frame, list)) return fail();
  names.clear();
  for (DriverRecord& record : list) {
    names.emplace_back(record.name);
    record.name = {};
  }
  return true;
}

bool Client::submit(std::span<const OpRecord> ops) {
  constexpr size_t kPerFrame = (kMaxFrame - kHeaderBytes) / kOpBytes;
  while (!ops.empty()) {
    const size_t n = std::min(ops.size(), kPerFrame);
    out_.begin(Type::Submit, ++lastTag_);
    for (const OpRecord& op : ops.first(n)) out_.op(op);
    out_.end(static_cast<uint16_t>(n));
    pending_ += n;
    if (!flush()) return false;
    ops = ops.subspan(n);
  }
  return alive();
}

bool Client::fetch(std::vector<DoneRecord>& done, bool wait) {
  for (;;) {
    Frame frame{};
    bool got = false;
    if (!receive(frame, wait && done_.empty() && pending_ != 0, got)) return false;
    if (!got) break;
    if (!take(frame)) return fail();
  }
  done.assign(done_.begin(), done_.end());
  done_.clear();
  return true;
}

bool Client::run(const OpRecord& op, DoneRecord& done) {
  Frame frame{};
  if (!submit({&op, 1})) return false;
  for (;;) {
    const auto found = std::find_if(done_.begin(), done_.end(), [&](const DoneRecord& one) { return one.cookie == op.cookie; });
    if (found != done_.end()) {
      done = *found;
      done_.erase(found);
      return true;
    }
    bool got = false;
    if (!receive(frame, true, got)) return false;
    if (!take(frame)) return fail();
  }
}

}  // namespace socrypt::cryptod
