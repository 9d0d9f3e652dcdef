// Sets of stream offsets: sorted, disjoint ranges.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace socrypt::nic::lab {

struct Range {
  uint64_t from;
  uint64_t to;
  bool operator==(const Range&) const = default;
};

class Ranges {
 public:
  [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
  [[nodiscard]] const std::vector<Range>& all() const noexcept { return all_; }
  void clear() noexcept { all_.clear(); }

  /// False: all of it was there already.
  bool add(uint64_t from, uint64_t to) {
    if (from >= to) return false;
    auto first = std::lower_bound(all_.begin(), all_.end(), from, [](const Range& r, uint64_t x) { return r.to < x; });
    if (first != all_.end() && first->from <= from && to <= first->to) return false;
    auto last = first;
    for (; last != all_.end() && last->from <= to; ++last) {
      from = std::min(from, last->from);
      to = std::max(to, last->to);
    }
    if (first == last) {
      all_.insert(first, {from, to});
    } else {
      *first = {from, to};
      all_.erase(first + 1, last);
    }
    return true;
  }
  void removeBelow(uint64_t at) {
    auto it = all_.begin();
    while (it != all_.end() && it->to <= at) ++it;
    all_.erase(all_.begin(), it);
    if (!all_.empty() && all_.front().from < at) all_.front().from = at;
  }
  /// The end of what is covered from `at` on without a gap; `at` when nothing is.
  [[nodiscard]] uint64_t coveredTo(uint64_t at) const noexcept {
    const Range* r = holding(at);
    return r == nullptr ? at : r->to;
  }
  [[nodiscard]] bool covers(uint64_t from, uint64_t to) const noexcept { return from >= to || coveredTo(from) >= to; }
  /// Where the next range behind `at` begins; `otherwise` when there is none.
  [[nodiscard]] uint64_t nextFrom(uint64_t at, uint64_t otherwise) const noexcept {
    for (const Range& r : all_)
      if (r.from > at) return r.from;
    return otherwise;
  }
  [[nodiscard]] uint64_t bytesIn(uint64_t from, uint64_t to) const noexcept {
    uint64_t n = 0;
    for (const Range& r : all_) {
      const uint64_t a = std::max(from, r.from), b = std::min(to, r.to);
      if (a < b) n += b - a;
    }
    return n;
  }
  [[nodiscard]] uint64_t bytes() const noexcept { return bytesIn(0, UINT64_MAX); }
  [[nodiscard]] uint64_t end() const noexcept { return all_.empty() ? 0 : all_.back().to; }

 private:
  [[nodiscard]] const Range* holding(uint64_t at) const noexcept {
    for (const Range& r : all_)
      if (r.from <= at && at < r.to) return &r;
    return nullptr;
  }
  std::vector<Range> all_;
};

}  // namespace socrypt::nic::lab
