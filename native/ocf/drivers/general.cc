#include "ocf/drivers/general.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstring>
#include <new>

#include "ocf/drivers/soft_op.hpp"

namespace socrypt::ocf::general {
namespace {

const EVP_CIPHER* cipherOf(AlgId alg) noexcept {
  // Fetched once and kept: a fetch takes locks and microseconds.
  static EVP_CIPHER* const aes128Cbc = EVP_CIPHER_fetch(nullptr, "AES-128-CBC", nullptr);
  static EVP_CIPHER* const aes256Cbc = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  static EVP_CIPHER* const aes128Ctr = EVP_CIPHER_fetch(nullptr, "AES-128-CTR", nullptr);
  static EVP_CIPHER* const aes256Ctr = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
  static EVP_CIPHER* const tripleDes = EVP_CIPHER_fetch(nullptr, "DES-EDE3-CBC", nullptr);
  switch (alg) {
    case AlgId::Aes128Cbc: return aes128Cbc;
    case AlgId::Aes256Cbc: return aes256Cbc;
    case AlgId::Aes128Ctr: return aes128Ctr;
    case AlgId::Aes256Ctr: return aes256Ctr;
    case AlgId::TripleDesCbc: return tripleDes;
    default: return nullptr;
  }
}

const EVP_MD* hashOf(AlgId alg) noexcept {
  static EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  static EVP_MD* const sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  switch (alg) {
    case AlgId::HmacSha1:
    case AlgId::Sha1: return sha1;
    case AlgId::HmacSha256:
    case AlgId::Sha256: return sha256;
    case AlgId::HmacSha384:
    case AlgId::Sha384: return sha384;
    case AlgId::HmacSha512:
    case AlgId::Sha512: return sha512;
    default: return nullptr;
  }
}

// RFC 2104 2. The two blocks of the key are hashed once per session; an op copies the states.
struct Private {
  EVP_CIPHER_CTX *cipher, *decipher;  // the key schedules of the two directions differ
  EVP_MD_CTX *inner, *outer, *scratch;  // of a hash there is no outer one
};

Private& at(std::byte* priv) noexcept { return *reinterpret_cast<Private*>(priv); }

bool startHash(Private& p, const EVP_MD* hash) noexcept {
  p.inner = EVP_MD_CTX_new();
  p.scratch = EVP_MD_CTX_new();
  return p.inner != nullptr && p.scratch != nullptr && EVP_DigestInit_ex2(p.inner, hash, nullptr) == 1;
}

bool startHmac(Private& p, const EVP_MD* hash, std::span<const uint8_t> key) noexcept {
  uint8_t block[EVP_MAX_MD_SIZE * 2 + 32] = {};
  const auto blockBytes = static_cast<size_t>(EVP_MD_get_block_size(hash));
  bool good = blockBytes <= sizeof block;
  unsigned length = 0;
  if (good && key.size() > blockBytes) good = EVP_Digest(key.data(), key.size(), block, &length, hash, nullptr) == 1;
  else if (good) std::memcpy(block, key.data(), key.size());
  p.inner = EVP_MD_CTX_new();
  p.outer = EVP_MD_CTX_new();
  p.scratch = EVP_MD_CTX_new();
  good = good && p.inner != nullptr && p.outer != nullptr && p.scratch != nullptr;
  for (size_t i = 0; i < blockBytes; ++i) block[i] ^= 0x36;
  good = good && EVP_DigestInit_ex2(p.inner, hash, nullptr) == 1 && EVP_DigestUpdate(p.inner, block, blockBytes) == 1;
  for (size_t i = 0; i < blockBytes; ++i) block[i] ^= 0x36 ^ 0x5c;
  good = good && EVP_DigestInit_ex2(p.outer, hash, nullptr) == 1 && EVP_DigestUpdate(p.outer, block, blockBytes) == 1;
  wipe(block, sizeof block);
  return good;
}

bool authenticate(Private& p, const Seg& aad, const uint8_t* data, size_t n, uint8_t* out) noexcept {
  unsigned length = 0;
  return EVP_MD_CTX_copy_ex(p.scratch, p.inner) == 1 && (aad.n == 0 || EVP_DigestUpdate(p.scratch, aad.p, aad.n) == 1) &&
         (n == 0 || EVP_DigestUpdate(p.scratch, data, n) == 1) && EVP_DigestFinal_ex(p.scratch, out, &length) == 1 &&
         (p.outer == nullptr || (EVP_MD_CTX_copy_ex(p.scratch, p.outer) == 1 && EVP_DigestUpdate(p.scratch, out, length) == 1 &&
         EVP_DigestFinal_ex(p.scratch, out, &length) == 1));
}

bool crypt(Private& p, const Op& op, bool encrypt, const uint8_t* from, uint8_t* to) noexcept {
  EVP_CIPHER_CTX* context = encrypt ? p.cipher : p.decipher;
  int n = 0;
  return EVP_CipherInit_ex2(context, nullptr, nullptr, op.iv, -1, nullptr) == 1 && EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
         (op.len == 0 || EVP_CipherUpdate(context, to, &n, from, static_cast<int>(op.len)) == 1);
}

}  // namespace

bool offers(const SessionParams& params) noexcept {
  const auto known = [](const Alg& alg) { return cipherOf(alg.id) != nullptr || hashOf(alg.id) != nullptr; };
  return known(params.chain[0]) && (params.chain.size() == 1 || known(params.chain[1]));
}

size_t random(std::span<uint8_t> out) noexcept {
  return RAND_bytes(out.data(), static_cast<int>(out.size())) == 1 ? out.size() : 0;
}

size_t sessionBytes() noexcept { return sizeof(Private); }

Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept {
  Private& p = at(priv.data());
  bool good = true;
  for (const Alg& alg : params.chain) {
    if (const EVP_CIPHER* cipher = cipherOf(alg.id); cipher != nullptr) {
      p.cipher = EVP_CIPHER_CTX_new();
      p.decipher = EVP_CIPHER_CTX_new();
      good = good && p.cipher != nullptr && p.decipher != nullptr &&
             EVP_CipherInit_ex2(p.cipher, cipher, alg.key.data(), nullptr, 1, nullptr) == 1 &&
             EVP_CipherInit_ex2(p.decipher, cipher, alg.key.data(), nullptr, 0, nullptr) == 1;
    } else if (factsOf(alg.id).keyless) {
      good = good && startHash(p, hashOf(alg.id));
    } else {
      good = good && startHmac(p, hashOf(alg.id), alg.key);
    }
  }
  if (good) return Status::Ok;
  ERR_clear_error();
  freeSession(priv);
  return Status::NoMemory;
}

void freeSession(std::span<std::byte> priv) noexcept {
  Private& p = at(priv.data());
  EVP_CIPHER_CTX_free(p.cipher);
  EVP_CIPHER_CTX_free(p.decipher);
  EVP_MD_CTX_free(p.inner);
  EVP_MD_CTX_free(p.outer);
  EVP_MD_CTX_free(p.scratch);
}

Status run(Op& op) noexcept {
  Session& session = *op.ses;
  const uint8_t tagLength = session.tagLength();
  if (const Status status = checkOp(op, session.alg(), session.mac(), tagLength); status != Status::Ok) return status;
  if (op.len > kSoftMaxLength) return Status::TooBig;
  Private& p = at(op.fw.priv);
  const uint8_t* from = op.in->p + op.skip;
  uint8_t* to = op.kind == Kind::Mac || p.cipher == nullptr ? nullptr : op.out->p + op.outSkip;
  uint8_t computed[EVP_MAX_MD_SIZE];
  bool good = true;
  switch (op.kind) {
    case Kind::Cipher:
    case Kind::Decipher: good = crypt(p, op, op.kind == Kind::Cipher, from, to); break;
    case Kind::Seal:
      good = crypt(p, op, true, from, to) && authenticate(p, op.aad, to, op.len, computed);
      break;
    default: good = authenticate(p, op.aad, from, op.len, computed);
  }
  Status status = Status::Ok;
  if (good && (op.kind == Kind::Seal || op.kind == Kind::Mac)) std::memcpy(op.out->p + op.tagAt, computed, tagLength);
  if (good && op.kind == Kind::Open) {
    if (!equalConstantTime(computed, op.in->p + op.tagAt, tagLength)) status = Status::BadTag;
    else if (to != nullptr) good = crypt(p, op, false, from, to);
  }
  wipe(computed, sizeof computed);  // the right tag of a forgery is an oracle
  if (good && status == Status::Ok) return status;
  ERR_clear_error();
  if (to != nullptr) wipe(to, op.len);
  return good ? status : Status::NoMemory;
}

}  // namespace socrypt::ocf::general
