#include "provider/block.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace socrypt::provider {

namespace {

void advance(uint8_t* counter, uint64_t blocks) noexcept {
  for (size_t i = Block::kBlock; i-- > 0 && blocks != 0;) {
    blocks += counter[i];
    counter[i] = static_cast<uint8_t>(blocks);
    blocks >>= 8;
  }
}

constexpr size_t kPiece = Channel::kMaxPayload;
static_assert(kPiece % Block::kBlock == 0);

}  // namespace

Block::~Block() {
  OPENSSL_cleanse(key_.data(), key_.size());
  OPENSSL_cleanse(held_.data(), held_.size());
}

std::unique_ptr<Block> Block::duplicate() const {
  auto copy = std::make_unique<Block>(facts_);
  copy->key_ = key_;
  copy->iv_ = iv_;
  copy->original_ = original_;
  copy->held_ = held_;
  copy->heldBytes_ = heldBytes_;
  copy->encrypting_ = encrypting_;
  copy->keyed_ = keyed_;
  copy->ivSet_ = ivSet_;
  copy->padding_ = padding_;
  copy->delegated_ = delegated_;
  if (software_ != nullptr) {
    copy->software_.reset(EVP_CIPHER_CTX_new());
    if (copy->software_ == nullptr || EVP_CIPHER_CTX_copy(copy->software_.get(), software_.get()) != 1) return nullptr;
    copy->softwareKeyed_ = softwareKeyed_;
  }
  return copy;
}

bool Block::init(bool encrypting, Bytes key, Bytes iv, const OSSL_PARAM* params) {
  if (encrypting != encrypting_) softwareKeyed_ = false;  // CBC's two directions have different key schedules
  encrypting_ = encrypting;
  if (!key.empty()) {
    if (key.size() != facts_.keyBytes) return false;
    remote_.forget();
    std::copy(key.begin(), key.end(), key_.begin());
    keyed_ = true;
    softwareKeyed_ = false;
  }
  if (!iv.empty()) {
    if (iv.size() != kBlock) return false;
    std::copy(iv.begin(), iv.end(), original_.begin());
    ivSet_ = true;
  }
  iv_ = original_;
  heldBytes_ = 0;
  delegated_ = false;
  return params == nullptr || set(params);
}

bool Block::startSoftware() {
  const EVP_CIPHER* const cipher = softwareCipher(facts_.name);
  if (cipher == nullptr) return false;
  if (software_ == nullptr) software_.reset(EVP_CIPHER_CTX_new());
  if (software_ == nullptr) return false;
  const int direction = encrypting_ ? 1 : 0;
  const bool good = softwareKeyed_ ? EVP_CipherInit_ex2(software_.get(), nullptr, nullptr, iv_.data(), direction, nullptr) == 1
                                   : EVP_CipherInit_ex2(software_.get(), cipher, key_.data(), iv_.data(), direction, nullptr) == 1;
  softwareKeyed_ = good;
  return good && EVP_CIPHER_CTX_set_padding(software_.get(), 0) == 1;
}

// Whole blocks, wherever they are done. `iv_` goes along.
bool Block::blocks(const uint8_t* in, uint8_t* out, size_t bytes) {
  while (bytes != 0) {
    const size_t piece = std::min(bytes, kPiece);
    std::array<uint8_t, kBlock> next = iv_;
    if (ctr()) advance(next.data(), piece / kBlock);
    else if (!encrypting_) std::memcpy(next.data(), in + piece - kBlock, kBlock);
    const ocf::Kind kind = encrypting_ ? ocf::Kind::Cipher : ocf::Kind::Decipher;
    if (remote_.run(facts_.alg, key(), 0, {.kind = kind, .iv = iv_, .aad = {}, .in = {in, piece}, .out = out, .tag = {}}) != Channel::Outcome::Ok) {
      int done = 0;
      if (!startSoftware() || EVP_CipherUpdate(software_.get(), out, &done, in, static_cast<int>(piece)) != 1 || static_cast<size_t>(done) != piece)
        return false;
    }
    if (!ctr() && encrypting_) std::memcpy(next.data(), out + piece - kBlock, kBlock);
    iv_ = next;
    in += piece;
    out += piece;
    bytes -= piece;
  }
  return true;
}

// CTR: any number of bytes; a block of key stream that is used in part is kept.
bool Block::stream(uint8_t* out, Bytes in) {
  const auto fromHeld = [&] {
    while (!in.empty() && heldBytes_ != 0) {
      *out++ = static_cast<uint8_t>(in[0] ^ held_[heldBytes_]);
      heldBytes_ = (heldBytes_ + 1) % kBlock;
      in = in.subspan(1);
    }
  };
  fromHeld();
  const size_t whole = in.size() / kBlock * kBlock;
  if (!blocks(in.data(), out, whole)) return false;
  out += whole;
  in = in.subspan(whole);
  if (in.empty()) return true;
  static constexpr uint8_t kZeros[kBlock]{};
  int done = 0;
  if (!startSoftware() || EVP_CipherUpdate(software_.get(), held_.data(), &done, kZeros, kBlock) != 1) return false;
  advance(iv_.data(), 1);
  *out++ = static_cast<uint8_t>(in[0] ^ held_[0]);
  heldBytes_ = 1;
  in = in.subspan(1);
  fromHeld();
  return true;
}

bool Block::update(uint8_t* out, size_t* outBytes, size_t room, Bytes in) {
  *outBytes = 0;
  if (delegated_) {
    int done = 0;
    if (EVP_CipherUpdate(software_.get(), out, &done, in.data(), static_cast<int>(in.size())) != 1) return false;
    *outBytes = static_cast<size_t>(done);
    return true;
  }
  if (!keyed_ || !ivSet_ || in.size() > INT32_MAX) return false;
  if (in.empty()) return true;
  if (ctr()) {
    if (in.size() > room || !stream(out, in)) return false;
    *outBytes = in.size();
    return true;
  }
  // A last block that may be all padding waits for final().
  const size_t total = heldBytes_ + in.size();
  size_t now = total / kBlock * kBlock;
  if (!encrypting_ && padding_ && now == total) now -= kBlock;
  if (now > room) return false;
  size_t written = 0;
  if (heldBytes_ != 0 && now != 0) {
    // The block that began with an earlier update. `out` may be `in`: what is about to be overwritten is read first.
    const size_t missing = kBlock - heldBytes_;
    std::copy_n(in.begin(), missing, held_.begin() + static_cast<ptrdiff_t>(heldBytes_));
    in = in.subspan(missing);
    // Output runs ahead of input by what was held, so in place it would overwrite input: a copy of the rest.
    std::unique_ptr<uint8_t[]> rest;
    const size_t restBytes = in.size();
    const bool shared = out < in.data() + in.size() && in.data() < out + now;
    if (shared && !in.empty()) {
      rest = std::make_unique<uint8_t[]>(in.size());
      std::copy(in.begin(), in.end(), rest.get());
      in = {rest.get(), in.size()};
    }
    const std::array<uint8_t, kBlock> first = held_;
    heldBytes_ = 0;
    const bool good = blocks(first.data(), out, kBlock) && (written = kBlock, now == kBlock || blocks(in.data(), out + kBlock, now - kBlock));
    if (good) {
      in = in.subspan(now - kBlock);
      written = now;
      std::copy(in.begin(), in.end(), held_.begin());
      heldBytes_ = in.size();
    }
    if (rest != nullptr) OPENSSL_cleanse(rest.get(), restBytes);
    *outBytes = written;
    return good;
  }
  // What waits is read before the output covers it.
  const Bytes rest = in.subspan(heldBytes_ != 0 ? 0 : now);
  std::array<uint8_t, 2 * kBlock> waiting{};
  std::copy(rest.begin(), rest.end(), waiting.begin());
  if (now != 0 && !blocks(in.data(), out, now)) return false;
  std::copy_n(waiting.begin(), rest.size(), held_.begin() + static_cast<ptrdiff_t>(heldBytes_));
  heldBytes_ += rest.size();
  *outBytes = now;
  return true;
}

bool Block::final(uint8_t* out, size_t* outBytes, size_t room) {
  *outBytes = 0;
  if (delegated_ || ctr()) return true;
  if (!keyed_ || !ivSet_) return false;
  if (!padding_) return heldBytes_ == 0;
  std::array<uint8_t, kBlock> last{};
  if (encrypting_) {
    if (room < kBlock) return false;
    std::fill(held_.begin() + static_cast<ptrdiff_t>(heldBytes_), held_.end(), static_cast<uint8_t>(kBlock - heldBytes_));
    heldBytes_ = 0;
    if (!blocks(held_.data(), out, kBlock)) return false;
    *outBytes = kBlock;
    return true;
  }
  if (heldBytes_ != kBlock || !blocks(held_.data(), last.data(), kBlock)) return false;
  heldBytes_ = 0;
  const size_t pad = last[kBlock - 1];
  bool good = pad != 0 && pad <= kBlock;
  for (size_t i = 0; good && i < pad; ++i) good = last[kBlock - 1 - i] == pad;
  if (good && kBlock - pad <= room) {
    std::copy_n(last.begin(), kBlock - pad, out);
    *outBytes = kBlock - pad;
  }
  OPENSSL_cleanse(last.data(), last.size());
  return good && kBlock - pad <= room;
}

bool Block::whole(uint8_t* out, size_t* outBytes, size_t room, Bytes in) {
  *outBytes = 0;
  if (!keyed_ || !ivSet_ || in.size() > room) return false;
  if (ctr() ? !stream(out, in) : in.size() % kBlock != 0 || !blocks(in.data(), out, in.size())) return false;
  *outBytes = in.size();
  return true;
}

bool Block::get(OSSL_PARAM* params) const {
  for (OSSL_PARAM* p = params; p != nullptr && p->key != nullptr; ++p) {
    const std::string_view name = p->key;
    bool good = true;
    if (name == OSSL_CIPHER_PARAM_KEYLEN) good = OSSL_PARAM_set_size_t(p, facts_.keyBytes) == 1;
    else if (name == OSSL_CIPHER_PARAM_IVLEN) good = OSSL_PARAM_set_size_t(p, kBlock) == 1;
    else if (name == OSSL_CIPHER_PARAM_PADDING) good = OSSL_PARAM_set_uint(p, padding_ ? 1 : 0) == 1;
    else if (name == OSSL_CIPHER_PARAM_NUM) good = OSSL_PARAM_set_uint(p, ctr() ? static_cast<unsigned>(heldBytes_) : 0) == 1;
    else if (name == OSSL_CIPHER_PARAM_IV || name == OSSL_CIPHER_PARAM_UPDATED_IV) {
      const auto& iv = name == OSSL_CIPHER_PARAM_IV ? original_ : iv_;
      good = OSSL_PARAM_set_octet_string(p, iv.data(), kBlock) == 1 || OSSL_PARAM_set_octet_ptr(p, iv.data(), kBlock) == 1;
    } else if (name == OSSL_CIPHER_PARAM_TLS_MAC && delegated_) {
      OSSL_PARAM one[] = {*p, OSSL_PARAM_construct_end()};
      good = EVP_CIPHER_CTX_get_params(software_.get(), one) == 1;
      *p = one[0];
    }
    if (!good) return false;
  }
  return true;
}

bool Block::set(const OSSL_PARAM* params) {
  for (const OSSL_PARAM* p = params; p != nullptr && p->key != nullptr; ++p) {
    const std::string_view name = p->key;
    if (name == OSSL_CIPHER_PARAM_PADDING) {
      unsigned padding = 0;
      if (OSSL_PARAM_get_uint(p, &padding) != 1) return false;
      padding_ = padding != 0;
    } else if (name == OSSL_CIPHER_PARAM_KEYLEN) {
      size_t length = 0;
      if (OSSL_PARAM_get_size_t(p, &length) != 1 || length != facts_.keyBytes) return false;
    } else if (name == OSSL_CIPHER_PARAM_NUM) {
      unsigned used = 0;
      // CTR in the middle of a block: the key stream of that block is not known here.
      if (OSSL_PARAM_get_uint(p, &used) != 1 || used != 0) return false;
    } else if (name == OSSL_CIPHER_PARAM_TLS_VERSION || name == OSSL_CIPHER_PARAM_TLS_MAC_SIZE) {
      // With padding: the default provider insists on it for records.
      if (!keyed_ || !ivSet_ || (!delegated_ && (!startSoftware() || EVP_CIPHER_CTX_set_padding(software_.get(), 1) != 1))) return false;
      delegated_ = true;
      const OSSL_PARAM one[] = {*p, OSSL_PARAM_construct_end()};
      if (EVP_CIPHER_CTX_set_params(software_.get(), one) != 1) return false;
    }
  }
  return true;
}

}  // namespace socrypt::provider
