#include "cryptod/arena.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace socrypt::cryptod {

namespace {
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
}

void Descriptor::reset() noexcept {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

Arena& Arena::operator=(Arena&& other) noexcept {
  if (this != &other) {
    unmap();
    fd_ = std::move(other.fd_);
    memory_ = std::exchange(other.memory_, {});
  }
  return *this;
}

bool Arena::map(int fd, size_t bytes) noexcept {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return false;
  memory_ = {static_cast<uint8_t*>(at), bytes};
  // Neither in a core dump nor in a child: sessions do not follow a fork, and neither does their memory.
  madvise(at, bytes, MADV_DONTDUMP);
  madvise(at, bytes, MADV_DONTFORK);
  return true;
}

void Arena::unmap() noexcept {
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
  memory_ = {};
}

std::optional<Arena> Arena::create(size_t bytes) noexcept {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  bytes = (bytes + page - 1) / page * page;
  Arena arena;
  arena.fd_ = Descriptor(memfd_create("socrypt-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!arena.fd_ || ftruncate(arena.fd_.get(), static_cast<off_t>(bytes)) != 0 ||
      fcntl(arena.fd_.get(), F_ADD_SEALS, kSeals) != 0 || !arena.map(arena.fd_.get(), bytes))
    return std::nullopt;
  return arena;
}

std::optional<Arena> Arena::adopt(Descriptor fd, uint64_t bytes, std::string_view& why) noexcept {
  struct stat facts {};
  struct statfs system {};
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    why = "expected an arena that is a memfd sealed with F_SEAL_SHRINK";
    return std::nullopt;
  }
  if (fstatfs(fd.get(), &system) != 0 || system.f_type != TMPFS_MAGIC) {
    why = "expected an arena on ordinary pages, not huge ones";
    return std::nullopt;
  }
  // What the seals keep is what is measured after them.
  if (fstat(fd.get(), &facts) != 0 || static_cast<uint64_t>(facts.st_size) != bytes) {
    why = "expected an arena as long as its announcement";
    return std::nullopt;
  }
  Arena arena;
  if (!arena.map(fd.get(), bytes)) {
    why = "the arena could not be mapped";
    return std::nullopt;
  }
  return arena;
}

}  // namespace socrypt::cryptod
