// What an engine and the control plane say to each other; src/plane/messages.ts is the other side.
// Little-endian, fields in the order given, strings and byte runs prefixed by their length (u32).
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "record/record.hpp"

namespace socrypt::engine {

/// Engine -> control plane. The header's id is a connection, or a request token where said.
enum class Up : uint16_t {
  HandshakeData = 1,    // u8 1: the first of this connection, bytes: as received; the engine reads on once it is answered
  HandshakeClosed = 2,  // u8 reason: forget this handshake
  PostHandshake = 3,    // bytes blob, bytes content: plaintext of handshake records; answered by RxKeys, PostMore or PostFail
  RekeyDue = 4,         // bytes blob: the sealing key nears its limit; answered by TxUpdate
  Request = 5,          // id = token; string method, target, path, query, fields
  Drained = 6,          // id 0: no connection is left after drain()
  Notice = 7,           // id 0; u32 Notice, u32 errno
  DriverAnswer = 8,     // id = token; u32 driver, 0: not done, string why
};

/// What goes to the thread of the control plane that does handshakes, when that is another one.
inline constexpr bool aboutHandshakes(Up type) noexcept {
  return type == Up::HandshakeData || type == Up::HandshakeClosed || type == Up::PostHandshake || type == Up::RekeyDue;
}

enum class ClosedReason : uint8_t { Peer = 0, Timeout = 1, Plaintext = 2, TooBig = 3, Error = 4, Drain = 5 };
enum class Notice : uint32_t { AcceptFailed = 1, AcceptRecovered = 2, FileChanged = 3, DeviceLost = 4, DeviceBack = 5 };

/// Control plane -> engine.
enum class Down : uint16_t {
  HandshakeSend = 1,  // bytes: wire bytes to send; then read on
  HandshakeMore = 2,  // nothing to send; read on
  Establish = 3,      // bytes first (wire bytes), keys tx, keys rx, bytes blob, bytes leftover (ciphertext after
                      // Finished), u32 bytes of content that a record to the peer may have (RFC 8449)
  HandshakeFail = 4,  // bytes: alert record(s) to send before closing
  RxKeys = 5,         // keys, bytes blob
  TxUpdate = 6,       // u8 asked (answers RekeyDue), bytes message (sealed under the old key), keys, bytes blob
  PostMore = 7,       // bytes blob
  PostFail = 8,       // u8 alert
  Resolve = 9,        // id = token; a resolution, see file_cache.hpp
  ErrorPage = 10,     // u32 status, string headers, bytes body
  Flush = 11,         // drop every cached entry
  SetRoot = 12,       // i32 fd, owned by the engine from here on
  PauseNic = 14,      // u8 1: connections leave the NIC at their next record; 0: they come back
  AttachDriver = 15,    // id = token; string name
  WithdrawDriver = 16,  // id = token; u32 driver, u16 algorithm, or kWholeDriver, u32 ms that its ops may take yet
  PostSend = 13,      // bytes content: handshake messages, sealed under the current key; TLS 1.3 only
};

inline constexpr uint16_t kWholeDriver = UINT16_MAX;

/// Reads fields of a message; any overrun makes it bad() for good and yields zeros and empties.
class MessageReader {
 public:
  explicit MessageReader(std::span<uint8_t> body) noexcept : body_(body) {}
  template <typename T>
  T number() noexcept {
    T value{};
    if (body_.size() < sizeof(T)) {
      bad_ = true;
      body_ = {};
      return value;
    }
    std::memcpy(&value, body_.data(), sizeof(T));
    body_ = body_.subspan(sizeof(T));
    return value;
  }
  std::span<uint8_t> bytes() noexcept {
    const auto length = number<uint32_t>();
    if (length > body_.size()) {
      bad_ = true;
      body_ = {};
      return {};
    }
    const auto run = body_.first(length);
    body_ = body_.subspan(length);
    return run;
  }
  std::string_view string() noexcept {
    const auto run = bytes();
    return {reinterpret_cast<const char*>(run.data()), run.size()};
  }
  void keys(record::TrafficKeys& out) noexcept {
    out.suite = static_cast<record::Suite>(number<uint16_t>());
    out.epoch = number<uint32_t>();
    out.recordSeq = number<uint64_t>();
    const auto iv = bytes();
    const auto key = bytes();
    const auto facts = record::factsOf(out.suite);
    if (!facts.known || iv.size() != facts.ivLength || key.size() != ocf::keyLength(facts.alg)) {
      bad_ = true;
      return;
    }
    std::memcpy(out.iv.data(), iv.data(), iv.size());
    std::memcpy(out.key.data(), key.data(), key.size());
  }
  [[nodiscard]] bool bad() const noexcept { return bad_; }

 private:
  std::span<uint8_t> body_;
  bool bad_ = false;
};

/// Writes into memory whose size was computed with `size` before.
class MessageWriter {
 public:
  explicit MessageWriter(uint8_t* at) noexcept : at_(at) {}
  template <typename T>
  void number(T value) noexcept {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  void bytes(std::span<const uint8_t> run) noexcept {
    number(static_cast<uint32_t>(run.size()));
    if (!run.empty()) std::memcpy(at_, run.data(), run.size());
    at_ += run.size();
  }
  void string(std::string_view text) noexcept { bytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

 private:
  uint8_t* at_;
};

}  // namespace socrypt::engine
