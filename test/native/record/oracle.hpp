// A slow, separate TLS record sealer on libcrypto's one-shot interface, and the odds and ends that
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

/// Not factsOf(): the oracle has its own opinion of what a suite is.
inline bool isTls12(record::Suite suite) { return static_cast<uint16_t>(suite) >= 0xc000; }
inline bool isChaCha20(record::Suite suite) {
  const auto code = static_cast<uint16_t>(suite);
  return code == 0x1303 || code == 0xcca8 || code == 0xcca9;
}
inline size_t before(record::Suite suite) { return isTls12(suite) && !isChaCha20(suite) ? 13 : 5; }
inline size_t overhead(record::Suite suite) { return before(suite) + (isTls12(suite) ? 16 : 17); }

/// nonce, aad, plaintext -> ciphertext and tag, appended to `out`.
inline void sealAead(const record::TrafficKeys& keys, const Bytes& nonce, const Bytes& aad, const Bytes& plaintext, Bytes& out) {
  const auto code = static_cast<uint16_t>(keys.suite);
  const bool aes256 = code == 0x1302 || code == 0xc02c || code == 0xc030;
  const char* name = isChaCha20(keys.suite) ? "ChaCha20-Poly1305" : aes256 ? "AES-256-GCM" : "AES-128-GCM";
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, name, nullptr);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  int n = 0;
  REQUIRE(nonce.size() == 12);
  REQUIRE(EVP_EncryptInit_ex2(context, cipher, keys.key.data(), nonce.data(), nullptr) == 1);
  REQUIRE(EVP_EncryptUpdate(context, nullptr, &n, aad.data(), static_cast<int>(aad.size())) == 1);
  const size_t at = out.size();
  out.resize(at + plaintext.size() + 16);
  REQUIRE(EVP_EncryptUpdate(context, out.data() + at, &n, plaintext.data(), static_cast<int>(plaintext.size())) == 1);
  uint8_t rest[16];
  REQUIRE(EVP_EncryptFinal_ex(context, rest, &n) == 1);
  REQUIRE(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out.data() + at + plaintext.size()) == 1);
  EVP_CIPHER_CTX_free(context);
  EVP_CIPHER_free(cipher);
}

inline Bytes xorNonce(const record::TrafficKeys& keys, uint64_t recordSeq) {
  Bytes nonce(keys.iv.begin(), keys.iv.end());
  for (size_t i = 0; i < 8; ++i) nonce[11 - i] = static_cast<uint8_t>(nonce[11 - i] ^ (recordSeq >> (8 * i)));
  return nonce;
}

inline void appendBigEndian(Bytes& bytes, uint64_t value, size_t width) {
  while (width-- > 0) bytes.push_back(static_cast<uint8_t>(value >> (8 * width)));
}

/// Seals `inner` (content, type and padding, as the test likes it) as one TLS 1.3 record.
inline Bytes sealInner(const record::TrafficKeys& keys, uint64_t recordSeq, const Bytes& inner) {
  Bytes out = {23, 3, 3};
  appendBigEndian(out, inner.size() + 16, 2);
  const Bytes header = out;
  sealAead(keys, xorNonce(keys, recordSeq), header, inner, out);
  return out;
}

/// One TLS 1.2 record; `explicitNonce` for AES-GCM.
inline Bytes seal12(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, const Bytes& content,
                    uint64_t explicitNonce) {
  const bool gcm = !isChaCha20(keys.suite);
  Bytes aad;
  appendBigEndian(aad, recordSeq, 8);
  aad.insert(aad.end(), {type, 3, 3});
  appendBigEndian(aad, content.size(), 2);
  Bytes out = {type, 3, 3};
  appendBigEndian(out, content.size() + (gcm ? 24 : 16), 2);
  Bytes nonce = xorNonce(keys, recordSeq);
  if (gcm) {
    appendBigEndian(out, explicitNonce, 8);
    nonce.assign(keys.iv.begin(), keys.iv.begin() + 4);
    appendBigEndian(nonce, explicitNonce, 8);
  }
  sealAead(keys, nonce, aad, content, out);
  return out;
}

/// One record as the suite's version has it; padding in TLS 1.3 only.
inline Bytes sealContent(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, Bytes content,
                         size_t padding = 0) {
  if (isTls12(keys.suite)) return seal12(keys, recordSeq, type, content, recordSeq);
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

inline const std::vector<record::Suite> kSuites13 = {record::Suite::Aes128GcmSha256, record::Suite::Aes256GcmSha384,
                                                     record::Suite::ChaCha20Poly1305Sha256};
inline const std::vector<record::Suite> kSuites12 = {
    record::Suite::EcdheEcdsaAes128GcmSha256, record::Suite::EcdheEcdsaAes256GcmSha384,
    record::Suite::EcdheRsaAes128GcmSha256,   record::Suite::EcdheRsaAes256GcmSha384,
    record::Suite::EcdheRsaChaCha20Poly1305Sha256, record::Suite::EcdheEcdsaChaCha20Poly1305Sha256};

inline std::vector<record::Suite> allSuites() {
  std::vector<record::Suite> all = kSuites13;
  all.insert(all.end(), kSuites12.begin(), kSuites12.end());
  return all;
}

/// Runs `body(framework, suite)` for every backend and these suites.
template <typename Body>
void forAll(const std::vector<record::Suite>& suites, Body body) {
  for (const auto backend : backends()) {
    ocf::Framework framework;
    ocf::Status status = ocf::Status::Ok;
    REQUIRE(framework.attach(ocf::makeSoftDriver(backend), &status) == 1);
    for (const auto suite : suites) {
      CAPTURE(static_cast<int>(backend));
      CAPTURE(static_cast<int>(suite));
      body(framework, suite);
    }
    CHECK(framework.openSessions() == 0);
  }
}

/// … for all suites of both versions.
template <typename Body>
void forAll(Body body) {
  forAll(allSuites(), body);
}

}  // namespace oracle
