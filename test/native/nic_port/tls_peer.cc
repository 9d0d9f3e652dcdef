#include "tls_peer.hpp"

#include <doctest/doctest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>

#include "ocf/key.hpp"

namespace tls {
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;

// Lines of the key log (draft-ietf-tls-keylogfile) of the handshake that this thread is in.
thread_local std::vector<std::string> keyLog;

std::vector<uint8_t> fromHex(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::vector<uint8_t> logged(const std::string& label) {
  for (const auto& line : keyLog)
    if (line.starts_with(label + " ")) return fromHex(line.substr(line.rfind(' ') + 1));
  return {};
}

void selfSigned(SSL_CTX* context) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  REQUIRE(SSL_CTX_use_certificate(context, certificate) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(context, key) == 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

void deriveTls13(Sending& sending) {
  const auto hash = sending.sha384 ? key::Hash::Sha384 : key::Hash::Sha256;
  const size_t length = sending.keys.suite == record::Suite::Aes128GcmSha256 ? 16 : 32;
  REQUIRE(key::hkdfExpandLabel(hash, sending.secret, "key", {}, std::span(sending.keys.key).first(length)));
  REQUIRE(key::hkdfExpandLabel(hash, sending.secret, "iv", {}, sending.keys.iv));
  sending.keys.recordSeq = 0;
}

// RFC 5246 6.3: key_block of client key, server key, client IV, server IV; AEADs have no MAC keys.
void deriveTls12(SSL* ssl, Sending& sending) {
  auto master = logged("CLIENT_RANDOM");
  std::array<uint8_t, 64> randoms;
  SSL_get_server_random(ssl, randoms.data(), 32);
  SSL_get_client_random(ssl, randoms.data() + 32, 32);
  const auto facts = record::factsOf(sending.keys.suite);
  const size_t keyLength = ocf::keyLength(facts.alg);
  std::vector<uint8_t> block(2 * keyLength + 2 * size_t{facts.ivLength});
  EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
  EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
  char digest[] = "SHA384";
  if (!sending.sha384) std::strcpy(digest, "SHA256");
  char label[] = "key expansion";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                                   OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master.data(), master.size()),
                                   OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof label - 1),
                                   OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, randoms.data(), randoms.size()),
                                   OSSL_PARAM_construct_end()};
  REQUIRE(EVP_KDF_derive(context, block.data(), block.size(), parameters) == 1);
  EVP_KDF_CTX_free(context);
  EVP_KDF_free(kdf);
  std::copy_n(block.begin() + static_cast<long>(keyLength), keyLength, sending.keys.key.begin());
  std::copy_n(block.end() - facts.ivLength, facts.ivLength, sending.keys.iv.begin());
  sending.keys.recordSeq = 1;  // Finished was 0
}

}  // namespace

void Sending::update() {
  std::vector<uint8_t> next(secret.size());
  REQUIRE(key::hkdfExpandLabel(sha384 ? key::Hash::Sha384 : key::Hash::Sha256, secret, "traffic upd", {}, next));
  secret = next;
  ++keys.epoch;
  deriveTls13(*this);
}

Ssl accept(int socket, const std::string& suite, Sending& sending) {
  const Context context(SSL_CTX_new(TLS_server_method()));
  selfSigned(context.get());
  sending.tls12 = !suite.starts_with("TLS_");
  const int version = sending.tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  REQUIRE((sending.tls12 ? SSL_CTX_set_cipher_list(context.get(), suite.c_str()) : SSL_CTX_set_ciphersuites(context.get(), suite.c_str())) == 1);
  // A ticket would be the server's first record under its application keys.
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  keyLog.clear();
  SSL_CTX_set_keylog_callback(context.get(), [](const SSL*, const char* line) { keyLog.emplace_back(line); });
  Ssl ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), socket);
  if (SSL_accept(ssl.get()) != 1) return nullptr;
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl.get());
  sending.keys.suite = static_cast<record::Suite>(SSL_CIPHER_get_protocol_id(cipher));
  sending.sha384 = SSL_CIPHER_get_handshake_digest(cipher) == EVP_sha384();
  if (sending.tls12) {
    deriveTls12(ssl.get(), sending);
  } else {
    sending.secret = logged("SERVER_TRAFFIC_SECRET_0");
    deriveTls13(sending);
  }
  return ssl;
}

Ssl connect(int socket) {
  const Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  Ssl ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), socket);
  return SSL_connect(ssl.get()) == 1 ? std::move(ssl) : nullptr;
}

}  // namespace tls
