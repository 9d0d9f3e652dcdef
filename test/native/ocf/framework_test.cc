#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "ocf/drivers/soft.hpp"
#include "ocf/known_answers.hpp"
#include "ocf/ocf.hpp"

using namespace socrypt::ocf;

namespace {

// XORs with the key: right or wrong on purpose, to see what attach() makes of it.
class ToyDriver final : public Driver {
 public:
  explicit ToyDriver(uint32_t flags, bool ranks) noexcept : caps_{.flags = flags}, ranks_(ranks) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "toy"; }
  [[nodiscard]] const Caps& caps() const noexcept override { return caps_; }
  [[nodiscard]] int probe(const SessionParams&, Cost&) const noexcept override { return ranks_ ? 400 : -EOPNOTSUPP; }
  [[nodiscard]] size_t sessionBytes(const SessionParams&) const noexcept override { return 32; }
  [[nodiscard]] Status newSession(const SessionParams&, std::span<std::byte>) noexcept override { return Status::Ok; }
  void freeSession(std::span<std::byte>) noexcept override {}
  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    for (size_t i = 0; i < n; ++i) ops[i]->status = Status::Ok;
    return n;
  }

 private:
  Caps caps_;
  bool ranks_;
};

SessionHandle openAny(Framework& framework, AlgId id, Status* status, SessionParams::Where where = SessionParams::Where::Any,
                      uint32_t driver = 0) {
  static const uint8_t key[32] = {1, 2, 3};
  const Alg alg{.id = id, .key = std::span(key).first(keyLength(id))};
  return framework.open({.chain = {&alg, 1}, .where = where, .driver = driver}, status);
}

}  // namespace

TEST_CASE("a driver with wrong answers is not published") {
  Framework framework;
  Status status = Status::Ok;
  CHECK(framework.attach(std::make_unique<ToyDriver>(Caps::Sync | Caps::Hardware, true), &status) == 0);
  CHECK(status == Status::Invalid);
  CHECK(framework.attach(std::make_unique<ToyDriver>(Caps::Sync, false), &status) == 0);
  CHECK(status == Status::NoDriver);
  CHECK(framework.attach(nullptr, &status) == 0);
  CHECK(framework.openSessions() == 0);
  CHECK(openAny(framework, AlgId::Aes128Gcm, &status) == nullptr);
  CHECK(status == Status::NoDriver);
}

TEST_CASE("attach measures, open binds by parameters") {
  Framework framework;
  Status status = Status::Ok;
  const uint32_t first = framework.attach(makeSoftDriver(SoftBackend::Libcrypto), &status);
  REQUIRE(first == 1);
  const uint32_t second = framework.attach(makeSoftDriver(SoftBackend::Libcrypto), &status);
  REQUIRE(second == 2);
  CHECK(framework.driverName(first).starts_with("libcrypto 3."));
  CHECK(framework.driverName(9).empty());
  for (const auto& known : knownAnswersOfAeads()) {
    if (factsOf(known.alg).family != Family::Aead) continue;
    CHECK(framework.cost(first, known.alg).predict(1, 16384) > 0);
    CHECK(framework.cost(9, known.alg).predict(1, 16384) == 0);
  }
  CHECK(openAny(framework, AlgId::Aes128Gcm, &status, SessionParams::Where::Hardware) == nullptr);
  CHECK(status == Status::NoDriver);
  CHECK(openAny(framework, AlgId::Aes128Gcm, &status, SessionParams::Where::Exact, 3) == nullptr);
  CHECK(openAny(framework, AlgId::Aes128Gcm, &status, SessionParams::Where::Exact, second) != nullptr);
  const uint8_t shortKey[15] = {};
  const Alg bad{.id = AlgId::Aes128Gcm, .key = shortKey};
  CHECK(framework.open({.chain = {&bad, 1}}, &status) == nullptr);
  CHECK(status == Status::BadKey);
  CHECK(framework.open({}, &status) == nullptr);
  CHECK(status == Status::Invalid);
}

TEST_CASE("balancing by sessions: a new one goes to the driver with the fewest, and stays") {
  Framework framework;
  Status status = Status::Ok;
  std::vector<uint32_t> drivers;
  for (int i = 0; i < 3; ++i) drivers.push_back(framework.attach(makeSoftDriver(SoftBackend::Libcrypto), &status));
  Policy policy = framework.policy();
  policy.balance = Policy::Balance::LeastSessions;
  policy.replicate = false;
  framework.setPolicy(policy);
  const auto infoOf = [&](uint32_t id) {
    const std::vector<DriverInfo> all = framework.drivers();
    return *std::find_if(all.begin(), all.end(), [id](const DriverInfo& each) { return each.id == id; });
  };
  const auto sessionsOf = [&] {
    std::vector<size_t> counts;
    for (const uint32_t id : drivers) counts.push_back(infoOf(id).sessions);
    return counts;
  };
  std::vector<SessionHandle> sessions;
  const auto work = [&](const SessionHandle& session, uint32_t length) {
    std::vector<uint8_t> bytes(length + 16);
    Seg segment{bytes.data(), length + 16};
    Op op{};
    op.ses = session.get();
    op.kind = Kind::Seal;
    op.in = op.out = &segment;
    op.nIn = op.nOut = 1;
    op.len = op.tagAt = length;
    return framework.call(op);
  };
  for (int i = 0; i < 9; ++i) {
    sessions.push_back(openAny(framework, AlgId::Aes128Gcm, &status));
    REQUIRE(sessions.back() != nullptr);
    REQUIRE(work(sessions.back(), 1000) == Status::Ok);
  }
  CHECK(sessionsOf() == std::vector<size_t>{3, 3, 3});
  // However much one of them has to do: sessions are counted, not their work.
  const std::vector<uint64_t> before{infoOf(drivers[0]).stats.ops, infoOf(drivers[1]).stats.ops, infoOf(drivers[2]).stats.ops};
  for (int i = 0; i < 50; ++i) REQUIRE(work(sessions[0], 4000) == Status::Ok);
  size_t busy = 0;
  for (size_t i = 0; i < drivers.size(); ++i) {
    const uint64_t more = infoOf(drivers[i]).stats.ops - before[i];
    CHECK((more == 0 || more == 50));
    if (more == 50) ++busy;
  }
  CHECK(busy == 1);
  CHECK(sessionsOf() == std::vector<size_t>{3, 3, 3});
  // Two that end make room for two; a driver that goes shares its sessions out.
  sessions.resize(7);
  for (int i = 0; i < 2; ++i) {
    sessions.push_back(openAny(framework, AlgId::Aes128Gcm, &status));
    REQUIRE(work(sessions.back(), 1000) == Status::Ok);
  }
  CHECK(sessionsOf() == std::vector<size_t>{3, 3, 3});
  REQUIRE(framework.detach(drivers[1]) == Status::Ok);
  drivers.erase(drivers.begin() + 1);
  for (const SessionHandle& session : sessions) REQUIRE(work(session, 1000) == Status::Ok);
  CHECK(std::abs(static_cast<int>(sessionsOf()[0]) - static_cast<int>(sessionsOf()[1])) <= 1);
  CHECK(sessionsOf()[0] + sessionsOf()[1] == 9);
}

TEST_CASE("regions that leave their segments are refused and touch nothing") {
  for (const auto backend : {SoftBackend::Libcrypto, SoftBackend::IpsecMb}) {
    Framework framework;
    Status status = Status::Ok;
    if (framework.attach(makeSoftDriver(backend), &status) == 0) continue;
    for (const auto& known : knownAnswersOfAeads()) {
      if (factsOf(known.alg).family != Family::Aead) continue;
      const SessionHandle session = openAny(framework, known.alg, &status);
      REQUIRE(session != nullptr);
      std::vector<uint8_t> memory(200, 0xaa);
      const auto untouched = memory;
      const auto run = [&](uint32_t n, uint32_t skip, uint32_t len, uint32_t outSkip, uint32_t tagAt, Kind kind) {
        Seg segment{memory.data(), n};
        Op op{};
        op.ses = session.get();
        op.kind = kind;
        op.nIn = op.nOut = 1;
        op.in = op.out = &segment;
        op.skip = skip, op.len = len, op.outSkip = outSkip, op.tagAt = tagAt;
        Op* list[] = {&op};
        REQUIRE(framework.dispatch(list, 1) == 1);
        return op.status;
      };
      for (const auto kind : {Kind::Seal, Kind::Open}) {
        CHECK(run(100, 0, 85, 0, 85, kind) == Status::Range);           // tag past the end
        CHECK(run(100, 20, 81, 0, 0, kind) == Status::Range);           // payload past the end
        CHECK(run(100, 0, 81, 20, 0, kind) == Status::Range);           // result past the end
        CHECK(run(100, UINT32_MAX, 2, 0, 0, kind) == Status::Range);    // no wrapping
        CHECK(run(100, 0, 10, 0, UINT32_MAX - 3, kind) == Status::Range);
        CHECK(run(100, 0, 40, 20, 80, kind) == Status::Overlap);          // partial overlap
        CHECK(memory == untouched);
      }
      CHECK(run(100, 0, 84, 0, 84, Kind::Seal) == Status::Ok);
      CHECK(std::equal(memory.begin() + 100, memory.end(), untouched.begin()));
    }
  }
}

TEST_CASE("sessions are small, pooled, and zeroised") {
  for (const auto backend : {SoftBackend::Libcrypto, SoftBackend::IpsecMb}) {
    Framework framework;
    Status status = Status::Ok;
    if (framework.attach(makeSoftDriver(backend), &status) == 0) continue;
    std::vector<SessionHandle> sessions;
    constexpr size_t kMany = 20000;
    for (size_t i = 0; i < kMany; ++i) sessions.push_back(openAny(framework, AlgId::Aes256Gcm, &status));
    CHECK(framework.openSessions() == kMany);
    CHECK(framework.poolBytes() / kMany < 1320);
    Session* one = sessions[7].get();
    CHECK(reinterpret_cast<uintptr_t>(one) % 64 == 0);
    const size_t bytes = sizeof(Session) + 32;  // with its key
    const auto* memory = reinterpret_cast<const uint8_t*>(one);
    sessions[7].reset();
    // The first word links free slots.
    for (size_t i = 8; i < bytes; ++i) REQUIRE(memory[i] == 0);
    sessions[7] = openAny(framework, AlgId::Aes256Gcm, &status);
    CHECK(sessions[7].get() == one);
    sessions.clear();
    CHECK(framework.openSessions() == 0);
    CHECK(framework.poolBytes() <= 4 * 65536);  // one empty slab per size of slot
  }
}

TEST_CASE("handles move") {
  Framework framework;
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeSoftDriver(), &status) != 0);
  SessionHandle a = openAny(framework, AlgId::ChaCha20Poly1305, &status);
  REQUIRE(a != nullptr);
  SessionHandle b = std::move(a);
  CHECK(a == nullptr);  // NOLINT: a moved-from handle is empty by contract
  CHECK(framework.openSessions() == 1);
  b = openAny(framework, AlgId::Aes128Gcm, &status);
  CHECK(framework.openSessions() == 1);
  b = nullptr;
  CHECK(framework.openSessions() == 0);
}
