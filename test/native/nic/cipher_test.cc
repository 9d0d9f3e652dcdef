// Encryption and authentication by parts, in any order, against libcrypto's one-shot AEADs.
#include <algorithm>

#include "nic/device/record_cipher.hpp"
#include "oracle.hpp"

using namespace socrypt;
using namespace oracle;

namespace {

struct Part {
  uint32_t from;
  uint32_t to;
};

// [0, length) cut at random, in random order.
std::vector<Part> shuffledParts(Random& random, uint32_t length) {
  std::vector<uint32_t> cuts{0, length};
  const size_t n = below(random, 20);
  for (size_t i = 0; i < n; ++i) cuts.push_back(static_cast<uint32_t>(below(random, length + 1)));
  std::sort(cuts.begin(), cuts.end());
  std::vector<Part> parts;
  for (size_t i = 1; i < cuts.size(); ++i)
    if (cuts[i - 1] != cuts[i]) parts.push_back({cuts[i - 1], cuts[i]});
  std::shuffle(parts.begin(), parts.end(), random);
  return parts;
}

// By parts, of which some are encrypted and added in one pass, others by themselves.
void sealShuffled(nic::CipherKernels kernels, bool aes, bool chacha) {
  CAPTURE(static_cast<int>(kernels.aes));
  CAPTURE(static_cast<int>(kernels.chacha));
  CAPTURE(static_cast<int>(kernels.poly));
  Random random(seed());
  for (const auto suite : kSuites) {
    if (!(record::factsOf(suite).alg == ocf::AlgId::ChaCha20Poly1305 ? chacha : aes)) continue;
    const auto keys = randomKeys(random, suite);
    const auto cipher = nic::RecordCipher::make(keys, kernels);
    REQUIRE(cipher != nullptr);
    const auto facts = cipher->facts();
    for (int round = 0; round < 200; ++round) {
      const size_t length = round < 40 ? static_cast<size_t>(round) : below(random, (1u << 14) + 1);
      const uint64_t number = random() >> below(random, 64);
      const uint8_t type = 21 + static_cast<uint8_t>(below(random, 3));
      const Framed framed = frame(keys, number, type, randomBytes(random, length));
      const nic::RecordShape shape{number, static_cast<uint32_t>(framed.plain.size() - 16 - facts.framing.before),
                                   static_cast<record::ContentType>(type)};
      Bytes out = framed.plain;
      Bytes before(nic::kMaxBefore);
      before.resize(cipher->writeBefore(shape, before.data()));
      CHECK(std::equal(before.begin(), before.end(), framed.sealed.begin()));
      const std::span<uint8_t> text(out.data() + facts.framing.before, shape.textLength);
      nic::RecordSum sum;
      for (const Part part : shuffledParts(random, shape.textLength)) {
        const auto piece = text.subspan(part.from, part.to - part.from);
        if (random() % 2 == 0) {
          REQUIRE(cipher->seal(sum, shape, part.from, piece));
        } else {
          REQUIRE(cipher->crypt(shape, part.from, piece));
          REQUIRE(cipher->add(sum, shape, part.from, piece));
        }
      }
      REQUIRE(cipher->tag(sum, shape, std::span<uint8_t, 16>(out.data() + out.size() - 16, 16)));
      REQUIRE(out == framed.sealed);
    }
  }
}

}  // namespace

TEST_CASE("a record sealed in shuffled parts equals one sealed at once, with every AES kernel of this processor") {
  for (const auto kernel : {nic::AesKernel::None, nic::AesKernel::Narrow, nic::AesKernel::Wide}) {
    if (nic::hasAesKernel(kernel) || kernel == nic::AesKernel::None) {
      sealShuffled({.aes = kernel}, true, false);
    } else {
      MESSAGE("this processor lacks AES kernel ", static_cast<int>(kernel));
    }
  }
}

TEST_CASE("the same with every ChaCha20 and Poly1305 kernel of this processor") {
  const nic::CipherKernels kKernels[] = {{.chacha = nic::ChaChaKernel::Portable, .poly = nic::PolyKernel::Portable},
                                         {.chacha = nic::ChaChaKernel::Narrow, .poly = nic::PolyKernel::Narrow},
                                         {.chacha = nic::ChaChaKernel::Wide, .poly = nic::PolyKernel::Wide}};
  for (const auto kernels : kKernels) {
    if (nic::hasChaChaKernel(kernels.chacha) && nic::hasPolyKernel(kernels.poly)) {
      sealShuffled(kernels, false, true);
    } else {
      MESSAGE("this processor lacks kernel ", static_cast<int>(kernels.chacha), " of ChaCha20 or Poly1305");
    }
  }
}

TEST_CASE("all GHASH kernels of this processor agree") {
  Random random(seed() + 1);
  const Bytes h = randomBytes(random, 16);
  const nic::GhashKey portable(h.data(), nic::GhashKernel::Portable);
  for (const auto kernel : {nic::GhashKernel::Clmul, nic::GhashKernel::WideClmul}) {
    if (!nic::hasGhashKernel(kernel)) {
      MESSAGE("this processor lacks kernel ", static_cast<int>(kernel));
      continue;
    }
    const nic::GhashKey key(h.data(), kernel);
    for (int round = 0; round < 2000; ++round) {
      const Bytes data = randomBytes(random, 1 + below(random, round % 10 == 0 ? 16640 : 700));
      const size_t lead = below(random, 16);
      const size_t blocks = (lead + data.size() + 15) / 16;
      const size_t power = 1 + below(random, nic::GhashKey::kMaxPower - std::min(blocks, nic::GhashKey::kMaxPower - 1));
      const auto a = portable.share(data.data(), data.size(), lead, power);
      const auto b = key.share(data.data(), data.size(), lead, power);
      REQUIRE(a.low == b.low);
      REQUIRE(a.high == b.high);
    }
  }
}

TEST_CASE("GHASH of NIST's test case 2 (SP 800-38D; McGrew and Viega, appendix B)") {
  const uint8_t h[16] = {0x66, 0xe9, 0x4b, 0xd4, 0xef, 0x8a, 0x2c, 0x3b, 0x88, 0x4c, 0xfa, 0x59, 0xca, 0x34, 0x2b, 0x2e};
  const uint8_t blocks[32] = {0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92, 0xf3, 0x28, 0xc2, 0xb9, 0x71, 0xb2, 0xfe, 0x78,
                              0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x80};
  const uint8_t expected[16] = {0xf3, 0x8c, 0xbb, 0x1a, 0xd6, 0x92, 0x23, 0xdc, 0xc3, 0x45, 0x7a, 0xe5, 0xb6, 0xb0, 0xf8, 0x85};
  for (const auto kernel : {nic::GhashKernel::Portable, nic::GhashKernel::Clmul, nic::GhashKernel::WideClmul}) {
    if (!nic::hasGhashKernel(kernel)) continue;
    const nic::GhashKey key(h, kernel);
    uint8_t hash[16];
    nic::GhashKey::store(key.share(blocks, 32, 0, 1), hash);
    CHECK(std::equal(hash, hash + 16, expected));
  }
}
