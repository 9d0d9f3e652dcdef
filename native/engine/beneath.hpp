// Files below a root directory, and never outside it: openat2(2) with RESOLVE_BENEATH does in the
// kernel, free of races, what comparing path names cannot. No Node, no exceptions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace socrypt::engine {

/// Owns one file descriptor.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool open() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

/// What tells one state of one file from another; all from one statx.
struct FileIdentity {
  uint64_t dev = 0;
  uint64_t ino = 0;
  uint64_t size = 0;
  int64_t mtimeNs = 0;  // since the epoch
  int64_t ctimeNs = 0;
  bool operator==(const FileIdentity&) const noexcept = default;
};

enum class FileType : uint8_t { File, Directory, Other };

struct FileFacts {
  FileIdentity identity;
  uint32_t mode = 0;
  [[nodiscard]] FileType type() const noexcept;
};

/// Whether a symbolic link on the way is followed (never out of the root) or refused (ELOOP).
enum class Links : uint8_t { Inside, Refuse };

struct Opened {
  int error = 0;  // errno; 0: `facts` are there
  FileFacts facts;
  Fd fd;  // open for reading, close-on-exec; only for regular files
};

struct ListedEntry {
  std::string name;  // valid UTF-8
  FileFacts facts;
};

/// Opens a directory for use as a root. Returns 0 or an errno; ENOSYS or EPERM where openat2 is missing or forbidden.
int openRoot(const char* path, Fd& root) noexcept;

/// Opens a regular file, describes anything else. `path` is relative; "" is the root itself. Never
/// blocks on a FIFO. An absolute link or one that leaves the root is EXDEV, a /proc magic link ELOOP.
Opened openBeneath(int root, const char* path, Links links) noexcept;

/// The facts of `path` without opening it for reading: 0 or an errno, with the rules of openBeneath.
int statBeneath(int root, const char* path, Links links, FileFacts& facts) noexcept;

/// True for the errnos that mean "nothing is served under this name": it does not exist or leads
/// out of the root. Every other errno says that we could not find out.
[[nodiscard]] bool meansAbsent(int error) noexcept;

/// Looks a dependency up again. `expected` null: nothing must be there. "Could not find out" (EACCES,
/// EMFILE, EIO, …) holds for neither, so that a decision is never kept on a guess.
[[nodiscard]] bool dependencyHolds(int root, const char* path, const FileIdentity* expected) noexcept;

/// Facts of an open file: 0 or an errno.
int factsOf(int fd, FileFacts& facts) noexcept;

/// Appends at most `limit` entries of a directory to `entries`, in no order, without "." and "..".
/// A link is described by what it leads to, and left out when that cannot be served; so is a name
/// that is not UTF-8, since no request can name it. Returns 0 or an errno.
int listBeneath(int root, const char* path, Links links, size_t limit, std::vector<ListedEntry>& entries);

/// Reads from offset 0 into `content`, at most `limit` bytes. Returns 0 or an errno.
int readWhole(int fd, size_t limit, std::string& content);

[[nodiscard]] bool isUtf8(const char* text, size_t length) noexcept;

/// "ENOENT" and so on; "EUNKNOWN" for one that no file call here returns.
[[nodiscard]] const char* errnoName(int error) noexcept;

}  // namespace socrypt::engine
