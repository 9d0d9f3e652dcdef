// The access log: engines leave whole lines in rings of their own, one thread writes them to a file.
// An engine never waits for the disk; what finds no room is dropped and counted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/types.h>

#include "engine/http/http.hpp"

namespace socrypt::engine {

class AccessLog {
 public:
  /// Room for lines of one engine: a power of two, bytes.
  static constexpr size_t kDefaultRingBytes = size_t{1} << 20;

  struct Counters {
    uint64_t linesWritten = 0;
    uint64_t linesDropped = 0;  // no room, or left over when close() gave up
    uint64_t writeErrors = 0;
  };

  /// A ring with one writing thread (the engine) and one reading thread (the log's).
  class Producer {
   public:
    /// Takes `line`, with its '\n', or drops it. Wait-free; at most one system call per batch, to wake
    /// the writer. False: dropped.
    bool write(std::string_view line) noexcept;

   private:
    friend class AccessLog;
    Producer(AccessLog& log, size_t bytes);

    AccessLog& log_;
    const size_t bytes_;
    const std::unique_ptr<char[]> ring_;
    alignas(64) std::atomic<uint64_t> head_{0};  // written by the engine
    uint64_t tailSeen_ = 0;                      // engine's: a tail it may trust
    std::atomic<uint64_t> dropped_{0};
    alignas(64) std::atomic<uint64_t> tail_{0};  // written by the log's thread
  };

  /// `path`: appended to, made if missing (mode 0640); "-": standard output. Returns null with `error`
  /// set to an errno when it cannot be opened. `format` is for the engines: the log takes any line.
  static std::shared_ptr<AccessLog> open(const std::string& path, http::LogFormat format, int& error,
                                         size_t ringBytes = kDefaultRingBytes);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  [[nodiscard]] http::LogFormat format() const noexcept { return format_; }
  /// A ring for one engine; it lives as long as the log does. Any thread, before or after others write.
  Producer* producer();
  /// Opens the path anew, for log rotation. Returns an errno and stays with the old file when that fails
  /// (which also counts as a write error). Nothing to do for standard output.
  int reopen();
  /// Writes what waits, for at most two seconds, and ends the thread. Idempotent. Lines that come later are dropped.
  void close();
  [[nodiscard]] Counters counters() const;
  /// Text of the last error; empty when the last write worked.
  [[nodiscard]] std::string lastError() const;

 private:
  enum class Progress : uint8_t { Idle, Wrote, Blocked, Failed };

  AccessLog(std::string path, http::LogFormat format, int fd, int wakeFd, size_t ringBytes);
  void run() noexcept;
  Progress drainAll() noexcept;
  Progress drain(Producer& producer) noexcept;
  ssize_t writeSome(Producer& producer, uint64_t at, size_t length) noexcept;
  static size_t wholeLines(const Producer& producer, uint64_t at, size_t length) noexcept;
  static uint64_t countLines(const Producer& producer, uint64_t at, size_t length) noexcept;
  void takeNewFile() noexcept;
  bool anyWaiting();
  void waitFor(int milliseconds, bool forOutput) noexcept;
  void wake() noexcept;
  void fail(const char* what, int error) noexcept;
  void recover() noexcept;
  [[nodiscard]] Producer* nextProducer(size_t index);

  const std::string path_;
  const http::LogFormat format_;
  const int wakeFd_;
  const size_t ringBytes_;
  int fd_;                    // the writer's
  Producer* torn_ = nullptr;  // the writer's: whose first waiting line is partly written
  size_t tornBytes_ = 0;      // and how much of it

  std::atomic<bool> sleeping_{false};
  std::atomic<bool> urgent_{false};
  std::atomic<bool> closing_{false};
  std::atomic<int> newFd_{-1};
  std::atomic<uint64_t> linesWritten_{0}, writeErrors_{0}, droppedAtClose_{0};

  mutable std::mutex mutex_;  // producers_, lastError_; never taken by an engine that writes
  std::vector<std::unique_ptr<Producer>> producers_;
  std::string lastError_;
  std::atomic<bool> healthy_{true};
  std::mutex closeMutex_;
  std::thread thread_;
};

}  // namespace socrypt::engine
