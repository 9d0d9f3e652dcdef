// A TCP connection over loopback to a process that takes what comes and looks at nothing, and a file in memory: the two
// ends of a transfer whose sender is measured.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <span>

namespace papers {

/// The receiver: a process of its own on the second processor, for any number of connections, one after the other. To be
/// made before any thread is.
class Receiver {
 public:
  Receiver();
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  /// A new connection.
  [[nodiscard]] int connect() const;
  /// Ends it and waits until everything was received.
  static void finish(int fd);

 private:
  int listener_ = -1;
  uint16_t port_ = 0;
  pid_t child_ = -1;
};

void sendAll(int fd, std::span<const uint8_t> bytes);

/// Measures `transfer` that often, each on a connection of its own, and prints a line for each.
void reportTransfers(uint32_t megabytes, int rounds, const std::function<void()>& connect, const std::function<void()>& transfer);

/// A file that is in the page cache and nowhere else.
class HotFile {
 public:
  explicit HotFile(uint64_t bytes);
  ~HotFile();
  HotFile(const HotFile&) = delete;
  HotFile& operator=(const HotFile&) = delete;
  [[nodiscard]] uint64_t size() const noexcept { return bytes_; }
  /// Reads `into.size()` bytes from there, or ends the program.
  void read(uint64_t at, std::span<uint8_t> into) const;

 private:
  int fd_;
  uint64_t bytes_;
};

}  // namespace papers
