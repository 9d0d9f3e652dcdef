#include "ocf/drivers/key_session.hpp"

#include <algorithm>
#include <new>
#include <string>

#include "ocf/big_integer.hpp"

namespace socrypt::ocf {
namespace {

using key::View;

View viewOf(const Seg& seg) noexcept { return {seg.p, seg.n}; }
std::span<uint8_t> roomOf(const Seg& seg) noexcept { return {seg.p, seg.n}; }

// Big integers as parameters; `count` of them.
bool has(const Op& op, uint16_t in, uint16_t out) noexcept { return op.nIn == in && op.nOut == out; }

Status statusOf(key::Arithmetic result) noexcept {
  switch (result) {
    case key::Arithmetic::Ok: return Status::Ok;
    case key::Arithmetic::Invalid: return Status::Invalid;
    case key::Arithmetic::Failed: break;
  }
  return Status::NoMemory;
}

// A share that is none is the peer's mistake, as a tag that does not verify.
Status statusOf(key::Agreement result) noexcept {
  switch (result) {
    case key::Agreement::Ok: return Status::Ok;
    case key::Agreement::InvalidShare: return Status::BadTag;
    case key::Agreement::Failed: break;
  }
  return Status::NoMemory;
}

Status put(View bytes, Seg& to) noexcept {
  if (bytes.size() > to.n) return Status::Range;
  std::copy(bytes.begin(), bytes.end(), to.p);
  to.n = static_cast<uint32_t>(bytes.size());
  return Status::Ok;
}

bool isGroup(AlgId alg) noexcept { return alg == AlgId::X25519 || alg == AlgId::EcdhP256 || alg == AlgId::EcdhP384; }
key::Group groupOf(AlgId alg) noexcept {
  return alg == AlgId::X25519 ? key::Group::X25519 : alg == AlgId::EcdhP256 ? key::Group::P256 : key::Group::P384;
}
size_t scalarOf(AlgId alg) noexcept { return alg == AlgId::EcdhP384 ? 48 : 32; }

bool signs(AlgId alg) noexcept {
  return alg == AlgId::Rsa || alg == AlgId::EcdsaP256 || alg == AlgId::EcdsaP384 || alg == AlgId::Ed25519;
}
bool fits(AlgId alg, key::PrivateKey::Type type, std::string_view curve) noexcept {
  using Type = key::PrivateKey::Type;
  switch (alg) {
    case AlgId::Rsa: return type == Type::Rsa;
    case AlgId::Ed25519: return type == Type::Ed25519;
    case AlgId::EcdsaP256: return type == Type::Ec && curve == "P-256";
    case AlgId::EcdsaP384: return type == Type::Ec && curve == "P-384";
    default: return false;
  }
}

}  // namespace

// PrivateKeyInfo (RFC 5208) begins with its version, SubjectPublicKeyInfo (RFC 5280) with a SEQUENCE.
bool KeySession::isPrivate(View der) noexcept {
  if (der.size() < 8 || der[0] != 0x30) return false;
  const size_t header = der[1] < 0x80 ? 2 : 2 + size_t{der[1]} - 0x80;
  return header < der.size() && der[header] == 0x02;
}

Status KeySession::check(const Alg& alg) noexcept {
  if (signs(alg.id)) return alg.key.empty() ? Status::BadKey : Status::Ok;
  if (isGroup(alg.id)) return alg.key.empty() || alg.key.size() == scalarOf(alg.id) ? Status::Ok : Status::BadKey;
  if (alg.id == AlgId::Dsa && !key::hasDsa()) return Status::UnknownAlg;
  if (alg.id == AlgId::Dsa || alg.id == AlgId::Dh || alg.id == AlgId::ModExp || alg.id == AlgId::ModExpCrt)
    return alg.key.empty() ? Status::Ok : Status::BadKey;
  return Status::UnknownAlg;
}

KeySession::~KeySession() { wipe(bytes_.data(), bytes_.size()); }

Status KeySession::open(const Alg& alg) {
  const Status possible = check(alg);
  if (possible != Status::Ok) return possible;
  alg_ = alg.id;
  if (!signs(alg.id) || !isPrivate(alg.key)) {
    key::PublicKeyFacts facts;
    if (signs(alg.id) && (!key::describePublicKey(alg.key, facts) || !fits(alg.id, facts.type, facts.curve))) return Status::BadKey;
    bytes_.assign(alg.key.begin(), alg.key.end());
    return Status::Ok;
  }
  std::string why;
  key_ = key::PrivateKey::fromPkcs8(alg.key, why);
  if (key_.has_value() && fits(alg.id, key_->type(), key_->curve())) return Status::Ok;
  key_.reset();
  return Status::BadKey;
}

Status KeySession::run(Op& op, unsigned lane) noexcept {
  try {
    switch (op.kind) {
      case Kind::Sign: return sign(op, lane);
      case Kind::VerifySig: return verify(op);
      case Kind::Derive: return derive(op);
      case Kind::ModExp:
      case Kind::ModExpCrt: return modExp(op);
      default: return Status::Invalid;
    }
  } catch (const std::bad_alloc&) {
    return Status::NoMemory;
  }
}

Status KeySession::sign(Op& op, unsigned lane) noexcept {
  if (alg_ == AlgId::Dsa) {
    if (!has(op, 5, 2)) return Status::Invalid;
    size_t length = 0;
    const key::Arithmetic result = key::dsaSign(viewOf(op.in[0]), viewOf(op.in[1]), viewOf(op.in[2]), viewOf(op.in[3]), viewOf(op.in[4]),
                                                roomOf(op.out[0]), roomOf(op.out[1]), length);
    if (result == key::Arithmetic::Ok) op.out[0].n = op.out[1].n = static_cast<uint32_t>(length);
    return statusOf(result);
  }
  if (!has(op, 1, 1) || !key_.has_value()) return Status::Invalid;
  std::optional<key::PrivateKey>& own = lanes_[lane];
  if (!own.has_value()) own = key_->share();
  std::vector<uint8_t> signature;
  switch (own->sign(op.scheme, viewOf(op.in[0]), signature)) {
    case key::PrivateKey::SignResult::Ok: return put(signature, op.out[0]);
    case key::PrivateKey::SignResult::WrongScheme: return Status::UnknownAlg;
    case key::PrivateKey::SignResult::Failed: break;
  }
  return Status::Invalid;  // a key that is too small for the scheme
}

Status KeySession::verify(const Op& op) const noexcept {
  key::Verdict verdict = key::Verdict::NotOurs;
  if (alg_ == AlgId::Dsa) {
    if (!has(op, 7, 0)) return Status::Invalid;
    verdict = key::dsaVerify(viewOf(op.in[0]), viewOf(op.in[1]), viewOf(op.in[2]), viewOf(op.in[3]), viewOf(op.in[4]), viewOf(op.in[5]),
                             viewOf(op.in[6]));
  } else {
    if (!has(op, 2, 0) || bytes_.empty()) return Status::Invalid;
    verdict = key::verify(op.scheme, bytes_, viewOf(op.in[0]), viewOf(op.in[1]));
  }
  switch (verdict) {
    case key::Verdict::Good: return Status::Ok;
    case key::Verdict::Bad: return Status::BadTag;
    case key::Verdict::NotOurs: break;
  }
  return Status::UnknownAlg;
}

Status KeySession::derive(Op& op) const noexcept {
  if (alg_ == AlgId::Dh) {
    if (!has(op, 3, 1)) return Status::Invalid;
    size_t length = 0;
    const key::Arithmetic result = key::dhComputeKey(viewOf(op.in[0]), viewOf(op.in[1]), viewOf(op.in[2]), roomOf(op.out[0]), length);
    if (result == key::Arithmetic::Ok) op.out[0].n = static_cast<uint32_t>(length);
    return statusOf(result);
  }
  if (!isGroup(alg_) || op.nIn != 1) return Status::Invalid;
  const bool ephemeral = bytes_.empty();
  if (op.nOut != (ephemeral ? 2 : 1)) return Status::Invalid;
  key::KeyShare share;
  const key::Agreement result = ephemeral ? key::keyShare(groupOf(alg_), viewOf(op.in[0]), share)
                                          : key::agree(groupOf(alg_), bytes_, viewOf(op.in[0]), share);
  if (result != key::Agreement::Ok) return statusOf(result);
  if (share.secretLength > op.out[0].n || (ephemeral && share.publicLength > op.out[1].n)) return Status::Range;
  Status status = put({share.secret.data(), share.secretLength}, op.out[0]);
  if (ephemeral && status == Status::Ok) status = put({share.publicKey.data(), share.publicLength}, op.out[1]);
  return status;
}

Status KeySession::modExp(Op& op) const noexcept {
  const bool crt = op.kind == Kind::ModExpCrt;
  if (alg_ != (crt ? AlgId::ModExpCrt : AlgId::ModExp) || !has(op, crt ? 6 : 3, 1)) return Status::Invalid;
  size_t length = 0;
  const key::Arithmetic result =
      crt ? key::modExpCrt(viewOf(op.in[1]), viewOf(op.in[2]), viewOf(op.in[0]), viewOf(op.in[3]), viewOf(op.in[4]), viewOf(op.in[5]),
                           roomOf(op.out[0]), length)
          : key::modExp(viewOf(op.in[0]), viewOf(op.in[1]), viewOf(op.in[2]), roomOf(op.out[0]), length);
  if (result == key::Arithmetic::Ok) op.out[0].n = static_cast<uint32_t>(length);
  return statusOf(result);
}

}  // namespace socrypt::ocf
