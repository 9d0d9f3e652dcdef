// What one client may make the daemon hold, and what the daemon counts.
#pragma once

#include <atomic>
#include <cstdint>

namespace socrypt::cryptod {

struct Limits {
  uint32_t connections = 256;
  uint32_t sessions = 1024;           // per connection
  uint32_t pending = 256;             // ops per connection
  uint64_t arenaBytes = 64ull << 20;  // per connection
  uint32_t opBytes = 16u << 20;       // payload of one op
};

/// One writer, the daemon's thread; any reader.
struct Counters {
  using Cell = std::atomic<uint64_t>;
  Cell connections{0}, connectionsOpen{0}, refusedUid{0}, refusedLimit{0}, protocolErrors{0};
  Cell sessionsOpened{0}, sessionsRefused{0}, ops{0}, opBytes{0}, opsFailed{0}, opsFull{0}, keyOps{0};
  static void add(Cell& cell, uint64_t n = 1) noexcept { cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  static void sub(Cell& cell, uint64_t n = 1) noexcept { add(cell, 0 - n); }
};

}  // namespace socrypt::cryptod
