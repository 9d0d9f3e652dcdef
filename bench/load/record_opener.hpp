#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bench {

/**
 * Opens the records that a server sends under its first application traffic secret, in place.
 *
 * OpenSSL's SSL_read costs the client as much as a fast server spends on sending, so that the client would
 * set the pace and the server's idle core would take part of the network's work off its account. This
 * reads whole socket buffers and opens them where they lie. TLS_AES_128_GCM_SHA256 only.
 */
class RecordOpener {
 public:
  struct Opened {
    uint8_t type;
    std::span<const char> content;
  };
  static constexpr size_t kHeader = 5;
  /** RFC 8446 5.2: header, 2^14 bytes of content, type, tag and what an AEAD may add. */
  static constexpr size_t kMaxRecord = kHeader + 16384 + 256;

  /** `secret`: 32 bytes. */
  explicit RecordOpener(std::span<const uint8_t> secret);
  ~RecordOpener();
  RecordOpener(const RecordOpener&) = delete;
  RecordOpener& operator=(const RecordOpener&) = delete;

  /** A whole record; nothing when it is not one that these keys made. */
  std::optional<Opened> open(std::span<char> record);

 private:
  struct Cipher;
  std::unique_ptr<Cipher> cipher_;
  uint8_t iv_[12]{};
  uint64_t sequence_ = 0;
};

/** What opens the records, for the report. */
const char* record_opener_name();

/** SERVER_TRAFFIC_SECRET_0 of an SSLKEYLOGFILE line, if this is that line. */
std::optional<std::string> server_traffic_secret(std::string_view line);

}  // namespace bench
