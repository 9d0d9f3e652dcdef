#include "provider/digest.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>
#include <string_view>

namespace socrypt::provider {

bool Held::take(Bytes bytes) {
  if (bytes_.size() + bytes.size() > Channel::kMaxPayload) return false;
  // Growing leaves no copies behind.
  if (bytes_.capacity() < bytes_.size() + bytes.size()) {
    std::vector<uint8_t> larger;
    larger.reserve(std::max<size_t>(2 * bytes_.capacity(), bytes_.size() + bytes.size()));
    larger.assign(bytes_.begin(), bytes_.end());
    clear();
    bytes_ = std::move(larger);
  }
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  return true;
}

void Held::clear() noexcept {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
  bytes_.clear();
}

// ── digests ──

std::unique_ptr<Digest> Digest::duplicate() const {
  auto copy = std::make_unique<Digest>(facts_);
  copy->held_ = held_;
  copy->streaming_ = streaming_;
  if (streaming_) {
    copy->software_.reset(EVP_MD_CTX_new());
    if (copy->software_ == nullptr || EVP_MD_CTX_copy_ex(copy->software_.get(), software_.get()) != 1) return nullptr;
  }
  return copy;
}

bool Digest::init() {
  held_.clear();
  streaming_ = false;
  return true;
}

bool Digest::update(Bytes in) {
  if (!streaming_ && held_.take(in)) return true;
  if (!streaming_) {
    const EVP_MD* const digest = softwareDigest(facts_.name);
    if (software_ == nullptr) software_.reset(EVP_MD_CTX_new());
    if (digest == nullptr || software_ == nullptr || EVP_DigestInit_ex2(software_.get(), digest, nullptr) != 1 ||
        EVP_DigestUpdate(software_.get(), held_.view().data(), held_.view().size()) != 1)
      return false;
    held_.clear();
    streaming_ = true;
  }
  return EVP_DigestUpdate(software_.get(), in.data(), in.size()) == 1;
}

bool Digest::final(uint8_t* out, size_t* outBytes, size_t room) {
  if (room < facts_.bytes) return false;
  *outBytes = facts_.bytes;
  unsigned length = 0;
  if (streaming_) return EVP_DigestFinal_ex(software_.get(), out, &length) == 1;
  if (runKeyless(facts_.alg, {.kind = ocf::Kind::Mac, .in = held_.view(), .tag = {out, facts_.bytes}}) == Channel::Outcome::Ok) return true;
  const EVP_MD* const digest = softwareDigest(facts_.name);
  return digest != nullptr && EVP_Digest(held_.view().data(), held_.view().size(), out, &length, digest, nullptr) == 1;
}

// ── HMAC ──

Hmac::~Hmac() { OPENSSL_cleanse(key_.data(), key_.size()); }

std::unique_ptr<Hmac> Hmac::duplicate() const {
  auto copy = std::make_unique<Hmac>();
  copy->facts_ = facts_;
  copy->digest_ = digest_;
  copy->key_ = key_;
  copy->keyed_ = keyed_;
  copy->streaming_ = streaming_;
  copy->tlsDataBytes_ = tlsDataBytes_;
  copy->held_ = held_;
  if (streaming_) {
    copy->software_.reset(EVP_MAC_CTX_dup(software_.get()));
    if (copy->software_ == nullptr) return nullptr;
  }
  return copy;
}

bool Hmac::init(Bytes key, const OSSL_PARAM* params) {
  if (params != nullptr && !set(params)) return false;
  if (key.data() != nullptr) {
    remote_.forget();
    OPENSSL_cleanse(key_.data(), key_.size());
    key_.assign(key.begin(), key.end());
    keyed_ = true;
  }
  held_.clear();
  streaming_ = false;
  return keyed_ && !digest_.empty();
}

bool Hmac::startSoftware() {
  EVP_MAC* const mac = softwareHmac();
  if (mac == nullptr) return false;
  software_.reset(EVP_MAC_CTX_new(mac));
  OSSL_PARAM params[3];
  size_t n = 0;
  params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_.data(), 0);
  if (tlsDataBytes_ != 0) params[n++] = OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_TLS_DATA_SIZE, &tlsDataBytes_);
  params[n] = OSSL_PARAM_construct_end();
  // A key of no bytes is one; no key at all is the one before.
  static constexpr uint8_t kNone = 0;
  const uint8_t* const key = key_.empty() ? &kNone : key_.data();
  if (software_ == nullptr || EVP_MAC_init(software_.get(), key, key_.size(), params) != 1) return false;
  streaming_ = true;
  const bool caughtUp = held_.view().empty() || EVP_MAC_update(software_.get(), held_.view().data(), held_.view().size()) == 1;
  held_.clear();
  return caughtUp;
}

bool Hmac::update(Bytes in) {
  if (!keyed_ || digest_.empty()) return false;
  if (!streaming_ && facts_ != nullptr && tlsDataBytes_ == 0 && held_.take(in)) return true;
  if (!streaming_ && !startSoftware()) return false;
  return in.empty() || EVP_MAC_update(software_.get(), in.data(), in.size()) == 1;
}

bool Hmac::final(uint8_t* out, size_t* outBytes, size_t room) {
  if (!keyed_ || digest_.empty()) return false;
  // The framework takes keys of 1 to 1024 bytes.
  const bool offered = !streaming_ && facts_ != nullptr && tlsDataBytes_ == 0 && !key_.empty() && key_.size() <= 1024 && room >= facts_->bytes &&
                       held_.view().size() >= settings().digestMinBytes;
  if (offered && remote_.run(facts_->hmac, key_, static_cast<uint8_t>(facts_->bytes),
                             {.kind = ocf::Kind::Mac, .in = held_.view(), .tag = {out, facts_->bytes}}) == Channel::Outcome::Ok) {
    *outBytes = facts_->bytes;
    return true;
  }
  return (streaming_ || startSoftware()) && EVP_MAC_final(software_.get(), out, outBytes, room) == 1;
}

bool Hmac::get(OSSL_PARAM* params) const {
  const EVP_MD* const digest = digest_.empty() ? nullptr : softwareDigest(digest_.c_str());
  OSSL_PARAM* p = OSSL_PARAM_locate(params, OSSL_MAC_PARAM_SIZE);
  if (p != nullptr && OSSL_PARAM_set_size_t(p, digest == nullptr ? 0 : static_cast<size_t>(EVP_MD_get_size(digest))) != 1) return false;
  p = OSSL_PARAM_locate(params, OSSL_MAC_PARAM_BLOCK_SIZE);
  return p == nullptr || OSSL_PARAM_set_size_t(p, digest == nullptr ? 0 : static_cast<size_t>(EVP_MD_get_block_size(digest))) == 1;
}

bool Hmac::set(const OSSL_PARAM* params) {
  if (const OSSL_PARAM* p = OSSL_PARAM_locate_const(params, OSSL_MAC_PARAM_DIGEST); p != nullptr) {
    if (p->data_type != OSSL_PARAM_UTF8_STRING) return false;
    const std::string name(static_cast<const char*>(p->data));
    const EVP_MD* const digest = softwareDigest(name.c_str());
    if (digest == nullptr) return false;
    const auto known = std::find_if(std::begin(kDigests), std::end(kDigests), [digest](const DigestFacts& one) { return EVP_MD_is_a(digest, one.name) == 1; });
    facts_ = known == std::end(kDigests) ? nullptr : known;
    digest_ = name;
    remote_.forget();
  }
  if (const OSSL_PARAM* p = OSSL_PARAM_locate_const(params, OSSL_MAC_PARAM_TLS_DATA_SIZE); p != nullptr && OSSL_PARAM_get_size_t(p, &tlsDataBytes_) != 1) return false;
  if (const OSSL_PARAM* p = OSSL_PARAM_locate_const(params, OSSL_MAC_PARAM_KEY); p != nullptr) {
    if (p->data_type != OSSL_PARAM_OCTET_STRING) return false;
    static constexpr uint8_t kNone = 0;
    const Bytes key{p->data == nullptr ? &kNone : static_cast<const uint8_t*>(p->data), p->data_size};
    return init(key, nullptr) || digest_.empty();
  }
  return true;
}

}  // namespace socrypt::provider
