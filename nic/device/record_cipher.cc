#include "nic/device/record_cipher.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <cstring>

namespace socrypt::nic {
namespace {

using ocf::AlgId;
using record::ContentType;

constexpr size_t kBlock = 16;
// SP 800-38D 7.1: J0 has counter 1, the text begins at 2. RFC 8439 2.8: block 0 makes the one-time key.
constexpr uint32_t kGcmTag = 1;
constexpr uint32_t kGcmText = 2;
constexpr uint32_t kChaChaKey = 0;
constexpr uint32_t kChaChaText = 1;
constexpr size_t kMaxAad = 13;

// Fetched once, held for the life of the process.
const EVP_CIPHER* cipherOf(AlgId alg) noexcept {
  static EVP_CIPHER* const aes128 = EVP_CIPHER_fetch(nullptr, "AES-128-CTR", nullptr);
  static EVP_CIPHER* const aes256 = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
  return alg == AlgId::Aes256Gcm ? aes256 : aes128;
}

void putBigEndian(uint8_t* to, uint64_t value) noexcept {
  value = __builtin_bswap64(value);
  std::memcpy(to, &value, 8);
}

size_t blocksOf(uint32_t length) noexcept { return (length + kBlock - 1) / kBlock; }

// Of the last block of a range: the length block has power 1, the text's last block 2.
size_t powerOfLast(const RecordShape& shape, uint32_t at, size_t length) noexcept {
  return blocksOf(shape.textLength) + 1 - (at + length - 1) / kBlock;
}

ContentType outerType(const record::SuiteFacts& facts, const RecordShape& shape) noexcept {
  return facts.tls12 ? shape.type : ContentType::ApplicationData;
}

// RFC 8446 5.2: the header. RFC 5246 6.2.3.3: number, type, version, length of the plaintext.
size_t writeAad(const record::SuiteFacts& facts, const RecordShape& shape, uint8_t* aad) noexcept {
  size_t length = shape.textLength;
  uint8_t* header = aad;
  if (facts.tls12) {
    putBigEndian(aad, shape.recordSeq);
    header += 8;
  } else {
    length += record::kTagLength;
  }
  header[0] = static_cast<uint8_t>(outerType(facts, shape));
  header[1] = header[2] = 3;
  header[3] = static_cast<uint8_t>(length >> 8);
  header[4] = static_cast<uint8_t>(length);
  return static_cast<size_t>(header + 5 - aad);
}

}  // namespace

// EVP_CIPHER_CTX_free cleanses the key schedule.
void RecordCipher::FreeContext::operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }

RecordCipher::~RecordCipher() { ocf::wipe(iv_.data(), iv_.size()); }

std::unique_ptr<RecordCipher> RecordCipher::make(const record::TrafficKeys& keys, CipherKernels kernels) {
  const record::SuiteFacts facts = record::factsOf(keys.suite);
  if (!facts.known) return nullptr;
  std::unique_ptr<RecordCipher> self(new RecordCipher);
  self->facts_ = facts;
  self->gcm_ = facts.alg != AlgId::ChaCha20Poly1305;
  std::memcpy(self->iv_.data(), keys.iv.data(), facts.ivLength);
  if (!self->gcm_) {
    self->chacha_.emplace(keys.key.data(), kernels.chacha);
    self->polyKernel_ = kernels.poly;
  } else if (kernels.aes != AesKernel::None) {
    self->aes_.emplace(std::span(keys.key).first(facts.alg == AlgId::Aes256Gcm ? 32 : 16), kernels.aes);
  } else {
    self->context_.reset(EVP_CIPHER_CTX_new());
    const EVP_CIPHER* cipher = cipherOf(facts.alg);
    if (self->context_ == nullptr || cipher == nullptr ||
        EVP_EncryptInit_ex2(self->context_.get(), cipher, keys.key.data(), nullptr, nullptr) != 1) {
      ERR_clear_error();
      return nullptr;
    }
  }
  if (self->gcm_) {
    // SP 800-38D 7.1: H is the encryption of a zero block, which counter mode gives with a zero counter.
    uint8_t h[kBlock] = {};
    const uint8_t zero[kBlock] = {};
    if (!self->counterMode(zero, 0, h)) return nullptr;
    self->ghash_.emplace(h);
    ocf::wipe(h, sizeof h);
  }
  return self;
}

void RecordCipher::nonce(uint64_t recordSeq, uint8_t* to) const noexcept {
  // RFC 8446 5.3, RFC 7905 2; with zeros in the place of the explicit nonce also RFC 5288 3.
  std::memcpy(to, iv_.data(), iv_.size());
  uint64_t low;
  std::memcpy(&low, to + 4, 8);
  low ^= __builtin_bswap64(recordSeq);
  std::memcpy(to + 4, &low, 8);
}

size_t RecordCipher::writeBefore(const RecordShape& shape, uint8_t* to) const noexcept {
  const size_t before = facts_.framing.before;
  const size_t length = before - record::kHeaderLength + shape.textLength + record::kTagLength;
  to[0] = static_cast<uint8_t>(outerType(facts_, shape));
  to[1] = to[2] = 3;
  to[3] = static_cast<uint8_t>(length >> 8);
  to[4] = static_cast<uint8_t>(length);
  if (before > record::kHeaderLength) putBigEndian(to + record::kHeaderLength, shape.recordSeq);
  return before;
}

bool RecordCipher::counterMode(const uint8_t* counter, size_t skip, std::span<uint8_t> data) noexcept {
  if (aes_) return aes_->crypt(counter, skip, data), true;
  if (chacha_) return chacha_->crypt(counter, skip, data), true;
  int n = 0;
  uint8_t ignored[kBlock] = {};
  const bool good =
      EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, counter, nullptr) == 1 &&
      (skip == 0 || EVP_EncryptUpdate(context_.get(), ignored, &n, ignored, static_cast<int>(skip)) == 1) &&
      EVP_EncryptUpdate(context_.get(), data.data(), &n, data.data(), static_cast<int>(data.size())) == 1;
  if (skip != 0) ocf::wipe(ignored, skip);
  if (!good) {
    ocf::wipe(data.data(), data.size());
    ERR_clear_error();
  }
  return good;
}

void RecordCipher::counterBlock(uint64_t recordSeq, uint32_t block, uint8_t* to) const noexcept {
  if (gcm_) {
    nonce(recordSeq, to);
    const uint32_t bigEndian = __builtin_bswap32(block);
    std::memcpy(to + 12, &bigEndian, 4);
  } else {
    std::memcpy(to, &block, 4);
    nonce(recordSeq, to + 4);
  }
}

bool RecordCipher::keystream(uint64_t recordSeq, uint32_t block, size_t skip, std::span<uint8_t> data) noexcept {
  uint8_t counter[kBlock];
  counterBlock(recordSeq, block, counter);
  return counterMode(counter, skip, data);
}

bool RecordCipher::hasPolyKey(uint64_t recordSeq) const noexcept { return poly_ && polySeq_ == recordSeq; }

void RecordCipher::makePolyKey(uint64_t recordSeq, std::span<uint8_t> text) noexcept {
  uint8_t counter[kBlock];
  counterBlock(recordSeq, kChaChaKey, counter);
  // RFC 8439 2.6: the first half of the block.
  uint8_t block[ChaChaKey::kBlock];
  chacha_->cryptBehind(counter, block, text);
  poly_.emplace(block, polyKernel_);
  polySeq_ = recordSeq;
  ocf::wipe(block, sizeof block);
}

PolyKey& RecordCipher::polyKey(uint64_t recordSeq) noexcept {
  if (!hasPolyKey(recordSeq)) makePolyKey(recordSeq, {});
  return *poly_;
}

bool RecordCipher::crypt(const RecordShape& shape, uint32_t at, std::span<uint8_t> text) noexcept {
  if (text.empty()) return true;
  if (gcm_) return keystream(shape.recordSeq, static_cast<uint32_t>(kGcmText + at / kBlock), at % kBlock, text);
  return keystream(shape.recordSeq, static_cast<uint32_t>(kChaChaText + at / ChaChaKey::kBlock), at % ChaChaKey::kBlock, text);
}

void RecordCipher::addShare(RecordSum& sum, const FieldElement& share) noexcept {
  sum.word[0] ^= share.low;
  sum.word[1] ^= share.high;
}

bool RecordCipher::add(RecordSum& sum, const RecordShape& shape, uint32_t at, std::span<const uint8_t> text) noexcept {
  if (text.empty()) return true;
  const size_t power = powerOfLast(shape, at, text.size());
  if (gcm_) {
    addShare(sum, ghash_->share(text.data(), text.size(), at % kBlock, power));
    return true;
  }
  PolyKey::add(sum.word, polyKey(shape.recordSeq).share(text.data(), text.size(), at % kBlock, power));
  return true;
}

bool RecordCipher::seal(RecordSum& sum, const RecordShape& shape, uint32_t at, std::span<uint8_t> text) noexcept {
  if (text.empty()) return true;
  if (chacha_ && at == 0 && !hasPolyKey(shape.recordSeq)) {
    // Most records begin so: the block of the key, which stands before the text's, costs nothing then.
    makePolyKey(shape.recordSeq, text);
    return add(sum, shape, at, text);
  }
  if (!aes_) return crypt(shape, at, text) && add(sum, shape, at, text);
  uint8_t counter[kBlock];
  counterBlock(shape.recordSeq, static_cast<uint32_t>(kGcmText + at / kBlock), counter);
  addShare(sum, aes_->seal(counter, at % kBlock, text, *ghash_, powerOfLast(shape, at, text.size())));
  return true;
}

bool RecordCipher::tag(RecordSum sum, const RecordShape& shape, std::span<uint8_t, record::kTagLength> to) noexcept {
  uint8_t aad[kMaxAad];
  const size_t aadLength = writeAad(facts_, shape, aad);
  const size_t aadPower = blocksOf(shape.textLength) + 2;
  uint8_t lengths[kBlock];
  if (gcm_) {
    // SP 800-38D 7.1: both lengths in bits, big-endian.
    putBigEndian(lengths, aadLength * 8);
    putBigEndian(lengths + 8, uint64_t{shape.textLength} * 8);
    addShare(sum, ghash_->share(aad, aadLength, 0, aadPower));
    addShare(sum, ghash_->share(lengths, kBlock, 0, 1));
    GhashKey::store({sum.word[0], sum.word[1]}, to.data());
    return keystream(shape.recordSeq, kGcmTag, 0, to);
  }
  PolyKey& key = polyKey(shape.recordSeq);
  // RFC 8439 2.8: both lengths in bytes, little-endian.
  const uint64_t words[2] = {aadLength, shape.textLength};
  std::memcpy(lengths, words, kBlock);
  PolyKey::add(sum.word, key.share(aad, aadLength, 0, aadPower));
  PolyKey::add(sum.word, key.share(lengths, kBlock, 0, 1));
  key.finish(sum.word, to.data());
  return true;
}

}  // namespace socrypt::nic
