// Simulated cards in virtual time: what they cost, how work is spread over them, how they break.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <vector>

#include "ocf/drivers/model.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/ocf.hpp"

using namespace socrypt::ocf;

namespace {

ModelCard card(const char* name) {
  std::ifstream file(std::string(SOCRYPT_SOURCE_DIR "/native/ocf/cards/") + name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  std::string why;
  ModelCard out = parseModelCard(text.str(), why);
  CHECK(why.empty());
  return out;
}

constexpr uint8_t kKey[32] = {1, 2, 3};

SessionHandle open(Framework& framework, AlgId id, bool ordered = false) {
  const Alg alg = algOf(id, std::span(kKey).first(keyLength(id)));
  Status status = Status::Ok;
  SessionHandle session = framework.open({.chain = {&alg, 1}, .ordered = ordered}, &status);
  REQUIRE(status == Status::Ok);
  return session;
}

struct Request {
  std::vector<uint8_t> memory;
  Seg segment{};
  Op op{};
  void make(Session* session, uint32_t length, Kind kind) {
    memory.resize(length + 64);
    segment = {memory.data(), length + 64};
    op.ses = session;
    op.kind = kind;
    op.in = op.out = &segment;
    op.nIn = op.nOut = 1;
    op.len = op.tagAt = length;
  }
};

// Megabits per second of `n` requesters that each wait for their answer before they ask again.
double megabits(Framework& framework, VirtualClock& clock, size_t n, uint32_t length, int ops) {
  std::vector<Request> requests(n);
  std::vector<SessionHandle> sessions;
  std::vector<Op*> list;
  for (auto& request : requests) {
    sessions.push_back(open(framework, AlgId::TripleDesCbc));
    request.make(sessions.back().get(), length, Kind::Cipher);
    list.push_back(&request.op);
  }
  const uint64_t start = clock.now();
  int done = 0;
  REQUIRE(framework.dispatch(list.data(), n) == n);
  while (done < ops) {
    Op* back[32];
    const size_t m = framework.poll(back, 32);
    for (size_t i = 0; i < m; ++i) REQUIRE(back[i]->status == Status::Ok);
    done += static_cast<int>(m);
    if (m != 0) REQUIRE(framework.dispatch(back, m) == m);
    else REQUIRE(clock.wait());
  }
  const double rate = static_cast<double>(done) * length * 8e3 / static_cast<double>(clock.now() - start);
  while (framework.pending() != 0) {
    Op* back[32];
    if (framework.poll(back, 32) == 0) REQUIRE(clock.wait());
  }
  return rate;
}

ModelCard quick(const char* algorithm = "aes-128-gcm") {
  ModelCard made;
  made.algorithms = {algorithm};
  made.cost = {.batchNs = 1000, .opNs = 2000, .byteNs = 1, .lanes = 1};
  return made;
}

}  // namespace

TEST_CASE("one hifn 7751 costs what Table I says, and is measured so") {
  VirtualClock clock;
  Framework framework(clock);
  Status status = Status::Ok;
  const uint32_t id = framework.attach(makeModelDriver(card("hifn-7751"), clock), &status);
  REQUIRE(status == Status::Ok);
  const Cost cost = framework.cost(id, AlgId::TripleDesCbc);
  CHECK(cost.opNs == doctest::Approx(39500).epsilon(0.01));
  CHECK(cost.byteNs == doctest::Approx(96.4).epsilon(0.01));
  CHECK(cost.batchNs < 100);
  CHECK(megabits(framework, clock, 1, 16384, 50) == doctest::Approx(80.9).epsilon(0.02));
  CHECK(megabits(framework, clock, 1, 64, 200) == doctest::Approx(11.2).epsilon(0.02));
}

TEST_CASE("four hifn 7751 under 32 requesters give 96 % of what four can") {
  VirtualClock clock;
  Framework framework(clock);
  Status status = Status::Ok;
  for (int i = 0; i < 4; ++i) REQUIRE(framework.attach(makeModelDriver(card("hifn-7751"), clock), &status) != 0);
  CHECK(megabits(framework, clock, 32, 16384, 2000) >= 0.96 * 4 * 83);
}

TEST_CASE("a fast and a slow card give 90 % of the sum of both") {
  const auto alone = [](const char* name) {
    VirtualClock clock;
    Framework framework(clock);
    Status status = Status::Ok;
    REQUIRE(framework.attach(makeModelDriver(card(name), clock), &status) != 0);
    return megabits(framework, clock, 32, 16384, 500);
  };
  VirtualClock clock;
  Framework framework(clock);
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeModelDriver(card("hifn-7751"), clock), &status) != 0);
  REQUIRE(framework.attach(makeModelDriver(card("broadcom-5820"), clock), &status) != 0);
  CHECK(megabits(framework, clock, 32, 16384, 2000) >= 0.9 * (alone("hifn-7751") + alone("broadcom-5820")));
}

TEST_CASE("what is dispatched at once is one request to the card, however long") {
  VirtualClock clock;
  Framework framework(clock);
  Status status = Status::Ok;
  ModelCard one = quick("des-ede3-cbc");
  one.cost = {.batchNs = 1'000'000, .opNs = 1000, .byteNs = 0, .lanes = 1};
  one.queueDepth = 300;
  REQUIRE(framework.attach(makeModelDriver(one, clock), &status) != 0);
  const SessionHandle session = open(framework, AlgId::TripleDesCbc);
  std::vector<uint8_t> data(8);
  std::vector<Op> ops(300);
  std::vector<Op*> list;
  Seg segment{data.data(), 8};
  for (Op& op : ops) {
    op = {};
    op.ses = session.get();
    op.kind = Kind::Cipher;
    op.in = op.out = &segment;
    op.nIn = op.nOut = 1;
    op.len = 8;
    list.push_back(&op);
  }
  // Twice: the second request is one of its own.
  for (int round = 0; round < 2; ++round) {
    const uint64_t start = clock.now();
    REQUIRE(framework.dispatch(list.data(), list.size()) == list.size());
    for (size_t back = 0; back < list.size();) {
      Op* done[64];
      const size_t n = framework.poll(done, 64);
      back += n;
      if (n == 0) REQUIRE(clock.wait());
    }
    CHECK(clock.now() - start == doctest::Approx(1'300'000).epsilon(0.01));
  }
}

TEST_CASE("session slots are given to who needs them") {
  VirtualClock clock;
  Framework framework(clock);
  Status status = Status::Ok;
  ModelCard few = quick("des-ede3-cbc");
  few.maxSessions = 4;
  REQUIRE(framework.attach(makeModelDriver(few, clock), &status) != 0);
  const SessionHandle others[8] = {open(framework, AlgId::TripleDesCbc), open(framework, AlgId::TripleDesCbc),
                                   open(framework, AlgId::TripleDesCbc), open(framework, AlgId::TripleDesCbc),
                                   open(framework, AlgId::TripleDesCbc), open(framework, AlgId::TripleDesCbc),
                                   open(framework, AlgId::TripleDesCbc), open(framework, AlgId::TripleDesCbc)};
  for (const auto& session : others) {
    Request request;
    request.make(session.get(), 64, Kind::Cipher);
    CHECK(framework.call(request.op) == Status::Ok);
    CHECK(framework.drivers()[0].sessions <= 4);
  }
}

TEST_CASE("longer than the card takes is told") {
  VirtualClock clock;
  Framework framework(clock);
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeModelDriver(quick(), clock), &status) != 0);
  const SessionHandle session = open(framework, AlgId::Aes128Gcm);
  Request request;
  request.make(session.get(), 262140, Kind::Seal);
  CHECK(framework.call(request.op) == Status::Ok);
  request.make(session.get(), 262141, Kind::Seal);
  CHECK(framework.call(request.op) == Status::TooBig);
}

TEST_CASE("a wrong answer at attach keeps a card out, a later one puts it in quarantine") {
  VirtualClock clock;
  ModelFaults faults;
  Framework framework(clock);
  Status status = Status::Ok;
  faults.wrongAnswers = 1;
  CHECK(framework.attach(makeModelDriver(quick(), clock, &faults), &status) == 0);
  CHECK(status == Status::Invalid);
  faults.wrongAnswers = 0;
  const uint32_t id = framework.attach(makeModelDriver(quick(), clock, &faults), &status);
  REQUIRE(id != 0);
  REQUIRE(framework.attach(makeSoftDriver(), &status) != 0);
  CHECK(framework.check(id) == Status::Ok);
  const SessionHandle session = open(framework, AlgId::Aes128Gcm);
  SUBCASE("found by the known answers") {
    faults.wrongAnswers = 1;
    CHECK(framework.check(id) == Status::Invalid);
  }
  SUBCASE("found by the known answers at intervals") {
    Policy policy;
    policy.checkEveryNs = 1000;
    framework.setPolicy(policy);
    faults.wrongAnswers = 1;
    clock.advance(2000);
    (void)framework.poll(nullptr, 0);
  }
  SUBCASE("found by a spot check, in place, and put right") {
    Policy policy;
    policy.spotEvery = 1;
    policy.smallMax = 0;
    framework.setPolicy(policy);
    faults.wrongAnswers = 1;
    Request request, expected;
    request.make(session.get(), 100, Kind::Seal);
    expected.make(session.get(), 100, Kind::Seal);
    CHECK(framework.call(request.op) == Status::Ok);
    (void)framework.poll(nullptr, 0);
    CHECK(framework.call(expected.op) == Status::Ok);
    CHECK(request.memory == expected.memory);
  }
  const auto info = framework.drivers();
  CHECK(info[0].state == UnitState::Quarantined);
  CHECK(info[0].stats.wrong == 1);
  CHECK(info[0].sessions == 0);
  Request request;
  request.make(session.get(), 100, Kind::Seal);
  CHECK(framework.call(request.op) == Status::Ok);  // by software
}

TEST_CASE("a card that is pulled out: what it had is done elsewhere, or is Gone") {
  VirtualClock clock;
  ModelFaults faults;
  Framework framework(clock);
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeModelDriver(quick(), clock, &faults), &status) != 0);
  REQUIRE(framework.attach(makeSoftDriver(), &status) != 0);
  Policy policy;
  policy.smallMax = 0;
  framework.setPolicy(policy);
  const SessionHandle session = open(framework, AlgId::Aes128Gcm, true);
  std::vector<Request> requests(20);
  std::vector<Op*> list;
  for (auto& request : requests) {
    request.make(session.get(), 1000, Kind::Seal);
    // Every second one is kept, so that it survives although it is in place.
    if (list.size() % 2 == 1) request.op.flags = Op::Guard;
    list.push_back(&request.op);
  }
  REQUIRE(framework.dispatch(list.data(), list.size()) == list.size());
  clock.advance(5000);  // one is complete, one begun
  faults.unplugged = true;
  std::vector<Op*> back;
  while (back.size() < list.size()) {
    Op* done[8];
    const size_t n = framework.poll(done, 8);
    back.insert(back.end(), done, done + n);
    if (n == 0) clock.advance(1000);
  }
  CHECK(back == list);
  int gone = 0;
  for (auto& request : requests) {
    if (request.op.status == Status::Gone) ++gone;
    else CHECK(request.op.status == Status::Ok);
  }
  CHECK(gone <= 1);
  CHECK(framework.drivers().size() == 1);  // the card is detached
  CHECK(requests[0].op.status == Status::Gone);  // begun, in place, no copy
}

TEST_CASE("a card's description says when it is pulled out, and when it lies") {
  Status ignored = Status::Ok;
  Framework alone;
  REQUIRE(alone.attach(makeSoftDriver(), &ignored) != 0);
  const SessionHandle plain = open(alone, AlgId::Aes128Gcm);
  Request wanted;
  wanted.make(plain.get(), 1000, Kind::Seal);
  REQUIRE(alone.call(wanted.op) == Status::Ok);
  for (const bool lies : {false, true}) {
    CAPTURE(lies);
    VirtualClock clock;
    Framework framework(clock);
    Status status = Status::Ok;
    ModelCard description = quick();
    (lies ? description.lieAfterOps : description.unplugAfterOps) = 10;
    REQUIRE(framework.attach(makeModelDriver(description, clock), &status) != 0);
    REQUIRE(framework.attach(makeSoftDriver(), &status) != 0);
    Policy policy;
    policy.smallMax = 0;
    policy.spotEvery = 1;
    framework.setPolicy(policy);
    const SessionHandle session = open(framework, AlgId::Aes128Gcm);
    std::vector<Request> requests(40);
    for (auto& request : requests) {
      request.make(session.get(), 1000, Kind::Seal);
      request.op.flags = Op::Guard;
      CHECK(framework.call(request.op) == Status::Ok);
      CHECK(request.memory == wanted.memory);
    }
    Op* none[1];
    (void)framework.poll(none, 1);
    const DriverInfo first = framework.drivers().front();
    if (lies) {
      CHECK(first.state == UnitState::Quarantined);
      CHECK(first.stats.wrong == 1);
      CHECK(first.stats.ops == 11);
    } else {
      CHECK(framework.drivers().size() == 1);
    }
  }
}

TEST_CASE("a card that refuses for a while is passed by") {
  VirtualClock clock;
  ModelFaults faults;
  Framework framework(clock);
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeModelDriver(quick(), clock, &faults), &status) != 0);
  REQUIRE(framework.attach(makeSoftDriver(), &status) != 0);
  Policy policy;
  policy.smallMax = 0;
  framework.setPolicy(policy);
  const SessionHandle session = open(framework, AlgId::Aes128Gcm);
  faults.refuseBursts = 1;
  Request request;
  request.make(session.get(), 100, Kind::Seal);
  CHECK(framework.call(request.op) == Status::Ok);
  CHECK(framework.drivers()[0].stats.rescued == 1);
  CHECK(framework.call(request.op) == Status::Ok);
  CHECK(framework.drivers()[0].stats.ops == 1);
}

TEST_CASE("small ops go to software by what drivers cost, large ones to the card") {
  // Two cards, since software takes no virtual time: one with a low cost per op, one with a low cost per byte.
  VirtualClock clock;
  Framework framework(clock);
  Status status = Status::Ok;
  ModelCard near = quick(), far = quick();
  near.cost = {.batchNs = 0, .opNs = 100, .byteNs = 4, .lanes = 1};
  far.cost = {.batchNs = 1000, .opNs = 3000, .byteNs = 1, .lanes = 1};
  const uint32_t software = framework.attach(makeModelDriver(near, clock), &status);
  const uint32_t accelerator = framework.attach(makeModelDriver(far, clock), &status);
  const uint32_t at = framework.crossover(accelerator, software, AlgId::Aes128Gcm, 1);
  CHECK(at == doctest::Approx(1300).epsilon(0.02));  // (1000 + 3000 - 100) / (4 - 1)
  CHECK(framework.crossover(software, accelerator, AlgId::Aes128Gcm, 1) == UINT32_MAX);  // better below it, never from some length on
  const SessionHandle session = open(framework, AlgId::Aes128Gcm);
  for (const uint32_t length : {16U, at - 100, at + 100, 16384U}) {
    const uint64_t before = framework.drivers()[1].stats.ops;
    Request request;
    request.make(session.get(), length, Kind::Seal);
    CHECK(framework.call(request.op) == Status::Ok);
    CHECK((framework.drivers()[1].stats.ops > before) == (length > at));
  }
}

TEST_CASE("what goes straight to software is what choosing op by op sends there") {
  const char* given = std::getenv("SOCRYPT_TEST_SEED");
  const uint32_t seed = given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("seed straight: %u\n", seed);
  std::mt19937 random(seed);
  for (int turn = 0; turn < 200; ++turn) {
    const uint32_t most = 16U << random() % 10;
    const size_t burst = 1 + random() % 32;
    std::vector<uint32_t> lengths(burst);
    for (uint32_t& length : lengths) length = static_cast<uint32_t>(random() % most);
    const auto onCard = [&](bool oneByOne, bool ordered) {
      VirtualClock clock;
      Framework framework(clock);
      Status status = Status::Ok;
      ModelCard card = quick();
      card.cost = {.batchNs = 2000, .opNs = 3000, .byteNs = 0.25F, .lanes = 1};
      // What software takes is what it says: no clock is read twice for the same decision.
      const DriverInfo::Offer measured{.alg = AlgId::Aes128Gcm, .mac = AlgId::Null, .cost = {.opNs = 200, .byteNs = 1.2F}};
      REQUIRE(framework.attach(makeModelDriver(card, clock), &status) != 0);
      REQUIRE(framework.attachExamined(makeSoftDriver(), {&measured, 1}, &status) != 0);
      const SessionHandle session = open(framework, AlgId::Aes128Gcm, ordered);
      std::vector<Request> requests(burst);
      std::vector<Op*> list;
      for (size_t i = 0; i < burst; ++i) {
        requests[i].make(session.get(), lengths[i], Kind::Seal);
        // Who is called back is never served straight.
        if (oneByOne) requests[i].op.done = [](Op*) {};
        list.push_back(&requests[i].op);
      }
      CHECK(framework.dispatch(list.data(), burst) == burst);
      while (framework.pending() != 0) {
        Op* back[32];
        if (framework.poll(back, 32) == 0 && !clock.wait()) break;
      }
      for (const Op* op : list) CHECK(op->status == Status::Ok);
      CHECK(framework.drivers()[0].stats.ops + framework.drivers()[1].stats.ops == burst);
      return framework.drivers()[0].stats.ops;
    };
    CAPTURE(burst);
    CAPTURE(most);
    const uint64_t expected = onCard(true, false);
    CHECK(onCard(false, false) == expected);
    CHECK(onCard(false, true) == expected);
  }
}

TEST_CASE("back pressure: a prefix is accepted, the rest is not touched") {
  VirtualClock clock;
  Framework framework(clock);
  Status status = Status::Ok;
  ModelCard small = quick();
  small.queueDepth = 4;
  REQUIRE(framework.attach(makeModelDriver(small, clock), &status) != 0);
  Policy policy;
  policy.queueLimit = 8;
  framework.setPolicy(policy);
  const SessionHandle session = open(framework, AlgId::Aes128Gcm);
  std::vector<Request> requests(30);
  std::vector<Op*> list;
  for (auto& request : requests) {
    request.make(session.get(), 100, Kind::Seal);
    request.op.status = Status::Invalid;
    list.push_back(&request.op);
  }
  const size_t accepted = framework.dispatch(list.data(), list.size());
  CHECK(accepted == 8);
  for (size_t i = 0; i < list.size(); ++i) CHECK(list[i]->status == (i < accepted ? Status::Pending : Status::Invalid));
  size_t back = 0;
  while (back < accepted) {
    Op* done[8];
    const size_t n = framework.poll(done, 8);
    back += n;
    if (n == 0) REQUIRE(clock.wait());
  }
}

TEST_CASE("interrupts are one per op, or fewer where they are coalesced") {
  for (const uint32_t coalesce : {1U, 8U}) {
    VirtualClock clock;
    ModelFaults faults;
    Framework framework(clock);
    Status status = Status::Ok;
    ModelCard made = quick();
    made.coalesceOps = coalesce;
    made.coalesceNs = 1e6;
    REQUIRE(framework.attach(makeModelDriver(made, clock, &faults), &status) != 0);
    const SessionHandle session = open(framework, AlgId::Aes128Gcm);
    std::vector<Request> requests(32);
    std::vector<Op*> list;
    for (auto& request : requests) {
      request.make(session.get(), 100, Kind::Seal);
      list.push_back(&request.op);
    }
    const uint64_t before = faults.interrupts;
    REQUIRE(framework.dispatch(list.data(), 32) == 32);
    for (size_t back = 0; back < 32;) {
      Op* done[32];
      const size_t n = framework.poll(done, 32);
      back += n;
      if (n == 0) REQUIRE(clock.wait());
    }
    CHECK(faults.interrupts - before == 32 / coalesce);
  }
}

TEST_CASE("a card's description that is wrong is told why") {
  std::string why;
  (void)parseModelCard("{}", why);
  CHECK(why.find("algorithms") != std::string::npos);
  (void)parseModelCard(R"({"algorithms": ["null"], "speed": 3})", why);
  CHECK(why.find("speed") != std::string::npos);
  (void)parseModelCard(R"({"algorithms": ["null"], "opNs": -3})", why);
  CHECK(why.find("number") != std::string::npos);
  (void)parseModelCard(R"({"algorithms": ["null"]} x)", why);
  CHECK_FALSE(why.empty());
  (void)parseModelCard(R"({"algorithms": ["aes-128-gcm", "hmac-sha1+rot13"]})", why);
  CHECK(why.find("rot13") != std::string::npos);
  (void)parseModelCard(R"({"algorithms": ["rsa", "aes-128-gcm"]})", why);
  CHECK(why.find("not both") != std::string::npos);
  (void)parseModelCard(R"({"algorithms": ["rsa"], "unplugAfterOps": "soon"})", why);
  CHECK(why.find("number") != std::string::npos);
  for (const char* name : {"hifn-7751", "broadcom-5820", "hifn-6500", "ibm-4758", "aes-gcm"}) CHECK(card(name).cost.opNs > 0);
}
