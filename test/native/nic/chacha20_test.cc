// ChaCha20 from any byte on, against RFC 8439 and libcrypto.
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "nic/device/chacha20.hpp"
#include "oracle.hpp"

using namespace socrypt;
using namespace oracle;

namespace {

constexpr nic::ChaChaKernel kKernels[] = {nic::ChaChaKernel::Portable, nic::ChaChaKernel::Narrow, nic::ChaChaKernel::Wide};

// The keystream from the beginning of block `counter` on. libcrypto's IV is that block's number and the nonce.
Bytes keystream(const Bytes& key, const Bytes& counter, size_t length) {
  Bytes stream(length);
  int n = 0;
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  REQUIRE(EVP_EncryptInit_ex(context, EVP_chacha20(), nullptr, key.data(), counter.data()) == 1);
  REQUIRE(EVP_EncryptUpdate(context, stream.data(), &n, stream.data(), static_cast<int>(length)) == 1);
  EVP_CIPHER_CTX_free(context);
  return stream;
}

}  // namespace

TEST_CASE("ChaCha20 of RFC 8439 2.4.2") {
  Bytes key(32);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  const Bytes counter{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x4a, 0, 0, 0, 0};
  const std::string text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
  const Bytes expected{0x6e, 0x2e, 0x35, 0x9a, 0x25, 0x68, 0xf9, 0x80, 0x41, 0xba, 0x07, 0x28, 0xdd, 0x0d, 0x69, 0x81, 0xe9, 0x7e, 0x7a,
                       0xec, 0x1d, 0x43, 0x60, 0xc2, 0x0a, 0x27, 0xaf, 0xcc, 0xfd, 0x9f, 0xae, 0x0b, 0xf9, 0x1b, 0x65, 0xc5, 0x52, 0x47,
                       0x33, 0xab, 0x8f, 0x59, 0x3d, 0xab, 0xcd, 0x62, 0xb3, 0x57, 0x16, 0x39, 0xd6, 0x24, 0xe6, 0x51, 0x52, 0xab, 0x8f,
                       0x53, 0x0c, 0x35, 0x9f, 0x08, 0x61, 0xd8, 0x07, 0xca, 0x0d, 0xbf, 0x50, 0x0d, 0x6a, 0x61, 0x56, 0xa3, 0x8e, 0x08,
                       0x8a, 0x22, 0xb6, 0x5e, 0x52, 0xbc, 0x51, 0x4d, 0x16, 0xcc, 0xf8, 0x06, 0x81, 0x8c, 0xe9, 0x1a, 0xb7, 0x79, 0x37,
                       0x36, 0x5a, 0xf9, 0x0b, 0xbf, 0x74, 0xa3, 0x5b, 0xe6, 0xb4, 0x0b, 0x8e, 0xed, 0xf2, 0x78, 0x5e, 0x42, 0x87, 0x4d};
  REQUIRE(text.size() == expected.size());
  for (const auto kernel : kKernels) {
    if (!nic::hasChaChaKernel(kernel)) continue;
    CAPTURE(static_cast<int>(kernel));
    Bytes data(text.begin(), text.end());
    nic::ChaChaKey(key.data(), kernel).crypt(counter.data(), 0, data);
    CHECK(data == expected);
  }
}

TEST_CASE("ChaCha20 from every byte of a block on equals libcrypto's, and touches nothing around it") {
  Random random(seed() + 3);
  std::vector<size_t> lengths;
  for (size_t n = 0; n <= 130; ++n) lengths.push_back(n);
  // About the steps of all kernels: 4, 8 and 16 blocks, and several of them.
  for (const size_t step : {256, 512, 768, 1024, 1448, 2048, 3072})
    for (const size_t around : {65, 64, 63, 33, 32, 31, 17, 16, 15, 1, 0})
      for (const size_t n : {step - around, step + around}) lengths.push_back(n);
  for (const auto kernel : kKernels) {
    if (!nic::hasChaChaKernel(kernel)) {
      MESSAGE("this processor lacks ChaCha20 kernel ", static_cast<int>(kernel));
      continue;
    }
    CAPTURE(static_cast<int>(kernel));
    const Bytes key = randomBytes(random, 32);
    const nic::ChaChaKey cipher(key.data(), kernel);
    Bytes counter = randomBytes(random, 16);
    counter[3] = 0;  // the number does not wrap
    const Bytes stream = keystream(key, counter, 4096);
    const Bytes around = randomBytes(random, 4096);
    for (size_t skip = 0; skip < 64; ++skip) {
      for (const size_t length : lengths) {
        CAPTURE(skip);
        CAPTURE(length);
        Bytes data = around;
        Bytes expected = around;
        const size_t at = 64 + below(random, 64);
        for (size_t i = 0; i < length; ++i) expected[at + i] ^= stream[skip + i];
        cipher.crypt(counter.data(), skip, std::span(data).subspan(at, length));
        REQUIRE(std::memcmp(data.data(), expected.data(), data.size()) == 0);
      }
    }
    for (const size_t length : lengths) {
      CAPTURE(length);
      Bytes data = around;
      Bytes expected = around;
      for (size_t i = 0; i < length; ++i) expected[64 + i] ^= stream[64 + i];
      std::array<uint8_t, 64> first;
      cipher.cryptBehind(counter.data(), first, std::span(data).subspan(64, length));
      REQUIRE(std::memcmp(first.data(), stream.data(), first.size()) == 0);
      REQUIRE(std::memcmp(data.data(), expected.data(), data.size()) == 0);
    }
  }
}
