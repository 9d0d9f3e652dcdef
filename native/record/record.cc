#include "record/record.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace socrypt::record {
namespace {

// Ops built on the stack per dispatch. Sixteen 16 KB records are what one send() carries.
constexpr size_t kBurst = 16;
// Empty application data is legal traffic-analysis cover (RFC 8446 5.1), and so are some alerts and
// KeyUpdates; an endless run of them is an attack on our CPU. One count for all kinds, since a peer that
// alternates them would reset a count of each. 32 is BoringSSL's and rustls' limit.
constexpr uint8_t kMaxNoProgress = 32;
constexpr uint64_t kLastSeq = std::numeric_limits<uint64_t>::max();
// RFC 5246 6.2.3.3: "seq_num + TLSCompressed.type + TLSCompressed.version + TLSCompressed.length".
using Aad12 = std::array<uint8_t, kAadLength12>;

ocf::SessionHandle openSession(ocf::Framework& framework, const TrafficKeys& keys, uint32_t needs, ocf::Status* status) {
  const SuiteFacts facts = factsOf(keys.suite);
  if (!facts.known) {
    *status = ocf::Status::Invalid;
    return nullptr;
  }
  const ocf::Alg alg{.id = facts.alg, .key = std::span(keys.key).first(ocf::keyLength(facts.alg))};
  return framework.open({.chain = {&alg, 1}, .needs = needs}, status);
}

ocf::Status moveSession(ocf::Framework& framework, ocf::SessionHandle& session, uint32_t needs) {
  if (session == nullptr) return ocf::Status::Closed;
  ocf::Status status = ocf::Status::Ok;
  ocf::SessionHandle other = framework.openLike(*session.get(), needs, &status);
  if (other != nullptr) session = std::move(other);
  return status;
}

// The iv with zeros where TLS 1.2 AES-GCM has its explicit nonce.
std::array<uint8_t, 12> staticIv(const TrafficKeys& keys) noexcept {
  std::array<uint8_t, 12> iv{};
  std::memcpy(iv.data(), keys.iv.data(), factsOf(keys.suite).ivLength);
  return iv;
}

// RFC 8446 5.3 and RFC 7905 2: the sequence number, big-endian, padded on the left, XORed into the static
// IV. With zeros in the place of the explicit nonce it is also RFC 5288 3: "The nonce_explicit MAY be the
// 64-bit sequence number." It always is here: a number is never used twice.
void writeNonce(uint8_t* nonce, const std::array<uint8_t, 12>& iv, uint64_t recordSeq) noexcept {
  const uint64_t bigEndian = __builtin_bswap64(recordSeq);
  uint64_t low;
  std::memcpy(nonce, iv.data(), 4);
  std::memcpy(&low, iv.data() + 4, 8);
  low ^= bigEndian;
  std::memcpy(nonce + 4, &low, 8);
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

void writeBigEndian(uint8_t* at, uint64_t value) noexcept {
  value = __builtin_bswap64(value);
  std::memcpy(at, &value, 8);
}

void writeAad12(Aad12& aad, uint64_t recordSeq, const uint8_t* header, size_t plaintextLength) noexcept {
  writeBigEndian(aad.data(), recordSeq);
  std::memcpy(aad.data() + 8, header, 3);
  aad[11] = static_cast<uint8_t>(plaintextLength >> 8);
  aad[12] = static_cast<uint8_t>(plaintextLength);
}

void writeHeader(uint8_t* at, ContentType type, size_t ciphertextLength) noexcept {
  at[0] = static_cast<uint8_t>(type);
  at[1] = 3;
  at[2] = 3;
  at[3] = static_cast<uint8_t>(ciphertextLength >> 8);
  at[4] = static_cast<uint8_t>(ciphertextLength);
}

size_t ciphertextLength(const uint8_t* header) noexcept { return size_t{header[3]} << 8 | header[4]; }

// RFC 8446 section 5.4: everything after the last non-zero byte is padding. Returns the length up to
// RFC 8446 5.4: "MUST limit their scanning to the cleartext returned from the AEAD decryption".
// and including that byte, 0 when there is none.
size_t withoutPadding(const uint8_t* inner, size_t length) noexcept {
  while (length >= 8) {
    uint64_t tail;
    std::memcpy(&tail, inner + length - 8, 8);
    if (tail != 0) break;
    length -= 8;
  }
  while (length > 0 && inner[length - 1] == 0) --length;
  return length;
}

}  // namespace

void TrafficKeys::wipe() noexcept {
  ocf::wipe(key.data(), key.size());
  ocf::wipe(iv.data(), iv.size());
}

RecordWriter::~RecordWriter() { ocf::wipe(iv_.data(), iv_.size()); }

ocf::Status RecordWriter::install(const TrafficKeys& keys, uint32_t needs) {
  ocf::Status status = ocf::Status::Ok;
  ocf::SessionHandle session = openSession(*framework_, keys, needs, &status);
  if (session == nullptr) return status;
  session_ = std::move(session);
  iv_ = staticIv(keys);
  facts_ = factsOf(keys.suite);
  suite_ = keys.suite;
  epoch_ = keys.epoch;
  recordSeq_ = keys.recordSeq;
  streamOffset_ = keys.streamOffset;
  return ocf::Status::Ok;
}

bool RecordWriter::copyKeys(TrafficKeys& keys) const noexcept {
  if (session_ == nullptr || framework_->copyKey(*session_.get(), keys.key) == 0) return false;
  keys.suite = suite_;
  keys.iv = iv_;
  keys.recordSeq = recordSeq_;
  keys.epoch = epoch_;
  keys.streamOffset = streamOffset_;
  return true;
}

ocf::Status RecordWriter::move(uint32_t needs) { return moveSession(*framework_, session_, needs); }

uint64_t RecordWriter::recordsLeft() const noexcept {
  uint64_t limit = recordLimit_;
  if (limit == 0) {
    // ChaCha20-Poly1305 may seal 2^64 records, more than there are sequence numbers (section 5.5).
    if (facts_.alg == ocf::AlgId::ChaCha20Poly1305) return std::numeric_limits<uint64_t>::max();
    limit = kAesGcmRecordLimit;
  }
  // A key's first record has number 0 wherever it was sealed, so the number is the count.
  return limit > recordSeq_ ? limit - recordSeq_ : 0;
}

/// How many of the slots may be sealed next.
size_t RecordWriter::admissible(ContentType type, std::span<const Slot> slots) const noexcept {
  if (session_ == nullptr) return 0;
  uint64_t allowed = kLastSeq - recordSeq_;
  // At the limit application data stops, but the KeyUpdate and the alert that lead out of it do not.
  if (type == ContentType::ApplicationData) allowed = std::min(allowed, recordsLeft());
  // RFC 8446 5.4: "MUST NOT send Handshake and Alert records that have a zero-length TLSInnerPlaintext.content".
  // RFC 5246 6.2.1: "MUST NOT send zero-length fragments of Handshake, Alert, or ChangeCipherSpec content types";
  // RFC 5246 6.2.1: "The length MUST NOT exceed 2^14."
  const bool mayBeEmpty = type == ContentType::ApplicationData;
  size_t n = 0;
  while (n < slots.size() && n < allowed && slots[n].payloadLength <= kMaxPlaintext && (slots[n].payloadLength != 0 || mayBeEmpty)) ++n;
  return n;
}

/// The record that comes `ahead` records, and `bytesAhead` bytes, after the next one.
void RecordWriter::frameOne(ContentType type, const Slot& slot, uint64_t ahead, uint64_t bytesAhead, Framed& framed) const noexcept {
  const auto [before, after] = facts_.framing;
  const uint64_t seq = recordSeq_ + ahead;
  framed.ref = {streamOffset_ + bytesAhead, slot.payloadLength + before + after, epoch_, seq};
  writeNonce(framed.nonce.data(), iv_, seq);
  writeHeader(slot.at, facts_.tls12 ? type : ContentType::ApplicationData, framed.ref.length - kHeaderLength);
  framed.innerLength = slot.payloadLength;
  if (facts_.tls12) {
    if (before != kHeaderLength) std::memcpy(slot.at + kHeaderLength, framed.nonce.data() + kSaltLength, kExplicitNonceLength);
    writeAad12(framed.aad, seq, slot.at, slot.payloadLength);
    framed.aadLength = kAadLength12;
  } else {
    slot.at[before + framed.innerLength++] = static_cast<uint8_t>(type);
    std::memcpy(framed.aad.data(), slot.at, kHeaderLength);
    framed.aadLength = kHeaderLength;
  }
}

size_t RecordWriter::frame(ContentType type, std::span<const Slot> slots, Framed* framed) noexcept {
  const size_t n = admissible(type, slots);
  uint64_t bytes = 0;
  for (size_t i = 0; i < n; ++i) {
    frameOne(type, slots[i], i, bytes, framed[i]);
    bytes += framed[i].ref.length;
  }
  recordSeq_ += n;
  streamOffset_ += bytes;
  return n;
}

size_t RecordWriter::seal(ContentType type, std::span<const Slot> slots) {
  slots = slots.first(admissible(type, slots));
  std::array<ocf::Op, kBurst> ops;
  std::array<ocf::Op*, kBurst> list;
  std::array<ocf::Seg, kBurst> segments;
  std::array<Framed, kBurst> framed;
  const uint8_t before = facts_.framing.before;
  size_t sealed = 0;
  while (sealed < slots.size()) {
    const size_t n = std::min(kBurst, slots.size() - sealed);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; ++i) {
      const Slot& slot = slots[sealed + i];
      frameOne(type, slot, i, bytes, framed[i]);
      bytes += framed[i].ref.length;
      segments[i] = {slot.at + before, framed[i].innerLength + static_cast<uint32_t>(kTagLength)};
      ocf::Op& op = ops[i];
      op.ses = session_.get();
      op.kind = ocf::Kind::Seal;
      op.flags = 0;
      op.status = ocf::Status::Pending;
      op.nIn = op.nOut = 1;
      std::memcpy(op.iv, framed[i].nonce.data(), framed[i].nonce.size());
      op.in = op.out = &segments[i];
      op.aad = {framed[i].aad.data(), framed[i].aadLength};
      op.skip = op.outSkip = 0;
      op.len = op.tagAt = framed[i].innerLength;
      op.opaque = nullptr;
      op.done = nullptr;
      list[i] = &op;
    }
    const size_t accepted = framework_->dispatch(list.data(), n);
    size_t good = 0;
    while (good < accepted && ops[good].status == ocf::Status::Ok) streamOffset_ += framed[good++].ref.length;
    sealed += good;
    recordSeq_ += good;
    if (good < accepted) {
      // Nonces beyond the failed record may be spent. Sealing anything else under this key could use
      // one of them twice, so there is no going on.
      session_.reset();
      break;
    }
    if (accepted < n) break;
  }
  return sealed;
}

RecordReader::~RecordReader() { ocf::wipe(iv_.data(), iv_.size()); }

ocf::Status RecordReader::install(const TrafficKeys& keys, uint32_t needs) {
  ocf::Status status = ocf::Status::Ok;
  ocf::SessionHandle session = openSession(*framework_, keys, needs, &status);
  if (session == nullptr) return status;
  session_ = std::move(session);
  iv_ = staticIv(keys);
  suite_ = keys.suite;
  facts_ = factsOf(keys.suite);
  epoch_ = keys.epoch;
  recordSeq_ = keys.recordSeq;
  streamOffset_ = keys.streamOffset;
  return ocf::Status::Ok;
}

ocf::Status RecordReader::move(uint32_t needs) { return moveSession(*framework_, session_, needs); }

RecordReader::Result RecordReader::fail(Alert alert) noexcept {
  failed_ = true;
  alert_ = alert;
  session_.reset();
  return Result::Fail;
}

/// True when the record that begins with these kHeaderLength bytes can be refused by them alone.
bool RecordReader::headerFails(std::span<const uint8_t> buffer, Alert& alert) const noexcept {
  const auto type = static_cast<ContentType>(buffer[0]);
  const size_t length = ciphertextLength(buffer.data());
  size_t shortest = kTagLength;
  if (facts_.tls12) {
    // No change_cipher_spec either: there is no renegotiation that it could belong to.
    // RFC 5246 6: "unexpected record type, it MUST send an unexpected_message alert".
    if (type != ContentType::ApplicationData && type != ContentType::Handshake && type != ContentType::Alert)
      return alert = Alert::UnexpectedMessage, true;
    // RFC 5246 appendix E.1: the version is fixed once it was negotiated.
    if (buffer[1] != 3 || buffer[2] != 3) return alert = Alert::ProtocolVersion, true;
    if (length > kMaxCiphertext12) return alert = Alert::RecordOverflow, true;
    shortest = facts_.framing.overhead() - kHeaderLength;
  } else {
    // Once keys are in use every record is application_data outside; change_cipher_spec is tolerated
    // during the handshake only (RFC 8446 5). RFC 8446 5.1: legacy_record_version "MUST be ignored for all
    // purposes"; it is authenticated all the same.
    // RFC 8446 5: "after the peer's Finished message, it MUST be treated as an unexpected record type"; RFC 8446 5:
    // "If a TLS implementation receives an unexpected record type, it MUST terminate the connection".
    if (type != ContentType::ApplicationData) return alert = Alert::UnexpectedMessage, true;
    // RFC 8446 5.2: "larger than 2^14 + 256 octets MUST terminate the connection with a "record_overflow" alert".
    if (length > kMaxCiphertext13) return alert = Alert::RecordOverflow, true;
  }
  // Too short for its nonce and tag: it cannot be deprotected, which is bad_record_mac (RFC 8446 5.2,
  // RFC 5246 7.2.2), as in BoringSSL.
  if (length < shortest) return alert = Alert::BadRecordMac, true;
  return false;
}

size_t RecordReader::recordLength(std::span<const uint8_t> buffer) const noexcept {
  Alert ignored;
  if (buffer.size() < kHeaderLength || headerFails(buffer, ignored)) return 0;
  return kHeaderLength + ciphertextLength(buffer.data());
}

RecordReader::Result RecordReader::begin(std::span<const uint8_t> buffer, uint64_t ahead, uint64_t bytesAhead, Framed& framed,
                                         Alert& alert) const noexcept {
  alert = alert_;
  if (failed_) return Result::Fail;
  alert = Alert::InternalError;
  if (session_ == nullptr) return Result::Fail;
  if (buffer.size() < kHeaderLength) return Result::NeedMore;
  if (headerFails(buffer, alert)) return Result::Fail;
  const size_t whole = kHeaderLength + ciphertextLength(buffer.data());
  if (buffer.size() < whole) return Result::NeedMore;
  // RFC 8446 5.3: "would need to wrap a sequence number, it MUST either rekey (Section 4.6.3) or terminate".
  alert = Alert::InternalError;
  if (ahead >= kLastSeq - recordSeq_) return Result::Fail;

  const uint8_t before = facts_.framing.before;
  const uint64_t seq = recordSeq_ + ahead;
  framed.ref = {streamOffset_ + bytesAhead, static_cast<uint32_t>(whole), epoch_, seq};
  framed.innerLength = static_cast<uint32_t>(whole - before - kTagLength);
  writeNonce(framed.nonce.data(), iv_, seq);
  if (facts_.tls12) {
    // The peer chooses its explicit nonce; that it is not used twice is the peer's affair.
    if (before != kHeaderLength) std::memcpy(framed.nonce.data() + kSaltLength, buffer.data() + kHeaderLength, kExplicitNonceLength);
    writeAad12(framed.aad, seq, buffer.data(), framed.innerLength);
    framed.aadLength = kAadLength12;
  } else {
    std::memcpy(framed.aad.data(), buffer.data(), kHeaderLength);
    framed.aadLength = kHeaderLength;
  }
  return Result::Record;
}

RecordReader::Result RecordReader::finish(ocf::Status status, const uint8_t* header, std::span<uint8_t> inner, Opened& opened) noexcept {
  if (failed_) return Result::Fail;
  // RFC 8446 5.2: "If the decryption fails, the receiver MUST terminate the connection with a "bad_record_mac"
  // alert." RFC 5246 6.2.3.3: "If the decryption fails, a fatal bad_record_mac alert MUST be generated."
  if (status == ocf::Status::BadTag) return fail(Alert::BadRecordMac);
  if (status != ocf::Status::Ok) return fail(Alert::InternalError);

  size_t contentLength = inner.size();
  auto type = static_cast<ContentType>(header[0]);
  if (facts_.tls12) {
    // RFC 5246 6.2.1: a plaintext is at most 2^14 bytes, and there is no compression to make it longer.
    if (contentLength > kMaxPlaintext) return fail(Alert::RecordOverflow);
  } else {
    // RFC 8446 5.4: content, type and padding together are at most 2^14 + 1 bytes.
    // RFC 8446 5.4: "the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets".
    if (contentLength > kMaxPlaintext + 1) return fail(Alert::RecordOverflow);
    const size_t used = withoutPadding(inner.data(), contentLength);
    // RFC 8446 5.4: "does not find a non-zero octet in the cleartext, it MUST terminate the connection".
    if (used == 0) return fail(Alert::UnexpectedMessage);
    contentLength = used - 1;
    type = static_cast<ContentType>(inner[contentLength]);
  }
  switch (type) {
    case ContentType::ApplicationData: break;
    case ContentType::Handshake:
    case ContentType::Alert:
      // RFC 8446 5.1 and RFC 5246 6.2.1: no empty fragments of these two, padded or not.
      // RFC 8446 5.4: "if such a message is received, the receiving implementation MUST terminate the connection".
      if (contentLength == 0) return fail(Alert::UnexpectedMessage);
      break;
    default: return fail(Alert::UnexpectedMessage);
  }
  if (type == ContentType::ApplicationData && contentLength != 0) {
    noProgress_ = 0;
  } else if (++noProgress_ > kMaxNoProgress) {
    return fail(Alert::UnexpectedMessage);
  }
  ++recordSeq_;
  const size_t whole = kHeaderLength + ciphertextLength(header);
  opened = {type, inner.first(contentLength), whole};
  streamOffset_ += whole;
  return Result::Record;
}

RecordReader::Result RecordReader::open(std::span<uint8_t> buffer, Opened& opened) {
  Framed framed;
  Alert refused;
  const Result found = begin(buffer, 0, 0, framed, refused);
  if (found == Result::Fail) return fail(refused);
  if (found == Result::NeedMore) return found;
  ocf::Seg segment{buffer.data() + facts_.framing.before, framed.innerLength + static_cast<uint32_t>(kTagLength)};
  ocf::Op op;
  op.ses = session_.get();
  op.kind = ocf::Kind::Open;
  op.flags = 0;
  op.status = ocf::Status::Pending;
  op.nIn = op.nOut = 1;
  std::memcpy(op.iv, framed.nonce.data(), framed.nonce.size());
  op.in = op.out = &segment;
  op.aad = {framed.aad.data(), framed.aadLength};
  op.skip = op.outSkip = 0;
  op.len = op.tagAt = framed.innerLength;
  op.opaque = nullptr;
  op.done = nullptr;
  ocf::Op* list[] = {&op};
  if (framework_->dispatch(list, 1) != 1) return fail(Alert::InternalError);
  return finish(op.status, buffer.data(), {segment.p, framed.innerLength}, opened);
}

}  // namespace socrypt::record
