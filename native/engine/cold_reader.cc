#include "engine/cold_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace socrypt::engine {

ColdReader::~ColdReader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (auto& thread : threads_) thread.join();
  for (const auto& job : jobs_) close(job.fd);
}

bool ColdReader::submit(uint64_t connection, int fd, uint64_t offset, uint64_t length) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return false;
  {
    const std::lock_guard lock(mutex_);
    if (threads_.empty())
      for (size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { run(); });
    jobs_.push_back({connection, copy, offset, length});
  }
  ready_.notify_one();
  return true;
}

void ColdReader::harvest(std::vector<Done>& out) {
  const std::lock_guard lock(mutex_);
  out.insert(out.end(), done_.begin(), done_.end());
  done_.clear();
}

void ColdReader::run() {
  constexpr size_t kPiece = 128 * 1024;
  const auto scratch = std::make_unique<uint8_t[]>(kPiece);
  std::unique_lock lock(mutex_);
  for (;;) {
    ready_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const Job job = jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    // Reading, rather than readahead(2), because only a finished read says that the pages are there.
    int error = 0;
    for (uint64_t at = job.offset, end = job.offset + job.length; at < end;) {
      const ssize_t n = pread(job.fd, scratch.get(), std::min<uint64_t>(kPiece, end - at), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) error = errno;
      if (n <= 0) break;
      at += static_cast<uint64_t>(n);
    }
    close(job.fd);
    lock.lock();
    done_.push_back({job.connection, error});
    lock.unlock();
    wake_();
    lock.lock();
  }
}

}  // namespace socrypt::engine
