#include "ocf/wake_line.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace socrypt::ocf {

namespace {

class SteadyClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now() noexcept override {
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  bool wait() noexcept override {
    sched_yield();  // on a busy machine, who is waited for may need this processor
    return true;
  }
};

}  // namespace

Clock& steadyClock() noexcept {
  static SteadyClock clock;
  return clock;
}

Framework::WakeLine::~WakeLine() {
  const int fd = fd_.load(std::memory_order_relaxed);
  if (fd >= 0) ::close(fd);
}

void Framework::WakeLine::ready(Driver*) noexcept {
  // One write per sleep, however much completes: the flag stays up until the framework looks.
  if (signalled_.exchange(true, std::memory_order_seq_cst)) return;
  if (call_ != nullptr) call_(argument_);
  const int fd = fd_.load(std::memory_order_seq_cst);
  if (fd < 0) return;
  const uint64_t one = 1;
  // It fails only when the counter is full, which wakes as well.
  [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
}

int Framework::WakeLine::descriptor() noexcept {
  int fd = fd_.load(std::memory_order_relaxed);
  if (fd >= 0) return fd;
  fd = eventfd(signalled_.load(std::memory_order_relaxed) ? 1 : 0, EFD_NONBLOCK | EFD_CLOEXEC);
  fd_.store(fd, std::memory_order_seq_cst);
  // A signal between the two lines above saw no descriptor.
  if (fd >= 0 && signalled_.load(std::memory_order_seq_cst)) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
  }
  return fd;
}

void Framework::WakeLine::clear() noexcept {
  if (!signalled_.load(std::memory_order_relaxed)) return;
  // The descriptor first: a signal that comes between the two is seen by the poll that follows.
  const int fd = fd_.load(std::memory_order_relaxed);
  uint64_t count;
  if (fd >= 0) {
    [[maybe_unused]] const ssize_t got = read(fd, &count, sizeof count);
  }
  signalled_.store(false, std::memory_order_seq_cst);
}

void Framework::WakeLine::sleep() noexcept {
  pollfd waiting{descriptor(), POLLIN, 0};
  ::poll(&waiting, 1, 1);
}

}  // namespace socrypt::ocf
