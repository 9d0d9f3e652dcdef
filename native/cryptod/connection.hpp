// One client of the daemon: its socket, its arena, and the device that holds its sessions. No epoll here, so that a
// fuzzer can be the peer.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "cryptod/arena.hpp"
#include "cryptod/limits.hpp"
#include "cryptod/wire.hpp"
#include "ocf/crypto_device.hpp"

namespace socrypt::cryptod {

class Connection {
 public:
  Connection(Descriptor socket, ocf::Framework& framework, bool allowSoftware, const Limits& limits, Counters& counters);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }

  /// Reads what the socket has, once. False: the peer is gone, or has said what nobody says.
  [[nodiscard]] bool receive();
  /// The descriptor that came with the first bytes.
  void offer(Descriptor fd) noexcept;
  /// Takes bytes of the peer's; at most roomForInput(). False as receive().
  [[nodiscard]] bool feed(Bytes bytes);
  [[nodiscard]] size_t roomForInput() const noexcept { return kMaxFrame - inUsed_; }
  /// Does what frames ask for, until about `budget` bytes of payload are handed over. False as receive().
  [[nodiscard]] bool work(uint64_t budget);
  /// Frames that work() has left.
  [[nodiscard]] bool hasWork() const noexcept { return hasWork_; }
  /// Completions wait for harvest().
  [[nodiscard]] bool hasDone() const noexcept { return device_.hasDone(); }
  /// Completions of asynchronous ops become frames.
  void harvest();
  /// Sends what waits. False: the peer is gone.
  [[nodiscard]] bool flush();

  /// No frame is taken while this much waits for a peer that does not read.
  [[nodiscard]] bool clogged() const noexcept { return out_.size() > kMaxWaiting; }
  [[nodiscard]] bool wantsToWrite() const noexcept { return out_.size() != 0; }
  [[nodiscard]] const Writer& output() const noexcept { return out_; }
  /// Closes the socket; the object stays as long as drivers use its memory.
  void hangUp() noexcept;
  [[nodiscard]] bool idle() const noexcept { return device_.inFlight() == 0; }

 private:
  void harvestOnce();
  struct PendingOp;
  struct PendingKey;
  static constexpr size_t kMaxWaiting = 256 * 1024;

  [[nodiscard]] bool greet(const Frame& frame);
  [[nodiscard]] bool openSession(const Frame& frame);
  [[nodiscard]] bool closeSession(const Frame& frame);
  [[nodiscard]] bool keyOp(const Frame& frame);
  [[nodiscard]] bool listDrivers(const Frame& frame);
  [[nodiscard]] bool submitFrom(const Frame& frame, uint64_t& budget);
  [[nodiscard]] ocf::Status aim(const OpRecord& record, PendingOp& pending) const noexcept;
  [[nodiscard]] bool violation(std::string_view why);
  void report(const DoneRecord& done);
  void endReport();

  Descriptor socket_;
  Descriptor offered_;
  ocf::Framework& framework_;
  const Limits& limits_;
  Counters& counters_;
  bool allowSoftware_;
  bool greeted_ = false;
  bool hasWork_ = false;
  bool gone_ = false;

  std::unique_ptr<uint8_t[]> in_;
  size_t inUsed_ = 0;
  size_t nextOp_ = 0;  // of the Submit frame that stands first in in_
  Writer out_;
  uint16_t reported_ = 0;  // records in the Done frame that is being written

  Arena arena_;
  std::vector<std::unique_ptr<PendingOp>> ops_;
  PendingOp* freeOp_ = nullptr;
  ocf::CryptoDevice device_;  // last: it waits for ops that use the members above
};

}  // namespace socrypt::cryptod
