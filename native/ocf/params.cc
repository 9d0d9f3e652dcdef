// What consumers ask for is checked here, once, before anything is kept or touched.
#include <algorithm>
#include <cstring>

#include "ocf/unit.hpp"

namespace socrypt::ocf {
namespace {

// A key pair's DER; RSA-8192 takes 4.8 KB. With the session's header it fits SessionPool's largest slot.
constexpr size_t kMaxKey = 6144;
// RFC 2104 2: longer keys are hashed by the caller if he must have them.
constexpr size_t kMaxMacKey = 1024;
// RFC 2104 5 advises no fewer than 80 bits; Wycheproof tests half the tag.
constexpr uint8_t kMinMacTag = 10;

Status checkAlg(const Alg& alg) noexcept {
  const AlgFacts& facts = factsOf(alg.id);
  switch (facts.family) {
    case Family::Unknown: return Status::UnknownAlg;
    case Family::Null: return alg.key.empty() ? Status::Ok : Status::BadKey;
    case Family::Key: return alg.key.size() <= kMaxKey ? Status::Ok : Status::BadKey;
    case Family::Mac:
      if (facts.keyless && !alg.key.empty()) return Status::BadKey;
      if (facts.keyless) return alg.tagLen == facts.tagBytes ? Status::Ok : Status::BadTagLength;
      if (alg.key.empty() || alg.key.size() > kMaxMacKey) return Status::BadKey;
      return alg.tagLen >= kMinMacTag && alg.tagLen <= facts.tagBytes ? Status::Ok : Status::BadTagLength;
    case Family::Aead:
    case Family::Cipher: break;
  }
  if (alg.key.size() != facts.keyBytes) return Status::BadKey;
  if (alg.ivLen != facts.ivBytes) return Status::BadIvLength;
  return facts.family == Family::Cipher || alg.tagLen == facts.tagBytes ? Status::Ok : Status::BadTagLength;
}

struct Extent {
  uint64_t bytes = 0;
  bool good = true;
};

Extent extentOf(const Seg* segments, uint16_t n) noexcept {
  Extent extent;
  for (uint16_t i = 0; i < n; ++i) {
    extent.bytes += segments[i].n;
    extent.good = extent.good && (segments[i].n == 0 || segments[i].p != nullptr);
  }
  return extent;
}

bool disjoint(uintptr_t a, size_t aBytes, uintptr_t b, size_t bBytes) noexcept {
  return aBytes == 0 || bBytes == 0 || a + aBytes <= b || b + bBytes <= a;
}

// Payloads are the same bytes, or share none.
bool overlapsBadly(const Op& op) noexcept {
  if (op.in == op.out) return op.skip != op.outSkip;
  if (op.nIn == 1 && op.nOut == 1) {
    const auto from = reinterpret_cast<uintptr_t>(op.in->p) + op.skip;
    const auto to = reinterpret_cast<uintptr_t>(op.out->p) + op.outSkip;
    return from != to && !disjoint(from, op.len, to, op.len);
  }
  // Lists of segments: two that are not the same list must not share a byte.
  for (uint16_t i = 0; i < op.nIn; ++i) {
    for (uint16_t j = 0; j < op.nOut; ++j) {
      if (!disjoint(reinterpret_cast<uintptr_t>(op.in[i].p), op.in[i].n, reinterpret_cast<uintptr_t>(op.out[j].p), op.out[j].n))
        return true;
    }
  }
  return false;
}

struct Shape {
  uint8_t in, out;
};
// Segments that a key operation has at least.
Shape shapeOf(Kind kind) noexcept {
  switch (kind) {
    case Kind::Sign: return {1, 1};
    case Kind::VerifySig: return {2, 0};
    case Kind::Derive: return {1, 1};
    case Kind::ModExp: return {3, 1};
    case Kind::ModExpCrt: return {6, 1};
    default: return {0, 0};
  }
}

bool kindFits(Kind kind, Family family, bool chain) noexcept {
  switch (kind) {
    case Kind::Seal: return family == Family::Aead || chain;
    case Kind::Open: return family == Family::Aead || family == Family::Mac || chain;
    case Kind::Cipher:
    case Kind::Decipher: return family == Family::Cipher && !chain;
    case Kind::Mac: return family == Family::Mac;
    case Kind::Null: return family == Family::Null;
    default: return family == Family::Key;
  }
}

}  // namespace

void copyFrom(const Seg* segments, uint16_t n, uint32_t at, std::span<uint8_t> to) noexcept {
  size_t done = 0;
  for (uint16_t i = 0; i < n && done < to.size(); ++i) {
    if (at < segments[i].n) {
      const size_t take = std::min<size_t>(segments[i].n - at, to.size() - done);
      std::memcpy(to.data() + done, segments[i].p + at, take);
      done += take;
      at = 0;
    } else {
      at -= segments[i].n;
    }
  }
}

void copyTo(const Seg* segments, uint16_t n, uint32_t at, std::span<const uint8_t> from) noexcept {
  size_t done = 0;
  for (uint16_t i = 0; i < n && done < from.size(); ++i) {
    if (at < segments[i].n) {
      const size_t take = std::min<size_t>(segments[i].n - at, from.size() - done);
      std::memcpy(segments[i].p + at, from.data() + done, take);
      done += take;
      at = 0;
    } else {
      at -= segments[i].n;
    }
  }
}

Status checkParams(const SessionParams& params) noexcept {
  const auto& chain = params.chain;
  if (chain.empty() || chain.size() > 2) return Status::Invalid;
  for (const Alg& alg : chain) {
    if (const Status status = checkAlg(alg); status != Status::Ok) return status;
  }
  // The one order there is: encrypt, then authenticate. The other was broken often enough (RFC 7366).
  // And a hash authenticates nothing.
  if (chain.size() != 2) return Status::Ok;
  const AlgFacts& mac = factsOf(chain[1].id);
  if (factsOf(chain[0].id).family != Family::Cipher || mac.family != Family::Mac || mac.keyless) return Status::UnknownAlg;
  return Status::Ok;
}

Status checkOp(const Op& op, AlgId alg, AlgId mac, uint8_t tagLength) noexcept {
  const AlgFacts& facts = factsOf(alg);
  if (!kindFits(op.kind, facts.family, mac != AlgId::Null)) return Status::Invalid;
  if (isKeyKind(op.kind)) {
    const Shape shape = shapeOf(op.kind);
    const bool good = op.nIn >= shape.in && op.nOut >= shape.out && extentOf(op.in, op.nIn).good && extentOf(op.out, op.nOut).good;
    return good ? Status::Ok : Status::Invalid;
  }
  const bool writes = facts.family != Family::Mac;
  const bool tagInOutput = op.kind == Kind::Seal || op.kind == Kind::Mac;
  const bool usesOutput = writes || tagInOutput;
  if (op.in == nullptr || op.nIn == 0 || (usesOutput && (op.out == nullptr || op.nOut == 0))) return Status::Invalid;
  const Extent in = extentOf(op.in, op.nIn);
  const Extent out = usesOutput ? extentOf(op.out, op.nOut) : Extent{};
  if (!in.good || !out.good || (op.aad.n != 0 && op.aad.p == nullptr)) return Status::Invalid;
  if (uint64_t{op.skip} + op.len > in.bytes || (writes && uint64_t{op.outSkip} + op.len > out.bytes)) return Status::Range;
  const bool tagged = op.kind == Kind::Seal || op.kind == Kind::Open || op.kind == Kind::Mac;
  if (tagged && uint64_t{op.tagAt} + tagLength > (tagInOutput ? out : in).bytes) return Status::Range;
  if ((op.flags & (Op::IvInInput | Op::IvToOutput)) != 0 &&
      uint64_t{op.ivAt} + facts.ivBytes > ((op.flags & Op::IvInInput) != 0 ? in : out).bytes)
    return Status::Range;
  if (op.len % facts.blockBytes != 0) return Status::BadLength;
  return writes && overlapsBadly(op) ? Status::Overlap : Status::Ok;
}

}  // namespace socrypt::ocf
