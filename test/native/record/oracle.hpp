// A slow, separate TLS 1.3 record sealer on libcrypto's one-shot interface, and the odds and ends that
// the record tests share.
#pragma once

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "ocf/drivers/soft.hpp"
#include "record/record.hpp"

namespace oracle {

using namespace socrypt;
using Bytes = std::vector<uint8_t>;

inline uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("SOCRYPT_TEST_SEED");
    const uint64_t chosen = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("seed: SOCRYPT_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return value;
}

inline Bytes randomBytes(std::mt19937_64& random, size_t n) {
  Bytes bytes(n);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

inline record::TrafficKeys randomKeys(std::mt19937_64& random, record::Suite suite) {
  record::TrafficKeys keys;
  keys.suite = suite;
  for (auto& byte : keys.key) byte = static_cast<uint8_t>(random());
  for (auto& byte : keys.iv) byte = static_cast<uint8_t>(random());
  return keys;
}

/// Seals `inner` (content, type and padding, as the test likes it) as one record.
inline Bytes sealInner(const record::TrafficKeys& keys, uint64_t recordSeq, const Bytes& inner) {
  const size_t length = inner.size() + 16;
  Bytes out = {23, 3, 3, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
  std::array<uint8_t, 12> nonce = keys.iv;
  for (size_t i = 0; i < 8; ++i) nonce[11 - i] = static_cast<uint8_t>(nonce[11 - i] ^ (recordSeq >> (8 * i)));
  const char* name = keys.suite == record::Suite::Aes128GcmSha256   ? "AES-128-GCM"
                     : keys.suite == record::Suite::Aes256GcmSha384 ? "AES-256-GCM"
                                                                    : "ChaCha20-Poly1305";
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, name, nullptr);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  int n = 0;
  REQUIRE(EVP_EncryptInit_ex2(context, cipher, keys.key.data(), nonce.data(), nullptr) == 1);
  REQUIRE(EVP_EncryptUpdate(context, nullptr, &n, out.data(), 5) == 1);
  out.resize(5 + length);
  REQUIRE(EVP_EncryptUpdate(context, out.data() + 5, &n, inner.data(), static_cast<int>(inner.size())) == 1);
  uint8_t rest[16];
  REQUIRE(EVP_EncryptFinal_ex(context, rest, &n) == 1);
  REQUIRE(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out.data() + 5 + inner.size()) == 1);
  EVP_CIPHER_CTX_free(context);
  EVP_CIPHER_free(cipher);
  return out;
}

inline Bytes sealContent(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, Bytes content,
                         size_t padding = 0) {
  content.push_back(type);
  content.resize(content.size() + padding, 0);
  return sealInner(keys, recordSeq, content);
}

/// The backends of this machine.
inline std::vector<ocf::SoftBackend> backends() {
  std::vector<ocf::SoftBackend> list{ocf::SoftBackend::Libcrypto};
  if (ocf::makeSoftDriver(ocf::SoftBackend::IpsecMb) != nullptr) list.push_back(ocf::SoftBackend::IpsecMb);
  return list;
}

inline const record::Suite kSuites[] = {record::Suite::Aes128GcmSha256, record::Suite::Aes256GcmSha384,
                                        record::Suite::ChaCha20Poly1305Sha256};

/// Runs `body(framework, suite)` for every backend and suite.
template <typename Body>
void forAll(Body body) {
  for (const auto backend : backends()) {
    ocf::Framework framework;
    ocf::Status status = ocf::Status::Ok;
    REQUIRE(framework.attach(ocf::makeSoftDriver(backend), &status) == 1);
    for (const auto suite : kSuites) {
      CAPTURE(static_cast<int>(backend));
      CAPTURE(static_cast<int>(suite));
      body(framework, suite);
    }
    CHECK(framework.openSessions() == 0);
  }
}

}  // namespace oracle
