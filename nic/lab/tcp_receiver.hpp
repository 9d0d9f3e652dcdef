// A model of the receiving half: reassembly, delayed and selective acknowledgements (RFC 2018), a window that
// closes, and a receiver that takes selective acknowledgements back.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "nic/lab/ranges.hpp"

namespace socrypt::nic::lab {

struct Acknowledgement {
  uint64_t next = 0;
  uint64_t window = 0;
  std::array<Range, 3> blocks{};
  size_t blockCount = 0;
};

class TcpReceiver {
 public:
  explicit TcpReceiver(uint64_t buffer) noexcept : buffer_(buffer) {}

  enum class Answer : uint8_t { Now, Later };
  /// [from, to) has arrived.
  Answer segment(uint64_t from, uint64_t to) {
    if (from >= to) return Answer::Now;
    const uint64_t limit = next_ + window();
    const bool partly = to > limit;
    to = std::min(to, limit);
    if (from >= to || to <= next_) return Answer::Now;  // beyond the window, or known
    const uint64_t before = next_;
    const bool gap = from > next_ || !beyond_.empty();
    if (beyond_.add(std::max(from, next_), to)) newest_ = {std::max(from, next_), to};
    next_ = beyond_.coveredTo(next_);
    beyond_.removeBelow(next_);
    if (paused_) unread_ += next_ - before;
    if (gap || partly || unread_ != 0) return Answer::Now;
    return ++waiting_ % 2 == 0 ? Answer::Now : Answer::Later;
  }

  [[nodiscard]] Acknowledgement acknowledgement() noexcept {
    waiting_ = 0;
    Acknowledgement a{.next = next_, .window = window()};
    // RFC 2018 4: the block with the segment that came last goes first.
    const auto put = [&](const Range& r) {
      if (a.blockCount < a.blocks.size()) a.blocks[a.blockCount++] = r;
    };
    for (const Range& r : beyond_.all())
      if (r.from <= newest_.from && newest_.from < r.to) put(r);
    const auto& all = beyond_.all();
    for (size_t i = all.size(); i-- > 0;)
      if (a.blockCount == 0 || !(all[i] == a.blocks[0])) put(all[i]);
    return a;
  }

  [[nodiscard]] bool waits() const noexcept { return waiting_ != 0; }
  [[nodiscard]] uint64_t next() const noexcept { return next_; }
  void pause() noexcept { paused_ = true; }
  void resume() noexcept {
    paused_ = false;
    unread_ = 0;
  }
  /// RFC 2018 8: "the data receiver is permitted to discard data in its queue that has not been acknowledged".
  void renege() noexcept { beyond_.clear(); }

 private:
  [[nodiscard]] uint64_t window() const noexcept { return buffer_ - std::min(buffer_, unread_); }
  const uint64_t buffer_;
  uint64_t next_ = 0;
  Ranges beyond_;
  Range newest_{};
  uint64_t unread_ = 0;
  uint32_t waiting_ = 0;
  bool paused_ = false;
};

}  // namespace socrypt::nic::lab
