#include "ocf/examiner.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace socrypt::ocf {
namespace {

// A driver that takes longer over one op is taken for dead.
constexpr uint64_t kPatienceNs = 5'000'000'000;
constexpr size_t kRoom = kLongPattern + 64;
constexpr uint32_t kMeasureBurst = 32;

bool same(std::span<const uint8_t> a, std::span<const uint8_t> b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

bool allZero(std::span<const uint8_t> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

Op opOf(Session* session, Kind kind, const KnownAnswer& known, Seg& from, Seg& to, uint32_t length) noexcept {
  Op op{};
  op.ses = session;
  op.kind = kind;
  op.status = Status::Pending;
  op.nIn = op.nOut = 1;
  std::copy(known.iv.begin(), known.iv.end(), op.iv);
  op.in = &from;
  op.out = from.p == to.p ? &from : &to;
  op.aad = {const_cast<uint8_t*>(known.aad.data()), static_cast<uint32_t>(known.aad.size())};
  op.len = op.tagAt = length;
  return op;
}

Kind reverseOf(Kind kind) noexcept {
  switch (kind) {
    case Kind::Seal:
    case Kind::Mac: return Kind::Open;
    case Kind::Cipher: return Kind::Decipher;
    default: return kind;
  }
}

}  // namespace

bool Examiner::makeBuffers() noexcept {
  if (memory_ == nullptr) memory_.reset(new (std::nothrow) uint8_t[2 * kRoom]{});
  return memory_ != nullptr;
}

SessionHandle Examiner::open(Unit& unit, const KnownAnswer& known, Status* status) noexcept {
  Alg algs[2] = {algOf(known.alg, known.key), algOf(known.mac, known.macKey)};
  if (!known.tag.empty()) algs[known.mac == AlgId::Null ? 0 : 1].tagLen = static_cast<uint8_t>(known.tag.size());
  const SessionParams params{.chain = {algs, known.mac == AlgId::Null ? 1U : 2U}};
  SessionHandle session(framework_.makeSession(params, status));
  if (session != nullptr && framework_.bind(*session.get(), unit, status) == nullptr) return nullptr;
  return session;
}

// Gives ops to the driver and waits for them. False: it took not all, or did not answer.
bool Examiner::runAll(Unit& unit, Op* const* ops, size_t n) noexcept {
  if (dead_) return false;
  for (size_t i = 0; i < n; ++i) {
    ops[i]->fw.priv = ops[i]->ses->bindings_->priv;
    ops[i]->status = Status::Pending;
  }
  size_t given = 0, back = 0;
  const uint64_t start = clock_.now();
  while (back < n) {
    if (given < n) given += unit.driver->submit(ops + given, n - given, false);
    if (unit.sync) {
      back = given;
      if (given < n) return false;
      continue;
    }
    Op* done[kMeasureBurst];
    back += unit.driver->poll(done, kMeasureBurst, given == n);
    if (back < n && (!clock_.wait() || clock_.now() - start > kPatienceNs)) {
      // The ops are on our stack: it must let go of them.
      unit.driver->stop();
      dead_ = true;
      return false;
    }
  }
  return true;
}

Status Examiner::runOne(Unit& unit, Session* session, Kind kind, const KnownAnswer& known, std::span<uint8_t> in,
                        std::span<uint8_t> out) noexcept {
  Seg from{in.data(), static_cast<uint32_t>(in.size())};
  Seg to{out.data(), static_cast<uint32_t>(out.size())};
  Op op = opOf(session, kind, known, from, to, static_cast<uint32_t>(in.size() - known.tag.size()));
  Op* list[] = {&op};
  return runAll(unit, list, 1) ? op.status : Status::Full;
}

// There and back, out of place and in place; back with one bit of the tag turned over.
bool Examiner::answersRight(Unit& unit, Session* session, const KnownAnswer& known) noexcept {
  const size_t length = known.plaintext.size(), whole = length + known.tag.size();
  const std::span<uint8_t> a{memory_.get(), whole}, b{memory_.get() + kRoom, whole};
  const bool outOfPlace = (unit.caps().flags & Caps::OutOfPlace) != 0;
  const bool isMac = known.ciphertext.empty();
  const Kind back = reverseOf(known.kind);
  const auto sealed = isMac ? known.plaintext : known.ciphertext;
  std::copy(known.plaintext.begin(), known.plaintext.end(), a.begin());
  if (!outOfPlace) std::copy(a.begin(), a.end(), b.begin());
  const std::span<uint8_t> from = outOfPlace ? a : b;
  if (isMac) std::copy(a.begin(), a.end(), b.begin());  // a MAC writes its tag only
  if (runOne(unit, session, known.kind, known, from, b) != Status::Ok || !same(b.first(length), sealed) ||
      !same(b.subspan(length), known.tag) || !same(a.first(length), known.plaintext))
    return false;
  if (outOfPlace && (runOne(unit, session, back, known, b, a) != Status::Ok || !same(a.first(length), known.plaintext)))
    return false;
  if (runOne(unit, session, known.kind, known, a, a) != Status::Ok || !same(a, b)) return false;
  if (!known.tag.empty() && (unit.caps().flags & Caps::Verify) != 0) {
    b[whole - 1] ^= 1;
    const auto to = outOfPlace ? a : b;
    if (runOne(unit, session, Kind::Open, known, b, to) != Status::BadTag) return false;
    if (!isMac && !allZero(to.first(length))) return false;
    if (!outOfPlace) std::copy(a.begin(), a.end(), b.begin());
    else b[whole - 1] ^= 1;
  }
  return runOne(unit, session, back, known, b, b) == Status::Ok && same(b.first(length), known.plaintext);
}

bool Examiner::answersRightLong(Unit& unit, Session* session, const KnownAnswer& known) noexcept {
  const size_t length = payloadOf(known, kLongPattern), whole = length + known.tag.size();
  if (known.longTag.empty() || (unit.caps().maxLen != 0 && unit.caps().maxLen < length)) return true;
  const auto pattern = [](size_t i) { return static_cast<uint8_t>(i * 7 + 3); };
  const std::span<uint8_t> a{memory_.get(), whole};
  for (size_t i = 0; i < length; ++i) a[i] = pattern(i);
  if (runOne(unit, session, known.kind, known, a, a) != Status::Ok || !same(a.last(known.longTag.size()), known.longTag))
    return false;
  if (runOne(unit, session, reverseOf(known.kind), known, a, a) != Status::Ok) return false;
  for (size_t i = 0; i < length; ++i) {
    if (a[i] != pattern(i)) return false;
  }
  return true;
}

// Ok, Invalid for a wrong answer, or why there was no session.
Status Examiner::answersKey(Unit& unit, const KeyKnownAnswer& known) noexcept {
  const Alg alg = algOf(known.alg, known.key);
  Status status = Status::Ok;
  SessionHandle session(framework_.makeSession({.chain = {&alg, 1}}, &status));
  if (session == nullptr || framework_.bind(*session.get(), unit, &status) == nullptr) return status;
  Seg in[std::tuple_size_v<decltype(known.in)>];
  Seg out[2];
  for (size_t i = 0; i < known.nIn(); ++i) in[i] = {const_cast<uint8_t*>(known.in[i].data()), static_cast<uint32_t>(known.in[i].size())};
  for (size_t i = 0; i < known.nOut; ++i) out[i] = {memory_.get() + i * kKeyAnswerRoom, kKeyAnswerRoom};
  Op op{};
  op.ses = session.get();
  op.kind = known.kind;
  op.scheme = known.scheme;
  op.in = in;
  op.out = out;
  op.nIn = known.nIn();
  op.nOut = known.nOut;
  Op* list[] = {&op};
  return runAll(unit, list, 1) && socrypt::ocf::answersRight(known, op) ? Status::Ok : Status::Invalid;
}

Status Examiner::admitKeys(Unit& unit) noexcept {
  if ((unit.caps().flags & Caps::Asym) == 0) return Status::Ok;
  for (const KeyKnownAnswer& known : keyKnownAnswers()) {
    const Alg alg = algOf(known.alg, known.key);
    Cost stated;
    if (unit.driver->probe({.chain = {&alg, 1}}, stated) < 0) continue;
    const Status status = answersKey(unit, known);
    if (status != Status::Ok) return status;
    if (unit.offer(known.alg, AlgId::Null) == nullptr) unit.offers.push_back({.alg = known.alg, .mac = AlgId::Null, .cost = stated});
  }
  return Status::Ok;
}

// Nanoseconds for a burst; the best of a few: anything above it is somebody else's time. 0: it failed.
double Examiner::burstNs(Unit& unit, Session* session, const KnownAnswer& known, uint32_t n, uint32_t length) noexcept {
  Op ops[kMeasureBurst];
  Op* list[kMeasureBurst];
  Seg segment{memory_.get(), length + static_cast<uint32_t>(known.tag.size())};
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    for (uint32_t i = 0; i < n; ++i) {
      ops[i] = opOf(session, known.kind, known, segment, segment, length);
      list[i] = &ops[i];
    }
    const uint64_t start = clock_.now();
    if (!runAll(unit, list, n)) return 0;
    const auto took = static_cast<double>(clock_.now() - start);
    if (round == 0 || took < best) best = took;
    if (took > 2e6) break;  // it is slow enough to be measured once
  }
  return best;
}

// C1, C2 and C3 from three bursts: one short op, many short ones, many long ones. Ops of one burst share
// their memory, which no driver minds: the answers are not looked at.
Cost Examiner::measure(Unit& unit, Session* session, const KnownAnswer& known, Cost stated) noexcept {
  const uint32_t depth = unit.caps().queueDepth == 0 ? kMeasureBurst : unit.caps().queueDepth;
  constexpr uint32_t kShort = 64, kLong = 4096;
  const double one = burstNs(unit, session, known, 1, kShort);
  // A slow card is not kept busy for seconds.
  uint32_t n = std::min(depth, kMeasureBurst);
  if (one > 1e6) n = std::min(n, 4U);
  const double lanes = std::max<double>(stated.lanes, 1);
  const double many = burstNs(unit, session, known, n, kShort) * lanes;
  const double manyLong = burstNs(unit, session, known, n, kLong) * lanes;
  Cost cost{.lanes = static_cast<uint16_t>(lanes)};
  if (one <= 0 || many <= 0 || manyLong <= 0) return stated;
  const double perByte = std::max(0.0, (manyLong - many) / n / (kLong - kShort));
  // With several lanes one op alone takes C1 + C2, many take C1 + n C2 over all lanes.
  const double shortOp = n > 1 && many > one ? (many - one) / (n - 1) : many / n;
  cost.byteNs = static_cast<float>(perByte);
  cost.opNs = static_cast<float>(std::max(0.0, shortOp - kShort * perByte));
  cost.batchNs = static_cast<float>(std::max(0.0, one - shortOp));
  return cost;
}

// A source that is stuck, or gives nothing at all.
bool Examiner::admitRandom(Unit& unit) noexcept {
  if ((unit.caps().flags & Caps::Rng) == 0) return true;
  const uint64_t start = clock_.now();
  for (size_t left = RandomHealth::kAtStart; left != 0;) {
    const size_t got = unit.driver->random({memory_.get(), left});
    if (got > left || !unit.random.take({memory_.get(), got})) return false;
    left -= got;
    if (left != 0 && (!clock_.wait() || clock_.now() - start > kPatienceNs)) return false;
  }
  return true;
}

Status Examiner::admit(Unit& unit) noexcept {
  if (!makeBuffers()) return Status::NoMemory;
  Status outcome = Status::Ok;
  eachKnownAnswer([&](const KnownAnswer& known) {
    outcome = admitOne(unit, known);
    return outcome == Status::Ok;
  });
  if (outcome == Status::Ok) outcome = admitKeys(unit);
  if (outcome == Status::Ok && !admitRandom(unit)) outcome = Status::Invalid;
  const bool nothing = unit.offers.empty() && (unit.caps().flags & Caps::Rng) == 0;
  return outcome == Status::Ok && nothing ? Status::NoDriver : outcome;
}

Status Examiner::admitOne(Unit& unit, const KnownAnswer& known) noexcept {
  Alg algs[2] = {algOf(known.alg, known.key), algOf(known.mac, known.macKey)};
  const SessionParams params{.chain = {algs, known.mac == AlgId::Null ? 1U : 2U}};
  Cost stated;
  if (unit.driver->probe(params, stated) < 0) return Status::Ok;
  Status status = Status::Ok;
  const SessionHandle session = open(unit, known, &status);
  if (session == nullptr) return status;
  if (!answersRight(unit, session.get(), known) || !answersRightLong(unit, session.get(), known)) return Status::Invalid;
  unit.offers.push_back({.alg = known.alg, .mac = known.mac, .cost = measure(unit, session.get(), known, stated)});
  return dead_ ? Status::Invalid : Status::Ok;
}

Status Examiner::again(Unit& unit) noexcept {
  if (!makeBuffers()) return Status::NoMemory;
  Status outcome = Status::Ok;
  eachKnownAnswer([&](const KnownAnswer& known) {
    const Unit::Offer* offer = unit.offer(known.alg, known.mac);
    if (offer == nullptr || offer->withdrawn) return true;
    Status status = Status::Ok;
    const SessionHandle session = open(unit, known, &status);
    if (session == nullptr) return true;  // no slot free is no wrong answer
    if (!answersRight(unit, session.get(), known)) outcome = Status::Invalid;
    return outcome == Status::Ok;
  });
  for (const KeyKnownAnswer& known : keyKnownAnswers()) {
    const Unit::Offer* offer = unit.offer(known.alg, AlgId::Null);
    if (offer != nullptr && !offer->withdrawn && answersKey(unit, known) == Status::Invalid) return Status::Invalid;
  }
  return outcome;
}

}  // namespace socrypt::ocf
