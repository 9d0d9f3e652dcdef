#include "cryptod/server.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace socrypt::cryptod {

namespace {

std::string systemError(const std::string& what) { return what + ": " + std::strerror(errno); }

// A socket that a daemon left behind when it was killed answers nobody.
bool answers(const sockaddr_un& address) noexcept {
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno != ECONNREFUSED;
}

}  // namespace

bool Server::listen(std::string& why) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options_.path.empty() || options_.path.size() >= sizeof address.sun_path || options_.path.find('\0') != std::string::npos) {
    why = "expected a path of 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes for the socket, received " + std::to_string(options_.path.size());
    return false;
  }
  options_.path.copy(address.sun_path, options_.path.size());
  struct stat there {};
  if (lstat(options_.path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      why = options_.path + " exists and is no socket; name another path";
      return false;
    }
    if (answers(address)) {
      why = options_.path + " belongs to a daemon that runs; stop it, or name another path";
      return false;
    }
    unlink(options_.path.c_str());
  }
  listener_ = Descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) return why = systemError("socket"), false;
  // The file gets its mode from the descriptor's: it is never there with another one.
  if (fchmod(listener_.get(), options_.mode) != 0 || bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return why = systemError(options_.path), false;
  // A umask may have taken some of it away.
  if (chmod(options_.path.c_str(), options_.mode) != 0 || lstat(options_.path.c_str(), &there) != 0 || ::listen(listener_.get(), 64) != 0)
    return why = systemError(options_.path), false;
  inode_ = there.st_ino;
  stop_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return stop_ || (why = systemError("eventfd"), false);
}

bool Server::start(std::string& why) {
  if (!listen(why)) {
    listener_.reset();
    return false;
  }
  if (options_.users.empty()) options_.users.push_back(geteuid());
  std::promise<std::string> started;
  std::future<std::string> answer = started.get_future();
  thread_ = std::thread([this, &started] { serve(started); });
  why = answer.get();
  if (why.empty()) return true;
  stop();
  return false;
}

void Server::stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }
  if (!listener_) return;
  listener_.reset();
  struct stat there {};
  if (lstat(options_.path.c_str(), &there) == 0 && there.st_ino == inode_) unlink(options_.path.c_str());
}

// ── the thread ──

struct Server::Loop {
  Loop(Server& of, ocf::Framework& with) : server(of), framework(with) {}
  Server& server;
  ocf::Framework& framework;
  Descriptor epoll{epoll_create1(EPOLL_CLOEXEC)};
  std::unordered_map<int, std::unique_ptr<Connection>> connections;
  std::vector<std::unique_ptr<Connection>> leaving;  // gone, but drivers still use their memory
  bool accepting = true;
  static constexpr int kTellMs = 50;
  bool untold = false;
  uint64_t toldAt = 0;

  void tell() const {
    if (server.options_.report != nullptr) server.options_.report->publish(framework.drivers());
  }
  void watch(int fd, uint32_t events, int operation) const noexcept {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    epoll_ctl(epoll.get(), operation, fd, &event);
  }

  void accept() {
    Counters& counters = server.counters_;
    for (;;) {
      Descriptor socket(accept4(server.listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket) {
        // Without descriptors the connection would wake us for ever: leave it until one is free.
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) pause();
        return;
      }
      Counters::add(counters.connections);
      ucred peer{};
      socklen_t length = sizeof peer;
      if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
          std::find(server.options_.users.begin(), server.options_.users.end(), peer.uid) == server.options_.users.end()) {
        Counters::add(counters.refusedUid);
        refuse(socket, "this user may not use the daemon");
        continue;
      }
      if (connections.size() + leaving.size() >= server.options_.limits.connections) {
        Counters::add(counters.refusedLimit);
        refuse(socket, "the daemon has as many connections as it takes");
        continue;
      }
      const int fd = socket.get();
      watch(fd, EPOLLIN, EPOLL_CTL_ADD);
      connections.emplace(fd, std::make_unique<Connection>(std::move(socket), framework, server.options_.allowSoftware, server.options_.limits, counters));
      Counters::add(counters.connectionsOpen);
    }
  }
  static void refuse(const Descriptor& socket, std::string_view why) {
    Writer error;
    writeError(error, why);
    (void)!send(socket.get(), error.view().data(), error.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  void pause() {
    watch(server.listener_.get(), 0, EPOLL_CTL_MOD);
    accepting = false;
  }

  void end(std::unordered_map<int, std::unique_ptr<Connection>>::iterator at) {
    std::unique_ptr<Connection> connection = std::move(at->second);
    connections.erase(at);
    connection->hangUp();
    Counters::sub(server.counters_.connectionsOpen);
    if (!connection->idle()) leaving.push_back(std::move(connection));
    if (!accepting) {
      watch(server.listener_.get(), EPOLLIN, EPOLL_CTL_MOD);
      accepting = true;
    }
  }

  // One turn of a connection: some work, its completions, and what that has to say. False: it is over.
  bool turn(Connection& connection, bool readable) {
    constexpr uint64_t kBudget = 4u << 20;
    if (readable && !connection.clogged() && !connection.receive()) return false;
    if (connection.hasWork() && !connection.work(kBudget)) return false;
    connection.harvest();
    if (!connection.flush()) return false;
    // Who does not read is not read.
    watch(connection.fd(), (connection.clogged() ? 0u : uint32_t{EPOLLIN}) | (connection.wantsToWrite() ? uint32_t{EPOLLOUT} : 0u), EPOLL_CTL_MOD);
    return true;
  }

  void run() {
    watch(server.listener_.get(), EPOLLIN, EPOLL_CTL_ADD);
    watch(server.stop_.get(), EPOLLIN, EPOLL_CTL_ADD);
    const int wake = framework.wakeFd();
    if (wake >= 0) watch(wake, EPOLLIN, EPOLL_CTL_ADD);
    epoll_event events[64];
    bool more = false;
    for (;;) {
      const int n = epoll_wait(epoll.get(), events, 64, more ? 0 : untold ? kTellMs : -1);
      untold = untold || n > 0 || more;
      bool completions = false;
      for (int i = 0; i < n; ++i) {
        const int fd = events[i].data.fd;
        if (fd == server.stop_.get()) return;
        if (fd == server.listener_.get()) {
          accept();
          continue;
        }
        if (fd == wake) {
          completions = true;
          continue;
        }
        const auto at = connections.find(fd);
        if (at != connections.end() && !turn(*at->second, (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)) end(at);
      }
      // Any connection's poll completes everybody's ops.
      more = false;
      for (auto at = connections.begin(); at != connections.end();) {
        const auto here = at++;
        Connection& connection = *here->second;
        if ((completions || connection.hasWork() || connection.hasDone()) && !turn(connection, false)) {
          end(here);
          continue;
        }
        more = more || (connection.hasWork() && !connection.clogged());
      }
      std::erase_if(leaving, [](const auto& connection) {
        connection->harvest();
        return connection->idle();
      });
      // Those that a later turn has completed.
      for (const auto& [fd, connection] : connections) more = more || connection->hasDone();
      if (const uint64_t now = ocf::steadyClock().now(); untold && now - toldAt >= kTellMs * uint64_t{1'000'000}) {
        toldAt = now;
        untold = false;
        tell();
      }
    }
  }
};

void Server::serve(std::promise<std::string>& started) {
  ocf::Framework framework;
  std::string why;
  if (!options_.attach(framework, why)) {
    started.set_value(why.empty() ? "no driver could be attached" : why);
    return;
  }
  drivers_ = framework.drivers();
  Loop loop(*this, framework);
  loop.tell();
  started.set_value({});
  loop.run();
  for (auto& [fd, connection] : loop.connections) connection->hangUp();
  loop.tell();
}

}  // namespace socrypt::cryptod
