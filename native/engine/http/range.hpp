// byte ranges (internal to the HTTP parsers).
#pragma once

#include <cstdint>
#include <string_view>

namespace socrypt::http {

/// How many byte ranges one request may ask for before the whole file is the better answer.
inline constexpr unsigned kMaxRanges = 16;

struct RangeSet {
  enum class Kind : uint8_t { Ignore, Unsatisfiable, Single, Several } kind;
  uint64_t offset = 0, length = 0;  // Single
};

/// Reads a Range field's value against a representation of `size` bytes.
RangeSet parseRange(std::string_view value, uint64_t size) noexcept;

}  // namespace socrypt::http
