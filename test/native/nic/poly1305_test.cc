// Poly1305 by shares, against RFC 8439 and libcrypto.
#include <openssl/evp.h>

#include <algorithm>

#include "nic/device/poly1305.hpp"
#include "oracle.hpp"

using namespace socrypt;
using namespace oracle;

namespace {

constexpr nic::PolyKernel kKernels[] = {nic::PolyKernel::Portable, nic::PolyKernel::Narrow, nic::PolyKernel::Wide};

template <class Test>
void withEachKernel(const Test& test) {
  for (const auto kernel : kKernels) {
    if (!nic::hasPolyKernel(kernel)) {
      MESSAGE("this processor lacks Poly1305 kernel ", static_cast<int>(kernel));
      continue;
    }
    CAPTURE(static_cast<int>(kernel));
    test(kernel);
  }
}

// Of a text of whole blocks.
Bytes oracleTag(const Bytes& key, const Bytes& text) {
  Bytes tag(16);
  size_t n = 0;
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "POLY1305", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
  REQUIRE(EVP_MAC_init(context, key.data(), key.size(), nullptr) == 1);
  REQUIRE(EVP_MAC_update(context, text.data(), text.size()) == 1);
  REQUIRE(EVP_MAC_final(context, tag.data(), &n, 16) == 1);
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(mac);
  return tag;
}

Bytes finished(nic::PolyKey& key, const nic::PolyNumber& sum) {
  Bytes tag(16);
  key.finish(sum, tag.data());
  return tag;
}

// Bytes that fill limbs, or leave them empty, where random ones would not.
Bytes hardBytes(Random& random, size_t n) {
  Bytes bytes = randomBytes(random, n);
  const uint64_t how = random() % 4;
  if (how < 2) std::fill(bytes.begin(), bytes.end(), how == 0 ? 0xff : 0);
  if (how < 3)
    for (size_t i = below(random, 9); i-- > 0 && n != 0;) bytes[below(random, n)] = random() % 2 == 0 ? 0xff : 0;
  return bytes;
}

Bytes fromHex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

}  // namespace

TEST_CASE("Poly1305 of RFC 8439 A.3, numbers 7 to 11: sums about 2^130 - 5") {
  const std::string ff(30, 'f'), fe = "fefefefefefefefefefefefefefefe", zero(30, '0');
  struct {
    std::string r, s, text, tag;
  } const kVectors[] = {{"02" + zero, "00" + zero, "ff" + ff, "03" + zero},
                        {"02" + zero, "ff" + ff, "02" + zero, "03" + zero},
                        {"01" + zero, "00" + zero, "ff" + ff + "f0" + ff + "11" + zero, "05" + zero},
                        {"01" + zero, "00" + zero, "ff" + ff + "fb" + fe + "01010101010101010101010101010101", "00" + zero},
                        {"02" + zero, "00" + zero, "fd" + ff, "fa" + ff}};
  withEachKernel([&](nic::PolyKernel kernel) {
    for (const auto& vector : kVectors) {
      const Bytes text = fromHex(vector.text);
      nic::PolyKey key(fromHex(vector.r + vector.s).data(), kernel);
      CHECK(finished(key, key.share(text.data(), text.size(), 0, 1)) == fromHex(vector.tag));
    }
  });
}

TEST_CASE("Poly1305 block by block from the end equals libcrypto's, limbs full or not") {
  Random random(seed() + 2);
  for (int round = 0; round < 500; ++round) {
    const Bytes key = round < 3 ? Bytes(32, 0xff) : hardBytes(random, 32);
    Bytes data = hardBytes(random, 16 * (1 + below(random, 40)));
    if (round < 3) std::fill(data.begin(), data.end(), 0xff);
    nic::PolyKey poly(key.data());
    nic::PolyNumber sum{};
    const size_t blocks = data.size() / 16;
    for (size_t i = blocks; i-- > 0;) nic::PolyKey::add(sum, poly.share(data.data() + 16 * i, 16, 0, blocks - i));
    REQUIRE(finished(poly, sum) == oracleTag(key, data));
  }
}

TEST_CASE("Poly1305 of two parts, cut at any byte, equals libcrypto's with every kernel") {
  Random random(seed() + 4);
  withEachKernel([&](nic::PolyKernel kernel) {
    for (size_t length = 1; length <= 700; length += length < 300 ? 1 : 7) {
      const Bytes key = hardBytes(random, 32);
      const Bytes data = hardBytes(random, length);
      Bytes padded = data;
      padded.resize((length + 15) / 16 * 16);
      const Bytes expected = oracleTag(key, padded);
      const size_t blocks = padded.size() / 16;
      nic::PolyKey poly(key.data(), kernel);
      for (int round = 0; round < 20; ++round) {
        const size_t cut = round == 0 ? 0 : below(random, length);
        CAPTURE(length);
        CAPTURE(cut);
        // In pieces of memory of their own, so that a sanitizer sees what is read beyond them.
        const Bytes first(data.begin(), data.begin() + static_cast<ptrdiff_t>(cut)), second(data.begin() + static_cast<ptrdiff_t>(cut), data.end());
        nic::PolyNumber sum{};
        nic::PolyKey::add(sum, poly.share(second.data(), second.size(), cut % 16, 1));
        if (cut != 0) nic::PolyKey::add(sum, poly.share(first.data(), first.size(), 0, blocks - (cut - 1) / 16));
        REQUIRE(finished(poly, sum) == expected);
      }
    }
  });
}

TEST_CASE("Poly1305 of long texts in shuffled parts equals libcrypto's with every kernel") {
  Random random(seed() + 5);
  withEachKernel([&](nic::PolyKernel kernel) {
    for (int round = 0; round < 100; ++round) {
      const Bytes key = hardBytes(random, 32);
      const size_t blocks = 1 + below(random, 1040);
      const Bytes data = hardBytes(random, 16 * blocks);
      std::vector<size_t> cuts{0, data.size()};
      for (size_t n = below(random, 16); n-- > 0;) cuts.push_back(below(random, data.size()));
      std::sort(cuts.begin(), cuts.end());
      std::vector<std::pair<size_t, size_t>> parts;
      for (size_t i = 1; i < cuts.size(); ++i)
        if (cuts[i - 1] != cuts[i]) parts.emplace_back(cuts[i - 1], cuts[i]);
      std::shuffle(parts.begin(), parts.end(), random);
      nic::PolyKey poly(key.data(), kernel);
      nic::PolyNumber sum{};
      for (const auto& [from, to] : parts)
        nic::PolyKey::add(sum, poly.share(data.data() + from, to - from, from % 16, blocks - (to - 1) / 16));
      REQUIRE(finished(poly, sum) == oracleTag(key, data));
    }
  });
}
