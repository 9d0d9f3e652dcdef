// cryptod's client: one connection with its arena, used by one thread at a time. Blocking, with a deadline: a daemon that
// does not answer in time is taken for dead, and so is the connection.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cryptod/arena.hpp"
#include "cryptod/wire.hpp"

namespace socrypt::cryptod {

/// A Unix stream socket to `path` over which Hello has gone with the arena's descriptor (none: -1, 0 bytes). Empty with
/// errno set: nobody listens there, or the path does not fit into sockaddr_un (ENAMETOOLONG).
[[nodiscard]] Descriptor connectAndGreet(const std::string& path, int arenaFd, uint64_t arenaBytes) noexcept;

class Client {
 public:
  struct Options {
    std::string path;
    size_t arenaBytes = 1u << 20;
    int timeoutMs = 2000;
  };
  /// nullptr, with the reason, when there is no daemon that takes us.
  [[nodiscard]] static std::unique_ptr<Client> connect(const Options& options, std::string& why);

  /// False from the first failure of the connection on; every call then fails at once.
  [[nodiscard]] bool alive() const noexcept { return static_cast<bool>(socket_); }
  /// The process that connected. Another one, forked from it, must not use this object.
  [[nodiscard]] pid_t owner() const noexcept { return owner_; }
  /// In a process that was forked from the owner: closes what was inherited and touches nothing else. The mapping has not
  /// come along (MADV_DONTFORK), and its address may be somebody else's by now.
  void abandon() noexcept;
  [[nodiscard]] std::span<uint8_t> arena() const noexcept { return arena_.memory(); }
  [[nodiscard]] const HelloAnswer& limits() const noexcept { return limits_; }

  // Each returns false when the connection is gone. What the daemon said is in the answer.
  [[nodiscard]] bool open(const OpenRequest& request, OpenAnswer& answer, std::string* driver = nullptr);
  bool close(uint32_t session);
  /// `output.size()` is the room for the result; the bytes written are in `written`.
  [[nodiscard]] bool key(const KeyRequest& request, std::span<uint8_t> output, KeyAnswer& answer);
  [[nodiscard]] bool drivers(std::vector<DriverRecord>& list, std::vector<std::string>& names);

  /// Several pending: hands ops over; their completions come by fetch(), in the daemon's order.
  [[nodiscard]] bool submit(std::span<const OpRecord> ops);
  /// Completions, at least one when `wait` and any op is pending; false: the connection is gone.
  [[nodiscard]] bool fetch(std::vector<DoneRecord>& done, bool wait);
  /// One op, and its completion.
  [[nodiscard]] bool run(const OpRecord& op, DoneRecord& done);

 private:
  Client() = default;
  [[nodiscard]] bool flush();
  /// Reads until a frame is whole, and gives it to `frame`; false: gone.
  [[nodiscard]] bool receive(Frame& frame, bool wait, bool& got);
  [[nodiscard]] bool answer(Type type, uint64_t tag, Frame& frame);
  [[nodiscard]] bool take(const Frame& frame);
  bool fail() noexcept;

  Descriptor socket_;
  Arena arena_;
  HelloAnswer limits_{};
  Writer out_;
  std::vector<uint8_t> in_;
  size_t inUsed_ = 0, inTaken_ = 0;
  std::deque<DoneRecord> done_;
  uint64_t lastTag_ = 0;
  uint64_t pending_ = 0;
  int timeoutMs_ = 0;
  pid_t owner_ = 0;
};

}  // namespace socrypt::cryptod
