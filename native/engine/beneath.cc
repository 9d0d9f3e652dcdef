#include "engine/beneath.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace socrypt::engine {

namespace {

constexpr uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;

// openat2(2): EAGAIN says that a rename elsewhere made ".." uncertain while a link was followed; the
// manual page asks the caller to retry. Bounded, since a tree can be renamed in a loop on purpose.
constexpr int kAttempts = 64;

int openatBeneath(int root, const char* path, Links links, uint64_t flags) noexcept {
  struct open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = kResolve | (links == Links::Refuse ? RESOLVE_NO_SYMLINKS : 0);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const long fd = ::syscall(SYS_openat2, root, *path == '\0' ? "." : path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return -1;
}

// Wraps for times past 2262, which ext4 and xfs can hold: still one number per time, which is all an identity needs.
int64_t nanoseconds(const struct statx_timestamp& time) noexcept {
  return static_cast<int64_t>(static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec);
}

void fill(const struct statx& from, FileFacts& facts) noexcept {
  facts.identity.dev = makedev(from.stx_dev_major, from.stx_dev_minor);
  facts.identity.ino = from.stx_ino;
  facts.identity.size = from.stx_size;
  facts.identity.mtimeNs = nanoseconds(from.stx_mtime);
  facts.identity.ctimeNs = nanoseconds(from.stx_ctime);
  facts.mode = from.stx_mode;
}

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

}  // namespace

void Fd::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

FileType FileFacts::type() const noexcept {
  return S_ISREG(mode) ? FileType::File : S_ISDIR(mode) ? FileType::Directory : FileType::Other;
}

int factsOf(int fd, FileFacts& facts) noexcept {
  struct statx stat;
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stat) != 0) return errno;
  fill(stat, facts);
  return 0;
}

int openRoot(const char* path, Fd& root) noexcept {
  Fd fd(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.open()) return errno;
  // Found out here, once, rather than as a 404 for every file.
  const Fd self(openatBeneath(fd.get(), ".", Links::Inside, O_PATH));
  if (!self.open()) return errno;
  root = std::move(fd);
  return 0;
}

Opened openBeneath(int root, const char* path, Links links) noexcept {
  Opened opened;
  // O_NONBLOCK: opening a FIFO for reading would otherwise wait for a writer. It means nothing to regular files.
  Fd fd(openatBeneath(root, path, links, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (!fd.open()) {
    opened.error = errno;
    if (opened.error != EACCES) return opened;
    // A directory that may be searched but not listed (mode 0711) is still a directory.
    FileFacts facts;
    if (statBeneath(root, path, links, facts) == 0 && facts.type() == FileType::Directory) {
      opened.facts = facts;
      opened.error = 0;
    }
    return opened;
  }
  opened.error = factsOf(fd.get(), opened.facts);
  if (opened.error == 0 && opened.facts.type() == FileType::File) opened.fd = std::move(fd);
  return opened;
}

int statBeneath(int root, const char* path, Links links, FileFacts& facts) noexcept {
  const Fd fd(openatBeneath(root, path, links, O_PATH));
  if (!fd.open()) return errno;
  return factsOf(fd.get(), facts);
}

bool meansAbsent(int error) noexcept {
  return error == ENOENT || error == ENOTDIR || error == EXDEV || error == ELOOP || error == ENAMETOOLONG;
}

bool dependencyHolds(int root, const char* path, const FileIdentity* expected) noexcept {
  FileFacts facts;
  const int error = statBeneath(root, path, Links::Inside, facts);
  if (error != 0) return expected == nullptr && meansAbsent(error);
  return expected != nullptr && facts.identity == *expected;
}

int listBeneath(int root, const char* path, Links links, size_t limit, std::vector<ListedEntry>& entries) {
  Fd fd(openatBeneath(root, path, links, O_RDONLY | O_DIRECTORY));
  if (!fd.open()) return errno;
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd.get()));
  if (!directory) return errno;
  const int at = fd.release();  // now the DIR's
  std::string prefix(path);
  if (!prefix.empty() && prefix.back() != '/') prefix += '/';
  while (entries.size() < limit) {
    errno = 0;
    const struct dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) return errno;
    const char* name = entry->d_name;
    const size_t length = std::strlen(name);
    if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0 || !isUtf8(name, length)) continue;
    struct statx stat;
    if (::statx(at, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stat) != 0) continue;  // gone meanwhile
    FileFacts facts;
    if (!S_ISLNK(stat.stx_mode)) {
      fill(stat, facts);
    } else if (statBeneath(root, (prefix + name).c_str(), links, facts) != 0) {
      continue;
    }
    entries.push_back({std::string(name, length), facts});
  }
  return 0;
}

int readWhole(int fd, size_t limit, std::string& content) {
  constexpr size_t kStep = 65536;
  size_t length = 0;
  while (length < limit) {
    const size_t want = limit - length < kStep ? limit - length : kStep;
    content.resize(length + want);
    const ssize_t got = ::pread(fd, content.data() + length, want, static_cast<off_t>(length));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    length += static_cast<size_t>(got);
    if (got == 0) break;
  }
  content.resize(length);
  return 0;
}

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool isUtf8(const char* text, size_t length) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(text);
  const auto* end = at + length;
  while (at < end) {
    const unsigned lead = *at++;
    if (lead < 0x80) continue;
    const int more = lead >= 0xc2 && lead <= 0xdf ? 1 : lead >= 0xe0 && lead <= 0xef ? 2 : lead >= 0xf0 && lead <= 0xf4 ? 3 : 0;
    if (more == 0 || end - at < more) return false;
    const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (*at < low || *at > high) return false;
    for (int i = 1; i < more; ++i) {
      if ((at[i] & 0xc0) != 0x80) return false;
    }
    at += more;
  }
  return true;
}

const char* errnoName(int error) noexcept {
#define NAME(code) case code: return #code;
  switch (error) {
    NAME(EPERM) NAME(ENOENT) NAME(EINTR) NAME(EIO) NAME(ENXIO) NAME(E2BIG) NAME(EBADF) NAME(EAGAIN) NAME(ENOMEM)
    NAME(EACCES) NAME(EBUSY) NAME(EXDEV) NAME(ENODEV) NAME(ENOTDIR) NAME(EISDIR) NAME(EINVAL) NAME(ENFILE)
    NAME(EMFILE) NAME(ETXTBSY) NAME(EFBIG) NAME(EROFS) NAME(ENAMETOOLONG) NAME(ENOSYS) NAME(ELOOP) NAME(EOVERFLOW)
    NAME(ESTALE) NAME(EREMOTEIO) NAME(ETIMEDOUT) NAME(EDQUOT) NAME(ENOLINK) NAME(EUCLEAN)
    default: return "EUNKNOWN";
  }
#undef NAME
}

}  // namespace socrypt::engine
