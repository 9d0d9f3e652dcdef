// What the software drivers share: the regions of an op, checked once, and ops over several segments.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "ocf/regions.hpp"
#include "ocf/session.hpp"

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

/// Calls `body(from, to, n)` for every piece of the payload that lies in one segment on both sides. The
/// regions lie within, as checkOp() found.
template <typename Body>
void eachChunk(const Op& op, Body body) {
  const Seg *in = op.in, *out = op.out;
  uint32_t inAt = op.skip, outAt = op.outSkip;
  for (uint32_t left = op.len; left > 0;) {
    while (inAt >= in->n) inAt -= (in++)->n;
    while (outAt >= out->n) outAt -= (out++)->n;
    const uint32_t n = std::min({left, in->n - inAt, out->n - outAt});
    body(in->p + inAt, out->p + outAt, n);
    inAt += n;
    outAt += n;
    left -= n;
  }
}

/// Runs an op over several segments as one over a single piece of memory. `run(Op&)` returns its status.
template <typename Run>
Status runGathered(Op& op, Run run) {
  const Session& session = *op.ses;
  const uint8_t tagLength = session.tagLength();
  if (const Status status = checkOp(op, session.alg(), session.mac(), tagLength); status != Status::Ok) return status;
  if (op.len > kSoftMaxLength) return Status::TooBig;
  // Grows to the longest op of the thread and stays; what was in it does not.
  thread_local std::vector<uint8_t> scratch;
  const size_t whole = size_t{op.len} + tagLength;
  if (scratch.size() < whole) scratch.resize(whole);
  copyFrom(op.in, op.nIn, op.skip, {scratch.data(), op.len});
  if (op.kind == Kind::Open) copyFrom(op.in, op.nIn, op.tagAt, {scratch.data() + op.len, tagLength});
  Seg piece{scratch.data(), static_cast<uint32_t>(whole)};
  Op one = op;
  one.in = one.out = &piece;
  one.nIn = one.nOut = 1;
  one.skip = one.outSkip = 0;
  one.tagAt = op.len;
  const Status status = run(one);
  const bool macOnly = factsOf(session.alg()).family == Family::Mac;
  if (!macOnly && (status == Status::Ok || status == Status::BadTag))
    copyTo(op.out, op.nOut, op.outSkip, {scratch.data(), op.len});
  if (status == Status::Ok && (op.kind == Kind::Seal || op.kind == Kind::Mac))
    copyTo(op.out, op.nOut, op.tagAt, {scratch.data() + op.len, tagLength});
  wipe(scratch.data(), whole);
  return status;
}

}  // namespace socrypt::ocf
