#include "engine/paths/page_pipe.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace socrypt::engine {

namespace {

// 256 references: 48 records of five, some of them in two parts.
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
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return nullptr;
  // A smaller pipe (pipe-user-pages-soft in pipe(7)) takes more calls.
  fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  return std::unique_ptr<PagePipe>(new PagePipe(ends[1], ends[0]));
}

PagePipe::~PagePipe() {
  close(in_);
  close(out_);
}

bool PagePipe::fill(std::span<const iovec> parts) noexcept {
  const ssize_t n = vmsplice(in_, parts.data(), parts.size(), SPLICE_F_NONBLOCK);
  if (n > 0) held_ += static_cast<size_t>(n);
  return n > 0;
}

size_t PagePipe::drain(int socket, bool more) noexcept {
  const size_t before = held_;
  while (held_ != 0) {
    const ssize_t n = splice(out_, nullptr, socket, nullptr, held_, SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0U));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    held_ -= static_cast<size_t>(n);
  }
  return before - held_;
}

std::unique_ptr<PagePipes> PagePipes::make() noexcept {
  std::unique_ptr<PagePipes> made(new PagePipes);
  made->frames_ = FrameMemory::make();
  if (!made->frames_) return nullptr;
  auto first = PagePipe::make();
  if (!first) return nullptr;
  made->spare_.push_back(std::move(first));
  return made;
}

LentPipe PagePipes::take() noexcept {
  std::unique_ptr<PagePipe> pipe;
  if (spare_.empty()) {
    pipe = PagePipe::make();
  } else {
    pipe = std::move(spare_.back());
    spare_.pop_back();
  }
  if (pipe) ++out_;
  return LentPipe(pipe.release(), GiveBack{this});
}

void GiveBack::operator()(PagePipe* lent) const noexcept {
  std::unique_ptr<PagePipe> pipe(lent);
  --home->out_;
  // What it holds goes with it: that must not be the next one's.
  if (pipe->held() == 0 && home->spare_.size() < PagePipes::kSpare) home->spare_.push_back(std::move(pipe));
}

}  // namespace socrypt::engine
