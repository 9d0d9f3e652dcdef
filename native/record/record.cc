#include "record/record.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace socrypt::record {
namespace {

// Ops built on the stack per dispatch. Sixteen 16 KB records are what one send() carries.
constexpr size_t kBurst = 16;
// Empty application data is legal traffic-analysis cover (RFC 8446 section 5.1); an endless run of it
// is an attack on our CPU.
constexpr uint8_t kMaxEmptyRecords = 32;
constexpr uint64_t kLastSeq = std::numeric_limits<uint64_t>::max();

ocf::AlgId algOf(Suite suite) noexcept {
  switch (suite) {
    case Suite::Aes128GcmSha256: return ocf::AlgId::Aes128Gcm;
    case Suite::Aes256GcmSha384: return ocf::AlgId::Aes256Gcm;
    case Suite::ChaCha20Poly1305Sha256: return ocf::AlgId::ChaCha20Poly1305;
  }
  return ocf::AlgId{};
}

ocf::SessionHandle openSession(ocf::Framework& framework, const TrafficKeys& keys, ocf::Status* status) {
  const ocf::AlgId id = algOf(keys.suite);
  const ocf::Alg alg{.id = id, .key = std::span(keys.key).first(ocf::keyLength(id))};
  return framework.open({.chain = {&alg, 1}}, status);
}

// RFC 8446 section 5.3: the sequence number, big-endian, padded on the left, XORed into the static IV.
void writeNonce(uint8_t* nonce, const std::array<uint8_t, 12>& iv, uint64_t recordSeq) noexcept {
  const uint64_t bigEndian = __builtin_bswap64(recordSeq);
  uint64_t low;
  std::memcpy(nonce, iv.data(), 4);
  std::memcpy(&low, iv.data() + 4, 8);
  low ^= bigEndian;
  std::memcpy(nonce + 4, &low, 8);
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

void writeHeader(uint8_t* at, size_t ciphertextLength) noexcept {
  at[0] = static_cast<uint8_t>(ContentType::ApplicationData);
  at[1] = 3;
  at[2] = 3;
  at[3] = static_cast<uint8_t>(ciphertextLength >> 8);
  at[4] = static_cast<uint8_t>(ciphertextLength);
}

size_t ciphertextLength(const uint8_t* header) noexcept { return size_t{header[3]} << 8 | header[4]; }

// RFC 8446 section 5.4: everything after the last non-zero byte is padding. Returns the length up to
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

ocf::Status RecordWriter::install(const TrafficKeys& keys) {
  ocf::Status status = ocf::Status::Ok;
  ocf::SessionHandle session = openSession(*framework_, keys, &status);
  if (session == nullptr) return status;
  session_ = std::move(session);
  iv_ = keys.iv;
  suite_ = keys.suite;
  epoch_ = keys.epoch;
  recordSeq_ = keys.recordSeq;
  streamOffset_ = keys.streamOffset;
  return ocf::Status::Ok;
}

uint64_t RecordWriter::recordsLeft() const noexcept {
  uint64_t limit = recordLimit_;
  if (limit == 0) {
    // ChaCha20-Poly1305 may seal 2^64 records, more than there are sequence numbers (section 5.5).
    if (suite_ == Suite::ChaCha20Poly1305Sha256) return std::numeric_limits<uint64_t>::max();
    limit = kAesGcmRecordLimit;
  }
  // A key's first record has number 0 wherever it was sealed, so the number is the count.
  return limit > recordSeq_ ? limit - recordSeq_ : 0;
}

size_t RecordWriter::seal(ContentType type, std::span<const Slot> slots) {
  if (session_ == nullptr) return 0;
  uint64_t allowed = kLastSeq - recordSeq_;
  // At the limit application data stops, but the KeyUpdate and the alert that lead out of it do not.
  if (type == ContentType::ApplicationData) allowed = std::min(allowed, recordsLeft());
  std::array<ocf::Op, kBurst> ops;
  std::array<ocf::Op*, kBurst> list;
  std::array<ocf::Seg, kBurst> segments;
  size_t sealed = 0;
  while (sealed < slots.size() && allowed > 0) {
    size_t n = 0;
    for (; n < kBurst && n < allowed && sealed + n < slots.size(); ++n) {
      const Slot& slot = slots[sealed + n];
      const bool mayBeEmpty = type == ContentType::ApplicationData;
      if (slot.payloadLength > kMaxPlaintext || (slot.payloadLength == 0 && !mayBeEmpty)) break;
      const uint32_t innerLength = slot.payloadLength + 1;
      writeHeader(slot.at, innerLength + kTagLength);
      slot.at[kHeaderLength + slot.payloadLength] = static_cast<uint8_t>(type);
      segments[n] = {slot.at + kHeaderLength, innerLength + static_cast<uint32_t>(kTagLength)};
      ocf::Op& op = ops[n];
      op.ses = session_.get();
      op.kind = ocf::Kind::Seal;
      op.status = ocf::Status::Pending;
      op.nIn = op.nOut = 1;
      writeNonce(op.iv, iv_, recordSeq_ + n);
      op.in = op.out = &segments[n];
      op.aad = {slot.at, kHeaderLength};
      op.skip = op.outSkip = 0;
      op.len = op.tagAt = innerLength;
      op.opaque = nullptr;
      list[n] = &op;
    }
    if (n == 0) break;
    const size_t accepted = framework_->dispatch(list.data(), n);
    size_t good = 0;
    while (good < accepted && ops[good].status == ocf::Status::Ok) {
      streamOffset_ += segments[good].n + kHeaderLength;
      ++good;
    }
    sealed += good;
    recordSeq_ += good;
    allowed -= good;
    if (good < accepted) {
      // Nonces beyond the failed record may be spent. Sealing anything else under this key could use
      // one of them twice, so there is no going on.
      session_.reset();
      break;
    }
    if (accepted < n || n < kBurst) break;
  }
  return sealed;
}

RecordReader::~RecordReader() { ocf::wipe(iv_.data(), iv_.size()); }

ocf::Status RecordReader::install(const TrafficKeys& keys) {
  ocf::Status status = ocf::Status::Ok;
  ocf::SessionHandle session = openSession(*framework_, keys, &status);
  if (session == nullptr) return status;
  session_ = std::move(session);
  iv_ = keys.iv;
  epoch_ = keys.epoch;
  recordSeq_ = keys.recordSeq;
  streamOffset_ = keys.streamOffset;
  return ocf::Status::Ok;
}

RecordReader::Result RecordReader::fail(Alert alert) noexcept {
  failed_ = true;
  alert_ = alert;
  session_.reset();
  return Result::Fail;
}

size_t RecordReader::recordLength(std::span<const uint8_t> buffer) noexcept {
  if (buffer.size() < kHeaderLength || buffer[0] != static_cast<uint8_t>(ContentType::ApplicationData)) return 0;
  const size_t length = ciphertextLength(buffer.data());
  return length > kMaxCiphertext ? 0 : kHeaderLength + length;
}

RecordReader::Result RecordReader::open(std::span<uint8_t> buffer, Opened& opened) {
  if (failed_) return Result::Fail;
  if (session_ == nullptr) return fail(Alert::InternalError);
  if (buffer.size() < kHeaderLength) return Result::NeedMore;
  // Once keys are in use every record is application_data outside; change_cipher_spec is tolerated
  // during the handshake only (RFC 8446 section 5). legacy_record_version "MUST be ignored for all
  // purposes" (section 5.1); it is authenticated all the same.
  if (buffer[0] != static_cast<uint8_t>(ContentType::ApplicationData)) return fail(Alert::UnexpectedMessage);
  const size_t length = ciphertextLength(buffer.data());
  if (length > kMaxCiphertext) return fail(Alert::RecordOverflow);
  // Too short for a tag: it cannot be deprotected, which is bad_record_mac (section 5.2), as in
  // BoringSSL. A bare valid tag passes here and fails below as a record without content type.
  if (length < kTagLength) return fail(Alert::BadRecordMac);
  if (buffer.size() < kHeaderLength + length) return Result::NeedMore;
  if (recordSeq_ == kLastSeq) return fail(Alert::InternalError);

  ocf::Seg segment{buffer.data() + kHeaderLength, static_cast<uint32_t>(length)};
  ocf::Op op;
  op.ses = session_.get();
  op.kind = ocf::Kind::Open;
  op.status = ocf::Status::Pending;
  op.nIn = op.nOut = 1;
  writeNonce(op.iv, iv_, recordSeq_);
  op.in = op.out = &segment;
  op.aad = {buffer.data(), kHeaderLength};
  op.skip = op.outSkip = 0;
  op.len = op.tagAt = static_cast<uint32_t>(length - kTagLength);
  op.opaque = nullptr;
  ocf::Op* list[] = {&op};
  if (framework_->dispatch(list, 1) != 1) return fail(Alert::InternalError);
  if (op.status == ocf::Status::BadTag) return fail(Alert::BadRecordMac);
  if (op.status != ocf::Status::Ok) return fail(Alert::InternalError);

  // Section 5.4: content, type and padding together are at most 2^14 + 1 bytes.
  if (op.len > kMaxPlaintext + 1) return fail(Alert::RecordOverflow);
  const size_t inner = withoutPadding(segment.p, op.len);
  if (inner == 0) return fail(Alert::UnexpectedMessage);
  const size_t contentLength = inner - 1;
  const auto type = static_cast<ContentType>(segment.p[contentLength]);
  switch (type) {
    case ContentType::ApplicationData:
      if (contentLength != 0) {
        emptyRecords_ = 0;
      } else if (++emptyRecords_ > kMaxEmptyRecords) {
        return fail(Alert::UnexpectedMessage);
      }
      break;
    case ContentType::Handshake:
    case ContentType::Alert:
      // Section 5.1: no empty fragments of these two, padded or not.
      if (contentLength == 0) return fail(Alert::UnexpectedMessage);
      emptyRecords_ = 0;
      break;
    default: return fail(Alert::UnexpectedMessage);
  }
  ++recordSeq_;
  opened = {type, {segment.p, contentLength}, kHeaderLength + length};
  streamOffset_ += opened.consumed;
  return Result::Record;
}

}  // namespace socrypt::record
