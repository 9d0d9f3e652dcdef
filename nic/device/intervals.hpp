// Which bytes of a record were seen: a few sorted, disjoint ranges.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace socrypt::nic {

class Intervals {
 public:
  /// Segments that TCP sends fill a record from its front, so more than a few holes do not occur by
  /// themselves; a segment that needs one more range than there is room for has to come again later. The last
  /// room is for the record's front: what TCP sends again and again is the first byte that is missing, and that
  /// is the front or continues what was seen.
  static constexpr size_t kMost = 12;

  [[nodiscard]] bool covers(uint32_t from, uint32_t to) const noexcept {
    if (from >= to) return true;
    for (size_t i = 0; i < count_; ++i)
      if (ranges_[i].from <= from && to <= ranges_[i].to) return true;
    return false;
  }

  /// Whether any byte of [from, to) was seen.
  [[nodiscard]] bool touches(uint32_t from, uint32_t to) const noexcept {
    for (size_t i = 0; i < count_; ++i)
      if (ranges_[i].from < to && from < ranges_[i].to) return true;
    return false;
  }

  /// Whether add(from, to) would find room.
  [[nodiscard]] bool fits(uint32_t from, uint32_t to) const noexcept {
    if (from >= to || count_ < (from == 0 ? kMost : kMost - 1)) return true;
    for (size_t i = 0; i < count_; ++i)
      if (ranges_[i].from <= to && from <= ranges_[i].to) return true;
    return false;
  }

  /// False, and nothing changed: no room.
  [[nodiscard]] bool add(uint32_t from, uint32_t to) noexcept {
    if (from >= to) return true;
    if (!fits(from, to)) return false;
    size_t first = 0;
    while (first < count_ && ranges_[first].to < from) ++first;
    size_t last = first;  // ranges first .. last - 1 touch the new one
    for (; last < count_ && ranges_[last].from <= to; ++last) {
      from = std::min(from, uint32_t{ranges_[last].from});
      to = std::max(to, uint32_t{ranges_[last].to});
    }
    const auto begin = ranges_.begin();
    if (last == first) {
      std::copy_backward(begin + first, begin + count_, begin + count_ + 1);
      ++count_;
    } else {
      std::copy(begin + last, begin + count_, begin + first + 1);
      count_ -= last - first - 1;
    }
    ranges_[first] = {static_cast<uint16_t>(from), static_cast<uint16_t>(to)};
    return true;
  }

  /// Calls `visit(from, to)` for every part of [from, to) that was not seen, until it returns false; then
  /// the result is false.
  template <typename Visit>
  bool holes(uint32_t from, uint32_t to, Visit visit) const noexcept {
    for (size_t i = 0; i < count_ && from < to; ++i) {
      if (ranges_[i].to <= from) continue;
      if (ranges_[i].from >= to) break;
      if (ranges_[i].from > from && !visit(from, uint32_t{ranges_[i].from})) return false;
      from = ranges_[i].to;
    }
    return from >= to || visit(from, to);
  }

  /// As holes(), for every part that was seen.
  template <typename Visit>
  bool parts(uint32_t from, uint32_t to, Visit visit) const noexcept {
    for (size_t i = 0; i < count_; ++i) {
      const uint32_t a = std::max(from, uint32_t{ranges_[i].from});
      const uint32_t b = std::min(to, uint32_t{ranges_[i].to});
      if (a < b && !visit(a, b)) return false;
    }
    return true;
  }

  void clear() noexcept { count_ = 0; }

 private:
  struct Range {
    uint16_t from;
    uint16_t to;
  };
  std::array<Range, kMost> ranges_{};
  size_t count_ = 0;
};

}  // namespace socrypt::nic
