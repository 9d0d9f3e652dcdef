// The request head: RFC 9112 sections 2 to 6 read strictly, because every leniency here is a chance for
// a proxy in front to see other requests than we do. docs/decisions/0005-http-parser.md.
#include <algorithm>
#include <cstring>

#include "engine/http/http.hpp"
#include "engine/http/scan.hpp"

namespace socrypt::http {
namespace {

using scan::equalsLower;
using scan::is;
using scan::isOws;

constexpr size_t kMaxMethodBytes = 32;
constexpr std::string_view kVersionLine = "HTTP/1.1\r\n";

constexpr ParseResult kOk{ParseResult::Kind::Ok, 0, {}};
constexpr ParseResult kIncomplete{ParseResult::Kind::Incomplete, 0, {}};
constexpr ParseResult bad(uint16_t status, std::string_view reason) { return {ParseResult::Kind::Bad, status, reason}; }

constexpr ParseResult badByte(char c, std::string_view otherwise) {
  if (c == '\n') return bad(400, "bare_lf");
  if (c == '\r') return bad(400, "bare_cr");
  if (c == '\0') return bad(400, "nul");
  return bad(400, otherwise);
}

/// uri-host [ ":" port ], RFC 9110 7.2. Empty is refused: an https URI has a host (RFC 9110 4.2.2).
bool validHost(std::string_view host) noexcept {
  const char* p = host.data();
  const char* const end = p + host.size();
  const char* const start = p;
  if (p != end && *p == '[') {  // IP-literal: IPv6 and its zone-free text form
    ++p;
    while (p != end && ((*p >= '0' && *p <= '9') || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f') || *p == ':' || *p == '.')) ++p;
    if (p == end || *p != ']' || p - start < 3) return false;
    ++p;
  } else {
    while (p != end && is(*p, scan::kHostByte)) ++p;
    if (p == start) return false;
  }
  if (p == end) return true;
  if (*p != ':' || end - p > 6) return false;
  unsigned port = 0;
  for (++p; p != end; ++p) {
    if (!is(*p, scan::kDigit)) return false;
    port = port * 10 + static_cast<unsigned>(*p - '0');
  }
  return port <= 65535;
}

/// Reads one head from its first byte. What makes a line malformed is answered at once; what makes
/// well-formed lines contradict each other is kept in fault_ until the head is complete.
class HeadParser {
 public:
  HeadParser(std::string_view head, const Limits& limits, Request& out) noexcept
      : begin_(head.data()), p_(head.data()), end_(head.data() + head.size()), limits_(limits), out_(out) {
    out_ = Request{};
  }

  ParseResult run() noexcept {
    // RFC 9112 2.2: one empty line before the request line is forgiven, for clients that end a body with CRLF.
    if (p_ != end_ && *p_ == '\r') {
      if (p_ + 1 == end_) return kIncomplete;
      if (p_[1] != '\n') return bad(400, "bare_cr");
      p_ += 2;
    }
    if (const auto result = requestLine(); result.kind != ParseResult::Kind::Ok) return result;
    const char* const fields = p_;
    if (const auto result = fieldLines(); result.kind != ParseResult::Kind::Ok) return result;
    out_.fields = {fields, static_cast<size_t>(p_ - fields) - 2};
    out_.headLength = static_cast<uint32_t>(p_ - begin_);
    return conclude();
  }

 private:
  ParseResult requestLine() noexcept {
    const char* const method = p_;
    const char* const methodLimit = std::min(end_, p_ + kMaxMethodBytes + 1);
    p_ = scan::findTokenEnd(p_, methodLimit);
    out_.methodName = {method, static_cast<size_t>(p_ - method)};
    // RFC 9112 3: a method longer than any implemented is a 501.
    if (out_.methodName.size() > kMaxMethodBytes) return bad(501, "method_too_long");
    if (p_ == end_) return kIncomplete;
    if (*p_ != ' ' || p_ == method) return badByte(*p_, "method");
    if (out_.methodName == "GET") out_.method = Method::Get;
    else if (out_.methodName == "HEAD") out_.method = Method::Head;
    else if (out_.methodName == "OPTIONS") out_.method = Method::Options;

    const char* const target = ++p_;
    const size_t room = static_cast<size_t>(end_ - p_);
    const char* const targetLimit = room > limits_.maxTargetBytes ? p_ + limits_.maxTargetBytes + 1 : end_;
    p_ = scan::findTargetEnd(p_, targetLimit);
    out_.target = {target, static_cast<size_t>(p_ - target)};
    if (out_.target.size() > limits_.maxTargetBytes) return bad(414, "target_too_long");
    if (p_ == end_) return kIncomplete;
    if (*p_ != ' ') {
      if (*p_ == '#') return bad(400, "target_fragment");
      return *p_ == '\r' ? bad(400, "version") : badByte(*p_, "target_byte");
    }
    if (out_.target.empty()) return bad(400, "target_empty");
    ++p_;
    if (const auto result = version(); result.kind != ParseResult::Kind::Ok) return result;
    return targetForm();
  }

  ParseResult version() noexcept {
    if (static_cast<size_t>(end_ - p_) < kVersionLine.size()) {
      const char* const control = scan::findControl(p_, end_);
      const bool open = control == end_ || (control + 1 == end_ && *control == '\r');
      return open ? kIncomplete : badByte(*control, "version");
    }
    if (std::memcmp(p_, kVersionLine.data(), kVersionLine.size()) != 0) {
      if (std::memcmp(p_, "HTTP/", 5) != 0 || !is(p_[5], scan::kDigit) || p_[6] != '.' || !is(p_[7], scan::kDigit)) {
        return bad(400, "version");
      }
      if (p_[8] != '\r' || p_[9] != '\n') return p_[8] == '\r' ? bad(400, "bare_cr") : badByte(p_[8], "version");
      if (p_[5] != '1' || p_[7] > '1') return bad(505, "version_unsupported");
      out_.minorVersion = static_cast<uint8_t>(p_[7] - '0');
    }
    p_ += kVersionLine.size();
    return kOk;
  }

  /// RFC 9112 3.2: which of the four forms, and what of it is path and query.
  ParseResult targetForm() noexcept {
    // Nothing here tunnels, and what follows a CONNECT is not HTTP: answer and close.
    if (out_.methodName == "CONNECT") return bad(501, "connect");
    std::string_view rest = out_.target;
    if (rest.front() != '/') {
      if (rest == "*") {
        if (out_.method != Method::Options) return bad(400, "target_form");
        out_.path = rest;
        return kOk;
      }
      const size_t colon = rest.find(':');
      if (colon == std::string_view::npos || rest.substr(colon, 3) != "://") return bad(400, "target_form");
      const std::string_view scheme = rest.substr(0, colon);
      if (!equalsLower(scheme, "https") && !equalsLower(scheme, "http")) return bad(400, "target_scheme");
      const std::string_view slash = rest.substr(colon + 1, 1);
      rest.remove_prefix(colon + 3);
      const size_t authorityEnd = std::min(rest.find_first_of("/?"), rest.size());
      authority_ = rest.substr(0, authorityEnd);
      // No userinfo either: RFC 9110 4.2.4 calls it an error, and '@' is no host byte.
      if (!validHost(authority_)) return bad(400, "target_authority");
      rest.remove_prefix(authorityEnd);
      if (rest.empty() || rest.front() == '?') {
        out_.path = slash;  // "/" (RFC 9112 3.2.1), borrowed from "://" so that it points into the buffer
        out_.query = rest;
        return kOk;
      }
    }
    const size_t question = std::min(rest.find('?'), rest.size());
    out_.path = rest.substr(0, question);
    out_.query = rest.substr(question);
    return kOk;
  }

  ParseResult fieldLines() noexcept {
    uint32_t count = 0;
    for (;;) {
      if (p_ == end_) return kIncomplete;
      if (*p_ == '\r') {
        if (p_ + 1 == end_) return kIncomplete;
        if (p_[1] != '\n') return bad(400, "bare_cr");
        p_ += 2;
        return kOk;
      }
      const char* const name = p_;
      p_ = scan::findTokenEnd(p_, end_);
      if (p_ == end_) return kIncomplete;
      if (*p_ != ':' || p_ == name) {
        if (isOws(*p_)) return bad(400, p_ == name ? "obs_fold" : "space_before_colon");
        return badByte(*p_, "field_name");
      }
      const std::string_view nameView{name, static_cast<size_t>(p_ - name)};
      ++p_;
      while (p_ != end_ && isOws(*p_)) ++p_;
      const char* const value = p_;
      p_ = scan::findControl(p_, end_);
      if (p_ == end_) return kIncomplete;
      if (*p_ != '\r') return badByte(*p_, "field_byte");
      if (p_ + 1 == end_) return kIncomplete;
      if (p_[1] != '\n') return bad(400, "bare_cr");
      const char* valueEnd = p_;
      while (valueEnd != value && isOws(valueEnd[-1])) --valueEnd;
      p_ += 2;
      if (++count > limits_.maxFields) fault(431, "too_many_fields");
      field(nameView, {value, static_cast<size_t>(valueEnd - value)});
    }
  }

  void field(std::string_view name, std::string_view value) noexcept {
    switch (name.size()) {
      case 4:
        if (equalsLower(name, "host")) host(value);
        break;
      case 5:
        if (equalsLower(name, "range")) once(out_.range, value);
        break;
      case 6:
        if (equalsLower(name, "origin")) once(out_.origin, value);
        // Any other expectation is ignored: a 417 is only allowed, never required (RFC 9110 10.1.1).
        else if (equalsLower(name, "expect") && equalsLower(value, "100-continue")) out_.expectContinue = true;
        break;
      case 7:
        if (equalsLower(name, "referer")) once(out_.referer, value);
        break;
      case 8:
        if (equalsLower(name, "if-match")) once(out_.ifMatch, value);
        else if (equalsLower(name, "if-range")) once(out_.ifRange, value);
        break;
      case 10:
        if (equalsLower(name, "user-agent")) once(out_.userAgent, value);
        else if (equalsLower(name, "connection")) connection(value);
        break;
      case 13:
        if (equalsLower(name, "if-none-match")) once(out_.ifNoneMatch, value);
        break;
      case 14:
        if (equalsLower(name, "content-length")) contentLength(value);
        break;
      case 15:
        if (equalsLower(name, "accept-encoding")) once(out_.acceptEncoding, value);
        break;
      case 17:
        if (equalsLower(name, "if-modified-since")) once(out_.ifModifiedSince, value);
        else if (equalsLower(name, "transfer-encoding")) transferEncoding(value);
        break;
      case 19:
        if (equalsLower(name, "if-unmodified-since")) once(out_.ifUnmodifiedSince, value);
        break;
      default:
        break;
    }
  }

  /// A repeated field becomes void: there, but empty.
  static void once(std::string_view& slot, std::string_view value) noexcept {
    slot = slot.data() == nullptr ? value : value.substr(0, 0);
  }

  void host(std::string_view value) noexcept {
    if (out_.host.data() != nullptr) return fault(400, "host_duplicate");
    out_.host = value;
    if (!validHost(value)) fault(400, "host_invalid");
  }

  void connection(std::string_view list) noexcept {
    std::string_view member;
    while (scan::nextMember(list, member)) {
      if (equalsLower(member, "close")) close_ = true;
      else if (equalsLower(member, "keep-alive")) keepAlive_ = true;
    }
  }

  /// OWS may be a tab, but "chunked\t" is an old way to have two parsers disagree, and llhttp refuses it.
  static bool besideTab(std::string_view value) noexcept {
    const char* before = value.data() - 1;
    while (*before == ' ') --before;
    const char* after = value.data() + value.size();
    while (*after == ' ') ++after;
    return *before == '\t' || *after == '\t';
  }

  void contentLength(std::string_view value) noexcept {
    // Even an identical repetition or list ("5, 5") is refused; RFC 9112 6.3 leaves that choice.
    if (hasLength_) return fault(400, "content_length_duplicate");
    hasLength_ = true;
    if (besideTab(value)) return fault(400, "framing_tab");
    if (value.empty() || value.size() > 19) return fault(400, "content_length");
    uint64_t length = 0;
    for (char c : value) {
      if (!is(c, scan::kDigit)) return fault(400, "content_length");
      length = length * 10 + static_cast<uint64_t>(c - '0');
    }
    if (length > static_cast<uint64_t>(INT64_MAX)) return fault(400, "content_length");
    out_.contentLength = length;
  }

  void transferEncoding(std::string_view value) noexcept {
    if (hasTransferEncoding_) return fault(400, "transfer_encoding_duplicate");
    hasTransferEncoding_ = true;
    if (besideTab(value)) return fault(400, "framing_tab");
    if (equalsLower(value, "chunked")) return;
    // "gzip, chunked" could be framed, but nothing here wants a compressed request: 501 (RFC 9112 6.1).
    // Chunked twice, with parameters, or before another coding is what smuggling looks like: 400.
    unsigned members = 0, chunked = 0;
    bool lastIsChunked = false;
    std::string_view member;
    while (scan::nextMember(value, member)) {
      members++;
      lastIsChunked = equalsLower(member, "chunked");
      if (member.size() >= 7 && equalsLower(member.substr(0, 7), "chunked")) chunked++;
    }
    if (members > chunked && (chunked == 0 || (chunked == 1 && lastIsChunked))) return fault(501, "transfer_coding");
    fault(400, "transfer_encoding");
  }

  void fault(uint16_t status, std::string_view reason) noexcept {
    if (fault_.status == 0) fault_ = bad(status, reason);
  }

  ParseResult conclude() noexcept {
    if (fault_.status == 0) {
      if (out_.minorVersion == 1 && out_.host.data() == nullptr) fault(400, "host_missing");
      if (hasTransferEncoding_ && hasLength_) fault(400, "length_and_transfer_encoding");
      // RFC 9112 6.1: a 1.0 message with Transfer-Encoding has faulty framing.
      if (hasTransferEncoding_ && out_.minorVersion == 0) fault(400, "transfer_encoding_in_1_0");
    }
    if (fault_.status != 0) return fault_;
    out_.keepAlive = !close_ && (out_.minorVersion == 1 || keepAlive_);
    if (hasTransferEncoding_) out_.body = BodyKind::Chunked;
    else if (out_.contentLength != 0) out_.body = BodyKind::Length;
    // RFC 9110 10.1.1: ignored from a 1.0 client, pointless without content.
    if (out_.minorVersion == 0 || out_.body == BodyKind::None) out_.expectContinue = false;
    // RFC 9112 3.2.2: the authority of an absolute-form target replaces Host.
    if (!authority_.empty()) out_.host = authority_;
    return kOk;
  }

  const char* const begin_;
  const char* p_;
  const char* const end_;
  const Limits& limits_;
  Request& out_;
  std::string_view authority_;
  ParseResult fault_ = kOk;
  bool hasLength_ = false;
  bool hasTransferEncoding_ = false;
  bool close_ = false;
  bool keepAlive_ = false;
};

/// For a head that came in pieces: looks at the new bytes only, for the empty line that ends it or a
/// byte that no head may hold, so that any number of pieces costs one scan and one parse.
ParseResult lookForEnd(std::string_view head, uint32_t& scanned) noexcept {
  const char* const begin = head.data();
  const char* const end = begin + head.size();
  for (const char* p = begin + scanned;;) {
    p = scan::findControl(p, end);
    if (p == end || (*p == '\r' && p + 1 == end)) {
      scanned = static_cast<uint32_t>(p - begin);
      return kIncomplete;
    }
    if (*p != '\r' || p[1] != '\n') return badByte(*p, "field_byte");
    if (p != begin && p[-1] == '\n') return kOk;
    p += 2;
  }
}

}  // namespace

ParseResult parseRequest(std::string_view buffer, uint32_t& scanned, const Limits& limits, Request& out) noexcept {
  const std::string_view head = buffer.substr(0, limits.maxHeaderBytes);
  const size_t previously = std::min<size_t>(scanned, head.size());
  bool whole = true;
  if (previously != 0) {
    scanned = static_cast<uint32_t>(previously);
    const auto result = lookForEnd(head, scanned);
    if (result.kind == ParseResult::Kind::Bad) return result;
    // When the longest request line allowed would be over, one more look at it finds a target too long.
    const size_t lineEnd = size_t{limits.maxTargetBytes} + kMaxMethodBytes + 2 + kVersionLine.size() + 2;
    whole = result.kind == ParseResult::Kind::Ok || (previously < lineEnd && head.size() >= lineEnd);
  }
  if (whole) {
    const auto result = HeadParser(head, limits, out).run();
    if (result.kind != ParseResult::Kind::Incomplete) return result;
    scanned = static_cast<uint32_t>(head.size());
    if (!head.empty() && head.back() == '\r') scanned--;
  }
  if (buffer.size() < limits.maxHeaderBytes) return kIncomplete;
  return head.find('\n', 2) == std::string_view::npos ? bad(414, "request_line_too_long") : bad(431, "header_too_large");
}

}  // namespace socrypt::http
