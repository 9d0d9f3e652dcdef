#include "record/file_payload.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

namespace socrypt::record {

bool inMemory(int file, uint64_t offset, uint64_t length) noexcept {
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const struct {
    uint64_t offset, length;
  } range{offset, length};
  struct {
    uint64_t cached, dirty, writeback, evicted, recentlyEvicted;
  } pages{};
  const uint64_t wanted = (offset + length + page - 1) / page - offset / page;
  return syscall(SYS_cachestat, file, &range, &pages, 0) == 0 && pages.cached >= wanted;
}

FilePayload::~FilePayload() { close(descriptor_); }

Reading FilePayload::read(uint64_t at, std::span<uint8_t> to) const noexcept {
  const auto notNow = [&] {
    posix_fadvise(descriptor_, static_cast<off_t>(offset_ + at), static_cast<off_t>(to.size()), POSIX_FADV_WILLNEED);
    return Reading::NotNow;
  };
  int flags = RWF_NOWAIT;
  while (!to.empty()) {
    const iovec part{to.data(), to.size()};
    const ssize_t n = preadv2(descriptor_, &part, 1, static_cast<off_t>(offset_ + at), flags);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return notNow();
    if (n < 0 && errno == EOPNOTSUPP && flags != 0) {
      // tmpfs and overlayfs, for instance, do not promise it.
      struct stat facts;
      if (fstat(descriptor_, &facts) != 0 || static_cast<uint64_t>(facts.st_size) < offset_ + at + to.size()) return Reading::Gone;
      if (!inMemory(descriptor_, offset_ + at, to.size())) return notNow();
      flags = 0;
      continue;
    }
    if (n <= 0) return Reading::Gone;
    at += static_cast<uint64_t>(n);
    to = to.subspan(static_cast<size_t>(n));
  }
  return Reading::Done;
}

}  // namespace socrypt::record
