// The daemon: a thread of its own with its own framework and drivers, a Unix socket, and epoll. Nothing of Node in it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cryptod/connection.hpp"
#include "cryptod/limits.hpp"
#include "ocf/driver_report.hpp"

namespace socrypt::cryptod {

struct ServerOptions {
  std::string path;
  mode_t mode = 0600;        // of the socket; the kernel checks it at connect(2)
  std::vector<uid_t> users;  // by SO_PEERCRED; empty: this process's own
  bool allowSoftware = false;
  Limits limits;
  /// Told of the drivers, some times a second while there is work; may be nullptr.
  ocf::DriverReport* report = nullptr;
  /// Attaches the drivers, in the daemon's thread. False, with the reason: the daemon does not start.
  std::function<bool(ocf::Framework&, std::string& why)> attach;
};

class Server {
 public:
  explicit Server(ServerOptions options) : options_(std::move(options)) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { stop(); }

  /// Listens, attaches the drivers, serves. False with the reason: the path is taken by a daemon that answers, or the
  /// system refused something.
  [[nodiscard]] bool start(std::string& why);
  /// Ends every connection and the thread, and removes the socket. Idempotent.
  void stop();
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  /// Names and flags of the drivers at the start.
  [[nodiscard]] const std::vector<ocf::DriverInfo>& drivers() const noexcept { return drivers_; }

 private:
  struct Loop;
  [[nodiscard]] bool listen(std::string& why);
  void serve(std::promise<std::string>& started);

  ServerOptions options_;
  Counters counters_;
  Descriptor listener_, stop_;
  std::thread thread_;
  std::vector<ocf::DriverInfo> drivers_;
  ino_t inode_ = 0;  // of our socket, so that another daemon's is not removed
};

}  // namespace socrypt::cryptod
