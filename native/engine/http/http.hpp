// HTTP/1.1 for static files: what the engine needs on a hit, as pure functions over bytes.
// No sockets, no allocation, no Node; RFC 9110, RFC 9112.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace socrypt::http {

struct Limits {
  uint32_t maxHeaderBytes = 16384;  // request line + header fields + final CRLF -> 431
  uint32_t maxTargetBytes = 8192;   // request-target -> 414
  uint32_t maxFields = 100;         // number of field lines -> 431
};

enum class Method : uint8_t { Get, Head, Options, Other };

enum class BodyKind : uint8_t { None, Length, Chunked };

/// A parsed request head. Every view points into the caller's buffer.
struct Request {
  Method method = Method::Other;
  uint8_t minorVersion = 1;  // HTTP/1.0 or 1.1
  bool keepAlive = true;
  bool expectContinue = false;
  BodyKind body = BodyKind::None;
  uint64_t contentLength = 0;
  uint32_t headLength = 0;  // bytes of the head, final CRLF included
  std::string_view methodName;
  std::string_view target;  // as sent: origin-form, absolute-form or "*"
  std::string_view path;    // target without scheme, authority, query
  std::string_view query;   // with its '?', or empty
  std::string_view fields;  // the raw field lines, for the control plane
  // Only the fields that the fast path looks at. Fields that may occur once only and occur twice
  // make the request bad where that could smuggle (Host, Content-Length), else void the field: empty, but data() is not null as it is
  // for a field that was not there.
  std::string_view host, acceptEncoding, ifNoneMatch, ifModifiedSince, ifRange, range, origin, referer,
      userAgent, ifMatch, ifUnmodifiedSince;
};

/// Ok, or Incomplete (call again with more bytes; `scanned` says how far it looked so that a
/// trickled head stays linear), or the status to answer before closing (400, 414, 431, 501, 505).
struct ParseResult {
  enum class Kind : uint8_t { Ok, Incomplete, Bad } kind;
  uint16_t status;           // Bad
  std::string_view reason;   // Bad: a static string for counters: "bare_cr", "obs_fold", …
};

/// Strict: no bare CR or LF, no obs-fold, no space before ':', no Transfer-Encoding other than a
/// single "chunked", never Content-Length with Transfer-Encoding, exactly one Host in 1.1.
ParseResult parseRequest(std::string_view buffer, uint32_t& scanned, const Limits& limits, Request& out) noexcept;

/// Skips a request body, whole or in pieces.
class BodySkipper {
 public:
  void start(const Request& request) noexcept;
  /// Returns how many bytes of `bytes` belonged to the body (framing included, as in skipped()).
  /// done()/bad() tell the state after.
  size_t feed(std::string_view bytes) noexcept;
  [[nodiscard]] bool done() const noexcept { return state_ == State::Done; }
  [[nodiscard]] bool bad() const noexcept { return state_ == State::Bad; }
  [[nodiscard]] uint64_t skipped() const noexcept { return skipped_; }

 private:
  enum class State : uint8_t { Done, Bad, Length, Size, Extension, SizeLf, Data, DataCr, DataLf, Trailer, TrailerName, TrailerValue, TrailerLf, EndLf };
  void frame(char c) noexcept;

  State state_ = State::Done;
  uint64_t left_ = 0;
  uint64_t skipped_ = 0;
  uint32_t digits_ = 0;
  uint32_t lineBytes_ = 0;
};

enum class Encoding : uint8_t { Identity, Gzip, Brotli, Zstd };

/// Picks among the encodings in `available` (bit 1 << Encoding; Identity always counts as there
/// unless `available` lacks it) by Accept-Encoding q-values; ties: br, zstd, gzip, identity.
/// Returns false when the client accepts none (RFC 9110 12.5.3: serve identity all the same).
bool negotiateEncoding(std::string_view acceptEncoding, uint32_t available, Encoding& out) noexcept;

/// The validators of one representation.
struct Validators {
  std::string_view etag;        // with quotes, maybe W/; empty: none
  int64_t lastModified = -1;    // seconds since the epoch; -1: none
  uint64_t size = 0;
};

/// What to do with a GET or HEAD whose representation is known.
struct Decision {
  uint16_t status;         // 200, 206, 304, 412, 416
  bool multipart;          // more than one satisfiable range: the control plane answers
  bool rangeIgnored;       // a Range field was there and did not apply
  uint64_t offset, length; // the slice to send (200 and 206)
};

/// RFC 9110 section 13.2.2 order: If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since,
/// then Range with If-Range (strong comparison).
Decision evaluate(const Request& request, const Validators& validators) noexcept;

/// IMF-fixdate, rfc850-date and asctime-date -> seconds since the epoch, or -1. RFC 9110 5.6.7.
int64_t parseDate(std::string_view date) noexcept;
/// The same with a given present, which decides the century of an rfc850-date.
int64_t parseDate(std::string_view date, int64_t now) noexcept;
/// Writes exactly 29 bytes, "Sun, 06 Nov 1994 08:49:37 GMT".
void formatDate(int64_t seconds, char* out) noexcept;

/// Reason phrase of a status code ("OK", "Not Found", …); "Unknown" for one we never send.
std::string_view reasonPhrase(uint16_t status) noexcept;

/// One line of the access log. `escape` of user-controlled text is the formatter's business.
struct LogRecord {
  int64_t timeMs;  // since the epoch
  std::string_view remoteAddress, methodName, target, host, referer, userAgent;
  uint8_t minorVersion;
  uint16_t status;
  uint64_t bodyBytes;
  uint64_t durationUs;
};
enum class LogFormat : uint8_t { Off, Combined, Json };
/// Writes one line with its '\n' into `out`; returns its length, 0 when it does not fit.
size_t formatLog(LogFormat format, const LogRecord& record, std::span<char> out) noexcept;

}  // namespace socrypt::http
