// Reads ranges that are not in the page cache, on threads of its own, so that the engine never waits
// for a disk: preadv2(RWF_NOWAIT) came back short, a job goes here, and the engine tries again when
// the pages are there. The threads start with the first job.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace socrypt::engine {

class ColdReader {
 public:
  struct Done {
    uint64_t connection;
    int error;  // 0, or errno of the read
  };

  /// `wake` is called from a reader thread after a job is done.
  explicit ColdReader(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~ColdReader();
  ColdReader(const ColdReader&) = delete;
  ColdReader& operator=(const ColdReader&) = delete;

  /// `fd` is duplicated: the job does not depend on the caller's life. Returns false when that failed.
  bool submit(uint64_t connection, int fd, uint64_t offset, uint64_t length);
  /// Moves what is done into `out`.
  void harvest(std::vector<Done>& out);

 private:
  struct Job {
    uint64_t connection;
    int fd;
    uint64_t offset, length;
  };
  void run();

  static constexpr size_t kThreads = 4;
  std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Job> jobs_;
  std::vector<Done> done_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace socrypt::engine
