// Ciphers, MACs and chains of the software driver against libcrypto's one-shot calls, whole and scattered;
// what is refused, and that a refused op touched nothing.
#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "ocf/drivers/null.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"
#include "ocf/ocf.hpp"
#include "only.hpp"

using namespace socrypt::ocf;
using Bytes = std::vector<uint8_t>;

namespace {

const EVP_CIPHER* evpOf(AlgId id) { return EVP_get_cipherbyname(std::string(factsOf(id).name).c_str()); }
const EVP_MD* hashOf(AlgId id) {
  const std::string name(factsOf(id).name);
  return EVP_get_digestbyname(name.substr(factsOf(id).keyless ? 0 : 5).c_str());
}

Bytes encrypt(AlgId id, const Bytes& key, const uint8_t* iv, const Bytes& data) {
  Bytes out(data.size() + 16);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  int n = 0;
  EVP_EncryptInit_ex(context, evpOf(id), nullptr, key.data(), iv);
  EVP_CIPHER_CTX_set_padding(context, 0);
  EVP_EncryptUpdate(context, out.data(), &n, data.data(), static_cast<int>(data.size()));
  EVP_CIPHER_CTX_free(context);
  out.resize(data.size());
  return out;
}

Bytes authenticate(AlgId id, const Bytes& key, const Bytes& aad, const Bytes& data, size_t length) {
  Bytes all = aad, out(EVP_MAX_MD_SIZE);
  all.insert(all.end(), data.begin(), data.end());
  if (factsOf(id).keyless) EVP_Digest(all.data(), all.size(), out.data(), nullptr, hashOf(id), nullptr);
  else HMAC(hashOf(id), key.data(), static_cast<int>(key.size()), all.data(), all.size(), out.data(), nullptr);
  out.resize(length);
  return out;
}

struct Random {
  std::mt19937_64 engine;
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(engine() % n); }
  Bytes bytes(size_t n) {
    Bytes out(n);
    for (auto& b : out) b = static_cast<uint8_t>(engine());
    return out;
  }
};

// Cuts memory into up to four segments.
std::vector<Seg> cut(Bytes& memory, Random& random, bool whole) {
  std::vector<Seg> segments;
  uint32_t at = 0;
  const auto size = static_cast<uint32_t>(memory.size());
  for (int i = 0; i < 3 && !whole && at < size; ++i) {
    const uint32_t n = random.below(size - at + 1);
    segments.push_back({memory.data() + at, n});
    at += n;
  }
  segments.push_back({memory.data() + at, size - at});
  return segments;
}

struct Suite {
  AlgId cipher, mac;  // Null: none
};
constexpr Suite kSuites[] = {
    {AlgId::Aes128Cbc, AlgId::Null},       {AlgId::Aes256Cbc, AlgId::Null},       {AlgId::Aes128Ctr, AlgId::Null},
    {AlgId::Aes256Ctr, AlgId::Null},       {AlgId::TripleDesCbc, AlgId::Null},    {AlgId::HmacSha1, AlgId::Null},
    {AlgId::HmacSha256, AlgId::Null},      {AlgId::HmacSha384, AlgId::Null},      {AlgId::HmacSha512, AlgId::Null},
    {AlgId::Aes128Cbc, AlgId::HmacSha1},   {AlgId::Aes256Cbc, AlgId::HmacSha256}, {AlgId::Aes128Ctr, AlgId::HmacSha512},
    {AlgId::TripleDesCbc, AlgId::HmacSha1}, {AlgId::Sha1, AlgId::Null},           {AlgId::Sha256, AlgId::Null},
    {AlgId::Sha384, AlgId::Null},          {AlgId::Sha512, AlgId::Null},
};

// One random op of a suite, there and back, against the oracle.
void differential(Framework& framework, const Suite& suite, Random& random, bool scattered) {
  const AlgFacts& facts = factsOf(suite.cipher);
  const bool macOnly = facts.family == Family::Mac;
  const AlgId macId = macOnly ? suite.cipher : suite.mac;
  const bool tagged = macId != AlgId::Null;
  const Bytes key = random.bytes(macOnly && !facts.keyless ? 1 + random.below(200) : facts.keyBytes);
  const Bytes macKey = macOnly ? key : random.bytes(1 + random.below(200));
  Alg algs[2] = {algOf(suite.cipher, key), algOf(suite.mac, macKey)};
  const uint8_t tagLength = facts.keyless ? facts.tagBytes : tagged ? static_cast<uint8_t>(10 + random.below(factsOf(macId).tagBytes - 9U)) : 0;
  algs[macOnly ? 0 : 1].tagLen = tagLength;
  Status status = Status::Ok;
  const SessionHandle session = framework.open({.chain = {algs, suite.mac == AlgId::Null ? 1U : 2U}}, &status);
  REQUIRE(status == Status::Ok);
  const uint32_t length = random.below(200) * facts.blockBytes, skip = random.below(20), outSkip = random.below(20);
  const Bytes payload = random.bytes(length), aad = tagged ? random.bytes(random.below(30)) : Bytes();
  Bytes in = random.bytes(skip);
  in.insert(in.end(), payload.begin(), payload.end());
  Bytes out = random.bytes(outSkip + length + tagLength + random.below(9));
  Bytes aadCopy = aad, before = out;
  auto from = cut(in, random, !scattered), to = cut(out, random, !scattered);
  Op op{};
  op.ses = session.get();
  op.kind = macOnly ? Kind::Mac : tagged ? Kind::Seal : Kind::Cipher;
  for (auto& b : op.iv) b = static_cast<uint8_t>(random.below(256));
  op.in = from.data(), op.nIn = static_cast<uint16_t>(from.size());
  op.out = to.data(), op.nOut = static_cast<uint16_t>(to.size());
  op.aad = {aadCopy.data(), static_cast<uint32_t>(aadCopy.size())};
  op.skip = skip, op.len = length, op.outSkip = outSkip, op.tagAt = outSkip + length;
  CHECK(framework.call(op) == Status::Ok);
  const Bytes sealed = macOnly ? payload : encrypt(suite.cipher, key, op.iv, payload);
  Bytes expected = before;
  if (!macOnly) std::copy(sealed.begin(), sealed.end(), expected.begin() + outSkip);
  if (tagged) {
    const Bytes tag = authenticate(macId, macKey, aad, sealed, tagLength);
    std::copy(tag.begin(), tag.end(), expected.begin() + outSkip + length);
  }
  CHECK(out == expected);  // and not a byte beside it
  // Back, in place; and a forgery.
  if (macOnly) std::copy(payload.begin(), payload.end(), out.begin() + outSkip);
  op.kind = tagged ? Kind::Open : Kind::Decipher;
  op.in = op.out, op.nIn = op.nOut, op.skip = op.outSkip;
  if (tagged) {
    out[op.tagAt + random.below(tagLength)] ^= 0x10;
    Bytes forged = out;
    CHECK(framework.call(op) == Status::BadTag);
    if (!macOnly) {
      CHECK(std::all_of(out.begin() + outSkip, out.begin() + outSkip + length, [](uint8_t b) { return b == 0; }));
      std::copy(sealed.begin(), sealed.end(), out.begin() + outSkip);
    }
    std::copy(expected.begin() + op.tagAt, expected.begin() + op.tagAt + tagLength, out.begin() + op.tagAt);
  }
  CHECK(framework.call(op) == Status::Ok);
  CHECK(std::equal(payload.begin(), payload.end(), out.begin() + outSkip));
}

std::unique_ptr<Driver> onlyFamily(Family family) {
  return std::make_unique<Only>(makeSoftDriver(SoftBackend::Libcrypto), [family](const SessionParams& params) {
    return params.chain.size() == 1 && factsOf(params.chain[0].id).family == family;
  });
}

uint64_t seedOf() {
  const char* given = std::getenv("SOCRYPT_TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace

TEST_CASE("ciphers, MACs and chains are what libcrypto makes of the same") {
  Random random{std::mt19937_64(seedOf())};
  for (const auto backend : {SoftBackend::Libcrypto, SoftBackend::IpsecMb}) {
    for (const bool threaded : {false, true}) {
      auto driver = makeSoftDriver(backend);
      if (driver == nullptr) continue;
      if (threaded) driver = makeThreadDriver(std::move(driver));
      Framework framework;
      Status status = Status::Ok;
      REQUIRE(framework.attach(std::move(driver), &status) != 0);
      for (const Suite& suite : kSuites) {
        CAPTURE(factsOf(suite.cipher).name);
        for (int i = 0; i < 20; ++i) differential(framework, suite, random, i % 2 == 1);
      }
    }
  }
}

TEST_CASE("a chain that no driver has runs over two of them, with one completion") {
  Random random{std::mt19937_64(seedOf())};
  Framework framework;
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeThreadDriver(onlyFamily(Family::Cipher)), &status) != 0);
  REQUIRE(framework.attach(onlyFamily(Family::Mac), &status) != 0);
  for (const Suite& suite : kSuites) {
    if (suite.mac == AlgId::Null) continue;
    CAPTURE(factsOf(suite.cipher).name);
    for (int i = 0; i < 20; ++i) differential(framework, suite, random, i % 2 == 1);
  }
  CHECK(framework.openSessions() == 0);
  CHECK(framework.pending() == 0);
  for (const auto& info : framework.drivers()) CHECK(info.stats.ops > 100);
}

TEST_CASE("an AEAD over several segments is the one over a single piece") {
  Random random{std::mt19937_64(seedOf())};
  for (const auto backend : {SoftBackend::Libcrypto, SoftBackend::IpsecMb}) {
    Framework framework;
    Status status = Status::Ok;
    if (framework.attach(makeSoftDriver(backend), &status) == 0) continue;
    for (const AlgId id : {AlgId::Aes128Gcm, AlgId::Aes256Gcm, AlgId::ChaCha20Poly1305}) {
      for (int i = 0; i < 50; ++i) {
        const Bytes key = random.bytes(keyLength(id));
        const Alg alg = algOf(id, key);
        const SessionHandle session = framework.open({.chain = {&alg, 1}}, &status);
        const uint32_t length = random.below(5000);
        Bytes in = random.bytes(length), whole(length + 16), pieces(length + 16), back(length);
        Op op{};
        op.ses = session.get();
        op.kind = Kind::Seal;
        op.len = op.tagAt = length;
        Seg from{in.data(), length}, to{whole.data(), length + 16};
        op.in = &from, op.out = &to, op.nIn = op.nOut = 1;
        REQUIRE(framework.call(op) == Status::Ok);
        auto many = cut(in, random, false), into = cut(pieces, random, false), opened = cut(back, random, false);
        op.in = many.data(), op.nIn = static_cast<uint16_t>(many.size());
        op.out = into.data(), op.nOut = static_cast<uint16_t>(into.size());
        REQUIRE(framework.call(op) == Status::Ok);
        CHECK(pieces == whole);
        op.kind = Kind::Open;
        op.in = into.data(), op.nIn = static_cast<uint16_t>(into.size());
        op.out = opened.data(), op.nOut = static_cast<uint16_t>(opened.size());
        CHECK(framework.call(op) == Status::Ok);
        CHECK(back == in);
      }
    }
  }
}

TEST_CASE("the iv may stand in the input, or be written to the output") {
  Framework framework;
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeSoftDriver(), &status) != 0);
  const Bytes key(16, 9);
  const Alg alg = algOf(AlgId::Aes128Cbc, key);
  const SessionHandle session = framework.open({.chain = {&alg, 1}}, &status);
  Bytes in(48, 1), out(48, 2);
  Seg from{in.data(), 48}, to{out.data(), 48};
  Op op{};
  op.ses = session.get();
  op.kind = Kind::Cipher;
  op.flags = Op::IvToOutput;
  op.in = &from, op.out = &to, op.nIn = op.nOut = 1;
  op.skip = op.outSkip = 16, op.len = 32, op.ivAt = 0;
  for (uint8_t i = 0; i < 16; ++i) op.iv[i] = i;
  REQUIRE(framework.call(op) == Status::Ok);
  for (uint8_t i = 0; i < 16; ++i) CHECK(out[i] == i);
  std::swap(op.in, op.out);
  op.kind = Kind::Decipher;
  op.flags = Op::IvInInput;
  std::memset(op.iv, 0, 16);
  std::fill(in.begin(), in.end(), uint8_t{7});
  REQUIRE(framework.call(op) == Status::Ok);
  CHECK(std::equal(in.begin() + 16, in.end(), Bytes(32, 1).begin()));
  op.ivAt = 33;
  CHECK(framework.call(op) == Status::Range);
}

TEST_CASE("parameters that are wrong are told apart") {
  Framework framework;
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeThreadDriver(makeSoftDriver()), &status) != 0);
  const Bytes key(64, 3);
  const auto opened = [&](std::vector<Alg> chain) {
    const SessionHandle session = framework.open({.chain = chain}, &status);
    CHECK((session == nullptr) == (status != Status::Ok));
    return status;
  };
  const auto with = [&](AlgId id, size_t keyBytes) { return algOf(id, std::span(key).first(keyBytes)); };
  CHECK(opened({with(AlgId::Aes128Gcm, 16)}) == Status::Ok);
  CHECK(opened({with(AlgId::Aes128Gcm, 15)}) == Status::BadKey);
  CHECK(opened({with(AlgId::HmacSha1, 0)}) == Status::BadKey);
  CHECK(opened({with(static_cast<AlgId>(99), 16)}) == Status::UnknownAlg);
  CHECK(opened({with(static_cast<AlgId>(60000), 16)}) == Status::UnknownAlg);
  CHECK(opened({}) == Status::Invalid);
  Alg alg = with(AlgId::Aes128Gcm, 16);
  alg.tagLen = 15;
  CHECK(opened({alg}) == Status::BadTagLength);
  alg = with(AlgId::HmacSha1, 16);
  alg.tagLen = 21;
  CHECK(opened({alg}) == Status::BadTagLength);
  alg = with(AlgId::Aes128Cbc, 16);
  alg.ivLen = 8;
  CHECK(opened({alg}) == Status::BadIvLength);
  // Authenticate, then encrypt: no.
  CHECK(opened({with(AlgId::HmacSha1, 16), with(AlgId::Aes128Cbc, 16)}) == Status::UnknownAlg);
  CHECK(opened({algOf(AlgId::X25519)}) == Status::NoDriver);

  const Alg cbc = with(AlgId::Aes128Cbc, 16);
  const SessionHandle session = framework.open({.chain = {&cbc, 1}}, &status);
  Bytes memory(200, 0x55);
  const Bytes untouched = memory;
  const auto run = [&](Kind kind, uint32_t skip, uint32_t len, uint32_t outSkip) {
    Seg all{memory.data(), 100};
    Op op{};
    op.ses = session.get();
    op.kind = kind;
    op.in = op.out = &all, op.nIn = op.nOut = 1;
    op.skip = skip, op.len = len, op.outSkip = outSkip;
    Op* list[] = {&op};
    REQUIRE(framework.dispatch(list, 1) == 1);
    return op.status;
  };
  CHECK(run(Kind::Cipher, 0, 17, 0) == Status::BadLength);
  CHECK(run(Kind::Cipher, 90, 16, 90) == Status::Range);
  CHECK(run(Kind::Cipher, 0, 32, 16) == Status::Overlap);
  CHECK(run(Kind::Seal, 0, 32, 0) == Status::Invalid);
  CHECK(run(Kind::Sign, 0, 32, 0) == Status::Invalid);
  CHECK(memory == untouched);
  CHECK(statusName(Status::BadKey) == "BadKey");
}

TEST_CASE("null gives data back as it was") {
  Framework framework;
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeNullDriver(), &status) != 0);
  const Alg alg = algOf(AlgId::Null);
  const SessionHandle session = framework.open({.chain = {&alg, 1}}, &status);
  REQUIRE(session != nullptr);
  Bytes in(100, 4), out(100, 5);
  Seg from{in.data(), 100}, to{out.data(), 100};
  Op op{};
  op.ses = session.get();
  op.kind = Kind::Null;
  op.in = &from, op.out = &to, op.nIn = op.nOut = 1;
  op.skip = 10, op.len = 50, op.outSkip = 20;
  CHECK(framework.call(op) == Status::Ok);
  CHECK(std::count(out.begin(), out.end(), uint8_t{4}) == 50);
  CHECK(out[19] == 5);
  CHECK(out[20] == 4);
}
