#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace socrypt::nic {

/// An owned file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// "what: reason", from errno.
inline std::string systemError(const std::string& what) { return what + ": " + std::strerror(errno); }
/// Of a descriptor that the kernel did not give.
inline std::string noDescriptor(const std::string& what) { return systemError(what) + "; `ulimit -n` says how many open files this process may have"; }
/// Of an interface that was not found.
inline std::string noInterface(const std::string& name) { return systemError("interface \"" + name + "\"") + "; `ip link` lists those that there are"; }

}  // namespace socrypt::nic
