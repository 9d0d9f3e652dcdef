// A slow, separate record sealer on libcrypto's one-shot AEADs, TLS 1.2 and 1.3.
#pragma once

#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "record/record.hpp"

namespace sealer {

using namespace socrypt;
using Bytes = std::vector<uint8_t>;

inline void require(bool good) {
  if (good) return;
  std::fputs("the oracle's libcrypto failed\n", stderr);
  std::abort();
}

inline constexpr record::Suite kSuites[] = {
    record::Suite::Aes128GcmSha256,           record::Suite::Aes256GcmSha384,           record::Suite::ChaCha20Poly1305Sha256,
    record::Suite::EcdheRsaAes128GcmSha256,   record::Suite::EcdheEcdsaAes256GcmSha384, record::Suite::EcdheRsaChaCha20Poly1305Sha256,
};

/// One record: what the host writes into its socket (plain, with the tag's room) and what has to leave.
struct Framed {
  Bytes plain;
  Bytes sealed;
};

inline Framed frame(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, const Bytes& content) {
  const auto code = static_cast<uint16_t>(keys.suite);
  const bool tls12 = code >= 0xc000;
  const bool chacha = code == 0x1303 || code == 0xcca8 || code == 0xcca9;
  const bool aes128 = code == 0x1301 || code == 0xc02b || code == 0xc02f;
  Bytes text = content;
  if (!tls12) text.push_back(type);
  Bytes sequence(8);
  for (size_t i = 0; i < 8; ++i) sequence[7 - i] = static_cast<uint8_t>(recordSeq >> (8 * i));

  const bool explicitNonce = tls12 && !chacha;
  const size_t length = text.size() + 16 + (explicitNonce ? 8 : 0);
  Bytes before = {static_cast<uint8_t>(tls12 ? type : 23), 3, 3, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
  Bytes aad = before;
  Bytes nonce(keys.iv.begin(), keys.iv.end());
  if (explicitNonce) {
    std::copy(sequence.begin(), sequence.end(), nonce.begin() + 4);
    before.insert(before.end(), sequence.begin(), sequence.end());
  } else {
    for (size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<uint8_t>(nonce[4 + i] ^ sequence[i]);
  }
  if (tls12) {
    aad = sequence;
    aad.insert(aad.end(), {type, 3, 3, static_cast<uint8_t>(text.size() >> 8), static_cast<uint8_t>(text.size())});
  }

  Framed framed;
  framed.plain = before;
  framed.plain.insert(framed.plain.end(), text.begin(), text.end());
  framed.plain.resize(framed.plain.size() + 16);
  framed.sealed = before;
  framed.sealed.resize(framed.plain.size());
  uint8_t* out = framed.sealed.data() + before.size();
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  int n = 0;
  const EVP_CIPHER* cipher = chacha ? EVP_chacha20_poly1305() : aes128 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  require(EVP_EncryptInit_ex(context, cipher, nullptr, keys.key.data(), nonce.data()) == 1);
  require(EVP_EncryptUpdate(context, nullptr, &n, aad.data(), static_cast<int>(aad.size())) == 1);
  if (!text.empty()) require(EVP_EncryptUpdate(context, out, &n, text.data(), static_cast<int>(text.size())) == 1);
  uint8_t rest[16];
  require(EVP_EncryptFinal_ex(context, rest, &n) == 1);
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out + text.size()) == 1);
  EVP_CIPHER_CTX_free(context);
  return framed;
}

}  // namespace sealer
