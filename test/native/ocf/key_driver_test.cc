#include <doctest/doctest.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "ocf/big_integer.hpp"
#include "ocf/drivers/key.hpp"
#include "ocf/drivers/key_costs.hpp"
#include "ocf/framework.hpp"
#include "ocf/key_known_answers.hpp"

using namespace socrypt;
using namespace socrypt::ocf;
using Bytes = std::vector<uint8_t>;

namespace {

uint32_t seedOf(const char* what) {
  const char* given = std::getenv("SOCRYPT_TEST_SEED");
  const uint32_t seed = given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("seed %s: %u\n", what, seed);
  return seed;
}

// Counts how often somebody was told that there is something to harvest.
struct Counter final : Waker {
  std::atomic<int> times{0};
  void ready(Driver*) noexcept override { ++times; }
};

// A session as the framework makes one.
struct Bound {
  Driver& driver;
  std::unique_ptr<std::byte, decltype(&std::free)> memory{nullptr, std::free};
  size_t bytes = 0;
  Status status = Status::Ok;
  Bound(Driver& with, AlgId id, std::span<const uint8_t> key) : driver(with) {
    Alg alg;
    alg.id = id;
    alg.key = key;
    const SessionParams params{.chain = {&alg, 1}};
    Cost cost;
    if (driver.probe(params, cost) < 0) {
      status = Status::NoDriver;
      return;
    }
    bytes = (driver.sessionBytes(params) + 63) / 64 * 64;
    memory.reset(static_cast<std::byte*>(std::aligned_alloc(64, bytes)));
    std::memset(memory.get(), 0, bytes);
    status = driver.newSession(params, {memory.get(), bytes});
  }
  Bound(const Bound&) = delete;
  ~Bound() {
    if (memory != nullptr && status == Status::Ok) driver.freeSession({memory.get(), bytes});
  }
};

// An op with memory of its own.
struct Request {
  std::vector<Bytes> values;
  std::vector<Bytes> rooms;
  std::vector<Seg> in, out;
  Op op{};
  Request(const Bound& session, Kind kind, uint16_t scheme, std::vector<Bytes> inputs, std::vector<size_t> outputs) : values(std::move(inputs)) {
    for (const size_t size : outputs) rooms.emplace_back(size, uint8_t{0xa5});
    for (Bytes& value : values) in.push_back({value.data(), static_cast<uint32_t>(value.size())});
    for (Bytes& room : rooms) out.push_back({room.data(), static_cast<uint32_t>(room.size())});
    op.kind = kind;
    op.scheme = scheme;
    op.status = Status::Pending;
    op.nIn = static_cast<uint16_t>(in.size());
    op.nOut = static_cast<uint16_t>(out.size());
    op.in = in.data();
    op.out = out.data();
    op.fw.priv = session.memory.get();
  }
  [[nodiscard]] Bytes result(size_t i = 0) const { return {out[i].p, out[i].p + out[i].n}; }
};

// Harvests until `count` ops are back.
std::vector<Op*> harvest(Driver& driver, size_t count) {
  std::vector<Op*> all;
  while (all.size() < count) {
    std::array<Op*, 16> some{};
    const size_t n = driver.poll(some.data(), some.size(), true);
    all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(n));
    if (n == 0) std::this_thread::yield();
  }
  return all;
}

Status run(Driver& driver, Request& request) {
  Op* ops[] = {&request.op};
  REQUIRE(driver.submit(ops, 1, false) == 1);
  if ((driver.caps().flags & Caps::Sync) == 0) REQUIRE(harvest(driver, 1)[0] == &request.op);
  return request.op.status;
}

std::vector<std::unique_ptr<Driver>> bothDrivers() {
  std::vector<std::unique_ptr<Driver>> drivers;
  drivers.push_back(makeKeyDriver());
  drivers.push_back(makeInlineKeyDriver());
  return drivers;
}

const KeyKnownAnswer& knownOf(AlgId alg, Kind kind) {
  for (const KeyKnownAnswer& known : keyKnownAnswers())
    if (known.alg == alg && known.kind == kind) return known;
  FAIL("no known answer");
  std::abort();
}

Bytes bytesOf(std::span<const uint8_t> view) { return {view.begin(), view.end()}; }

Bytes number(const BIGNUM* n, size_t length) {
  Bytes bytes(length);
  REQUIRE(BN_bn2binpad(n, bytes.data(), static_cast<int>(length)) >= 0);
  return bytes;
}
using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;
Number numberOf(const Bytes& bytes) { return {BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr), BN_free}; }

// The public value of a scalar, by libcrypto's points.
Bytes publicOf(AlgId alg, std::span<const uint8_t> scalar) {
  Bytes bytes(97);
  size_t length = bytes.size();
  if (alg == AlgId::X25519) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> made(
        EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, scalar.data(), scalar.size()), EVP_PKEY_free);
    REQUIRE(EVP_PKEY_get_raw_public_key(made.get(), bytes.data(), &length) == 1);
  } else {
    const int nid = alg == AlgId::EcdhP256 ? NID_X9_62_prime256v1 : NID_secp384r1;
    const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(EC_GROUP_new_by_curve_name(nid), EC_GROUP_free);
    const std::unique_ptr<EC_POINT, decltype(&EC_POINT_free)> point(EC_POINT_new(group.get()), EC_POINT_free);
    const Number n = numberOf(bytesOf(scalar));
    REQUIRE(EC_POINT_mul(group.get(), point.get(), n.get(), nullptr, nullptr, nullptr) == 1);
    length = EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, bytes.data(), bytes.size(), nullptr);
  }
  bytes.resize(length);
  return bytes;
}

}  // namespace

TEST_CASE("known answers of every key operation, from both drivers") {
  for (const std::unique_ptr<Driver>& driver : bothDrivers()) {
    REQUIRE(driver != nullptr);
    CAPTURE(driver->name());
    size_t checked = 0;
    for (const KeyKnownAnswer& known : keyKnownAnswers()) {
      if (known.alg == AlgId::Dsa && !key::hasDsa()) continue;
      CAPTURE(static_cast<int>(known.alg));
      CAPTURE(static_cast<int>(known.kind));
      const Bound session(*driver, known.alg, known.key);
      REQUIRE(session.status == Status::Ok);
      std::vector<Bytes> inputs;
      for (size_t i = 0; i < known.nIn(); ++i) inputs.push_back(bytesOf(known.in[i]));
      Request request(session, known.kind, known.scheme, inputs, std::vector<size_t>(known.nOut, kKeyAnswerRoom));
      (void)run(*driver, request);
      CHECK(answersRight(known, request.op));
      ++checked;
    }
    CHECK(checked >= 21);
  }
}

TEST_CASE("a wrong answer is told apart") {
  const std::unique_ptr<Driver> driver = makeInlineKeyDriver();
  for (const KeyKnownAnswer& known : keyKnownAnswers()) {
    if (known.nOut == 0 || known.status != Status::Ok || (known.alg == AlgId::Dsa && !key::hasDsa())) continue;
    CAPTURE(static_cast<int>(known.alg));
    const Bound session(*driver, known.alg, known.key);
    std::vector<Bytes> inputs;
    for (size_t i = 0; i < known.nIn(); ++i) inputs.push_back(bytesOf(known.in[i]));
    Request request(session, known.kind, known.scheme, inputs, std::vector<size_t>(known.nOut, kKeyAnswerRoom));
    REQUIRE(run(*driver, request) == Status::Ok);
    request.out[0].p[request.out[0].n - 1] ^= 1;
    CHECK(!answersRight(known, request.op));
    request.op.status = Status::BadTag;
    CHECK(!answersRight(known, request.op));
  }
}

TEST_CASE("modular exponentiation agrees with libcrypto's other algorithm, and with the CRT's") {
  std::mt19937 random(seedOf("modexp"));
  const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), BN_CTX_free);
  const std::unique_ptr<Driver> driver = makeInlineKeyDriver();
  const Bound plain(*driver, AlgId::ModExp, {});
  const Bound crt(*driver, AlgId::ModExpCrt, {});
  const auto draw = [&](size_t length) {
    Bytes bytes(length);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
    return bytes;
  };
  for (int i = 0; i < 60; ++i) {
    Bytes modulus = draw(1 + random() % 160);
    modulus.back() |= 1;
    if (modulus.size() == 1) modulus[0] |= 2;
    const Bytes base = draw(1 + random() % 200), exponent = draw(random() % 3 == 0 ? 1 : 1 + random() % 160);
    const Number result(BN_new(), BN_free), m = numberOf(modulus), b = numberOf(base), e = numberOf(exponent);
    // Reciprocals instead of Montgomery's form.
    REQUIRE(BN_mod_exp_recp(result.get(), b.get(), e.get(), m.get(), context.get()) == 1);
    Request request(plain, Kind::ModExp, 0, {base, exponent, modulus}, {modulus.size() + random() % 8});
    CHECK(run(*driver, request) == Status::Ok);
    // As long as the modulus is without its own leading zeros.
    CHECK(request.result() == number(result.get(), static_cast<size_t>(BN_num_bytes(m.get()))));
  }
  for (int i = 0; i < 10; ++i) {
    // Of 1,024 bits each: libcrypto may do both at once.
    const bool pair = i < 2;
    const int bits = pair ? 1024 : 128 + static_cast<int>(random() % 128);
    const Number p(BN_new(), BN_free), q(BN_new(), BN_free), n(BN_new(), BN_free), one(BN_new(), BN_free), pm(BN_new(), BN_free), qm(BN_new(), BN_free),
        dp(BN_new(), BN_free), dq(BN_new(), BN_free), inverse(BN_new(), BN_free), result(BN_new(), BN_free);
    REQUIRE(BN_generate_prime_ex(p.get(), bits, 0, nullptr, nullptr, nullptr) == 1);
    REQUIRE(BN_generate_prime_ex(q.get(), pair ? bits : bits + 3, 0, nullptr, nullptr, nullptr) == 1);
    const Bytes base = draw(pair ? 256 : 48), d = draw(pair ? 255 : 32);
    const Number b = numberOf(base), D = numberOf(d);
    BN_mul(n.get(), p.get(), q.get(), context.get());
    BN_sub(pm.get(), p.get(), BN_value_one());
    BN_sub(qm.get(), q.get(), BN_value_one());
    BN_mod(dp.get(), D.get(), pm.get(), context.get());
    BN_mod(dq.get(), D.get(), qm.get(), context.get());
    BN_mod_inverse(inverse.get(), q.get(), p.get(), context.get());
    REQUIRE(BN_mod_exp_recp(result.get(), b.get(), D.get(), n.get(), context.get()) == 1);
    const auto all = [](const Number& x) { return number(x.get(), static_cast<size_t>(BN_num_bytes(x.get()))); };
    Request request(crt, Kind::ModExpCrt, 0, {base, all(p), all(q), all(dp), all(dq), all(inverse)}, {256});
    CHECK(run(*driver, request) == Status::Ok);
    CHECK(request.result() == number(result.get(), static_cast<size_t>(BN_num_bytes(n.get()))));
  }
}

TEST_CASE("both sides of an agreement have the same secret, ephemeral keys included") {
  for (const std::unique_ptr<Driver>& driver : bothDrivers()) {
    for (const AlgId alg : {AlgId::X25519, AlgId::EcdhP256, AlgId::EcdhP384}) {
      CAPTURE(static_cast<int>(alg));
      const KeyKnownAnswer& known = knownOf(alg, Kind::Derive);
      const Bound fixed(*driver, alg, known.key);
      const Bound ephemeral(*driver, alg, {});
      Request made(ephemeral, Kind::Derive, 0, {publicOf(alg, known.key)}, {48, 97});
      REQUIRE(run(*driver, made) == Status::Ok);
      CHECK(made.out[0].n == (alg == AlgId::EcdhP384 ? 48u : 32u));
      Request other(fixed, Kind::Derive, 0, {made.result(1)}, {48});
      REQUIRE(run(*driver, other) == Status::Ok);
      CHECK(other.result() == made.result(0));
      Request again(ephemeral, Kind::Derive, 0, {publicOf(alg, known.key)}, {48, 97});
      REQUIRE(run(*driver, again) == Status::Ok);
      CHECK(again.result(0) != made.result(0));
      CHECK(again.result(1) != made.result(1));
    }
  }
}

TEST_CASE("bad parameters get a specific status, and the output is not a secret") {
  for (const std::unique_ptr<Driver>& driver : bothDrivers()) {
    CAPTURE(driver->name());
    const KeyKnownAnswer& rsa = knownOf(AlgId::Rsa, Kind::Sign);
    // Keys of another kind, cut short, none, or one where there can be none.
    CHECK(Bound(*driver, AlgId::EcdsaP256, rsa.key).status == Status::BadKey);
    CHECK(Bound(*driver, AlgId::EcdsaP256, knownOf(AlgId::EcdsaP384, Kind::Sign).key).status == Status::BadKey);
    CHECK(Bound(*driver, AlgId::Rsa, rsa.key.first(rsa.key.size() - 1)).status == Status::BadKey);
    CHECK(Bound(*driver, AlgId::Rsa, {}).status == Status::NoDriver);
    CHECK(Bound(*driver, AlgId::ModExp, rsa.key).status == Status::NoDriver);
    CHECK(Bound(*driver, AlgId::X25519, rsa.key.first(31)).status == Status::NoDriver);
    CHECK(Bound(*driver, AlgId::Aes128Gcm, rsa.key.first(16)).status == Status::NoDriver);

    const Bound sign(*driver, AlgId::Rsa, rsa.key);
    const Bound verify(*driver, AlgId::Rsa, knownOf(AlgId::Rsa, Kind::VerifySig).key);
    const Bound modexp(*driver, AlgId::ModExp, {});
    const Bound dh(*driver, AlgId::Dh, {});
    const KeyKnownAnswer& agreed = knownOf(AlgId::Dh, Kind::Derive);
    const Bytes text{1, 2, 3}, p = bytesOf(agreed.in[2]);
    Bytes pMinus1 = p;
    pMinus1.back() &= 0xfe;
    const struct {
      const Bound& session;
      Kind kind;
      uint16_t scheme;
      std::vector<Bytes> in;
      std::vector<size_t> out;
      Status expected;
    } cases[] = {
        {sign, Kind::Sign, 0x0403, {text}, {256}, Status::UnknownAlg},            // a scheme of another key
        {sign, Kind::Sign, 0x0804, {text}, {255}, Status::Range},                 // no room
        {sign, Kind::Sign, 0x0804, {text, text}, {256}, Status::Invalid},         // a parameter too many
        {sign, Kind::Derive, 0, {text}, {256}, Status::Invalid},                  // not what the session does
        {sign, Kind::Seal, 0, {text}, {256}, Status::Invalid},                    // not a key operation
        {verify, Kind::Sign, 0x0804, {text}, {256}, Status::Invalid},             // a public key
        {modexp, Kind::ModExp, 0, {text, text, {4}}, {8}, Status::Invalid},       // an even modulus
        {modexp, Kind::ModExp, 0, {text, text, {1}}, {8}, Status::Invalid},       // 1
        {modexp, Kind::ModExp, 0, {text, text, {}}, {8}, Status::Invalid},        // 0
        {modexp, Kind::ModExp, 0, {text, text, {0x7f, 3}}, {1}, Status::Invalid}, // no room
        {modexp, Kind::ModExp, 0, {text, text, Bytes(2049, 0xff)}, {2049}, Status::Invalid},
        {dh, Kind::Derive, 0, {text, {1}, p}, {256}, Status::Invalid},            // RFC 7919 5.1: 1 < y < p - 1
        {dh, Kind::Derive, 0, {text, {}, p}, {256}, Status::Invalid},
        {dh, Kind::Derive, 0, {text, pMinus1, p}, {256}, Status::Invalid},
        {dh, Kind::Derive, 0, {text, p, p}, {256}, Status::Invalid},
    };
    for (const auto& one : cases) {
      CAPTURE(static_cast<int>(one.expected));
      CAPTURE(&one - cases);
      Request request(one.session, one.kind, one.scheme, one.in, one.out);
      CHECK(run(*driver, request) == one.expected);
    }
  }
}

TEST_CASE("a queue has a bound; every op comes back once, to whoever was woken") {
  const std::unique_ptr<Driver> driver = makeKeyDriver({.queueDepth = 8, .pool = KeyPool::make(3)});
  Counter waker;
  driver->attach(&waker);
  const KeyKnownAnswer& known = knownOf(AlgId::EcdsaP256, Kind::Sign);
  const Bound session(*driver, known.alg, known.key);
  std::vector<std::unique_ptr<Request>> requests;
  std::vector<Op*> ops;
  for (int i = 0; i < 100; ++i) {
    requests.push_back(std::make_unique<Request>(session, Kind::Sign, known.scheme, std::vector<Bytes>{Bytes{static_cast<uint8_t>(i)}}, std::vector<size_t>{80}));
    requests.back()->op.opaque = requests.back().get();
    ops.push_back(&requests.back()->op);
  }
  REQUIRE(driver->submit(ops.data(), ops.size(), false) == 8);
  for (size_t i = 8; i < ops.size(); ++i) CHECK(ops[i]->status == Status::Pending);
  CHECK(driver->submit(ops.data() + 8, 1, false) == 0);
  std::vector<Op*> back;
  size_t next = 8;
  while (back.size() < ops.size()) {
    const std::vector<Op*> some = harvest(*driver, 1);
    back.insert(back.end(), some.begin(), some.end());
    next += driver->submit(ops.data() + next, ops.size() - next, false);
  }
  CHECK(waker.times > 0);
  std::sort(back.begin(), back.end());
  std::sort(ops.begin(), ops.end());
  CHECK(back == ops);
  for (const auto& request : requests) {
    CHECK(request->op.status == Status::Ok);
    CHECK(request->op.opaque == request.get());
    CHECK(request->op.fw.serviceNs > 0);
    CHECK(key::verify(known.scheme, known.verifyKey, request->values[0], request->result()) == key::Verdict::Good);
  }
}

TEST_CASE("many completions are told together, and none is left untold") {
  const std::unique_ptr<Driver> driver = makeKeyDriver({.queueDepth = 64, .pool = KeyPool::make(2)});
  Counter waker;
  driver->attach(&waker);
  const KeyKnownAnswer& known = knownOf(AlgId::EcdsaP256, Kind::Sign);
  const Bound session(*driver, known.alg, known.key);
  constexpr size_t kCount = 2000;
  std::vector<std::unique_ptr<Request>> requests;
  std::vector<Op*> ops;
  for (size_t i = 0; i < kCount; ++i) {
    requests.push_back(std::make_unique<Request>(session, Kind::Sign, known.scheme, std::vector<Bytes>{Bytes{static_cast<uint8_t>(i)}}, std::vector<size_t>{80}));
    ops.push_back(&requests.back()->op);
  }
  // Harvests when it was told to, and at no other time.
  size_t next = driver->submit(ops.data(), ops.size(), false), back = 0, canceled = 0;
  int told = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (back + canceled < kCount && std::chrono::steady_clock::now() < deadline) {
    if (waker.times == told) {
      if (back + canceled == next) next += driver->submit(ops.data() + next, ops.size() - next, false);
      std::this_thread::yield();
      continue;
    }
    told = waker.times;
    std::array<Op*, 16> some{};
    for (size_t n = some.size(); n == some.size();) back += n = driver->poll(some.data(), some.size(), true);
    next += driver->submit(ops.data() + next, ops.size() - next, false);
    // All are taken back now and then: they are not there to tell of those before them.
    if (told % 4 != 0) continue;
    for (size_t n = some.size(); n == some.size();) canceled += n = driver->cancel(some.data(), some.size());
  }
  CHECK(next == kCount);
  CHECK(back + canceled == kCount);
  CHECK(static_cast<size_t>(waker.times) < back);
}

TEST_CASE("what has not begun is given back untouched, in order; what is queued dies with its driver") {
  const std::shared_ptr<KeyPool> pool = KeyPool::make(1);
  std::unique_ptr<Driver> driver = makeKeyDriver({.queueDepth = 64, .pool = pool});
  // Keeps the only thread busy for as long as the test likes.
  struct Blocker final : KeyPool::Owner {
    std::atomic<bool> begun{false}, go{false};
    void run(size_t, unsigned) noexcept override {
      begun = true;
      while (!go) std::this_thread::yield();
    }
  } blocker;
  KeyPool::Job job{.owner = &blocker};
  KeyPool::Job* jobs[] = {&job};
  pool->add(jobs, 1);
  while (!blocker.begun) std::this_thread::yield();

  const KeyKnownAnswer& known = knownOf(AlgId::EcdsaP256, Kind::Sign);
  std::vector<std::unique_ptr<Request>> requests;
  {
    const Bound session(*driver, known.alg, known.key);
    std::vector<Op*> ops;
    for (int i = 0; i < 10; ++i) {
      requests.push_back(std::make_unique<Request>(session, Kind::Sign, known.scheme, std::vector<Bytes>{Bytes{1}}, std::vector<size_t>{80}));
      ops.push_back(&requests.back()->op);
    }
    REQUIRE(driver->submit(ops.data(), 10, false) == 10);
    CHECK(pool->queued() == 10);
    std::array<Op*, 16> back{};
    REQUIRE(driver->cancel(back.data(), 4) == 4);
    for (size_t i = 0; i < 4; ++i) CHECK(back[i] == ops[i]);
    REQUIRE(driver->submit(back.data(), 4, false) == 4);
    REQUIRE(driver->cancel(back.data(), 16) == 10);
    CHECK(back[0] == ops[4]);
    CHECK(back[9] == ops[3]);
    CHECK(driver->cancel(back.data(), 16) == 0);
    for (const auto& request : requests) {
      CHECK(request->op.status == Status::Pending);
      CHECK(request->rooms[0] == Bytes(80, 0xa5));
    }
    REQUIRE(driver->submit(ops.data(), 10, false) == 10);
  }
  CHECK(pool->queued() == 10);
  driver->stop();
  CHECK(pool->queued() == 0);
  std::array<Op*, 16> back{};
  CHECK(driver->cancel(back.data(), 3) == 3);
  CHECK(back[0] == &requests[0]->op);
  CHECK(driver->poll(back.data(), 16, true) == 0);
  driver.reset();
  for (const auto& request : requests) CHECK(request->rooms[0] == Bytes(80, 0xa5));
  blocker.go = true;
  pool->awaitIdle(blocker);
}

TEST_CASE("drivers of many threads share one pool") {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&right] {
      for (int round = 0; round < 5; ++round) {
        const std::unique_ptr<Driver> driver = makeKeyDriver();
        const KeyKnownAnswer& known = knownOf(AlgId::Ed25519, Kind::Sign);
        const Bound session(*driver, known.alg, known.key);
        std::vector<std::unique_ptr<Request>> requests;
        std::vector<Op*> ops;
        for (int i = 0; i < 20; ++i) {
          requests.push_back(std::make_unique<Request>(session, Kind::Sign, known.scheme, std::vector<Bytes>{bytesOf(known.in[0])}, std::vector<size_t>{64}));
          ops.push_back(&requests.back()->op);
        }
        if (driver->submit(ops.data(), ops.size(), false) != ops.size()) return;
        for (const Op* op : harvest(*driver, ops.size())) right += answersRight(known, *op) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 4 * 5 * 20);
}

TEST_CASE("every key operation has a cost, and that of an RSA key grows with its length") {
  const auto costOf = [](AlgId id, std::span<const uint8_t> key) {
    Alg alg;
    alg.id = id;
    alg.key = key;
    return keyOpNs(alg);
  };
  for (const KeyKnownAnswer& known : keyKnownAnswers()) CHECK((costOf(known.alg, known.key) > 0 || (known.alg == AlgId::Dsa && !key::hasDsa())));
  for (const AlgId id : {AlgId::X25519, AlgId::EcdhP256, AlgId::EcdhP384}) CHECK(costOf(id, {}) > 0);
  CHECK(costOf(AlgId::Aes128Gcm, {}) == 0);
  CHECK(keyHopNs() > 0);
  // Eight times the work for twice the length.
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> big(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{4096}), EVP_PKEY_free);
  PKCS8_PRIV_KEY_INFO* info = EVP_PKEY2PKCS8(big.get());
  uint8_t* der = nullptr;
  const int length = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
  PKCS8_PRIV_KEY_INFO_free(info);
  const float large = costOf(AlgId::Rsa, {der, static_cast<size_t>(length)});
  OPENSSL_free(der);
  const float usual = costOf(AlgId::Rsa, knownOf(AlgId::Rsa, Kind::Sign).key);
  CHECK(large > 7.5F * usual);
  CHECK(large < 8.5F * usual);
}

namespace {

// The key driver, with one answer in so many wrong.
class Liar final : public Driver {
 public:
  explicit Liar(std::unique_ptr<Driver> inner, AlgId about) : inner_(std::move(inner)), about_(about) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "liar"; }
  [[nodiscard]] const Caps& caps() const noexcept override { return inner_->caps(); }
  [[nodiscard]] int probe(const SessionParams& params, Cost& cost) const noexcept override { return inner_->probe(params, cost); }
  [[nodiscard]] size_t sessionBytes(const SessionParams& params) const noexcept override { return inner_->sessionBytes(params); }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override { return inner_->newSession(params, priv); }
  void freeSession(std::span<std::byte> priv) noexcept override { inner_->freeSession(priv); }
  size_t submit(Op* const* ops, size_t n, bool more) noexcept override {
    const size_t accepted = inner_->submit(ops, n, more);
    for (size_t i = 0; i < accepted; ++i)
      if (ops[i]->ses->alg() == about_ && ops[i]->nOut != 0 && ops[i]->status == Status::Ok) ops[i]->out[0].p[0] ^= 1;
    return accepted;
  }

 private:
  std::unique_ptr<Driver> inner_;
  AlgId about_;
};

}  // namespace

TEST_CASE("the framework publishes both key drivers, and no liar") {
  for (const AlgId about : {AlgId::Rsa, AlgId::EcdsaP256, AlgId::Ed25519, AlgId::X25519, AlgId::Dh, AlgId::ModExpCrt}) {
    Framework framework;
    Status status = Status::Ok;
    CHECK(framework.attach(std::make_unique<Liar>(makeInlineKeyDriver(), about), &status) == 0);
    CHECK(status == Status::Invalid);
  }
  Framework framework;
  Status status = Status::Ok;
  const uint32_t pool = framework.attach(makeKeyDriver(), &status);
  REQUIRE(pool != 0);
  const uint32_t here = framework.attach(makeInlineKeyDriver(), &status);
  REQUIRE(here != 0);
  CHECK(framework.check(pool) == Status::Ok);
  CHECK(framework.check(here) == Status::Ok);

  const auto run = [&](SessionParams::Where where, int count) {
    const KeyKnownAnswer& known = knownOf(AlgId::EcdsaP256, Kind::Sign);
    const Alg alg = algOf(known.alg, known.key);
    const SessionHandle session = framework.open({.chain = {&alg, 1}, .where = where}, &status);
    REQUIRE(session != nullptr);
    std::vector<std::array<uint8_t, 80>> rooms(static_cast<size_t>(count));
    std::vector<Seg> outs;
    for (auto& room : rooms) outs.push_back({room.data(), 80});
    Seg in{const_cast<uint8_t*>(known.in[0].data()), static_cast<uint32_t>(known.in[0].size())};
    std::vector<Op> ops(static_cast<size_t>(count));
    std::vector<Op*> list;
    static int told;
    told = 0;
    for (size_t i = 0; i < ops.size(); ++i) {
      ops[i].ses = session.get();
      ops[i].kind = Kind::Sign;
      ops[i].scheme = known.scheme;
      ops[i].nIn = ops[i].nOut = 1;
      ops[i].in = &in;
      ops[i].out = &outs[i];
      ops[i].done = [](Op*) { ++told; };
      list.push_back(&ops[i]);
    }
    REQUIRE(framework.dispatch(list.data(), list.size()) == list.size());
    while (framework.pending() > 0) (void)framework.poll(nullptr, 0);
    CHECK(told == count);
    for (size_t i = 0; i < ops.size(); ++i) CHECK(answersRight(known, ops[i]));
  };
  const auto opsOf = [&](uint32_t id) {
    for (const DriverInfo& info : framework.drivers())
      if (info.id == id) return info.stats.ops;
    return uint64_t{0};
  };
  const uint64_t before = opsOf(pool);
  run(SessionParams::Where::Accelerator, 5);
  CHECK(opsOf(pool) == before + 5);
  // One alone is done where it is: the way to a thread is longer than none. Of many, the pool gets its share.
  const uint64_t inlineBefore = opsOf(here);
  run(SessionParams::Where::Any, 1);
  CHECK(opsOf(here) == inlineBefore + 1);
  // How many are many is for the costs to say that were measured at attach, on a machine that was busy with whatever else.
  for (int many = 64; opsOf(pool) == before + 5 && many <= 4096; many *= 2) run(SessionParams::Where::Any, many);
  CHECK(opsOf(pool) > before + 5);
  CHECK(opsOf(here) > inlineBefore + 1);
}
