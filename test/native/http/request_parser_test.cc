#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/http/http.hpp"

using namespace socrypt::http;
using Kind = ParseResult::Kind;
using namespace std::string_literals;

namespace {

/// A head in a buffer of exactly its size, so that a sanitizer sees one byte read too far.
struct Parsed {
  std::unique_ptr<char[]> bytes;
  Request request;
  ParseResult result{};
  uint32_t scanned = 0;
};

Parsed parse(const std::string& head, const Limits& limits = {}) {
  Parsed parsed;
  parsed.bytes = std::make_unique<char[]>(head.size());
  head.copy(parsed.bytes.get(), head.size());
  parsed.result = parseRequest({parsed.bytes.get(), head.size()}, parsed.scanned, limits, parsed.request);
  return parsed;
}

/// The first answer other than Incomplete to the head given byte by byte.
ParseResult trickle(const std::string& head, const Limits& limits = {}) {
  uint32_t scanned = 0;
  ParseResult result{};
  for (size_t length = 0; length <= head.size(); length++) {
    const auto bytes = std::make_unique<char[]>(length);
    head.copy(bytes.get(), length);
    Request request;
    result = parseRequest({bytes.get(), length}, scanned, limits, request);
    if (result.kind != Kind::Incomplete) break;
    CHECK(scanned <= length);
  }
  return result;
}

std::string get(const std::string& fields, const std::string& line = "GET / HTTP/1.1") {
  return line + "\r\nHost: a\r\n" + fields + "\r\n";
}

void refused(const std::string& head, uint16_t status, std::string_view reason) {
  CAPTURE(head);
  const auto parsed = parse(head);
  CHECK(parsed.result.kind == Kind::Bad);
  CHECK(parsed.result.status == status);
  CHECK(parsed.result.reason == reason);
  const auto slow = trickle(head);
  CHECK(slow.kind == Kind::Bad);
  CHECK(slow.status == status);
}

Parsed accepted(const std::string& head) {
  CAPTURE(head);
  auto parsed = parse(head);
  CAPTURE(parsed.result.reason);
  REQUIRE(parsed.result.kind == Kind::Ok);
  CHECK(parsed.request.headLength == head.size());
  CHECK(trickle(head).kind == Kind::Ok);
  return parsed;
}

}  // namespace

TEST_CASE("a request head is taken apart") {
  const auto parsed = accepted(
      "GET /a/b.html?x=1&y HTTP/1.1\r\nHost: example.org:8443\r\nUser-Agent: \t probe 1 \t\r\naccept-ENCODING: br\r\n"
      "If-None-Match: \"a\"\r\nIf-Modified-Since: x\r\nIf-Range: y\r\nRange: bytes=0-\r\nOrigin: o\r\nReferer: r\r\n"
      "If-Match: *\r\nIf-Unmodified-Since: z\r\nX-Other:\r\n\r\n");
  const Request& r = parsed.request;
  CHECK(r.method == Method::Get);
  CHECK(r.methodName == "GET");
  CHECK(r.minorVersion == 1);
  CHECK(r.keepAlive);
  CHECK(r.body == BodyKind::None);
  CHECK(r.target == "/a/b.html?x=1&y");
  CHECK(r.path == "/a/b.html");
  CHECK(r.query == "?x=1&y");
  CHECK(r.host == "example.org:8443");
  CHECK(r.userAgent == "probe 1");
  CHECK(r.acceptEncoding == "br");
  CHECK(r.ifNoneMatch == "\"a\"");
  CHECK(r.ifModifiedSince == "x");
  CHECK(r.ifRange == "y");
  CHECK(r.range == "bytes=0-");
  CHECK(r.origin == "o");
  CHECK(r.referer == "r");
  CHECK(r.ifMatch == "*");
  CHECK(r.ifUnmodifiedSince == "z");
  CHECK(r.fields.substr(0, 6) == "Host: ");
  CHECK(r.fields.substr(r.fields.size() - 12) == "\r\nX-Other:\r\n");
}

TEST_CASE("what follows the head is left alone") {
  const auto head = get("");
  const auto parsed = parse(head + "GET /next");
  CHECK(parsed.result.kind == Kind::Ok);
  CHECK(parsed.request.headLength == head.size());
}

TEST_CASE("methods are case-sensitive tokens") {
  CHECK(accepted(get("", "HEAD / HTTP/1.1")).request.method == Method::Head);
  CHECK(accepted(get("", "OPTIONS / HTTP/1.1")).request.method == Method::Options);
  const auto lower = accepted(get("", "get / HTTP/1.1"));
  CHECK(lower.request.method == Method::Other);
  CHECK(lower.request.methodName == "get");
  refused(get("", "G(T / HTTP/1.1"), 400, "method");
  refused(get("", " GET / HTTP/1.1"), 400, "method");
  refused(get("", "GET\t/ HTTP/1.1"), 400, "method");
  refused(get("", std::string(33, 'A') + " / HTTP/1.1"), 501, "method_too_long");
  refused(get("", "CONNECT a:443 HTTP/1.1"), 501, "connect");
}

TEST_CASE("one empty line before the request is forgiven, no more") {
  accepted("\r\n" + get(""));
  refused("\r\n\r\n" + get(""), 400, "bare_cr");
  refused("\n" + get(""), 400, "bare_lf");
}

TEST_CASE("versions") {
  CHECK(accepted("GET / HTTP/1.0\r\n\r\n").request.minorVersion == 0);
  for (const char* version : {"HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"}) {
    refused(get("", std::string("GET / ") + version), 505, "version_unsupported");
  }
  for (const char* version : {"HTTP/1.1 ", "http/1.1", "HTTP/1", "HTTP/11", "HTTP/1.10", "ICE/1.0", "HTTP/1,1", "HTTPS/1.1", " HTTP/1.1"}) {
    refused(get("", std::string("GET / ") + version), 400, "version");
  }
  refused("GET /\r\n\r\n", 400, "version");
}

TEST_CASE("line ends are CRLF and nothing else") {
  refused("GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "bare_lf");
  refused("GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "bare_cr");
  refused("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare_lf");
  refused("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, "bare_cr");
  refused("GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n", 400, "bare_cr");
  refused("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare_lf");
  refused("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "bare_cr");
}

TEST_CASE("field lines are read strictly") {
  refused(get("X : b\r\n"), 400, "space_before_colon");
  refused(get("X\t: b\r\n"), 400, "space_before_colon");
  refused(get("X: a\r\n b\r\n"), 400, "obs_fold");
  refused(get("X: a\r\n\tb\r\n"), 400, "obs_fold");
  refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "obs_fold");
  refused(get(": b\r\n"), 400, "field_name");
  refused(get("X\r\n"), 400, "bare_cr");
  refused(get("X(: b\r\n"), 400, "field_name");
  refused(get("X\xc3\xa4: b\r\n"), 400, "field_name");
  refused(get("X: a\0b\r\n"s), 400, "nul");
  refused(get("X: a\x01z\r\n"), 400, "field_byte");
  refused(get("X: a\x7f\r\n"), 400, "field_byte");
  accepted(get("X: caf\xc3\xa9 \xff\ttab\r\n"));  // obs-text, RFC 9110 5.5
}

TEST_CASE("every control byte at every place of a value is found") {
  for (int c = 0; c < 256; c++) {
    for (size_t at : {size_t{0}, size_t{7}, size_t{15}, size_t{16}, size_t{31}, size_t{40}}) {
      std::string value(41, 'v');
      value[at] = static_cast<char>(c);
      const bool good = c == '\t' || (c >= 0x20 && c != 0x7f);
      CHECK((parse(get("X: " + value + "\r\n")).result.kind == Kind::Ok) == good);
      std::string target = "/" + value;
      const bool goodTarget = c > 0x20 && c < 0x7f && c != '#';
      CHECK((parse(get("", "GET " + target + " HTTP/1.1")).result.kind == Kind::Ok) == goodTarget);
    }
  }
}

TEST_CASE("forms of the target") {
  refused(get("", "GET /a#b HTTP/1.1"), 400, "target_fragment");
  refused(get("", "GET /\xc3\xa4 HTTP/1.1"), 400, "target_byte");
  refused(get("", "GET  / HTTP/1.1"), 400, "target_empty");
  refused(get("", "GET a HTTP/1.1"), 400, "target_form");
  refused(get("", "GET * HTTP/1.1"), 400, "target_form");
  refused(get("", "GET a:443 HTTP/1.1"), 400, "target_form");
  refused(get("", "GET ftp://a/ HTTP/1.1"), 400, "target_scheme");
  refused(get("", "GET http:///x HTTP/1.1"), 400, "target_authority");
  refused(get("", "GET http://u@a/ HTTP/1.1"), 400, "target_authority");
  CHECK(accepted(get("", "OPTIONS * HTTP/1.1")).request.path == "*");

  const auto absolute = accepted(get("", "GET HTTPS://b.example:1/p?q HTTP/1.1"));
  CHECK(absolute.request.host == "b.example:1");  // not "a": RFC 9112 3.2.2
  CHECK(absolute.request.path == "/p");
  CHECK(absolute.request.query == "?q");
  const auto bare = accepted(get("", "GET http://b?q HTTP/1.1"));
  CHECK(bare.request.path == "/");
  CHECK(bare.request.query == "?q");
  CHECK(accepted(get("", "GET http://b HTTP/1.1")).request.path == "/");
  CHECK(accepted(get("", "GET //b/c HTTP/1.1")).request.path == "//b/c");
}

TEST_CASE("exactly one valid Host in 1.1, at most one in 1.0") {
  refused("GET / HTTP/1.1\r\n\r\n", 400, "host_missing");
  refused("GET http://a/ HTTP/1.1\r\n\r\n", 400, "host_missing");
  refused("GET / HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n", 400, "host_duplicate");
  refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_duplicate");
  for (const char* host : {"", "a b", "a/b", "a@b", "a:x", "a:65536", "a:1:2", "[::1", "[]", "[::g]", "[::1]x", "a\"", "a?b", "a#b"}) {
    refused("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n", 400, "host_invalid");
  }
  for (const char* host : {"a", "a.b", "a_b", "127.0.0.1:8443", "[::1]", "[::1]:443", "a:", "xn--a", "a%20b"}) {
    accepted("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n");
  }
}

TEST_CASE("framing of the body leaves no room for two readings") {
  CHECK(accepted(get("Content-Length: 0\r\n")).request.body == BodyKind::None);
  const auto counted = accepted(get("Content-Length: 9223372036854775807\r\n", "POST / HTTP/1.1"));
  CHECK(counted.request.body == BodyKind::Length);
  CHECK(counted.request.contentLength == 9223372036854775807u);
  CHECK(accepted(get("Transfer-Encoding:  Chunked \r\n")).request.body == BodyKind::Chunked);

  for (const char* length : {"", "-1", "+1", "1 1", "0x1", "1,1", "1, 1", "9223372036854775808", "18446744073709551617", "00000000000000000001", "1a"}) {
    refused(get("Content-Length: "s + length + "\r\n"), 400, "content_length");
  }
  refused(get("Content-Length: 1\r\nContent-Length: 1\r\n"), 400, "content_length_duplicate");
  refused(get("Content-Length: 0\r\nContent-Length: 1\r\n"), 400, "content_length_duplicate");
  refused(get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400, "length_and_transfer_encoding");
  refused(get("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 400, "length_and_transfer_encoding");
  refused(get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400, "transfer_encoding_duplicate");
  for (const char* coding : {"", ",", "chunked, chunked", "chunked,", "chunked, gzip", "chunked;a=b", "chunkedx"}) {
    refused(get("Transfer-Encoding: "s + coding + "\r\n"), 400, "transfer_encoding");
  }
  for (const char* coding : {"gzip", "identity", "xchunked", "gzip, chunked", "\"chunked\""}) {
    refused(get("Transfer-Encoding: "s + coding + "\r\n"), 501, "transfer_coding");
  }
  for (const char* field : {"Content-Length:\t1", "Content-Length: 1\t ", "Transfer-Encoding: chunked \t", "Transfer-Encoding: \tchunked"}) {
    refused(get(field + "\r\n"s), 400, "framing_tab");
  }
  refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "transfer_encoding_in_1_0");
}

TEST_CASE("who closes") {
  CHECK(accepted(get("")).request.keepAlive);
  CHECK_FALSE(accepted(get("Connection: x, CLOSE ,y\r\n")).request.keepAlive);
  CHECK_FALSE(accepted(get("Connection: x\r\nConnection: close\r\n")).request.keepAlive);
  CHECK_FALSE(accepted(get("Connection: keep-alive, close\r\n")).request.keepAlive);
  CHECK(accepted(get("Connection: closed\r\n")).request.keepAlive);
  CHECK_FALSE(accepted("GET / HTTP/1.0\r\n\r\n").request.keepAlive);
  CHECK(accepted("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").request.keepAlive);
  CHECK_FALSE(accepted("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n").request.keepAlive);
}

TEST_CASE("Expect: 100-continue counts where there is content to wait for") {
  CHECK(accepted(get("Expect: 100-Continue\r\nContent-Length: 1\r\n", "PUT / HTTP/1.1")).request.expectContinue);
  CHECK_FALSE(accepted(get("Expect: 100-continue\r\n")).request.expectContinue);
  CHECK_FALSE(accepted(get("Expect: miracles\r\nContent-Length: 1\r\n")).request.expectContinue);
  CHECK_FALSE(accepted("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").request.expectContinue);
}

TEST_CASE("a repeated field is void but there") {
  const auto parsed = accepted(get("Range: bytes=0-1\r\nRange: bytes=2-3\r\nIf-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n"));
  CHECK(parsed.request.range.empty());
  CHECK(parsed.request.range.data() != nullptr);
  CHECK(parsed.request.ifNoneMatch.empty());
  CHECK(parsed.request.ifNoneMatch.data() != nullptr);
  CHECK(parsed.request.ifRange.data() == nullptr);
}

TEST_CASE("limits hold to the byte, for whole and for trickled heads") {
  const Limits limits{.maxHeaderBytes = 200, .maxTargetBytes = 20, .maxFields = 3};
  const auto line = [](size_t target) { return get("", "GET /" + std::string(target - 1, 'a') + " HTTP/1.1"); };
  CHECK(parse(line(20), limits).result.kind == Kind::Ok);
  CHECK(trickle(line(20), limits).kind == Kind::Ok);
  CHECK(parse(line(21), limits).result.status == 414);
  CHECK(trickle(line(21), limits).status == 414);
  CHECK(parse("GET /" + std::string(20, 'a'), limits).result.status == 414);  // not even complete
  CHECK(parse("GET /" + std::string(19, 'a'), limits).result.kind == Kind::Incomplete);
  CHECK(trickle("GET /" + std::string(150, 'a'), limits).status == 414);

  const auto exact = [&](size_t size) { return get("X: " + std::string(size - get("X: \r\n").size(), 'v') + "\r\n"); };
  REQUIRE(exact(200).size() == 200);
  CHECK(parse(exact(200), limits).result.kind == Kind::Ok);
  CHECK(trickle(exact(200), limits).kind == Kind::Ok);
  CHECK(parse(exact(201), limits).result.status == 431);
  CHECK(trickle(exact(201), limits).status == 431);
  CHECK(parse(get("X: " + std::string(500, 'v')), limits).result.status == 431);

  CHECK(parse(get("A:\r\nB:\r\n"), limits).result.kind == Kind::Ok);
  CHECK(parse(get("A:\r\nB:\r\nC:\r\n"), limits).result.status == 431);
  CHECK(trickle(get("A:\r\nB:\r\nC:\r\n"), limits).status == 431);
}

TEST_CASE("every prefix of a good head is incomplete") {
  const auto head = "\r\n" + get("X: y\r\nConnection: close\r\n");
  for (size_t length = 0; length < head.size(); length++) {
    CHECK(parse(head.substr(0, length)).result.kind == Kind::Incomplete);
  }
}
