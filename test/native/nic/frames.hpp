// The laboratory's frames, with doctest's words for what is wrong with one.
#pragma once

#include "nic/device/counters.hpp"
#include "nic/lab/frames.hpp"
#include "oracle.hpp"

namespace frames {

using namespace socrypt;
using nic::lab::build;
using nic::lab::Built;
using nic::lab::Path;
using nic::lab::randomPath;
using oracle::Bytes;
using oracle::Random;

struct Taken {
  uint32_t sequence;
  uint8_t flags;
  Bytes payload;
};

inline Taken take(const Path& path, const Bytes& frame) {
  std::string why;
  const auto taken = nic::lab::take(path, frame, why);
  INFO(why);
  REQUIRE(taken.has_value());
  return {taken->sequence, taken->flags, {taken->payload.begin(), taken->payload.end()}};
}

/// A counter by its name; UINT64_MAX: there is none of that name.
inline uint64_t count(const nic::Counters& counters, std::string_view name) {
  uint64_t found = UINT64_MAX;
  counters.each([&](std::string_view n, std::string_view, uint64_t value) {
    if (n == name) found = value;
  });
  return found;
}

/// Collects what the device puts on the wire.
class Wire final : public nic::FrameSink {
 public:
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    Bytes b(head.begin(), head.end());
    b.insert(b.end(), rest.begin(), rest.end());
    frames.push_back(std::move(b));
    return true;
  }
  std::vector<Bytes> frames;
};

}  // namespace frames
