// The data plane whole, as the sender of a file: its event loop, its sockets, its HTTP and its records, with fixed keys in
// place of a handshake.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.hpp"

namespace papers {

/// Its peer is a process of its own on the second processor, which asks for one file per connection, counts what comes and
/// looks at nothing. To be made before any thread is.
class EnginePeer {
 public:
  EnginePeer();
  ~EnginePeer();
  EnginePeer(const EnginePeer&) = delete;
  EnginePeer& operator=(const EnginePeer&) = delete;
  /// Returns when the connection has keys and nothing was asked for.
  void connect(uint16_t port, uint64_t bytes) const;
  /// Asks for the file, and returns when all of it was received.
  void fetch() const;

 private:
  [[noreturn]] void serve() const;
  void tell(const void* what, size_t length) const;
  void awaitAnswer() const;
  int ends_[2] = {-1, -1};
  pid_t child_ = -1;
};

class EngineSender {
 public:
  /// The file to send is of `bytes`.
  explicit EngineSender(uint64_t bytes);
  ~EngineSender();
  EngineSender(const EngineSender&) = delete;
  EngineSender& operator=(const EngineSender&) = delete;
  [[nodiscard]] uint16_t port() const noexcept { return engine_->port(); }

 private:
  void control();
  void submit(std::vector<uint8_t> message);
  std::string directory_;
  std::unique_ptr<socrypt::engine::Engine> engine_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false, stopping_ = false;
  std::thread control_;
};

}  // namespace papers
