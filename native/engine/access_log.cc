#include "engine/access_log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <system_error>

namespace socrypt::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBatchMs = 50;      // lines gather this long between two writes
constexpr int kRetryMs = 1000;    // after an error of the disk
constexpr int kBlockedMs = 100;   // between looks at a full pipe
constexpr auto kCloseLimit = std::chrono::seconds(2);

int openForAppend(const std::string& path) noexcept {
  return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

enum class Sink : uint8_t { Regular, Socket, Other };

Sink sinkOf(int fd) noexcept {
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return Sink::Other;
  if (S_ISREG(facts.st_mode)) return Sink::Regular;
  return S_ISSOCK(facts.st_mode) ? Sink::Socket : Sink::Other;
}

/// `length` bytes of a ring from `at`, in one or two parts.
struct RingParts {
  std::array<iovec, 2> parts{};
  int count = 0;
};

RingParts partsOf(char* ring, size_t size, uint64_t at, size_t length) noexcept {
  const size_t start = static_cast<size_t>(at) & (size - 1);
  const size_t first = std::min(length, size - start);
  RingParts result;
  result.parts[0] = {ring + start, first};
  result.count = 1;
  if (first < length) result.parts[static_cast<size_t>(result.count++)] = {ring, length - first};
  return result;
}

}  // namespace

// ── the engine's side ───────────────────────────────────────────────────────────────────────────────

AccessLog::Producer::Producer(AccessLog& log, size_t bytes)
    : log_(log), bytes_(bytes), ring_(std::make_unique<char[]>(bytes)) {}

bool AccessLog::Producer::write(std::string_view line) noexcept {
  const uint64_t head = head_.load(std::memory_order_relaxed);
  const auto room = [&] { return bytes_ - static_cast<size_t>(head - tailSeen_); };
  if (room() < line.size()) tailSeen_ = tail_.load(std::memory_order_acquire);
  const bool taken = room() >= line.size() && !log_.closing_.load(std::memory_order_relaxed);
  if (taken) {
    const RingParts into = partsOf(ring_.get(), bytes_, head, line.size());
    std::memcpy(into.parts[0].iov_base, line.data(), into.parts[0].iov_len);
    if (into.count == 2) std::memcpy(into.parts[1].iov_base, line.data() + into.parts[0].iov_len, into.parts[1].iov_len);
    // Sequentially consistent with run(): either it sees this head before it sleeps, or we see it asleep.
    head_.store(head + line.size(), std::memory_order_seq_cst);
    if (log_.sleeping_.load(std::memory_order_seq_cst) && log_.sleeping_.exchange(false)) log_.wake();
  } else {
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  if ((!taken || room() - line.size() < bytes_ / 2) && !log_.urgent_.load(std::memory_order_relaxed) &&
      !log_.urgent_.exchange(true)) {
    tailSeen_ = tail_.load(std::memory_order_acquire);
    log_.wake();
  }
  return taken;
}

// ── life ────────────────────────────────────────────────────────────────────────────────────────────

std::shared_ptr<AccessLog> AccessLog::open(const std::string& path, http::LogFormat format, int& error,
                                           size_t ringBytes) {
  error = 0;
  const int fd = path == "-" ? STDOUT_FILENO : openForAppend(path);
  if (fd < 0) {
    error = errno;
    return nullptr;
  }
  const int wakeFd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wakeFd < 0) {
    error = errno;
    if (fd != STDOUT_FILENO) ::close(fd);
    return nullptr;
  }
  std::shared_ptr<AccessLog> log(new AccessLog(path, format, fd, wakeFd, ringBytes));
  // Signals are the main thread's business; a closed pipe is an EPIPE here.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    log->thread_ = std::thread([raw = log.get()] { raw->run(); });
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error == 0 ? log : nullptr;
}

AccessLog::AccessLog(std::string path, http::LogFormat format, int fd, int wakeFd, size_t ringBytes)
    : path_(std::move(path)), format_(format), wakeFd_(wakeFd), ringBytes_(ringBytes), fd_(fd) {}

AccessLog::~AccessLog() {
  close();
  ::close(wakeFd_);
}

AccessLog::Producer* AccessLog::producer() {
  std::unique_ptr<Producer> made(new Producer(*this, ringBytes_));
  const std::lock_guard lock(mutex_);
  producers_.push_back(std::move(made));
  return producers_.back().get();
}

int AccessLog::reopen() {
  const std::lock_guard lock(closeMutex_);
  if (path_ == "-" || closing_.load()) return 0;
  const int fd = openForAppend(path_);
  if (fd < 0) {
    const int error = errno;
    fail("open", error);
    return error;
  }
  const int unused = newFd_.exchange(fd);
  if (unused >= 0) ::close(unused);
  wake();
  return 0;
}

void AccessLog::close() {
  const std::lock_guard lock(closeMutex_);
  if (closing_.exchange(true)) return;
  wake();
  if (thread_.joinable()) thread_.join();
  uint64_t left = 0;
  for (size_t i = 0; Producer* producer = nextProducer(i); i++) {
    const uint64_t tail = producer->tail_.load();
    left += countLines(*producer, tail, static_cast<size_t>(producer->head_.load() - tail));
  }
  droppedAtClose_.store(left);
  if (const int unused = newFd_.exchange(-1); unused >= 0) ::close(unused);
  if (fd_ != STDOUT_FILENO) ::close(fd_);
  fd_ = -1;
}

AccessLog::Counters AccessLog::counters() const {
  Counters result;
  result.linesWritten = linesWritten_.load(std::memory_order_relaxed);
  result.writeErrors = writeErrors_.load(std::memory_order_relaxed);
  result.linesDropped = droppedAtClose_.load(std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  for (const auto& producer : producers_) result.linesDropped += producer->dropped_.load(std::memory_order_relaxed);
  return result;
}

std::string AccessLog::lastError() const {
  const std::lock_guard lock(mutex_);
  return lastError_;
}

// ── the writer's side ───────────────────────────────────────────────────────────────────────────────

void AccessLog::run() noexcept {
  Clock::time_point closeBy{};
  for (;;) {
    const bool closing = closing_.load();
    if (closing && closeBy == Clock::time_point{}) closeBy = Clock::now() + kCloseLimit;
    takeNewFile();
    urgent_.store(false);
    const Progress progress = drainAll();
    if (closing) {
      // A broken disk gets no second chance now; a slow reader gets what is left of the limit.
      if (progress == Progress::Idle || progress == Progress::Failed || Clock::now() >= closeBy) return;
      if (progress == Progress::Blocked) waitFor(kBlockedMs, true);
      continue;
    }
    switch (progress) {
      case Progress::Wrote:
        waitFor(kBatchMs, false);
        break;
      case Progress::Blocked:
        waitFor(kBlockedMs, true);
        break;
      case Progress::Failed: {
        // Full rings want to wake us; only a new file or the end may.
        const auto until = Clock::now() + std::chrono::milliseconds(kRetryMs);
        for (auto left = until - Clock::now(); left.count() > 0 && newFd_.load() < 0 && !closing_.load();
             left = until - Clock::now()) {
          waitFor(static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(left).count()) + 1, false);
        }
        break;
      }
      case Progress::Idle:
        sleeping_.store(true, std::memory_order_seq_cst);
        if (!anyWaiting()) waitFor(-1, false);
        sleeping_.store(false);
        break;
    }
  }
}

bool AccessLog::anyWaiting() {
  if (newFd_.load() >= 0 || closing_.load()) return true;
  for (size_t i = 0; Producer* producer = nextProducer(i); i++) {
    if (producer->head_.load(std::memory_order_seq_cst) != producer->tail_.load(std::memory_order_relaxed)) return true;
  }
  return false;
}

AccessLog::Progress AccessLog::drainAll() noexcept {
  bool wrote = false;
  // A half-written line is ended before another engine's lines may follow it.
  if (torn_ != nullptr) {
    const Progress progress = drain(*torn_);
    if (progress == Progress::Blocked || progress == Progress::Failed) return progress;
    wrote = true;
  }
  for (size_t i = 0; Producer* producer = nextProducer(i); i++) {
    const Progress progress = drain(*producer);
    if (progress == Progress::Blocked || progress == Progress::Failed) return progress;
    wrote |= progress == Progress::Wrote;
  }
  return wrote ? Progress::Wrote : Progress::Idle;
}

/// Writes what waits in one ring now. The ring keeps a line until all of it is written.
AccessLog::Progress AccessLog::drain(Producer& producer) noexcept {
  const uint64_t head = producer.head_.load(std::memory_order_acquire);
  Progress progress = Progress::Idle;
  for (uint64_t tail = producer.tail_.load(std::memory_order_relaxed); tail != head;
       tail = producer.tail_.load(std::memory_order_relaxed)) {
    const auto total = static_cast<size_t>(head - tail);
    const size_t before = torn_ == &producer ? tornBytes_ : 0;
    const ssize_t result = writeSome(producer, tail + before, total - before);
    if (result <= 0) {
      const int error = result == 0 ? EIO : errno;
      if (error == EINTR) continue;
      if (error == EAGAIN) return Progress::Blocked;
      fail("write", error);
      return Progress::Failed;
    }
    recover();
    const size_t written = before + static_cast<size_t>(result);
    const size_t whole = written == total ? total : wholeLines(producer, tail, written);
    linesWritten_.fetch_add(countLines(producer, tail, whole), std::memory_order_relaxed);
    tornBytes_ = written - whole;
    torn_ = tornBytes_ != 0 ? &producer : nullptr;
    producer.tail_.store(tail + whole, std::memory_order_release);
    progress = Progress::Wrote;
  }
  return progress;
}

/// writev that does not wait for a slow reader: a regular file never makes us wait in that sense, a socket
/// is asked not to, and a pipe or terminal that poll calls writable takes PIPE_BUF bytes. (O_NONBLOCK would
/// belong to everyone who shares our standard output.) Result and errno as writev.
ssize_t AccessLog::writeSome(Producer& producer, uint64_t at, size_t length) noexcept {
  const Sink sink = sinkOf(fd_);
  if (sink == Sink::Other) {
    pollfd output{fd_, POLLOUT, 0};
    if (poll(&output, 1, 0) == 0) {
      errno = EAGAIN;
      return -1;
    }
    length = std::min<size_t>(length, PIPE_BUF);
  }
  RingParts from = partsOf(producer.ring_.get(), producer.bytes_, at, length);
  if (sink == Sink::Socket) {
    msghdr message{};
    message.msg_iov = from.parts.data();
    message.msg_iovlen = static_cast<size_t>(from.count);
    return sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  return writev(fd_, from.parts.data(), from.count);
}

/// How many of the first `length` bytes are whole lines.
size_t AccessLog::wholeLines(const Producer& producer, uint64_t at, size_t length) noexcept {
  while (length > 0 && producer.ring_[static_cast<size_t>(at + length - 1) & (producer.bytes_ - 1)] != '\n') length--;
  return length;
}

uint64_t AccessLog::countLines(const Producer& producer, uint64_t at, size_t length) noexcept {
  if (length == 0) return 0;
  const RingParts from = partsOf(producer.ring_.get(), producer.bytes_, at, length);
  uint64_t lines = 0;
  for (int i = 0; i < from.count; i++) {
    const auto& part = from.parts[static_cast<size_t>(i)];
    const char* const bytes = static_cast<const char*>(part.iov_base);
    lines += static_cast<uint64_t>(std::count(bytes, bytes + part.iov_len, '\n'));
  }
  return lines;
}

void AccessLog::takeNewFile() noexcept {
  const int fd = newFd_.exchange(-1);
  if (fd < 0) return;
  ::close(fd_);
  fd_ = fd;
  // The new file gets a half-written line from its start.
  torn_ = nullptr;
  tornBytes_ = 0;
}

void AccessLog::waitFor(int milliseconds, bool forOutput) noexcept {
  std::array<pollfd, 2> events{pollfd{wakeFd_, POLLIN, 0}, pollfd{fd_, POLLOUT, 0}};
  poll(events.data(), forOutput ? 2 : 1, milliseconds);
  eventfd_t ignored = 0;
  eventfd_read(wakeFd_, &ignored);
}

void AccessLog::wake() noexcept { eventfd_write(wakeFd_, 1); }

void AccessLog::fail(const char* what, int error) noexcept {
  writeErrors_.fetch_add(1, std::memory_order_relaxed);
  healthy_.store(false);
  try {
    std::string text = std::string(what) + " " + path_ + ": " + std::generic_category().message(error);
    const std::lock_guard lock(mutex_);
    lastError_ = std::move(text);
  } catch (const std::exception&) {
    return;  // no memory for the words; the counter has it
  }
}

void AccessLog::recover() noexcept {
  if (healthy_.exchange(true)) return;
  const std::lock_guard lock(mutex_);
  lastError_.clear();
}

AccessLog::Producer* AccessLog::nextProducer(size_t index) {
  const std::lock_guard lock(mutex_);
  return index < producers_.size() ? producers_[index].get() : nullptr;
}

}  // namespace socrypt::engine
