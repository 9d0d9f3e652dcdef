// /dev/crypto against libcrypto's one-shots: who may use a session, what is refused, what is cut into pieces.
#include "ocf/crypto_device.hpp"

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "ocf/drivers/soft.hpp"

using namespace socrypt::ocf;

namespace {

using Buffer = std::vector<uint8_t>;

Buffer randomBytes(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  Buffer out(n);
  for (uint8_t& byte : out) byte = static_cast<uint8_t>(random());
  return out;
}

// libcrypto's word: no driver of ours is in it.
Buffer oracle(const char* name, bool encrypt, const Buffer& key, const uint8_t* iv, const Buffer& in) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  Buffer out(in.size() + 16);
  int n = 0;
  REQUIRE(EVP_CipherInit_ex(context.get(), EVP_get_cipherbyname(name), nullptr, key.data(), iv, encrypt ? 1 : 0) == 1);
  EVP_CIPHER_CTX_set_padding(context.get(), 0);
  REQUIRE(EVP_CipherUpdate(context.get(), out.data(), &n, in.data(), static_cast<int>(in.size())) == 1);
  out.resize(static_cast<size_t>(n));
  return out;
}

// A card with the limit of its time. libcrypto does its ciphers.
class Chip final : public Driver {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "chip"; }
  [[nodiscard]] const Caps& caps() const noexcept override { return kCaps; }
  [[nodiscard]] int probe(const SessionParams& params, Cost&) const noexcept override {
    return params.chain.size() == 1 && (params.chain[0].id == AlgId::Null || cipherOf(params.chain[0].id) != nullptr) ? 400 : -EOPNOTSUPP;
  }
  [[nodiscard]] size_t sessionBytes(const SessionParams&) const noexcept override { return 32; }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override {
    std::memcpy(priv.data(), params.chain[0].key.data(), std::min(priv.size(), params.chain[0].key.size()));
    return Status::Ok;
  }
  void freeSession(std::span<std::byte>) noexcept override {}
  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    for (size_t i = 0; i < n; ++i) {
      Op& op = *ops[i];
      const uint8_t* from = op.in->p + op.skip;
      uint8_t* to = op.out->p + op.outSkip;
      longest = std::max(longest, op.len);
      op.status = Status::Ok;
      if (op.kind == Kind::Null) {
        std::memmove(to, from, op.len);
        continue;
      }
      EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
      int done = 0;
      EVP_CipherInit_ex(context, cipherOf(op.ses->alg()), nullptr, reinterpret_cast<const uint8_t*>(op.fw.priv), op.iv, op.kind == Kind::Cipher ? 1 : 0);
      EVP_CIPHER_CTX_set_padding(context, 0);
      EVP_CipherUpdate(context, to, &done, from, static_cast<int>(op.len));
      EVP_CIPHER_CTX_free(context);
    }
    return n;
  }
  inline static uint32_t longest = 0;

 private:
  static const EVP_CIPHER* cipherOf(AlgId id) noexcept {
    return id == AlgId::Aes128Cbc ? EVP_aes_128_cbc() : id == AlgId::Aes128Ctr ? EVP_aes_128_ctr() : nullptr;
  }
  static constexpr Caps kCaps{.flags = Caps::Hardware | Caps::Sync | Caps::Ordered | Caps::OutOfPlace, .maxLen = CryptoDevice::kMaxPiece};
};

struct Bench {
  Framework framework;
  Bench() {
    Status status = Status::Ok;
    REQUIRE(framework.attach(makeSoftDriver(), &status) != 0);
    REQUIRE(framework.attach(std::make_unique<Chip>(), &status) != 0);
  }
  static uint32_t tryOpen(CryptoDevice& device, AlgId id, const Buffer& key) {
    const Alg alg = algOf(id, key);
    uint32_t session = 0;
    return device.openSession({.chain = {&alg, 1}}, session) == Status::Ok ? session : 0;
  }
  static uint32_t open(CryptoDevice& device, AlgId id, const Buffer& key) {
    const uint32_t session = tryOpen(device, id, key);
    REQUIRE(session != 0);
    return session;
  }
};

CryptOp sealOp(uint32_t session, const Buffer& in, Buffer& out, Buffer& tag) {
  CryptOp op;
  op.session = session;
  op.kind = Kind::Seal;
  op.ivLength = 12;
  std::memcpy(op.iv, "twelve bytes", 12);
  op.source = in.data();
  op.destination = out.data();
  op.length = static_cast<uint32_t>(in.size());
  op.mac = tag.data();
  return op;
}

}  // namespace

TEST_CASE("only software could serve: EINVAL, unless software is allowed") {
  const Bench bench;
  auto& framework = const_cast<Framework&>(bench.framework);
  const Buffer key = randomBytes(16, 1);
  const Alg alg = algOf(AlgId::Aes128Gcm, key);
  uint32_t session = 0;
  CryptoDevice hardware(framework);
  CHECK(hardware.openSession({.chain = {&alg, 1}}, session) == Status::Invalid);
  CHECK(hardware.openSession({.chain = {&alg, 1}, .where = SessionParams::Where::Software}, session) == Status::Invalid);
  const Alg null = algOf(AlgId::Null);
  CHECK(hardware.openSession({.chain = {&null, 1}}, session) == Status::Ok);
  CHECK(hardware.closeSession(session) == Status::Ok);
  CHECK(hardware.openSessions() == 0);
  CryptoDevice software(framework, true);
  CHECK(software.openSession({.chain = {&alg, 1}}, session) == Status::Ok);
  CHECK(software.openSessions() == 1);
  CHECK(software.closeSession(session) == Status::Ok);
  CHECK(framework.openSessions() == 0);
}

TEST_CASE("a driver is found by its name") {
  Bench bench;
  const CryptoDevice device(bench.framework, true);
  uint32_t id = 0;
  CHECK(device.find(bench.framework.drivers()[0].name, id) == Status::Ok);
  CHECK(id == bench.framework.drivers()[0].id);
  CHECK(device.find("hifn0", id) == Status::NoDriver);
}

TEST_CASE("sessions are their handle's, end with it, and are counted") {
  Bench bench;
  const Buffer key = randomBytes(16, 2), in = randomBytes(64, 3);
  Buffer out(64), tag(16);
  auto mine = std::make_unique<CryptoDevice>(bench.framework, true, CryptoDevice::Limits{.sessions = 2, .pending = 4});
  CryptoDevice other(bench.framework, true);
  const uint32_t session = Bench::open(*mine, AlgId::Aes128Gcm, key);
  CryptOp op = sealOp(session, in, out, tag);
  CHECK(mine->crypt(op) == Status::Ok);
  const Buffer before = out;
  std::fill(out.begin(), out.end(), uint8_t{7});
  const Buffer sevens = out;
  CHECK(other.crypt(op) == Status::Foreign);
  CHECK(other.closeSession(session) == Status::Foreign);
  CHECK(mine->closeSession(session) == Status::Ok);
  CHECK(mine->crypt(op) == Status::Closed);
  CHECK(mine->closeSession(session) == Status::Closed);
  CHECK(out == sevens);
  (void)Bench::open(*mine, AlgId::Aes128Gcm, key);
  (void)Bench::open(*mine, AlgId::Aes128Gcm, key);
  const Alg alg = algOf(AlgId::Aes128Gcm, key);
  uint32_t third = 0;
  CHECK(mine->openSession({.chain = {&alg, 1}}, third) == Status::Full);
  CHECK(bench.framework.openSessions() == 2);
  mine.reset();
  CHECK(bench.framework.openSessions() == 0);
}

TEST_CASE("wrong parameters get their own error and touch nothing") {
  Bench bench;
  CryptoDevice device(bench.framework, true);
  const Buffer key = randomBytes(16, 4);
  Buffer memory = randomBytes(256, 5), tag(16, 9);
  const Buffer before = memory;
  const uint32_t gcm = Bench::open(device, AlgId::Aes128Gcm, key);
  const uint32_t cbc = Bench::tryOpen(device, AlgId::Aes128Cbc, key);
  CryptOp op;
  const auto reset = [&](uint32_t session, Kind kind) {
    op = {};
    op.session = session;
    op.kind = kind;
    op.ivLength = kind == Kind::Cipher ? 16 : 12;
    op.source = op.destination = memory.data();
    op.length = 64;
    op.mac = tag.data();
  };
  SUBCASE("length") {
    if (cbc == 0) {
      MESSAGE("no known answer for CBC: no driver may offer it");
      return;
    }
    reset(cbc, Kind::Cipher);
    op.length = 63;
    CHECK(device.crypt(op) == Status::BadLength);
    op.length = CryptoDevice::kMaxPiece + 1;  // before the first piece, not after the last whole one
    Buffer large(op.length);
    op.source = op.destination = large.data();
    CHECK(device.crypt(op) == Status::BadLength);
    CHECK(large == Buffer(large.size()));
  }
  SUBCASE("overlap") {
    reset(gcm, Kind::Seal);
    op.destination = memory.data() + 16;
    CHECK(device.crypt(op) == Status::Overlap);
    reset(gcm, Kind::Seal);
    op.mac = memory.data() + 60;
    CHECK(device.crypt(op) == Status::Overlap);
    reset(gcm, Kind::Seal);
    op.aad = std::span<const uint8_t>(memory).subspan(32, 8);
    CHECK(device.crypt(op) == Status::Overlap);
  }
  SUBCASE("iv, tag, memory, kind") {
    reset(gcm, Kind::Seal);
    op.ivLength = 16;
    CHECK(device.crypt(op) == Status::BadIvLength);
    reset(gcm, Kind::Seal);
    op.mac = nullptr;
    CHECK(device.crypt(op) == Status::Range);
    reset(gcm, Kind::Seal);
    op.source = nullptr;
    CHECK(device.crypt(op) == Status::Range);
    reset(gcm, Kind::Cipher);
    op.ivLength = 12;
    CHECK(device.crypt(op) == Status::Invalid);
  }
  SUBCASE("keys") {
    uint32_t session = 0;
    const Buffer shortKey(15);
    Alg alg = algOf(AlgId::Aes128Gcm, shortKey);
    CHECK(device.openSession({.chain = {&alg, 1}}, session) == Status::BadKey);
    alg = algOf(AlgId::Aes128Gcm, key);
    alg.tagLen = 3;
    CHECK(device.openSession({.chain = {&alg, 1}}, session) == Status::BadTagLength);
    alg = algOf(static_cast<AlgId>(999), key);
    CHECK(device.openSession({.chain = {&alg, 1}}, session) == Status::UnknownAlg);
  }
  CHECK(memory == before);
  CHECK(tag == Buffer(16, 9));
}

TEST_CASE("ciphers longer than a chip's 262,140 bytes are done in pieces, in place and not, both ways") {
  Bench bench;
  CryptoDevice device(bench.framework, true);
  const Buffer key = randomBytes(16, 6);
  struct Case {
    AlgId alg;
    const char* name;
    size_t bytes;
  };
  for (const Case& each : {Case{AlgId::Aes128Cbc, "AES-128-CBC", 3 * 262'144 + 32}, Case{AlgId::Aes128Ctr, "AES-128-CTR", 600'001},
                           Case{AlgId::Aes128Cbc, "AES-128-CBC", 262'128}, Case{AlgId::Aes128Cbc, "AES-128-CBC", 262'144}}) {
    CAPTURE(each.name);
    CAPTURE(each.bytes);
    const Buffer plain = randomBytes(each.bytes, static_cast<uint32_t>(each.bytes));
    CryptOp op;
    op.session = Bench::tryOpen(device, each.alg, key);
    if (op.session == 0) {
      MESSAGE("no known answer for this cipher: no driver may offer it");
      continue;
    }
    op.kind = Kind::Cipher;
    op.ivLength = 16;
    std::memset(op.iv, 0xff, 16);  // CTR: the counter runs over in the first block
    const Buffer expected = oracle(each.name, true, key, op.iv, plain);
    Buffer out(each.bytes), inPlace = plain;
    op.length = static_cast<uint32_t>(each.bytes);
    op.source = plain.data();
    op.destination = out.data();
    CHECK(device.crypt(op) == Status::Ok);
    CHECK(out == expected);
    op.source = op.destination = inPlace.data();
    CHECK(device.crypt(op) == Status::Ok);
    CHECK(inPlace == expected);
    op.kind = Kind::Decipher;
    CHECK(device.crypt(op) == Status::Ok);
    CHECK(inPlace == plain);
    // The same by submit() and fetch().
    op.source = out.data();
    CryptOp* list[] = {&op};
    REQUIRE(device.submit(list, 1) == 1);
    CryptOp* done[1];
    while (device.fetch(done, 1) == 0) {
    }
    CHECK(done[0] == &op);
    CHECK(op.status == Status::Ok);
    CHECK(inPlace == plain);
  }
}

TEST_CASE("the card never sees more than it takes") {
  Bench bench;
  CryptoDevice device(bench.framework);  // the card alone
  const Buffer in = randomBytes(1'000'000, 9);
  Buffer out(in.size());
  CryptOp op;
  op.session = Bench::open(device, AlgId::Null, {});
  op.source = in.data();
  op.destination = out.data();
  op.length = static_cast<uint32_t>(in.size());
  CHECK(device.crypt(op) == Status::Ok);
  CHECK(out == in);
  CHECK(Chip::longest == CryptoDevice::kMaxPiece / 16 * 16);
  CHECK(Chip::longest <= CryptoDevice::kMaxPiece);
}

TEST_CASE("several ops pending: a prefix is taken, each comes back once, with its own outcome") {
  Bench bench;
  CryptoDevice device(bench.framework, true, {.sessions = 4, .pending = 8});
  const Buffer key = randomBytes(16, 7), in = randomBytes(100, 8);
  const uint32_t session = Bench::open(device, AlgId::Aes128Gcm, key);
  std::vector<Buffer> outs(10, Buffer(100)), tags(10, Buffer(16));
  std::vector<CryptOp> ops;
  for (size_t i = 0; i < 10; ++i) {
    ops.push_back(sealOp(session, in, outs[i], tags[i]));
    ops.back().iv[0] = static_cast<uint8_t>(i);
  }
  ops[3].session = session + 1;
  std::vector<CryptOp*> list;
  for (CryptOp& op : ops) list.push_back(&op);
  CHECK(device.submit(list.data(), 10) == 8);
  CHECK(device.pending() == 8);
  CHECK(device.submit(list.data() + 8, 2) == 0);
  std::vector<int> seen(10);
  CryptOp* done[3];
  for (size_t n; (n = device.fetch(done, 3)) != 0;)
    for (size_t i = 0; i < n; ++i) ++seen[static_cast<size_t>(done[i] - ops.data())];
  CHECK(seen == std::vector<int>{1, 1, 1, 1, 1, 1, 1, 1, 0, 0});
  CHECK(ops[3].status == Status::Closed);
  CHECK(device.pending() == 0);
  CHECK(device.submit(list.data() + 8, 2) == 2);
  while (device.pending() != 0) (void)device.fetch(done, 3);
  for (size_t i = 0; i < 10; ++i) {
    if (i == 3) continue;
    CHECK(ops[i].status == Status::Ok);
    CryptOp open = ops[i];
    Buffer plain(100);
    open.kind = Kind::Open;
    open.source = outs[i].data();
    open.destination = plain.data();
    CHECK(device.crypt(open) == Status::Ok);
    CHECK(plain == in);
    tags[i][5] ^= 1;
    CHECK(device.crypt(open) == Status::BadTag);
    CHECK(plain == Buffer(100));
  }
}
