// TLS record protection for one direction of one connection: TLS 1.3 (RFC 8446 section 5) and the AEAD
// suites of TLS 1.2 (RFC 5246 section 6, RFC 5288, RFC 7905). The suite says which.
//
// A RecordWriter or RecordReader owns the crypto session of the current epoch and counts what an
// inline NIC would need to take its place at any record boundary: recordSeq, epoch, stream offset.
// It knows neither sockets nor Node.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ocf/ocf.hpp"
#include "record/suite.hpp"

namespace socrypt::record {

// RFC 5246 6: "MUST NOT send record types not defined in this document"; RFC 8446 5: "MUST NOT send record types not
// defined in this document".
enum class ContentType : uint8_t { ChangeCipherSpec = 20, Alert = 21, Handshake = 22, ApplicationData = 23 };

/// Alerts that the record layer itself can owe to the peer (RFC 8446 section 6).
enum class Alert : uint8_t {
  CloseNotify = 0,
  UnexpectedMessage = 10,
  BadRecordMac = 20,
  RecordOverflow = 22,
  IllegalParameter = 47,
  DecodeError = 50,
  ProtocolVersion = 70,
  InternalError = 80,
};

inline constexpr size_t kMaxPlaintext = 1u << 14;
inline constexpr size_t kMaxRecord = kMaxPlaintext + kMaxOverhead;
/// RFC 8446 5.2: TLSCiphertext.length "MUST NOT exceed 2^14 + 256 bytes".
inline constexpr size_t kMaxCiphertext13 = kMaxPlaintext + 256;
/// RFC 5246 6.2.3: "The length MUST NOT exceed 2^14 + 2048."
inline constexpr size_t kMaxCiphertext12 = kMaxPlaintext + 2048;
/// The longest record that a peer may send.
inline constexpr size_t kMaxReceived = kHeaderLength + kMaxCiphertext12;
/// RFC 8446 section 5.5: 2^24.5 full-size AES-GCM records per key.
inline constexpr uint64_t kAesGcmRecordLimit = 23726566;

/// One direction's keys, as pushed by the control plane (setCrypt). Wipe with `wipe()` after use.
struct TrafficKeys {
  Suite suite = Suite::Aes128GcmSha256;
  std::array<uint8_t, 32> key{};  // 16 bytes used by AES-128
  std::array<uint8_t, 12> iv{};   // 4 bytes used by AES-GCM in TLS 1.2: the salt
  uint64_t recordSeq = 0;
  uint32_t epoch = 0;
  uint64_t streamOffset = 0;  // bytes of the TCP stream before the first record under these keys
  void wipe() noexcept;
  ~TrafficKeys() { wipe(); }
};

/// Where one record is built: `at` has room for framing().overhead() + payloadLength bytes and the
/// payload already stands at `at + framing().before`.
struct Slot {
  uint8_t* at;
  uint32_t payloadLength;
};

/// One framed record as an offload path sees it: what the record map of an inline NIC is made of.
struct RecordRef {
  uint64_t streamOffset;
  uint32_t length;  // on the wire, header and tag included
  uint32_t epoch;
  uint64_t recordSeq;
};

/// TLS 1.2's additional data; that of TLS 1.3 is the header (RFC 8446 5.2).
inline constexpr size_t kAadLength12 = 13;

/// A record that was framed and not sealed, or received and not opened: what that takes besides the key.
struct Framed {
  RecordRef ref;
  std::array<uint8_t, 12> nonce;
  std::array<uint8_t, kAadLength12> aad;
  uint8_t aadLength;
  /// Bytes to encrypt or decrypt, from framing().before on: the payload and, in TLS 1.3, the content type. The tag
  /// stands behind them.
  uint32_t innerLength;
};

class RecordWriter {
 public:
  explicit RecordWriter(ocf::Framework& framework) noexcept : framework_(&framework) {}
  RecordWriter(RecordWriter&&) noexcept = default;
  RecordWriter& operator=(RecordWriter&&) noexcept = default;
  ~RecordWriter();

  /// setCrypt for this direction. NoDriver when no driver has the suite, Invalid when it is none of ours;
  /// the old keys stay then. `needs` are flags of ocf::Caps: seal() takes a synchronous driver.
  [[nodiscard]] ocf::Status install(const TrafficKeys& keys, uint32_t needs = ocf::Caps::Sync);
  [[nodiscard]] bool ready() const noexcept { return session_ != nullptr; }
  /// For whoever seals what frame() framed.
  [[nodiscard]] ocf::Session* session() const noexcept { return session_.get(); }
  /// The session of keys that are replaced next, for as long as their records are not all dispatched.
  [[nodiscard]] ocf::SessionHandle releaseSession() noexcept { return std::move(session_); }

  /// Writes header, nonce, content type and tag around every slot's payload, as the suite has them, and
  /// encrypts in place, in order, in bursts. Returns how many records were sealed (a prefix). Fewer than given means one of:
  /// application data has reached the record limit (handshake and alert records still pass, so that
  /// a KeyUpdate can follow); recordSeq may not wrap; a payload is over kMaxPlaintext, or is empty and
  /// not application data; no keys; or the driver failed, after which ready() is false, for good
  /// under these keys. Later slots hold nothing that may be sent.
  size_t seal(ContentType type, std::span<const Slot> slots);

  /// For a path on which sealing is done later, or elsewhere: writes around the payloads all that seal() does but
  /// the tags, encrypts nothing, and counts the records as sealed. Each of them is sealed with just these bytes or
  /// never sent: its nonce is spent. `framed` has room for one entry per slot. Returns a prefix, as seal() does.
  size_t frame(ContentType type, std::span<const Slot> slots, Framed* framed) noexcept;

  [[nodiscard]] uint64_t recordSeq() const noexcept { return recordSeq_; }
  [[nodiscard]] uint32_t epoch() const noexcept { return epoch_; }
  /// TCP stream position of the next record.
  [[nodiscard]] uint64_t streamOffset() const noexcept { return streamOffset_; }
  /// What install() would take to go on at the next record, for a path that is to take this one's place there. False: there
  /// are no keys.
  [[nodiscard]] bool copyKeys(TrafficKeys& keys) const noexcept;
  /// The keys move to drivers with the Caps flags `needs`; nothing changes when there is none.
  [[nodiscard]] ocf::Status move(uint32_t needs);
  [[nodiscard]] Suite suite() const noexcept { return suite_; }
  [[nodiscard]] Framing framing() const noexcept { return facts_.framing; }
  /// No KeyUpdate: a key lasts as long as its connection.
  [[nodiscard]] bool tls12() const noexcept { return facts_.tls12; }
  /// Records still allowed under this key before KeyUpdate is due (UINT64_MAX for ChaCha20 without a
  /// limit of its own).
  [[nodiscard]] uint64_t recordsLeft() const noexcept;
  /// `limit` records may be sealed under one key in all; 0: kAesGcmRecordLimit for AES-GCM, no limit
  /// for ChaCha20.
  void setRecordLimit(uint64_t limit) noexcept { recordLimit_ = limit; }

 private:
  [[nodiscard]] size_t admissible(ContentType type, std::span<const Slot> slots) const noexcept;
  void frameOne(ContentType type, const Slot& slot, uint64_t ahead, uint64_t bytesAhead, Framed& framed) const noexcept;

  ocf::Framework* framework_;
  ocf::SessionHandle session_;
  std::array<uint8_t, 12> iv_{};
  Suite suite_ = Suite::Aes128GcmSha256;
  SuiteFacts facts_ = factsOf(Suite::Aes128GcmSha256);
  uint32_t epoch_ = 0;
  uint64_t recordSeq_ = 0;
  uint64_t recordLimit_ = 0;
  uint64_t streamOffset_ = 0;
};

class RecordReader {
 public:
  enum class Result : uint8_t {
    Record,    // `opened` is filled
    NeedMore,  // no whole record yet
    Fail,      // `alert` says which alert is owed; the reader stays failed
  };
  struct Opened {
    ContentType type;             // never ChangeCipherSpec
    std::span<uint8_t> content;   // inside the caller's buffer, padding removed; only application data may be empty
    size_t consumed;              // bytes of the buffer that this record took, header and tag included
  };

  explicit RecordReader(ocf::Framework& framework) noexcept : framework_(&framework) {}
  RecordReader(RecordReader&&) noexcept = default;
  RecordReader& operator=(RecordReader&&) noexcept = default;
  ~RecordReader();

  [[nodiscard]] ocf::Status install(const TrafficKeys& keys, uint32_t needs = ocf::Caps::Sync);
  /// As RecordWriter's.
  [[nodiscard]] ocf::Status move(uint32_t needs);
  [[nodiscard]] bool ready() const noexcept { return session_ != nullptr; }
  [[nodiscard]] ocf::Session* session() const noexcept { return session_.get(); }

  /// Opens the first record of `buffer` in place. Nothing is released before its tag verified. Records
  /// without application data, of whatever kind and under whatever keys, are taken 32 in a row and no more.
  [[nodiscard]] Result open(std::span<uint8_t> buffer, Opened& opened);

  /// The two halves of open(), for a path that opens records elsewhere, several at a time. begin() looks at the record
  /// that comes `ahead` records, of `bytesAhead` bytes, after the last one that was finished; nothing is changed by it,
  /// and on Fail `alert` is what finishing that record would say. finish() is told in turn what became of each: `header`
  /// is the record's, `inner` its framed.innerLength decrypted bytes.
  [[nodiscard]] Result begin(std::span<const uint8_t> buffer, uint64_t ahead, uint64_t bytesAhead, Framed& framed,
                             Alert& alert) const noexcept;
  [[nodiscard]] Result finish(ocf::Status status, const uint8_t* header, std::span<uint8_t> inner, Opened& opened) noexcept;

  /// Bytes that the record at the start of `buffer` needs in all; 0 when even the header is missing
  /// or it is bad (open() says how). For sizing buffers only.
  [[nodiscard]] size_t recordLength(std::span<const uint8_t> buffer) const noexcept;

  [[nodiscard]] Alert alert() const noexcept { return alert_; }
  [[nodiscard]] bool tls12() const noexcept { return facts_.tls12; }
  [[nodiscard]] Suite suite() const noexcept { return suite_; }
  [[nodiscard]] Framing framing() const noexcept { return facts_.framing; }
  [[nodiscard]] uint64_t recordSeq() const noexcept { return recordSeq_; }
  [[nodiscard]] uint32_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] uint64_t streamOffset() const noexcept { return streamOffset_; }

 private:
  [[nodiscard]] Result fail(Alert alert) noexcept;
  [[nodiscard]] bool headerFails(std::span<const uint8_t> buffer, Alert& alert) const noexcept;
  ocf::Framework* framework_;
  ocf::SessionHandle session_;
  std::array<uint8_t, 12> iv_{};
  Alert alert_ = Alert::InternalError;
  bool failed_ = false;
  uint8_t noProgress_ = 0;  // records since the last byte of application data
  Suite suite_ = Suite::Aes128GcmSha256;
  SuiteFacts facts_ = factsOf(Suite::Aes128GcmSha256);
  uint32_t epoch_ = 0;
  uint64_t recordSeq_ = 0;
  uint64_t streamOffset_ = 0;
};

}  // namespace socrypt::record
