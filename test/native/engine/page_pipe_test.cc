// References to pages on their way into a socket: what comes out, when the socket takes little, and when the file is cut.
#include <doctest/doctest.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "engine/paths/page_pipe.hpp"

namespace {

using socrypt::engine::FileWindow;
using socrypt::engine::LentPipe;
using socrypt::engine::PagePipes;

struct File {
  int fd = memfd_create("pages", MFD_CLOEXEC);
  std::string bytes;
  explicit File(size_t size) {
    for (size_t i = 0; bytes.size() < size; ++i) bytes += std::to_string(i) + "\n";
    bytes.resize(size);
    REQUIRE(write(fd, bytes.data(), size) == static_cast<ssize_t>(size));
  }
  ~File() { close(fd); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

/// A TCP connection on loopback whose sender takes little.
struct Sockets {
  int sender = -1, receiver = -1;
  Sockets() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t length = sizeof at;
    REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&at), length) == 0);
    REQUIRE(listen(listener, 1) == 0);
    REQUIRE(getsockname(listener, reinterpret_cast<sockaddr*>(&at), &length) == 0);
    receiver = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int little = 64 * 1024;
    setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    REQUIRE(connect(receiver, reinterpret_cast<sockaddr*>(&at), length) == 0);
    sender = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    REQUIRE(sender >= 0);
    setsockopt(sender, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    close(listener);
  }
  ~Sockets() {
    close(sender);
    close(receiver);
  }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  /// What is there now; at least one byte.
  std::string read() const {
    std::string got(1 << 20, '\0');
    const ssize_t n = recv(receiver, got.data(), got.size(), 0);
    REQUIRE(n > 0);
    got.resize(static_cast<size_t>(n));
    return got;
  }
};

constexpr size_t kPayload = 16384;
constexpr size_t kFrame = 22;

std::string frameOf(size_t i) {
  std::string text = "<frame " + std::to_string(i) + ">";
  text.resize(kFrame, '.');
  return text;
}

}  // namespace

TEST_CASE("pages and frames arrive as they were, however little the socket takes") {
  constexpr size_t kRecords = 4000;
  const File file(8 * kPayload);
  const auto pipes = PagePipes::make();
  REQUIRE(pipes);
  const auto window = FileWindow::of(file.fd, file.bytes.size(), 0);
  REQUIRE(window);
  CHECK(window->holds(0, file.bytes.size()));
  CHECK_FALSE(window->holds(1, file.bytes.size()));
  CHECK_FALSE(window->holds(UINT64_MAX, 2));
  const Sockets sockets;
  const size_t record = kPayload + kFrame;
  std::string expected, got;
  const auto place = [](size_t i) { return i % 8 * kPayload; };
  for (size_t i = 0; i < kRecords; ++i) expected.append(file.bytes, place(i), kPayload).append(frameOf(i));
  size_t written = 0, refusals = 0;
  while (written < expected.size()) {
    // All frames together are more than there is room for.
    std::vector<iovec> parts;
    pipes->frames().begin();
    for (size_t at = written; at < expected.size() && parts.size() < 60;) {
      const size_t i = at / record, within = at % record;
      if (within < kPayload) {
        parts.push_back({window->at(place(i) + within), kPayload - within});
        at += kPayload - within;
      } else {
        const std::string rest = frameOf(i).substr(within - kPayload);
        uint8_t* const frame = pipes->frames().room(rest.size());
        std::memcpy(frame, rest.data(), rest.size());
        parts.push_back({frame, rest.size()});
        at += rest.size();
      }
    }
    const LentPipe pipe = pipes->take();
    REQUIRE(pipe);
    REQUIRE(pipe->fill(parts));
    while (pipe->held() != 0) {
      written += pipe->drain(sockets.sender, true);
      if (pipe->held() == 0) break;
      REQUIRE(errno == EAGAIN);
      ++refusals;
      got += sockets.read();
      // Every second time what is left is given up, and made again.
      if (refusals % 2 == 0) break;
    }
  }
  while (got.size() < expected.size()) got += sockets.read();
  CHECK(got == expected);
  CHECK(refusals > 5);
}

TEST_CASE("a frame stays what it was while TCP holds it, and is never given out again") {
  const auto pipes = PagePipes::make();
  REQUIRE(pipes);
  const Sockets sockets;
  std::string expected;
  // Each of 64 bytes: several times the room that frames have; all of it is in the socket before anything is read.
  for (size_t i = 0; i < 6000; ++i) {
    std::string text = std::to_string(i);
    text.resize(64, '-');
    pipes->frames().begin();
    uint8_t* const at = pipes->frames().room(text.size());
    std::memcpy(at, text.data(), text.size());
    const iovec part{at, text.size()};
    const LentPipe pipe = pipes->take();
    REQUIRE(pipe->fill({&part, 1}));
    expected.append(text, 0, pipe->drain(sockets.sender, true));
    if (pipe->held() == 0) continue;
    REQUIRE(errno == EAGAIN);
    break;
  }
  std::string got;
  while (got.size() < expected.size()) got += sockets.read();
  CHECK(got == expected);
  CHECK(expected.size() > 80 * 1024);
}

TEST_CASE("a file that was cut off is told, and what was before the cut is sent") {
  const File file(8 * kPayload);
  const auto pipes = PagePipes::make();
  REQUIRE(pipes);
  const auto window = FileWindow::of(file.fd, file.bytes.size(), 0);
  REQUIRE(window);
  REQUIRE(ftruncate(file.fd, kPayload) == 0);
  const Sockets sockets;
  const std::vector<iovec> parts{{window->at(0), kPayload}, {window->at(kPayload), kPayload}};
  const LentPipe pipe = pipes->take();
  CHECK(pipe->fill(parts));
  CHECK(pipe->held() == kPayload);
  CHECK(pipe->drain(sockets.sender, false) == kPayload);
  CHECK_FALSE(pipe->fill(std::span(parts).subspan(1)));
  CHECK(errno == EFAULT);
  CHECK(pipe->held() == 0);
  std::string got;
  while (got.size() < kPayload) got += sockets.read();
  CHECK(got == file.bytes.substr(0, kPayload));
}

TEST_CASE("what the socket did not take is not the next one's") {
  const File file(64 * kPayload);
  const auto pipes = PagePipes::make();
  REQUIRE(pipes);
  const auto window = FileWindow::of(file.fd, file.bytes.size(), 0);
  REQUIRE(window);
  const Sockets one, other;
  const iovec large{window->at(0), 40 * kPayload};
  {
    const LentPipe pipe = pipes->take();
    REQUIRE(pipe->fill({&large, 1}));
    CHECK(pipe->drain(one.sender, false) > 0);
    REQUIRE(pipe->held() != 0);
    CHECK(errno == EAGAIN);
  }
  const iovec small{window->at(50 * kPayload), 1000};
  const LentPipe pipe = pipes->take();
  REQUIRE(pipe->fill({&small, 1}));
  CHECK(pipe->drain(other.sender, false) == 1000);
  CHECK(other.read() == file.bytes.substr(50 * kPayload, 1000));
}

TEST_CASE("a window holds a part of a file that is longer") {
  const int file = memfd_create("sparse", MFD_CLOEXEC);
  const uint64_t size = FileWindow::kLength + 3 * kPayload;
  REQUIRE(ftruncate(file, static_cast<off_t>(size)) == 0);
  REQUIRE(pwrite(file, "behind", 6, static_cast<off_t>(FileWindow::kLength + kPayload)) == 6);
  const auto window = FileWindow::of(file, size, FileWindow::kLength + kPayload);
  REQUIRE(window);
  CHECK(window->holds(FileWindow::kLength, 3 * kPayload));
  CHECK_FALSE(window->holds(FileWindow::kLength - 1, 2));
  CHECK_FALSE(window->holds(FileWindow::kLength, 3 * kPayload + 1));
  const auto pipes = PagePipes::make();
  const Sockets sockets;
  const iovec part{window->at(FileWindow::kLength + kPayload), 6};
  const LentPipe pipe = pipes->take();
  REQUIRE(pipe->fill({&part, 1}));
  CHECK(pipe->drain(sockets.sender, false) == 6);
  CHECK(sockets.read() == "behind");
  CHECK(FileWindow::of(file, size, size) == nullptr);
  close(file);
}

TEST_CASE("not every connection may keep a pipe") {
  const auto pipes = PagePipes::make();
  REQUIRE(pipes);
  std::vector<LentPipe> taken;
  while (pipes->mayKeep()) {
    taken.push_back(pipes->take());
    REQUIRE(taken.back());
    REQUIRE(taken.size() < 1000);
  }
  CHECK(taken.size() > 8);
  taken.pop_back();
  CHECK(pipes->mayKeep());
}
