// What a connection keeps of its bursts (burst.hpp).
#pragma once

#include <cstdint>

namespace socrypt::engine {

struct Burst;

/// Bursts of one direction of a connection, in the order of the stream.
struct BurstQueue {
  Burst* first = nullptr;
  Burst* last = nullptr;
  uint32_t records = 0;
  void push(Burst& burst) noexcept;
  Burst* pop() noexcept;  // of one that is not empty
};

}  // namespace socrypt::engine
