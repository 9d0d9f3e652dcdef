// Timers of connections. Every kind of deadline has one constant duration, so each kind is a list in
// order of expiry and every operation is O(1): arming moves to the tail, expiry takes from the head.
#pragma once

#include <array>
#include <cstdint>

namespace socrypt::engine {

enum class Deadline : uint8_t { None, Handshake, Header, KeepAlive, Write, Linger, count };

struct DeadlineNode {
  DeadlineNode* previous = nullptr;
  DeadlineNode* next = nullptr;
  uint64_t at = 0;  // monotonic nanoseconds
  Deadline kind = Deadline::None;
};

class Deadlines {
 public:
  Deadlines() noexcept {
    for (auto& list : lists_) list.previous = list.next = &list;
  }
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  void setDuration(Deadline kind, uint64_t ns) noexcept { durations_[index(kind)] = ns; }

  void arm(DeadlineNode& node, Deadline kind, uint64_t now) noexcept {
    disarm(node);
    if (kind == Deadline::None) return;
    node.kind = kind;
    node.at = now + durations_[index(kind)];
    auto& list = lists_[index(kind)];
    node.previous = list.previous;
    node.next = &list;
    list.previous->next = &node;
    list.previous = &node;
  }
  static void disarm(DeadlineNode& node) noexcept {
    if (node.kind == Deadline::None) return;
    node.previous->next = node.next;
    node.next->previous = node.previous;
    node.kind = Deadline::None;
  }
  /// The next expired node, disarmed, or nullptr. `kind` is what had been armed.
  DeadlineNode* expired(uint64_t now, Deadline& kind) noexcept {
    for (auto& list : lists_) {
      if (list.next == &list || list.next->at > now) continue;
      DeadlineNode* node = list.next;
      kind = node->kind;
      disarm(*node);
      return node;
    }
    return nullptr;
  }
  /// Nearest deadline, or UINT64_MAX.
  [[nodiscard]] uint64_t nearest() const noexcept {
    uint64_t at = UINT64_MAX;
    for (const auto& list : lists_)
      if (list.next != &list && list.next->at < at) at = list.next->at;
    return at;
  }

 private:
  static size_t index(Deadline kind) noexcept { return static_cast<size_t>(kind); }
  std::array<DeadlineNode, static_cast<size_t>(Deadline::count)> lists_;
  std::array<uint64_t, static_cast<size_t>(Deadline::count)> durations_{};
};

}  // namespace socrypt::engine
