// The offload paths by name, and why a connection is not on a better one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace socrypt::engine {

/// In the order of PATHED counters.
enum class PathKind : uint8_t { Software, Accelerator, Nic, Kernel };
inline constexpr std::array<std::string_view, 4> kPathNames = {"software", "accelerator", "nic", "kernel"};

/// Why a path did not take a connection's keys.
enum class WhyNot : uint8_t {
  Taken,
  Elsewhere,  // the path has nothing to do with this direction, or this connection
#define REASON(name, text) name,
#include "engine/paths/reasons.def"
#undef REASON
};

}  // namespace socrypt::engine
