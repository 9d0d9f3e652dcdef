#include <doctest/doctest.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "ocf/crypto_device.hpp"
#include "ocf/drivers/dpdk.hpp"
#include "ocf/drivers/soft.hpp"

using namespace socrypt::ocf;

namespace {

using Buffer = std::vector<uint8_t>;

// A framework with one driver, whose known-answer tests it has passed.
struct Single {
  Framework framework;
  std::unique_ptr<CryptoDevice> device;
  std::string why;
  explicit Single(std::unique_ptr<Driver> driver) {
    Status status = Status::Ok;
    if (driver != nullptr && framework.attach(std::move(driver), &status) != 0) device = std::make_unique<CryptoDevice>(framework, true);
    else why += " " + std::string(statusName(status));
  }
  // 0: the driver does not have it.
  [[nodiscard]] uint32_t open(AlgId id, const Buffer& key) const {
    const Alg alg = algOf(id, key);
    uint32_t session = 0;
    return device->openSession({.chain = {&alg, 1}}, session) == Status::Ok ? session : 0;
  }
};

std::unique_ptr<Driver> dpdk(const char* name) {
  std::string why;
  auto driver = makeDpdkDriver(name, why);
  REQUIRE_MESSAGE(driver != nullptr, why);
  return driver;
}

constexpr AlgId kAlgs[] = {AlgId::Aes128Gcm, AlgId::Aes256Gcm, AlgId::ChaCha20Poly1305, AlgId::Aes128Cbc, AlgId::Aes256Cbc, AlgId::Aes128Ctr, AlgId::Aes256Ctr};

// Random ops with the soft driver's answers beside. Returns how many algorithms were compared.
int compare(const Single& ours, uint32_t seed, size_t rounds) {
  const Single oracle(makeSoftDriver());
  std::mt19937 random(seed);
  const auto bytes = [&](size_t n) {
    Buffer out(n);
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(random());
    return out;
  };
  int compared = 0;
  for (const AlgId id : kAlgs) {
    const AlgFacts& facts = factsOf(id);
    const Buffer key = bytes(facts.keyBytes);
    const uint32_t mine = ours.open(id, key), theirs = oracle.open(id, key);
    if (mine == 0 || theirs == 0) continue;
    ++compared;
    CAPTURE(facts.name);
    const bool aead = facts.family == Family::Aead;
    constexpr size_t kAads[] = {0, 5, 13, 5, 13, 20, 64, 1};
    for (size_t round = 0; round < rounds; ++round) {
      size_t length = round % 3 == 0 ? random() % 65 : random() % 17'000;
      if (!aead) length = (length / 16 + 1) * 16;
      const Buffer plain = bytes(length), aad = bytes(aead ? kAads[random() % std::size(kAads)] : 0);
      Buffer a(length), b(length), tagA(16), tagB(16);
      CryptOp op;
      op.kind = aead ? Kind::Seal : Kind::Cipher;
      op.ivLength = facts.ivBytes;
      const Buffer iv = bytes(16);
      std::memcpy(op.iv, iv.data(), 16);
      op.length = static_cast<uint32_t>(length);
      op.aad = aad;
      const bool inPlace = round % 2 != 0;
      CryptOp other = op;
      if (inPlace) a = b = plain;
      // The tag behind the payload, as in a record.
      a.resize(length + 16);
      op.session = mine, op.source = inPlace ? a.data() : plain.data(), op.destination = a.data(), op.mac = a.data() + length;
      other.session = theirs, other.source = inPlace ? b.data() : plain.data(), other.destination = b.data(), other.mac = tagB.data();
      CHECK(ours.device->crypt(op) == Status::Ok);
      CHECK(oracle.device->crypt(other) == Status::Ok);
      // Not memcmp: nothing at all has no address, which it may not be given.
      CHECK(std::equal(b.begin(), b.end(), a.begin()));
      if (aead) CHECK(std::equal(tagB.begin(), tagB.end(), a.end() - 16));
      // And back, in place; then with a bit turned over.
      op.kind = aead ? Kind::Open : Kind::Decipher;
      op.source = a.data();
      const Buffer sealed = a;
      CHECK(ours.device->crypt(op) == Status::Ok);
      CHECK(std::equal(plain.begin(), plain.end(), a.begin()));
      if (!aead) continue;
      a = sealed;
      op.source = op.destination = a.data();
      op.mac = a.data() + length;
      a[random() % a.size()] ^= 4;
      CHECK(ours.device->crypt(op) == Status::BadTag);
      CHECK(std::all_of(a.begin(), a.begin() + static_cast<ptrdiff_t>(length), [](uint8_t x) { return x == 0; }));
    }
  }
  return compared;
}

}  // namespace

TEST_CASE("virtual devices answer as the software driver does") {
  const uint32_t seed = std::random_device{}();
  CAPTURE(seed);
  struct Case {
    const char* device;
    int algorithms;
  };
  for (const Case& each : {Case{"crypto_aesni_gcm", 2}, Case{"crypto_aesni_mb", 3}, Case{"crypto_openssl", 2},
                           Case{"crypto_scheduler,worker=crypto_aesni_gcm1,worker=crypto_aesni_gcm2,mode=round-robin", 2}}) {
    CAPTURE(each.device);
    const Single ours(dpdk(each.device));
    REQUIRE_MESSAGE(ours.device != nullptr, ours.why);
    CHECK(compare(ours, seed, 40) >= each.algorithms);
  }
}

TEST_CASE("longer than the device takes: ciphers in pieces, AEADs not at all, and what is wrong touches nothing") {
  const Single ours(dpdk("crypto_aesni_mb"));
  REQUIRE_MESSAGE(ours.device != nullptr, ours.why);
  const Buffer key(16, 1);
  Buffer data(300'000, 2);
  const Buffer before = data;
  Buffer tag(16);
  CryptOp op;
  op.session = ours.open(AlgId::Aes128Gcm, key);
  op.kind = Kind::Seal;
  op.ivLength = 12;
  op.source = op.destination = data.data();
  op.length = static_cast<uint32_t>(data.size());
  op.mac = tag.data();
  CHECK(ours.device->crypt(op) == Status::TooBig);
  CHECK(data == before);
  op.session = ours.open(AlgId::Aes128Cbc, key);
  if (op.session == 0) return;
  op.kind = Kind::Cipher;
  op.ivLength = 16;
  CHECK(ours.device->crypt(op) == Status::Ok);
  CHECK(data != before);
  // A chain that was cut would show: equal blocks of input give equal blocks of output only where it begins anew.
  for (size_t at = 65'520; at + 16 < data.size(); at += 16) REQUIRE(std::memcmp(data.data(), data.data() + at, 16) != 0);
  op.kind = Kind::Decipher;
  CHECK(ours.device->crypt(op) == Status::Ok);
  CHECK(data == before);
}

TEST_CASE("null gives the data back") {
  const Single ours(dpdk("crypto_null"));
  REQUIRE_MESSAGE(ours.device != nullptr, ours.why);
  const uint32_t session = ours.open(AlgId::Null, {});
  REQUIRE(session != 0);
  Buffer in(1000, 3), out(1000);
  CryptOp op;
  op.session = session;
  op.kind = Kind::Null;
  op.source = in.data();
  op.destination = out.data();
  op.length = 1000;
  CHECK(ours.device->crypt(op) == Status::Ok);
  CHECK(out == in);
}

TEST_CASE("many in flight over a queue pair: each comes back once, right") {
  const Single ours(dpdk("crypto_openssl"));
  REQUIRE_MESSAGE(ours.device != nullptr, ours.why);
  const Buffer key(16, 1);
  const uint32_t session = ours.open(AlgId::Aes128Gcm, key);
  REQUIRE(session != 0);
  constexpr size_t kOps = 200;
  std::vector<Buffer> buffers(kOps, Buffer(1040, 9));
  std::vector<CryptOp> ops(kOps);
  std::vector<CryptOp*> list;
  for (size_t i = 0; i < kOps; ++i) {
    ops[i].session = session;
    ops[i].kind = Kind::Seal;
    ops[i].ivLength = 12;
    ops[i].iv[0] = static_cast<uint8_t>(i);
    ops[i].source = ops[i].destination = buffers[i].data();
    ops[i].length = 1024;
    ops[i].mac = buffers[i].data() + 1024;
    list.push_back(&ops[i]);
  }
  REQUIRE(ours.device->submit(list.data(), kOps) == kOps);
  std::vector<int> seen(kOps);
  for (CryptOp* done[32]; ours.device->pending() != 0;) {
    const size_t n = ours.device->fetch(done, 32);
    for (size_t i = 0; i < n; ++i) ++seen[static_cast<size_t>(done[i] - ops.data())];
  }
  CHECK(seen == std::vector<int>(kOps, 1));
  for (CryptOp& op : ops) {
    CHECK(op.status == Status::Ok);
    op.kind = Kind::Open;
    CHECK(ours.device->crypt(op) == Status::Ok);
  }
}

TEST_CASE("one EAL, a queue pair per framework, and threads keep their processors") {
  cpu_set_t before, after;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  std::vector<std::thread> threads;
  std::vector<int> results(3);
  for (size_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (int round = 0; round < 3; ++round) {
        std::string why;
        const Single ours(makeDpdkDriver("crypto_aesni_mb", why));
        if (ours.device != nullptr) results[t] += compare(ours, static_cast<uint32_t>(t * 10 + 1), 3);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const int result : results) CHECK(result >= 9);
  REQUIRE(sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&before, &after));
}

TEST_CASE("what is not there is named") {
  std::string why;
  CHECK(makeDpdkDriver("", why) == nullptr);
  CHECK(why.find("crypto_aesni_gcm") != std::string::npos);
  CHECK(makeDpdkDriver("crypto_flux", why) == nullptr);
  CHECK(why.find("crypto_flux") != std::string::npos);
}
