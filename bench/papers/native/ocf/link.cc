#include "link.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <vector>

#include "bench.hpp"

namespace papers {

Receiver::Receiver() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  // The same for all, and no pacing, which would hide what a byte costs.
  (void)setsockopt(listener_, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 1) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    fail("cannot listen on loopback");
  port_ = ntohs(address.sin_port);
  child_ = fork();
  if (child_ < 0) fail("no process for the receiver");
  if (child_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin(1);
  std::vector<uint8_t> buffer(1 << 18);
  for (;;) {
    const int fd = accept(listener_, nullptr, nullptr);
    if (fd < 0) _exit(1);
    while (recv(fd, buffer.data(), buffer.size(), MSG_TRUNC) > 0) {
    }
    close(fd);
  }
}

Receiver::~Receiver() {
  close(listener_);
  (void)kill(child_, SIGKILL);
  int status = 0;
  waitpid(child_, &status, 0);
}

int Receiver::connect() const {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port_);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  const int one = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("cannot connect");
  return fd;
}

void Receiver::finish(int fd) {
  shutdown(fd, SHUT_WR);
  uint8_t nothing;
  // Nothing is ever sent back: the end comes when the receiver has read everything.
  if (recv(fd, &nothing, 1, 0) != 0) fail("the receiver failed");
  close(fd);
}

void sendAll(int fd, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) fail("send failed");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void reportTransfers(uint32_t megabytes, int rounds, const std::function<void()>& connect, const std::function<void()>& transfer) {
  // "the first run of case was discarded"
  for (int round = 0; round <= rounds; ++round) {
    connect();
    const CpuTime before = CpuTime::ofProcess();
    const double start = secondsNow();
    transfer();
    const double seconds = secondsNow() - start;
    const double cpu = (CpuTime::ofProcess() - before).both();
    if (round != 0) std::printf("{\"megabytes\":%u,\"seconds\":%.6f,\"cpu\":%.6f}\n", megabytes, seconds, cpu);
  }
}

HotFile::HotFile(uint64_t bytes) : fd_(memfd_create("bench-papers", MFD_CLOEXEC)), bytes_(bytes) {
  std::vector<uint8_t> piece(1 << 20);
  for (size_t i = 0; i < piece.size(); ++i) piece[i] = static_cast<uint8_t>(i * 31 ^ i >> 8);
  for (uint64_t at = 0; at < bytes;) {
    const ssize_t n = pwrite(fd_, piece.data(), std::min<uint64_t>(piece.size(), bytes - at), static_cast<off_t>(at));
    if (n <= 0) fail("no room for the file");
    at += static_cast<uint64_t>(n);
  }
}

HotFile::~HotFile() { close(fd_); }

void HotFile::read(uint64_t at, std::span<uint8_t> into) const {
  if (pread(fd_, into.data(), into.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(into.size())) fail("the file is shorter");
}

}  // namespace papers
