#include "nic/lab/sealer.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace socrypt::nic::lab {
namespace {

constexpr int kTag = 16;

struct Free {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;

void require(bool good) {
  if (good) return;
  std::fputs("the oracle's libcrypto failed\n", stderr);
  std::abort();
}

// What RFC 8446 5.2 and 5.3, RFC 5288 3 and RFC 7905 2 say of one record, apart from the device's own code.
struct Around {
  bool tls12;
  const EVP_CIPHER* cipher;
  Bytes before;  // header, explicit nonce
  Bytes nonce;
  Bytes aad;
};

Around around(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, size_t textLength) {
  const auto code = static_cast<uint16_t>(keys.suite);
  const bool chacha = code == 0x1303 || code == 0xcca8 || code == 0xcca9;
  const bool aes128 = code == 0x1301 || code == 0xc02b || code == 0xc02f;
  Around a{.tls12 = code >= 0xc000, .cipher = chacha ? EVP_chacha20_poly1305() : aes128 ? EVP_aes_128_gcm() : EVP_aes_256_gcm()};
  Bytes sequence(8);
  for (size_t i = 0; i < 8; ++i) sequence[7 - i] = static_cast<uint8_t>(recordSeq >> (8 * i));
  const bool explicitNonce = a.tls12 && !chacha;
  const size_t length = textLength + kTag + (explicitNonce ? 8 : 0);
  a.before = {static_cast<uint8_t>(a.tls12 ? type : 23), 3, 3, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
  a.aad = a.before;
  a.nonce.assign(keys.iv.begin(), keys.iv.end());
  if (explicitNonce) {
    std::copy(sequence.begin(), sequence.end(), a.nonce.begin() + 4);
    a.before.insert(a.before.end(), sequence.begin(), sequence.end());
  } else {
    for (size_t i = 0; i < 8; ++i) a.nonce[4 + i] = static_cast<uint8_t>(a.nonce[4 + i] ^ sequence[i]);
  }
  if (a.tls12) {
    a.aad = sequence;
    a.aad.insert(a.aad.end(), {type, 3, 3, static_cast<uint8_t>(textLength >> 8), static_cast<uint8_t>(textLength)});
  }
  return a;
}

}  // namespace

Framed frame(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, const Bytes& content) {
  const size_t textLength = content.size() + (static_cast<uint16_t>(keys.suite) >= 0xc000 ? 0 : 1);
  const Around a = around(keys, recordSeq, type, textLength);
  Framed framed;
  framed.plain.reserve(a.before.size() + textLength + kTag);
  framed.plain = a.before;
  framed.plain.insert(framed.plain.end(), content.begin(), content.end());
  if (!a.tls12) framed.plain.push_back(type);
  const uint8_t* text = framed.plain.data() + a.before.size();
  framed.sealed.resize(framed.plain.size() + kTag);
  std::copy(a.before.begin(), a.before.end(), framed.sealed.begin());
  uint8_t* out = framed.sealed.data() + a.before.size();
  const Context context(EVP_CIPHER_CTX_new());
  int n = 0;
  require(EVP_EncryptInit_ex(context.get(), a.cipher, nullptr, keys.key.data(), a.nonce.data()) == 1);
  require(EVP_EncryptUpdate(context.get(), nullptr, &n, a.aad.data(), static_cast<int>(a.aad.size())) == 1);
  if (textLength != 0) require(EVP_EncryptUpdate(context.get(), out, &n, text, static_cast<int>(textLength)) == 1);
  uint8_t rest[kTag];
  require(EVP_EncryptFinal_ex(context.get(), rest, &n) == 1);
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTag, out + textLength) == 1);
  framed.plain.resize(framed.sealed.size());
  return framed;
}

std::optional<Bytes> open(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, std::span<const uint8_t> sealed) {
  const size_t before = record::factsOf(keys.suite).framing.before;
  if (sealed.size() < before + kTag) return std::nullopt;
  const size_t textLength = sealed.size() - before - kTag;
  const Around a = around(keys, recordSeq, type, textLength);
  if (!std::equal(a.before.begin(), a.before.end(), sealed.begin())) return std::nullopt;
  Bytes text(textLength);
  Bytes tag(sealed.end() - kTag, sealed.end());
  const Context context(EVP_CIPHER_CTX_new());
  int n = 0;
  require(EVP_DecryptInit_ex(context.get(), a.cipher, nullptr, keys.key.data(), a.nonce.data()) == 1);
  require(EVP_DecryptUpdate(context.get(), nullptr, &n, a.aad.data(), static_cast<int>(a.aad.size())) == 1);
  if (textLength != 0) require(EVP_DecryptUpdate(context.get(), text.data(), &n, sealed.data() + before, static_cast<int>(textLength)) == 1);
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTag, tag.data()) == 1);
  uint8_t rest[kTag];
  if (EVP_DecryptFinal_ex(context.get(), rest, &n) != 1) return std::nullopt;
  if (!a.tls12) {
    if (text.empty() || text.back() != type) return std::nullopt;
    text.pop_back();
  }
  return text;
}

}  // namespace socrypt::nic::lab
