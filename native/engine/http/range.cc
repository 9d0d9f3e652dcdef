// Range, RFC 9110 14.1 and 14.2. Where the RFC leaves a choice, nginx's: a set that cannot be read is a
// 416, a set longer than the file gets the whole file, and so does any range of an empty one.
#include "engine/http/range.hpp"

#include "engine/http/scan.hpp"

namespace socrypt::http {
namespace {

/// 1*DIGIT, kept at the largest value instead of overflowing (RFC 9110 14.1.2 wants exactly this care).
bool readNumber(std::string_view& text, uint64_t& value) noexcept {
  size_t digits = 0;
  value = 0;
  for (; digits < text.size() && scan::is(text[digits], scan::kDigit); digits++) {
    const auto digit = static_cast<uint64_t>(text[digits] - '0');
    value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
  }
  text.remove_prefix(digits);
  return digits != 0;
}

void skipSpaces(std::string_view& text) noexcept {
  while (!text.empty() && scan::isOws(text.front())) text.remove_prefix(1);
}

struct Slice {
  uint64_t start = 0, end = 0;  // end excluded; empty: not satisfiable
};

/// One of "a-b", "a-", "-n"; false: malformed. Spaces about the numbers pass, as in nginx.
bool readSpec(std::string_view spec, uint64_t size, Slice& slice) noexcept {
  uint64_t first = 0, last = 0;
  const bool suffix = spec.front() == '-';
  if (!suffix && !readNumber(spec, first)) return false;
  skipSpaces(spec);
  if (spec.empty() || spec.front() != '-') return false;
  spec.remove_prefix(1);
  skipSpaces(spec);
  if (spec.empty()) {
    if (suffix) return false;
    slice = {first, size};
    return true;
  }
  if (!readNumber(spec, last) || !spec.empty()) return false;
  if (suffix) slice = {last < size ? size - last : 0, size};
  else slice = {first, last < size ? last + 1 : size};
  return true;
}

}  // namespace

RangeSet parseRange(std::string_view value, uint64_t size) noexcept {
  constexpr std::string_view unit = "bytes=";
  // An unknown unit is ignored (14.2); units are case-insensitive ('=' | 0x20 is '=' itself).
  if (value.size() < unit.size() || !scan::equalsLower(value.substr(0, unit.size()), unit)) return {RangeSet::Kind::Ignore};
  value.remove_prefix(unit.size());

  RangeSet set{RangeSet::Kind::Unsatisfiable};
  unsigned satisfiable = 0, members = 0;
  uint64_t total = 0;
  std::string_view spec;
  while (scan::nextMember(value, spec)) {
    if (++members > kMaxRanges) return {RangeSet::Kind::Ignore};
    Slice slice;
    if (!readSpec(spec, size, slice)) return {RangeSet::Kind::Unsatisfiable};
    if (slice.start >= slice.end || slice.start >= size) {
      if (size == 0 && slice.start == 0) return {RangeSet::Kind::Ignore};
      continue;
    }
    if (++satisfiable == 1) set = {RangeSet::Kind::Single, slice.start, slice.end - slice.start};
    // Overlapping or repeated ranges that add up to more than the file amplify (CVE-2011-3192).
    const uint64_t length = slice.end - slice.start;
    if (length > size - total) return {RangeSet::Kind::Ignore};
    total += length;
  }
  if (satisfiable > 1) set.kind = RangeSet::Kind::Several;
  return set;
}

}  // namespace socrypt::http
