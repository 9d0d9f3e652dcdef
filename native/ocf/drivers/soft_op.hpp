// What both software backends share: the regions of an op, checked once.
#pragma once

#include <cstring>

#include "ocf/ocf.hpp"

namespace socrypt::ocf {

inline constexpr uint32_t kSoftMaxLength = 1u << 30;

/// Constant-time comparison of two 16-byte tags, in two words.
[[nodiscard]] inline bool equalTags(const uint8_t* a, const uint8_t* b) noexcept {
  uint64_t x[2];
  uint64_t y[2];
  std::memcpy(x, a, 16);
  std::memcpy(y, b, 16);
  uint64_t difference = (x[0] ^ y[0]) | (x[1] ^ y[1]);
  asm volatile("" : "+r"(difference));  // keeps the compiler from comparing word by word
  return difference == 0;
}

/// The memory that an op names: the payload in the first segment of its side, the tag there or in a second one.
struct SoftRegions {
  const uint8_t* from;
  uint8_t* to;
  uint8_t* tag;
  /// What is wrong when a region leaves its segment, or payloads overlap other than exactly.
  [[nodiscard]] Status resolve(const Op& op, size_t tagLength) noexcept {
    if (op.nIn < 1 || op.nIn > 2 || op.nOut < 1 || op.nOut > 2 || op.kind > Kind::Open) return Status::Invalid;
    if (op.len > kSoftMaxLength) return Status::TooBig;
    const Seg* tagSegment = op.kind == Kind::Seal ? op.out : op.in;
    const bool second = (op.kind == Kind::Seal ? op.nOut : op.nIn) == 2 && op.tagAt >= tagSegment->n;
    const uint32_t tagAt = second ? op.tagAt - tagSegment->n : op.tagAt;
    if (second) ++tagSegment;
    if (uint64_t{op.skip} + op.len > op.in->n || uint64_t{op.outSkip} + op.len > op.out->n ||
        uint64_t{tagAt} + tagLength > tagSegment->n)
      return Status::Range;
    from = op.in->p + op.skip;
    to = op.out->p + op.outSkip;
    tag = tagSegment->p + tagAt;
    const auto a = reinterpret_cast<uintptr_t>(from);
    const auto b = reinterpret_cast<uintptr_t>(to);
    return a == b || a + op.len <= b || b + op.len <= a ? Status::Ok : Status::Overlap;
  }
};

}  // namespace socrypt::ocf
