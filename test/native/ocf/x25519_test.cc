// Our X25519 against RFC 7748 and libcrypto's; Wycheproof's vectors go through it in wycheproof_test.cc.
#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <array>
#include <memory>
#include <random>
#include <string_view>

#include "ocf/field25519.hpp"
#include "ocf/x25519.hpp"
#include "ocf/x25519_ladder.hpp"

namespace x25519 = socrypt::x25519;
namespace field = socrypt::field25519;

namespace {

using Bytes32 = std::array<uint8_t, 32>;

Bytes32 hex(std::string_view text) {
  Bytes32 out{};
  const auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
  return out;
}

struct Free {
  void operator()(EVP_PKEY* p) const noexcept { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const noexcept { EVP_PKEY_CTX_free(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;

struct Oracle {
  Bytes32 share{}, shared{};
  bool good = false;
  Oracle(const Bytes32& secret, const Bytes32& peer) {
    const Key own(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size()));
    const Key other(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer.data(), peer.size()));
    size_t length = share.size();
    REQUIRE(EVP_PKEY_get_raw_public_key(own.get(), share.data(), &length) == 1);
    const std::unique_ptr<EVP_PKEY_CTX, Free> context(EVP_PKEY_CTX_new(own.get(), nullptr));
    REQUIRE(EVP_PKEY_derive_init(context.get()) == 1);
    REQUIRE(EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1);
    good = EVP_PKEY_derive(context.get(), shared.data(), &length) == 1;
  }
};

void agrees(const Bytes32& secret, const Bytes32& peer) {
  const Oracle expected(secret, peer);
  Bytes32 share{}, shared{}, again{};
  x25519::publicKey(secret, share);
  CHECK(share == expected.share);
  REQUIRE(x25519::agree(secret, peer, shared) == expected.good);
  if (expected.good) CHECK(shared == expected.shared);
  shared = {};
  REQUIRE(x25519::keyShare(secret, peer, again, shared) == expected.good);
  CHECK(again == (expected.good ? expected.share : Bytes32{}));
  CHECK(shared == (expected.good ? expected.shared : Bytes32{}));
}

}  // namespace

TEST_CASE("x25519: RFC 7748 5.2") {
  Bytes32 out{};
  CHECK(x25519::agree(hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                      hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"), out));
  CHECK(out == hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
  CHECK(x25519::agree(hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                      hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"), out));
  CHECK(out == hex("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"));

  Bytes32 k = hex("0900000000000000000000000000000000000000000000000000000000000000"), u = k;
  for (int i = 1; i <= 1000; ++i) {
    REQUIRE(x25519::agree(k, u, out));
    u = k;
    k = out;
    if (i == 1) CHECK(k == hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
  }
  CHECK(k == hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

TEST_CASE("x25519: RFC 7748 6.1") {
  const Bytes32 bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  Bytes32 share{}, shared{};
  x25519::publicKey(bob, share);
  CHECK(share == hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
  CHECK(x25519::keyShare(bob, hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"), share, shared));
  CHECK(shared == hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
}

TEST_CASE("x25519: scalars at the ends of a digit, and shares at the ends of the field, as libcrypto has them") {
  std::array<Bytes32, 8> secrets{}, peers{};
  secrets[1].fill(0xff);
  secrets[2].fill(0x88);  // every digit carries
  secrets[3].fill(0x77);  // none does
  secrets[4].fill(0x80);
  secrets[5].fill(0x08);
  secrets[6][0] = 8;
  secrets[7].fill(0xf7);
  peers[0][0] = 9;
  peers[1].fill(0xff);                      // above p, highest bit set
  peers[2] = hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");  // p: 0
  peers[3] = hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");  // p - 1: low order
  peers[4][0] = 1;                          // low order
  peers[5] = hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");  // low order
  peers[6] = hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");  // p + 1: 1
  peers[7][31] = 0x80;                      // 0 with the highest bit set
  for (const auto& secret : secrets)
    for (const auto& peer : peers) agrees(secret, peer);
}

TEST_CASE("x25519: random keys, as libcrypto has them") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto draw = [&] {
    Bytes32 out;
    for (auto& byte : out) byte = static_cast<uint8_t>(random());
    return out;
  };
  for (int i = 0; i < 2000; ++i) agrees(draw(), draw());
}

TEST_CASE("field25519: values with a representation of their own at every limb are stored reduced") {
  // p - 1 + n for n around the reduction, built limb by limb and unreduced.
  for (uint64_t n = 0; n < 40; ++n) {
    field::Element x{{field::kMask - 19 + n, field::kMask, field::kMask, field::kMask, field::kMask}};
    Bytes32 out{};
    field::store(x, out);
    // kMask - 19 in the lowest limb is p - 1.
    Bytes32 expected{};
    if (n == 0) {
      expected.fill(0xff);
      expected[0] = 0xec;
      expected[31] = 0x7f;
    } else {
      expected[0] = static_cast<uint8_t>(n - 1);
    }
    CHECK(out == expected);
  }
  // Limbs at the upper bound of a factor: x * 1 by a product equals x stored by itself.
  field::Element x;
  for (auto& limb : x.limb) limb = (uint64_t{1} << 54) - 1;
  Bytes32 direct{}, multiplied{}, squared{}, both{};
  field::store(x, direct);
  field::store(field::multiply(x, field::kOne), multiplied);
  CHECK(direct == multiplied);
  field::store(field::square(x), squared);
  field::store(field::multiply(x, x), both);
  CHECK(squared == both);
}

TEST_CASE("x25519: both ladders, the portable one and that of AVX-512 IFMA, come to the same point") {
  if (!x25519::haveIfma()) {
    MESSAGE("this CPU has no AVX-512 IFMA; only the portable ladder is there");
    return;
  }
  const auto affine = [](const x25519::Fraction& point) {
    Bytes32 out{};
    field::store(field::multiply(point.x, field::invert(point.z)), out);
    return out;
  };
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto bytes = [&](int kind) {
    Bytes32 out{};
    for (auto& byte : out) byte = kind == 0 ? static_cast<uint8_t>(random()) : kind == 1 ? 0xff : 0;
    // Few or many ones, so that limbs are at their ends.
    if (kind != 0) out[random() % 32] ^= static_cast<uint8_t>(random());
    return out;
  };
  for (int i = 0; i < 3000; ++i) {
    Bytes32 scalar = bytes(static_cast<int>(random() % 3));
    scalar[0] &= 248;
    scalar[31] = static_cast<uint8_t>((scalar[31] & 127) | 64);
    const Bytes32 peer = bytes(static_cast<int>(random() % 3));
    REQUIRE(affine(x25519::ladderIfma(scalar, peer)) == affine(x25519::ladderPortable(scalar, peer)));
  }
}
