#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstring>
#include <new>

#include "ocf/known_answers.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::ocf {

void wipe(void* p, size_t n) noexcept {
  if (n != 0) explicit_bzero(p, n);  // its pointer may not be null, an empty region's may
}

bool equalConstantTime(const void* a, const void* b, size_t n) noexcept {
  const auto* x = static_cast<const volatile uint8_t*>(a);
  const auto* y = static_cast<const volatile uint8_t*>(b);
  uint8_t difference = 0;
  for (size_t i = 0; i < n; ++i) difference = static_cast<uint8_t>(difference | (x[i] ^ y[i]));
  return difference == 0;
}

void SessionHandle::reset() noexcept {
  if (session_ == nullptr) return;
  Session* session = std::exchange(session_, nullptr);
  session->framework_->close(session);
}

Framework::~Framework() { assert(openSessions_ == 0 && "every SessionHandle dies before its Framework"); }

namespace {

constexpr size_t indexOf(AlgId alg) noexcept { return static_cast<size_t>(alg) - 1; }

bool wellFormed(const SessionParams& params) noexcept {
  if (params.chain.size() != 1) return false;
  const Alg& alg = params.chain[0];
  const size_t length = keyLength(alg.id);
  return length != 0 && alg.key.size() == length && alg.ivLen == 12 && alg.tagLen == 16;
}

bool acceptable(const Driver& driver, uint32_t id, const SessionParams& params) noexcept {
  const uint32_t flags = driver.caps().flags;
  if ((flags & params.needs) != params.needs) return false;
  switch (params.where) {
    case SessionParams::Where::Any: return true;
    case SessionParams::Where::Hardware: return (flags & Caps::Hardware) != 0;
    case SessionParams::Where::Software: return (flags & (Caps::Soft | Caps::Accel)) != 0;
    case SessionParams::Where::Exact: return id == params.driver;
  }
  return false;
}

// One op over contiguous memory, run at once; the buffer layout is payload || tag.
Status runOne(Driver& driver, Session* session, Kind kind, std::span<const uint8_t> iv, std::span<const uint8_t> aad,
              std::span<uint8_t> in, std::span<uint8_t> out) noexcept {
  Seg from{in.data(), static_cast<uint32_t>(in.size())};
  Seg to{out.data(), static_cast<uint32_t>(out.size())};
  Op op{};
  op.ses = session;
  op.kind = kind;
  op.status = Status::Pending;
  op.nIn = op.nOut = 1;
  std::memcpy(op.iv, iv.data(), iv.size());
  op.in = &from;
  op.out = in.data() == out.data() ? &from : &to;
  op.aad = {const_cast<uint8_t*>(aad.data()), static_cast<uint32_t>(aad.size())};
  op.len = static_cast<uint32_t>(in.size()) - 16;
  op.tagAt = op.len;
  Op* list[] = {&op};
  return driver.submit(list, 1, false) == 1 ? op.status : Status::Full;
}

bool allZero(std::span<const uint8_t> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

// Seals, compares, opens, opens with one bit of the tag turned over; in place and out of place.
bool answersRight(Driver& driver, Session* session, const KnownAnswer& known, std::span<uint8_t> a,
                  std::span<uint8_t> b) noexcept {
  const size_t length = known.plaintext.size();
  a = a.first(length + 16);
  b = b.first(length + 16);
  std::copy(known.plaintext.begin(), known.plaintext.end(), a.begin());
  if (runOne(driver, session, Kind::Seal, known.iv, known.aad, a, b) != Status::Ok ||
      std::memcmp(b.data(), known.ciphertext.data(), length) != 0 ||
      std::memcmp(b.data() + length, known.tag.data(), 16) != 0 ||
      std::memcmp(a.data(), known.plaintext.data(), length) != 0)
    return false;
  if (runOne(driver, session, Kind::Open, known.iv, known.aad, b, a) != Status::Ok ||
      std::memcmp(a.data(), known.plaintext.data(), length) != 0)
    return false;
  if (runOne(driver, session, Kind::Seal, known.iv, known.aad, a, a) != Status::Ok ||
      std::memcmp(a.data(), b.data(), length + 16) != 0)
    return false;
  b[length + 15] ^= 1;
  if (runOne(driver, session, Kind::Open, known.iv, known.aad, b, a) != Status::BadTag || !allZero(a.first(length)))
    return false;
  b[length + 15] ^= 1;
  return runOne(driver, session, Kind::Open, known.iv, known.aad, b, b) == Status::Ok &&
         std::memcmp(b.data(), known.plaintext.data(), length) == 0;
}

bool answersRightLong(Driver& driver, Session* session, const KnownAnswer& known, std::span<uint8_t> a) noexcept {
  const auto pattern = [](size_t i) { return static_cast<uint8_t>(i * 7 + 3); };
  a = a.first(kLongPattern + 16);
  for (size_t i = 0; i < kLongPattern; ++i) a[i] = pattern(i);
  if (runOne(driver, session, Kind::Seal, known.iv, known.aad, a, a) != Status::Ok ||
      std::memcmp(a.data() + kLongPattern, known.longTag.data(), 16) != 0)
    return false;
  if (runOne(driver, session, Kind::Open, known.iv, known.aad, a, a) != Status::Ok) return false;
  for (size_t i = 0; i < kLongPattern; ++i) {
    if (a[i] != pattern(i)) return false;
  }
  return true;
}

// The best of a few runs: anything above it is somebody else's time.
float sealNs(Driver& driver, Session* session, const KnownAnswer& known, std::span<uint8_t> buffer) noexcept {
  float best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 4; ++i) (void)runOne(driver, session, Kind::Seal, known.iv, known.aad, buffer, buffer);
    const auto took =
        std::chrono::duration<float, std::nano>(std::chrono::steady_clock::now() - start).count() / 4.0F;
    if (round == 0 || took < best) best = took;
  }
  return best;
}

}  // namespace

Status Framework::check(Driver& driver, std::array<Cost, 3>& cost) noexcept {
  const std::unique_ptr<uint8_t[]> memory(new (std::nothrow) uint8_t[2 * (kLongPattern + 16)]{});
  if (memory == nullptr) return Status::NoMemory;
  const std::span<uint8_t> a{memory.get(), kLongPattern + 16};
  const std::span<uint8_t> b{memory.get() + kLongPattern + 16, kLongPattern + 16};
  bool any = false;
  for (const KnownAnswer& known : knownAnswers()) {
    const Alg alg{.id = known.alg, .key = known.key};
    const SessionParams params{.chain = {&alg, 1}};
    if (driver.probe(params) < 0) continue;
    Status status = Status::Ok;
    const SessionHandle session = bind(driver, params, &status);
    if (session == nullptr) return status;
    if (!answersRight(driver, session.get(), known, a, b) || !answersRightLong(driver, session.get(), known, a))
      return Status::Invalid;
    any = true;
    constexpr float kShort = 64;
    constexpr float kLong = 4096;
    const float shortNs = sealNs(driver, session.get(), known, a.first(static_cast<size_t>(kShort) + 16));
    const float longNs = sealNs(driver, session.get(), known, a.first(static_cast<size_t>(kLong) + 16));
    Cost& measured = cost[indexOf(known.alg)];
    measured.byteNs = std::max(0.0F, (longNs - shortNs) / (kLong - kShort));
    measured.opNs = std::max(0.0F, shortNs - kShort * measured.byteNs);
  }
  return any ? Status::Ok : Status::NoDriver;
}

uint32_t Framework::attach(std::unique_ptr<Driver> driver, Status* status) {
  Published published{lastDriverId_ + 1, std::move(driver), {}};
  // Asynchronous drivers need a completion queue, which this framework does not have.
  if (published.driver == nullptr || (published.driver->caps().flags & Caps::Sync) == 0) {
    *status = Status::Invalid;
    return 0;
  }
  *status = check(*published.driver, published.cost);
  if (*status != Status::Ok) return 0;
  drivers_.push_back(std::move(published));
  return ++lastDriverId_;
}

SessionHandle Framework::bind(Driver& driver, const SessionParams& params, Status* status) noexcept {
  const size_t privBytes = driver.sessionBytes(params);
  void* slot = pool_.allocate(sizeof(Session) + privBytes);
  if (slot == nullptr) {
    *status = Status::NoMemory;
    return nullptr;
  }
  auto* session = new (slot) Session;
  session->privBytes_ = static_cast<uint32_t>(privBytes);
  *status = driver.newSession(params, session->priv());
  if (*status != Status::Ok) {
    pool_.release(slot, sizeof(Session) + privBytes);
    return nullptr;
  }
  const Alg& alg = params.chain[0];
  session->framework_ = this;
  session->driver_ = &driver;
  session->id_ = ++lastSessionId_;
  session->alg_ = alg.id;
  session->ivLength_ = alg.ivLen;
  session->tagLength_ = alg.tagLen;
  std::copy(alg.key.begin(), alg.key.end(), session->key_.begin());
  ++openSessions_;
  return SessionHandle(session);
}

SessionHandle Framework::open(const SessionParams& params, Status* status) {
  if (!wellFormed(params)) {
    *status = Status::Invalid;
    return nullptr;
  }
  Driver* best = nullptr;
  int bestRank = -1;
  for (const Published& published : drivers_) {
    if (!acceptable(*published.driver, published.id, params)) continue;
    const int rank = published.driver->probe(params);
    if (rank > bestRank) {
      bestRank = rank;
      best = published.driver.get();
    }
  }
  if (best == nullptr) {
    *status = Status::NoDriver;
    return nullptr;
  }
  return bind(*best, params, status);
}

void Framework::close(Session* session) noexcept {
  session->driver_->freeSession(session->priv());
  --openSessions_;
  pool_.release(session, sizeof(Session) + session->privBytes_);
}

size_t Framework::dispatch(Op* const* ops, size_t n) noexcept {
  size_t done = 0;
  while (done < n) {
    Driver& driver = ops[done]->ses->driver();
    size_t run = done + 1;
    while (run < n && &ops[run]->ses->driver() == &driver) ++run;
    const size_t accepted = driver.submit(ops + done, run - done, run < n);
    done += accepted;
    if (done < run) break;
  }
  return done;
}

const Framework::Published* Framework::find(uint32_t id) const noexcept {
  const auto at = std::find_if(drivers_.begin(), drivers_.end(), [id](const Published& p) { return p.id == id; });
  return at == drivers_.end() ? nullptr : &*at;
}

Cost Framework::cost(uint32_t driver, AlgId alg) const noexcept {
  const Published* published = find(driver);
  return published == nullptr || keyLength(alg) == 0 ? Cost{} : published->cost[indexOf(alg)];
}

std::string_view Framework::driverName(uint32_t driver) const noexcept {
  const Published* published = find(driver);
  return published == nullptr ? std::string_view{} : published->driver->name();
}

}  // namespace socrypt::ocf
