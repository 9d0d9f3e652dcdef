// Stages of the key schedule of TLS 1.3 (RFC 8446 7.1).
#include <cstring>

#include "ocf/key.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::key {
namespace {

// Writes one secret after the other; once something failed, nothing more.
class Stage {
 public:
  Stage(Hash hash, size_t keyLength, std::span<uint8_t> out) noexcept : hash_(hash), keyLength_(keyLength), out_(out) {}

  bool extract(View salt, View ikm) noexcept {
    Digest secret;
    good_ = hkdfExtract(hash_, salt, ikm, secret);
    secret_ = place(hashLength(hash_));
    if (good_) std::memcpy(secret_.data(), secret.bytes.data(), secret_.size());
    return good_;
  }
  /// Derive-Secret of the stage's secret.
  std::span<uint8_t> derive(std::string_view label, View transcript) noexcept {
    return expand(secret_, label, transcript, hashLength(hash_));
  }
  /// RFC 8446 4.4.4 and 7.3: what is made of a traffic secret.
  void traffic(std::string_view label, View transcript, bool withFinished) noexcept {
    const auto secret = derive(label, transcript);
    if (withFinished) expand(secret, "finished", {}, hashLength(hash_));
    expand(secret, "key", {}, keyLength_);
    expand(secret, "iv", {}, kIvLength);
  }
  bool finish() noexcept {
    if (!good_) ocf::wipe(out_.data(), out_.size());
    return good_;
  }

 private:
  std::span<uint8_t> place(size_t length) noexcept {
    at_ += length;
    return out_.subspan(at_ - length, length);
  }
  std::span<uint8_t> expand(View secret, std::string_view label, View context, size_t length) noexcept {
    const auto to = place(length);
    good_ = good_ && hkdfExpandLabel(hash_, secret, label, context, to);
    return to;
  }

  Hash hash_;
  size_t keyLength_;
  std::span<uint8_t> out_, secret_;
  size_t at_ = 0;
  bool good_ = false;
};

bool fits(Hash hash, size_t keyLength, View transcript) noexcept {
  return keyLength <= 32 && transcript.size() == hashLength(hash);
}

}  // namespace

bool handshakeStage(Hash hash, size_t keyLength, View salt, View sharedSecret, View transcript,
                    std::span<uint8_t> out) noexcept {
  if (!fits(hash, keyLength, transcript) || out.size() != handshakeStageLength(hash, keyLength)) return false;
  Stage stage(hash, keyLength, out);
  if (stage.extract(salt, sharedSecret)) {
    stage.traffic("c hs traffic", transcript, true);
    stage.traffic("s hs traffic", transcript, true);
  }
  return stage.finish();
}

bool applicationStage(Hash hash, size_t keyLength, View handshakeSecret, View transcript, std::span<uint8_t> out) noexcept {
  if (!fits(hash, keyLength, transcript) || out.size() != applicationStageLength(hash, keyLength)) return false;
  static constexpr uint8_t kZeros[kMaxHash] = {};
  Digest emptyHash, derived;
  derived.length = hashLength(hash);
  Stage stage(hash, keyLength, out);
  if (digest(hash, {}, emptyHash) &&
      hkdfExpandLabel(hash, handshakeSecret, "derived", emptyHash.view(), {derived.bytes.data(), derived.length}) &&
      stage.extract(derived.view(), {kZeros, hashLength(hash)})) {
    stage.traffic("c ap traffic", transcript, false);
    stage.traffic("s ap traffic", transcript, false);
    stage.derive("exp master", transcript);
  }
  return stage.finish();
}

}  // namespace socrypt::key
