#include "provider/aead.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace socrypt::provider {

namespace {

// Longer AAD is software's: nobody's but a test's.
constexpr size_t kMaxAad = Channel::kMaxAad;

// The counter half of a nonce of TLS 1.2.
void increment(uint8_t* counter) noexcept {
  for (size_t i = 8; i-- > 0;)
    if (++counter[i] != 0) return;
}

template <class Container>
void cleanse(Container& bytes) noexcept {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

}  // namespace

Aead::~Aead() {
  cleanse(key_);
  cleanse(iv_);
  cleanse(kept_);
}

std::unique_ptr<Aead> Aead::duplicate() const {
  auto copy = std::make_unique<Aead>(facts_);
  copy->key_ = key_;
  copy->iv_ = iv_;
  copy->ivBytes_ = ivBytes_;
  copy->aad_ = aad_;
  copy->kept_ = kept_;
  copy->tag_ = tag_;
  copy->verified_ = verified_;
  copy->tagBytes_ = tagBytes_;
  copy->sealing_ = sealing_;
  copy->keyed_ = keyed_;
  copy->state_ = state_;
  copy->recordAad_ = recordAad_;
  copy->recordPending_ = recordPending_;
  copy->fixedSet_ = fixedSet_;
  copy->recordPayload_ = recordPayload_;
  if (software_ != nullptr) {
    copy->software_.reset(EVP_CIPHER_CTX_new());
    if (copy->software_ == nullptr || EVP_CIPHER_CTX_copy(copy->software_.get(), software_.get()) != 1) return nullptr;
    copy->softwareKeyed_ = softwareKeyed_;
  }
  return copy;
}

bool Aead::init(bool sealing, Bytes key, Bytes iv, const OSSL_PARAM* params) {
  sealing_ = sealing;
  if (!key.empty()) {
    if (key.size() != facts_.keyBytes) return false;
    remote_.forget();
    std::copy(key.begin(), key.end(), key_.begin());
    keyed_ = true;
    softwareKeyed_ = false;
    state_ = State::NoIv;
    fixedSet_ = false;
  }
  if (params != nullptr && !set(params)) return false;
  if (!iv.empty()) {
    if (iv.size() > iv_.size()) return false;
    std::copy(iv.begin(), iv.end(), iv_.begin());
    ivBytes_ = iv.size();
    state_ = State::Fresh;
  }
  aad_.clear();
  recordPending_ = false;
  // The tag to compare may have been set before the iv; one that was made is history.
  if (sealing) tagBytes_ = 0;
  return true;
}

// True: an op may begin or go on.
bool Aead::prepare() {
  if (!keyed_ || state_ == State::Finished) return false;
  if (state_ != State::NoIv) return true;
  // As the default provider: whoever seals without a nonce gets a random one, and can ask for it.
  if (!sealing_ || RAND_bytes(iv_.data(), static_cast<int>(ivBytes_)) != 1) return false;
  state_ = State::Fresh;
  return true;
}

bool Aead::startSoftware(const uint8_t* iv, size_t ivBytes, Bytes aad) {
  const EVP_CIPHER* const cipher = softwareCipher(facts_.name);
  if (cipher == nullptr) return false;
  if (software_ == nullptr) software_.reset(EVP_CIPHER_CTX_new());
  if (software_ == nullptr) return false;
  if (!softwareKeyed_) {
    if (EVP_CipherInit_ex2(software_.get(), cipher, key_.data(), nullptr, sealing_ ? 1 : 0, nullptr) != 1) return false;
    softwareKeyed_ = true;
  }
  size_t length = ivBytes;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &length), OSSL_PARAM_construct_end()};
  int done = 0;
  return EVP_CipherInit_ex2(software_.get(), nullptr, nullptr, iv, sealing_ ? 1 : 0, params) == 1 &&
         (aad.empty() || EVP_CipherUpdate(software_.get(), nullptr, &done, aad.data(), static_cast<int>(aad.size())) == 1);
}

bool Aead::stream(uint8_t* out, size_t* outBytes, Bytes in) {
  int done = 0;
  if (EVP_CipherUpdate(software_.get(), out, &done, in.data(), static_cast<int>(in.size())) != 1) return false;
  *outBytes = static_cast<size_t>(done);
  return true;
}

bool Aead::update(uint8_t* out, size_t* outBytes, size_t room, Bytes in) {
  *outBytes = 0;
  if (recordPending_) return record(out, outBytes, room, in);
  if (!prepare()) return false;
  if (in.empty()) return true;
  if (out == nullptr) {
    if (state_ == State::Whole || in.size() > INT32_MAX) return false;
    if (state_ == State::Streaming) return stream(nullptr, outBytes, in);
    *outBytes = in.size();
    if (aad_.size() + in.size() <= kMaxAad) {
      aad_.insert(aad_.end(), in.begin(), in.end());
      return true;
    }
    if (!startSoftware(iv_.data(), ivBytes_, aad_)) return false;
    state_ = State::Streaming;
    return stream(nullptr, outBytes, in);
  }
  if (in.size() > room || in.size() > INT32_MAX) return false;
  if (state_ == State::Fresh) {
    const bool offered = ivBytes_ == kIv && in.size() <= Channel::kMaxPayload && (sealing_ || tagBytes_ == kTag);
    if (offered) {
      kept_.assign(in.begin(), in.end());
      const Channel::Outcome outcome =
          remote_.run(facts_.alg, key(), kTag, {.kind = sealing_ ? ocf::Kind::Seal : ocf::Kind::Open, .iv = Bytes(iv_).first(kIv), .aad = aad_, .in = in, .out = out, .tag = tag_});
      if (outcome == Channel::Outcome::Ok) {
        if (sealing_) tagBytes_ = kTag;
        else verified_ = tag_;
        state_ = State::Whole;
        *outBytes = in.size();
        return true;
      }
      cleanse(kept_);
      kept_.clear();
    }
    // Not done, or a tag that is not that of this piece alone, which is no proof as long as another may come.
    if (!startSoftware(iv_.data(), ivBytes_, aad_)) return false;
    state_ = State::Streaming;
  } else if (state_ == State::Whole) {
    std::vector<uint8_t> again(kept_.size());
    size_t done = 0;
    const bool caughtUp = startSoftware(iv_.data(), ivBytes_, aad_) && stream(again.data(), &done, kept_);
    cleanse(again);
    cleanse(kept_);
    kept_.clear();
    if (!caughtUp) return false;
    state_ = State::Streaming;
  }
  return stream(out, outBytes, in);
}

bool Aead::final(size_t* outBytes) {
  *outBytes = 0;
  if (!prepare()) return false;
  const State was = state_;
  state_ = State::Finished;
  if (was == State::Whole) {
    cleanse(kept_);
    kept_.clear();
    return sealing_ || (tagBytes_ == kTag && CRYPTO_memcmp(tag_.data(), verified_.data(), kTag) == 0);
  }
  if (was == State::Fresh && !startSoftware(iv_.data(), ivBytes_, aad_)) return false;
  if (!sealing_ && (tagBytes_ == 0 || EVP_CIPHER_CTX_ctrl(software_.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tagBytes_), tag_.data()) != 1))
    return false;
  uint8_t rest[16];
  int done = 0;
  if (EVP_CipherFinal_ex(software_.get(), rest, &done) != 1) return false;
  if (!sealing_) return true;
  tagBytes_ = kTag;
  return EVP_CIPHER_CTX_ctrl(software_.get(), EVP_CTRL_AEAD_GET_TAG, kTag, tag_.data()) == 1;
}

// ── whole records of TLS 1.2 ──

bool Aead::setFixedIv(Bytes fixed) {
  const size_t wanted = kIv - facts_.explicitBytes;
  if (fixed.size() != wanted) return false;
  std::copy(fixed.begin(), fixed.end(), iv_.begin());
  ivBytes_ = kIv;
  // The rest counts records, from somewhere.
  if (sealing_ && facts_.explicitBytes != 0 && RAND_bytes(iv_.data() + wanted, static_cast<int>(facts_.explicitBytes)) != 1) return false;
  fixedSet_ = true;
  state_ = State::Fresh;
  return true;
}

bool Aead::setRecordAad(Bytes aad) {
  if (aad.size() != recordAad_.size()) return false;
  std::copy(aad.begin(), aad.end(), recordAad_.begin());
  // libssl announces the length of what is handed over; the authenticated one is the plaintext's (RFC 5246 6.2.3.3).
  const size_t announced = static_cast<size_t>(recordAad_[11] << 8 | recordAad_[12]);
  const size_t extra = facts_.explicitBytes + (sealing_ ? 0 : kTag);
  if (announced < extra) return false;
  recordPayload_ = announced - extra;
  recordAad_[11] = static_cast<uint8_t>(recordPayload_ >> 8);
  recordAad_[12] = static_cast<uint8_t>(recordPayload_);
  recordPending_ = true;
  return true;
}

bool Aead::record(uint8_t* out, size_t* outBytes, size_t room, Bytes in) {
  recordPending_ = false;
  const size_t before = facts_.explicitBytes;
  // In place only, as libssl does it; room for the tag is part of `in`.
  // ChaCha20-Poly1305 gets its nonce as an ordinary iv.
  const bool nonceSet = before != 0 ? fixedSet_ : state_ != State::NoIv && ivBytes_ == kIv;
  if (!keyed_ || !nonceSet || out != in.data() || in.size() != before + recordPayload_ + kTag || in.size() > room) return false;
  uint8_t nonce[kIv];
  std::copy_n(iv_.begin(), kIv, nonce);
  if (before == 0) {
    for (size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<uint8_t>(nonce[4 + i] ^ recordAad_[i]);  // RFC 7905 2
  } else if (sealing_) {
    std::copy_n(nonce + kIv - before, before, out);
    increment(iv_.data() + kIv - 8);
  } else {
    std::copy_n(in.data(), before, nonce + kIv - before);
  }
  uint8_t* const payload = out + before;
  uint8_t* const tag = payload + recordPayload_;
  const Bytes plain{payload, recordPayload_};
  *outBytes = sealing_ ? in.size() : recordPayload_;
  return sealing_ ? sealWhole(nonce, recordAad_, plain, payload, tag) : openWhole(nonce, recordAad_, plain, payload, tag);
}

bool Aead::sealWhole(const uint8_t* iv, Bytes aad, Bytes in, uint8_t* out, uint8_t* tag) {
  if (remote_.run(facts_.alg, key(), kTag, {.kind = ocf::Kind::Seal, .iv = {iv, kIv}, .aad = aad, .in = in, .out = out, .tag = {tag, kTag}}) == Channel::Outcome::Ok)
    return true;
  uint8_t rest[16];
  size_t done = 0;
  int last = 0;
  return startSoftware(iv, kIv, aad) && (in.empty() || stream(out, &done, in)) && EVP_CipherFinal_ex(software_.get(), rest, &last) == 1 &&
         EVP_CIPHER_CTX_ctrl(software_.get(), EVP_CTRL_AEAD_GET_TAG, kTag, tag) == 1;
}

bool Aead::openWhole(const uint8_t* iv, Bytes aad, Bytes in, uint8_t* out, const uint8_t* tag) {
  std::array<uint8_t, kTag> expected;
  std::copy_n(tag, kTag, expected.begin());
  const Channel::Outcome outcome =
      remote_.run(facts_.alg, key(), kTag, {.kind = ocf::Kind::Open, .iv = {iv, kIv}, .aad = aad, .in = in, .out = out, .tag = expected});
  if (outcome != Channel::Outcome::Failed) return outcome == Channel::Outcome::Ok;
  uint8_t rest[16];
  size_t done = 0;
  int last = 0;
  const bool good = startSoftware(iv, kIv, aad) && (in.empty() || stream(out, &done, in)) &&
                    EVP_CIPHER_CTX_ctrl(software_.get(), EVP_CTRL_AEAD_SET_TAG, kTag, expected.data()) == 1 &&
                    EVP_CipherFinal_ex(software_.get(), rest, &last) == 1;
  if (!good) OPENSSL_cleanse(out, in.size());
  return good;
}

// ── parameters ──

bool Aead::get(OSSL_PARAM* params) const {
  for (OSSL_PARAM* p = params; p != nullptr && p->key != nullptr; ++p) {
    const std::string_view name = p->key;
    bool good = true;
    if (name == OSSL_CIPHER_PARAM_KEYLEN) good = OSSL_PARAM_set_size_t(p, facts_.keyBytes) == 1;
    else if (name == OSSL_CIPHER_PARAM_IVLEN || name == OSSL_CIPHER_PARAM_AEAD_IVLEN) good = OSSL_PARAM_set_size_t(p, ivBytes_) == 1;
    else if (name == OSSL_CIPHER_PARAM_AEAD_TAGLEN) good = OSSL_PARAM_set_size_t(p, tagBytes_ != 0 ? tagBytes_ : kTag) == 1;
    else if (name == OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD) good = OSSL_PARAM_set_size_t(p, kTag) == 1;
    else if (name == OSSL_CIPHER_PARAM_IV || name == OSSL_CIPHER_PARAM_UPDATED_IV)
      good = OSSL_PARAM_set_octet_string(p, iv_.data(), ivBytes_) == 1 || OSSL_PARAM_set_octet_ptr(p, iv_.data(), ivBytes_) == 1;
    else if (name == OSSL_CIPHER_PARAM_AEAD_TAG)
      good = sealing_ && tagBytes_ != 0 && p->data_size != 0 && p->data_size <= kTag && OSSL_PARAM_set_octet_string(p, tag_.data(), p->data_size) == 1;
    if (!good) return false;
  }
  return true;
}

bool Aead::set(const OSSL_PARAM* params) {
  for (const OSSL_PARAM* p = params; p != nullptr && p->key != nullptr; ++p) {
    const std::string_view name = p->key;
    const Bytes bytes{static_cast<const uint8_t*>(p->data), p->data == nullptr ? 0 : p->data_size};
    if (name == OSSL_CIPHER_PARAM_AEAD_TAG) {
      if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size == 0 || p->data_size > kTag || (sealing_ && p->data != nullptr)) return false;
      if (p->data == nullptr) continue;  // a length alone: that of the bytes that are asked for later
      std::copy(bytes.begin(), bytes.end(), tag_.begin());
      tagBytes_ = bytes.size();
    } else if (name == OSSL_CIPHER_PARAM_AEAD_IVLEN || name == OSSL_CIPHER_PARAM_IVLEN) {
      size_t length = 0;
      if (OSSL_PARAM_get_size_t(p, &length) != 1 || length == 0 || length > iv_.size()) return false;
      if (length != ivBytes_) state_ = State::NoIv;
      ivBytes_ = length;
    } else if (name == OSSL_CIPHER_PARAM_KEYLEN) {
      size_t length = 0;
      if (OSSL_PARAM_get_size_t(p, &length) != 1 || length != facts_.keyBytes) return false;
    } else if (name == OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED) {
      if (p->data_type != OSSL_PARAM_OCTET_STRING || !setFixedIv(bytes)) return false;
    } else if (name == OSSL_CIPHER_PARAM_AEAD_TLS1_AAD) {
      if (p->data_type != OSSL_PARAM_OCTET_STRING || !setRecordAad(bytes)) return false;
    }
  }
  return true;
}

}  // namespace socrypt::provider
