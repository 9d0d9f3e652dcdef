// What an engine holds for one connection. An idle connection is this struct and its two crypto
// sessions: buffers and response state exist only while there is something in them.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "engine/deadlines.hpp"
#include "engine/file_cache.hpp"
#include "engine/http/http.hpp"
#include "engine/paths/nic_flow.hpp"
#include "engine/paths/burst_queue.hpp"
#include "engine/paths/path.hpp"
#include "record/record.hpp"

namespace socrypt::engine {

/// Bytes that wait: consumed at the front, appended at the back, freed when empty.
class Buffer {
 public:
  explicit Buffer(Counters& counters) noexcept : counters_(&counters) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { clear(); }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] size_t size() const noexcept { return size_; }
  [[nodiscard]] std::span<uint8_t> view() noexcept { return {data_.get() + start_, size_}; }

  void append(std::span<const uint8_t> bytes) {
    if (bytes.empty()) return;
    if (start_ + size_ + bytes.size() > capacity_) grow(size_ + bytes.size());
    std::memcpy(data_.get() + start_ + size_, bytes.data(), bytes.size());
    size_ += static_cast<uint32_t>(bytes.size());
  }
  void prepend(std::span<const uint8_t> bytes) {
    if (bytes.empty()) return;
    auto both = std::make_unique_for_overwrite<uint8_t[]>(bytes.size() + size_);
    std::memcpy(both.get(), bytes.data(), bytes.size());
    if (size_ != 0) std::memcpy(both.get() + bytes.size(), data_.get() + start_, size_);
    const size_t size = bytes.size() + size_;
    counters_->add(Counter::buffer_bytes_used, size - capacity_);
    data_ = std::move(both);
    start_ = 0;
    size_ = capacity_ = static_cast<uint32_t>(size);
  }
  void consume(size_t n) noexcept {
    start_ += static_cast<uint32_t>(n);
    size_ -= static_cast<uint32_t>(n);
    if (size_ == 0) clear();
  }
  void clear() noexcept {
    if (capacity_ != 0) counters_->sub(Counter::buffer_bytes_used, capacity_);
    data_.reset();
    start_ = size_ = capacity_ = 0;
  }

 private:
  void grow(size_t need) {
    auto bigger = std::make_unique_for_overwrite<uint8_t[]>(need);
    if (size_ != 0) std::memcpy(bigger.get(), data_.get() + start_, size_);
    counters_->add(Counter::buffer_bytes_used, need - capacity_);
    data_ = std::move(bigger);
    start_ = 0;
    capacity_ = static_cast<uint32_t>(need);
  }
  Counters* counters_;
  std::unique_ptr<uint8_t[]> data_;
  uint32_t start_ = 0, size_ = 0, capacity_ = 0;
};

// The first records of a response after a pause fit into TCP's initial window of 10 segments (RFC 6928),
// so that a browser has something to decrypt after one round trip; then records are full.
inline constexpr uint32_t kSmallPayload = 4096;
inline constexpr uint32_t kSmallBytes = 3 * kSmallPayload;
/// A peer's record_size_limit is 64 at least (RFC 8449 4), and counts the content type in TLS 1.3.
inline constexpr uint32_t kMinFragment = 63;

// Every handshake record after the handshake costs the control plane some 50 us. A peer has so many of them
// looked at in a burst, and one more in each period (docs/decisions/0007-no-progress.md).
inline constexpr uint8_t kControlCredit = 32;
inline constexpr uint64_t kControlPeriodNs = 1'000'000'000;

/// A response on its way. Pooled, so that its strings keep their storage.
struct Response {
  EntryRef entry;
  Variant* file = nullptr;            // the body comes from here, unless `memory` is set
  const uint8_t* memory = nullptr;    // the body, held by `entry` or by `text`
  std::string head;
  std::string text;                   // body of an engine-made answer
  size_t headAt = 0;
  uint64_t offset = 0, left = 0;      // of the body, or of the current segment
  size_t segment = 0;                 // next one to send (Entry::Kind::Segments)
  Pages pages;                        // `file` for the NIC
  uint64_t startedAt = 0;
  uint64_t bodyBytes = 0;
  uint16_t status = 0;
  http::Encoding encoding = http::Encoding::Identity;
  bool closeAfter = false;
  bool firstByte = false;             // something of it was put into a record
  bool logged = false;
  http::LogRecord log;                // views into logText
  std::string logText;

  void reset() noexcept {
    entry = EntryRef();
    file = nullptr;
    pages = {};
    memory = nullptr;
    head.clear();
    text.clear();
    headAt = 0;
    offset = left = 0;
    segment = 0;
    bodyBytes = 0;
    closeAfter = firstByte = logged = false;
  }
};

enum class Phase : uint8_t { Handshake, Open, Linger };
enum class Gauge : uint8_t { None, Handshake, Idle, Reading, Writing, Draining };

struct Connection : DeadlineNode {
  Connection(ocf::Framework& framework, Counters& counters) noexcept
      : tx(framework), rx(framework), in(counters), plain(counters), post(counters), out(counters) {}

  uint64_t id = 0;  // generation << 32 | slot
  int fd = -1;
  Phase phase = Phase::Handshake;
  Gauge gauge = Gauge::None;

  bool readable : 1 = true;          // edge-triggered: there may be more to read
  bool hungUp : 1 = false;           // the peer's FIN or reset is in the socket: read on until it shows
  bool awaitingControl : 1 = false;  // handshake bytes went up and were not answered yet
  bool upBlocked : 1 = false;        // `in` holds bytes that did not fit into the ring
  bool receivePaused : 1 = false;    // a post-handshake message is being looked at
  bool rekeyAsked : 1 = false;
  bool rekeyBlocked : 1 = false;     // … but the ring was full
  bool peerClosed : 1 = false;       // close_notify or end of stream came
  bool endOfStream : 1 = false;      // the FIN itself came
  bool closing : 1 = false;          // close when all is sent
  bool notifyOnClose : 1 = false;    // … after a close_notify
  bool shut : 1 = false;             // SHUT_WR done
  bool cold : 1 = false;             // a cold read is under way
  bool queued : 1 = false;           // in the ready list
  bool uncoalesced : 1 = false;      // ask for this request alone
  bool dead : 1 = false;
  bool more : 1 = false;             // what is sent now is followed at once by more: no segment of its own

  bool renegotiationRefused : 1 = false;
  bool opening : 1 = false;          // rxPath has records to open, or no memory for them; `in` is what is behind them
  bool starved : 1 = false;          // told by a path that it has no memory now
  bool nicWaiting : 1 = false;       // software seals for it until the NIC can

  uint8_t warningAlerts = 0;          // without application data between them
  uint8_t controlCredit = kControlCredit;  // handshake records that the peer may still have looked at
  uint64_t controlAt = 0;             // since when credit is earned
  uint32_t refusedLeft = 0;           // bytes of a refused ClientHello that are still to come
  uint8_t firstRequest = 1;
  uint8_t attempts = 0;               // resolutions of the current request that did not hold
  uint8_t blobLength = 0;
  uint32_t scanned = 0;               // how far the parser looked into an incomplete head
  uint32_t handshakeBytes = 0;
  uint32_t requests = 0;
  uint32_t smallRecords = 0;          // bytes still to be sent in small records
  uint32_t maxFragment = record::kMaxPlaintext;  // bytes of content in one of our records (RFC 8449)
  uint64_t acceptedAt = 0, requestAt = 0, activeAt = 0;
  uint64_t bytesIn = 0, bytesOut = 0;  // of the TCP stream
  uint64_t waiting = 0;                // request token, 0: none
  OffloadPath* txPath = nullptr;       // nullptr until the handshake is over
  OffloadPath* rxPath = nullptr;
  WhyNot txWhyNot = WhyNot::Taken;     // what the path that was asked first said
  WhyNot rxWhyNot = WhyNot::Taken;
  uint32_t making = 0;                 // bursts that txPath has yet to hand over
  Counter closeReason = Counter::closed_client;

  record::RecordWriter tx;
  record::RecordReader rx;
  BurstQueue txBursts, rxBursts;
  Buffer in;     // ciphertext of an incomplete record, or that must wait
  Buffer plain;  // plaintext of incomplete or waiting requests
  Buffer post;   // handshake content that did not fit into the ring
  Buffer out;    // wire bytes that the socket did not take yet
  std::unique_ptr<NicFlow> nic;
  std::unique_ptr<Response> response;
  std::unique_ptr<http::BodySkipper> skipping;
  EntryRef resolved;  // the answer to `waiting`
  std::array<uint8_t, 128> blob{};  // the control plane's KeyUpdate state (see tls/)
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  } peer{};

  /// All that was ever sent to the peer is TCP's.
  [[nodiscard]] bool sent() const noexcept { return out.empty() && making == 0; }

  ~Connection() { explicit_bzero(blob.data(), blob.size()); }
};

}  // namespace socrypt::engine
