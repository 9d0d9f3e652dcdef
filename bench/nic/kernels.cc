// GHASH, ChaCha20 and Poly1305 by kernel, and a record sealed by segments beside libcrypto's way, which takes it at
// once and from the front. In GB per second, and in bytes per cycle of a clock that is measured.
#include "kernels.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "nic/device/record_cipher.hpp"

using namespace socrypt;

namespace {

constexpr size_t kRecord = 16384;

// Best of several rounds of one call.
template <class Work>
double bestOf(const Work& work) {
  double best = 1;
  for (int round = 0; round < 20; ++round) {
    const int calls = 100;
    const double start = bench::seconds();
    for (int i = 0; i < calls; ++i) work();
    best = std::min(best, (bench::seconds() - start) / calls);
  }
  return best;
}

// Additions that wait for each other take a cycle each.
double clockRate() {
#if defined(__x86_64__)
  constexpr int kSteps = 1000;
  const double took = bestOf([] {
    uint64_t x = 1;
    for (int i = 0; i < kSteps; ++i)
      __asm__ volatile("add %0, %0\nadd %0, %0\nadd %0, %0\nadd %0, %0\nadd %0, %0\nadd %0, %0\nadd %0, %0\nadd %0, %0" : "+r"(x));
  });
  return 8.0 * kSteps / took;
#else
  return 0;
#endif
}

void report(const char* name, size_t segment, size_t bytes, double took) {
  static const double rate = clockRate();
  std::printf("  %-22s %5zu bytes  %6.2f GB/s", name, segment, static_cast<double>(bytes) / took / 1e9);
  if (rate != 0) std::printf("  %5.2f bytes per cycle", static_cast<double>(bytes) / took / rate);
  std::printf("\n");
}

template <class Kernel, class Run>
void each(bool has, Kernel kernel, const char* name, const Run& run) {
  if (!has) {
    std::printf("  %-22s not on this processor\n", name);
    return;
  }
  for (const size_t segment : {size_t{1448}, kRecord}) run(kernel, name, segment);
}

void ghash(nic::GhashKernel kernel, const char* name, size_t segment) {
  const uint8_t h[16] = {1, 2, 3};
  const nic::GhashKey key(h, kernel);
  std::vector<uint8_t> data(segment);
  report(name, segment, segment, bestOf([&] { data[0] ^= static_cast<uint8_t>(key.share(data.data(), segment, 5, 900).low); }));
}

void chacha(nic::ChaChaKernel kernel, const char* name, size_t segment) {
  const uint8_t key[32] = {1, 2, 3};
  const nic::ChaChaKey cipher(key, kernel);
  std::vector<uint8_t> data(segment);
  report(name, segment, segment, bestOf([&] { cipher.crypt(key, 5, data); }));
}

void poly(nic::PolyKernel kernel, const char* name, size_t segment) {
  const uint8_t bytes[32] = {1, 2, 3};
  std::vector<uint8_t> data(segment);
  const size_t segments = kRecord / segment;
  report(name, segment, segments * segment, bestOf([&] {
           nic::PolyKey key(bytes, kernel);
           for (size_t n = segments; n > 0; --n) data[0] ^= static_cast<uint8_t>(key.share(data.data(), segment, 5, 80 * n)[0]);
         }));
}

void sealed(record::Suite suite, const EVP_CIPHER* theirs, const char* name) {
  record::TrafficKeys keys;
  keys.suite = suite;
  const auto cipher = nic::RecordCipher::make(keys);
  std::vector<uint8_t> text(kRecord);
  bool good = cipher != nullptr;
  uint64_t number = 0;
  for (const size_t segment : {size_t{1448}, kRecord}) {
    const double took = bestOf([&] {
      const nic::RecordShape shape{number++, kRecord, record::ContentType::ApplicationData};
      nic::RecordSum sum;
      std::array<uint8_t, 16> tag;
      for (size_t at = 0; at < kRecord; at += segment)
        good = good && cipher->seal(sum, shape, static_cast<uint32_t>(at), std::span(text).subspan(at, std::min(segment, kRecord - at)));
      good = good && cipher->tag(sum, shape, tag);
    });
    report(name, segment, kRecord, took);
  }
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  int n = 0;
  good = good && EVP_EncryptInit_ex(context, theirs, nullptr, keys.key.data(), keys.iv.data()) == 1;
  const double took = bestOf([&] {
    uint8_t header[5] = {23, 3, 3}, tag[16];
    good = good && EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, keys.iv.data()) == 1 &&
           EVP_EncryptUpdate(context, nullptr, &n, header, sizeof header) == 1 &&
           EVP_EncryptUpdate(context, text.data(), &n, text.data(), static_cast<int>(kRecord)) == 1 &&
           EVP_EncryptFinal_ex(context, tag, &n) == 1 && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag) == 1;
  });
  EVP_CIPHER_CTX_free(context);
  report("  by libcrypto", kRecord, kRecord, took);
  if (!good) std::printf("  FAILED\n");
}

}  // namespace

double bench::seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void bench::kernels() {
  using nic::ChaChaKernel, nic::GhashKernel, nic::PolyKernel;
  std::printf("GHASH of one segment's share\n");
  each(true, GhashKernel::Portable, "portable", ghash);
  each(nic::hasGhashKernel(GhashKernel::Clmul), GhashKernel::Clmul, "PCLMULQDQ", ghash);
  each(nic::hasGhashKernel(GhashKernel::WideClmul), GhashKernel::WideClmul, "VPCLMULQDQ", ghash);
  std::printf("ChaCha20 of one segment, from the middle of a block\n");
  each(true, ChaChaKernel::Portable, "portable", chacha);
  each(nic::hasChaChaKernel(ChaChaKernel::Narrow), ChaChaKernel::Narrow, "AVX2", chacha);
  each(nic::hasChaChaKernel(ChaChaKernel::Wide), ChaChaKernel::Wide, "AVX-512", chacha);
  std::printf("Poly1305 of one segment's share, with a new key for each record\n");
  each(true, PolyKernel::Portable, "portable", poly);
  each(nic::hasPolyKernel(PolyKernel::Narrow), PolyKernel::Narrow, "AVX2", poly);
  each(nic::hasPolyKernel(PolyKernel::Wide), PolyKernel::Wide, "AVX-512 IFMA", poly);
  std::printf("records of 16 KiB sealed in segments, with their tags\n");
  sealed(record::Suite::Aes128GcmSha256, EVP_aes_128_gcm(), "AES-128-GCM");
  sealed(record::Suite::Aes256GcmSha384, EVP_aes_256_gcm(), "AES-256-GCM");
  sealed(record::Suite::ChaCha20Poly1305Sha256, EVP_chacha20_poly1305(), "ChaCha20-Poly1305");
}
