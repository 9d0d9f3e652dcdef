#include "record_opener.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/core_names.h>

#include <cstdlib>
#include <cstring>

#ifdef BENCH_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

namespace bench {
namespace {

constexpr size_t kTag = 16;

/** RFC 8446 7.1 with an empty context. */
void expand_label(std::span<const uint8_t> secret, std::string_view label, std::span<uint8_t> out) {
  std::string info{'\0', static_cast<char>(out.size()), static_cast<char>(6 + label.size())};
  info += "tls13 ";
  info += label;
  info += '\0';
  EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
  char digest[] = "SHA256";
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, const_cast<uint8_t*>(secret.data()), secret.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end(),
  };
  if (EVP_KDF_derive(context, out.data(), out.size(), parameters) != 1) std::abort();
  EVP_KDF_CTX_free(context);
  EVP_KDF_free(kdf);
}

}  // namespace

#ifdef BENCH_IPSEC_MB

namespace {
IMB_MGR* manager() {
  static IMB_MGR* const instance = [] {
    IMB_MGR* made = alloc_mb_mgr(0);
    if (made == nullptr) std::abort();
    init_mb_mgr_auto(made, nullptr);
    return made;
  }();
  return instance;
}
}  // namespace

struct RecordOpener::Cipher {
  alignas(64) gcm_key_data key;

  explicit Cipher(const uint8_t* bytes) { IMB_AES128_GCM_PRE(manager(), bytes, &key); }
  bool open(const uint8_t* nonce, std::span<const char> header, std::span<char> content, const uint8_t* tag) {
    gcm_context_data context;
    uint8_t expected[kTag];
    auto* bytes = reinterpret_cast<uint8_t*>(content.data());
    IMB_AES128_GCM_DEC(manager(), &key, &context, bytes, bytes, content.size(), nonce,
                       reinterpret_cast<const uint8_t*>(header.data()), header.size(), expected, kTag);
    return CRYPTO_memcmp(expected, tag, kTag) == 0;
  }
};

const char* record_opener_name() { return "ipsec-mb"; }

#else

struct RecordOpener::Cipher {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();

  explicit Cipher(const uint8_t* key) {
    if (EVP_DecryptInit_ex(context, EVP_aes_128_gcm(), nullptr, key, nullptr) != 1) std::abort();
  }
  ~Cipher() { EVP_CIPHER_CTX_free(context); }
  bool open(const uint8_t* nonce, std::span<const char> header, std::span<char> content, const uint8_t* tag) {
    int length = 0;
    auto* bytes = reinterpret_cast<uint8_t*>(content.data());
    return EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce) == 1 &&
           EVP_DecryptUpdate(context, nullptr, &length, reinterpret_cast<const uint8_t*>(header.data()),
                             static_cast<int>(header.size())) == 1 &&
           EVP_DecryptUpdate(context, bytes, &length, bytes, static_cast<int>(content.size())) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTag, const_cast<uint8_t*>(tag)) == 1 &&
           EVP_DecryptFinal_ex(context, bytes + length, &length) == 1;
  }
};

const char* record_opener_name() { return "libcrypto"; }

#endif

RecordOpener::RecordOpener(std::span<const uint8_t> secret) {
  uint8_t key[16];
  expand_label(secret, "key", key);
  expand_label(secret, "iv", iv_);
  cipher_ = std::make_unique<Cipher>(key);
}

RecordOpener::~RecordOpener() = default;

std::optional<RecordOpener::Opened> RecordOpener::open(std::span<char> record) {
  if (record.size() < kHeader + 1 + kTag || record[0] != 23) return std::nullopt;
  uint8_t nonce[12];
  std::memcpy(nonce, iv_, sizeof nonce);
  for (int i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<uint8_t>(sequence_ >> (8 * i));
  ++sequence_;
  auto content = record.subspan(kHeader, record.size() - kHeader - kTag);
  const auto* tag = reinterpret_cast<const uint8_t*>(record.data() + record.size() - kTag);
  if (!cipher_->open(nonce, record.first(kHeader), content, tag)) return std::nullopt;
  // RFC 8446 5.4: the type is the last byte that is not zero.
  size_t end = content.size();
  while (end > 0 && content[end - 1] == 0) --end;
  if (end == 0) return std::nullopt;
  return Opened{static_cast<uint8_t>(content[end - 1]), content.first(end - 1)};
}

std::optional<std::string> server_traffic_secret(std::string_view line) {
  constexpr std::string_view kLabel = "SERVER_TRAFFIC_SECRET_0 ";
  if (!line.starts_with(kLabel)) return std::nullopt;
  const size_t space = line.find(' ', kLabel.size());
  if (space == std::string_view::npos) return std::nullopt;
  const std::string hex(line.substr(space + 1));
  long length = 0;
  uint8_t* bytes = OPENSSL_hexstr2buf(hex.c_str(), &length);
  if (bytes == nullptr) return std::nullopt;
  std::string secret(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
  OPENSSL_free(bytes);
  return secret;
}

}  // namespace bench
