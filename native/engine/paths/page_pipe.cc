#include "engine/paths/page_pipe.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace socrypt::engine {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kFrames = 16 * kPage;
// 256 pages: 32 records of four pages and a frame each, and as many again where files are not aligned.
constexpr int kPipeBytes = 1 << 20;

}  // namespace

std::shared_ptr<const FileWindow> FileWindow::of(int file, uint64_t size, uint64_t offset) noexcept {
  const uint64_t begin = offset / kLength * kLength;
  if (offset >= size) return nullptr;
  const uint64_t length = std::min(kLength, size - begin);
  void* const base = mmap(nullptr, length, PROT_READ, MAP_SHARED, file, static_cast<off_t>(begin));
  if (base == MAP_FAILED) return nullptr;
  // Not make_shared: the constructor is ours alone.
  return std::shared_ptr<const FileWindow>(new FileWindow(static_cast<uint8_t*>(base), begin, length));
}

FileWindow::~FileWindow() { munmap(base_, length_); }

std::unique_ptr<PagePipe> PagePipe::make() noexcept {
  std::unique_ptr<PagePipe> made(new PagePipe);
  made->nowhere_ = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (made->nowhere_ < 0 || !made->open()) return nullptr;
  void* const frames = mmap(nullptr, kFrames, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (frames == MAP_FAILED) return nullptr;
  made->frames_ = static_cast<uint8_t*>(frames);
  return made;
}

bool PagePipe::open() noexcept {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  out_ = ends[0];
  in_ = ends[1];
  // A smaller pipe (pipe-user-pages-soft in pipe(7)) takes more calls.
  fcntl(in_, F_SETPIPE_SZ, kPipeBytes);
  return true;
}

PagePipe::~PagePipe() {
  if (frames_ != nullptr) munmap(frames_, kFrames);
  for (const int end : {in_, out_, nowhere_})
    if (end >= 0) close(end);
}

void PagePipe::begin() noexcept {
  if (kFrames - used_ >= 2 * kPage) return;
  // Whoever still refers to these pages keeps them as they are; here are new ones.
  madvise(frames_, kFrames, MADV_DONTNEED);
  used_ = 0;
}

uint8_t* PagePipe::frame(size_t bytes) noexcept {
  // In one page: of two it would take two places in the pipe.
  if (kPage - used_ % kPage < bytes) used_ += kPage - used_ % kPage;
  uint8_t* const at = frames_ + used_;
  used_ += bytes;
  return at;
}

ssize_t PagePipe::send(int socket, std::span<const iovec> parts, bool more) noexcept {
  const ssize_t filled = vmsplice(in_, parts.data(), parts.size(), SPLICE_F_NONBLOCK);
  if (filled <= 0) return -1;
  auto left = static_cast<size_t>(filled);
  errno = 0;
  while (left != 0) {
    const ssize_t n = splice(out_, nullptr, socket, nullptr, left, SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0U));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    left -= static_cast<size_t>(n);
  }
  const ssize_t taken = filled - static_cast<ssize_t>(left);
  if (left == 0) {
    errno = 0;
    return taken;
  }
  const int why = errno;
  discard(left);
  errno = why;
  return taken == 0 ? -1 : taken;
}

void PagePipe::discard(size_t bytes) noexcept {
  while (bytes != 0) {
    const ssize_t n = splice(out_, nullptr, nowhere_, nullptr, bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    bytes -= static_cast<size_t>(n);
  }
  if (bytes == 0) return;
  // What is left must not be the next one's. Without a pipe every send() fails.
  close(in_);
  close(out_);
  in_ = out_ = -1;
  static_cast<void>(open());
}

}  // namespace socrypt::engine
