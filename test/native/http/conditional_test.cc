#include <doctest/doctest.h>

#include <string>

#include "engine/http/http.hpp"

using namespace socrypt::http;

namespace {

constexpr int64_t kModified = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
const std::string kDate = "Sun, 06 Nov 1994 08:49:37 GMT", kEarlier = "Sun, 06 Nov 1994 08:49:36 GMT", kLater = "Sun, 06 Nov 1994 08:49:38 GMT";

Decision ask(const std::string& fields, const std::string& method = "GET", Validators validators = {"\"tag\"", kModified, 1000}) {
  const std::string head = method + " / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  CAPTURE(fields);
  Request request;
  uint32_t scanned = 0;
  REQUIRE(parseRequest(head, scanned, {}, request).kind == ParseResult::Kind::Ok);
  return evaluate(request, validators);
}
uint16_t status(const std::string& fields, const std::string& method = "GET", Validators validators = {"\"tag\"", kModified, 1000}) {
  return ask(fields, method, validators).status;
}
Decision range(const std::string& value, uint64_t size = 1000) {
  return ask("Range: " + value + "\r\n", "GET", {"\"tag\"", kModified, size});
}
void slice(const std::string& value, uint64_t offset, uint64_t length) {
  CAPTURE(value);
  const auto decision = range(value);
  CHECK(decision.status == 206);
  CHECK_FALSE(decision.multipart);
  CHECK(decision.offset == offset);
  CHECK(decision.length == length);
}
void ignored(const std::string& value, uint64_t size = 1000) {
  CAPTURE(value);
  const auto decision = range(value, size);
  CHECK(decision.status == 200);
  CHECK(decision.rangeIgnored);
  CHECK(decision.offset == 0);
  CHECK(decision.length == size);
}

}  // namespace

TEST_CASE("without conditions everything is sent") {
  const auto decision = ask("");
  CHECK(decision.status == 200);
  CHECK(decision.length == 1000);
  CHECK_FALSE(decision.rangeIgnored);
}

TEST_CASE("If-None-Match compares weakly, over lists and split lines") {
  for (const char* value : {"*", "\"tag\"", "W/\"tag\"", "\"x\", \"tag\"", "\"a,b\" ,\t, W/\"tag\"", ",\"tag\""}) {
    CHECK(status("If-None-Match: " + std::string(value) + "\r\n") == 304);
    CHECK(status("If-None-Match: " + std::string(value) + "\r\n", "HEAD") == 304);
    CHECK(status("If-None-Match: " + std::string(value) + "\r\n", "POST") == 412);
  }
  for (const char* value : {"", "tag", "\"tag", "tag\"", "\"TAG\"", "w/\"tag\"", "W/ \"tag\"", "\"x\"\"tag\"", "*, \"x\"", "\"t\ta\", \"tag\""}) {
    CHECK(status("If-None-Match: " + std::string(value) + "\r\n") == 200);
  }
  CHECK(status("If-None-Match: \"x\"\r\nIf-None-Match: \"tag\"\r\n") == 304);
  CHECK(status("If-None-Match: \"x\"\r\nif-none-match: \"y\"\r\n") == 200);
  CHECK(status("If-None-Match: W/\"w\"\r\n", "GET", {"W/\"w\"", -1, 5}) == 304);
  CHECK(status("If-None-Match: \"x\"\r\n", "GET", {"", -1, 5}) == 200);
  CHECK(status("If-None-Match: *\r\n", "GET", {"", -1, 5}) == 304);
}

TEST_CASE("If-Modified-Since counts only without If-None-Match, and for GET and HEAD") {
  CHECK(status("If-Modified-Since: " + kDate + "\r\n") == 304);
  CHECK(status("If-Modified-Since: " + kLater + "\r\n", "HEAD") == 304);
  CHECK(status("If-Modified-Since: " + kEarlier + "\r\n") == 200);
  CHECK(status("If-Modified-Since: " + kDate + "\r\n", "POST") == 200);
  CHECK(status("If-Modified-Since: yesterday\r\n") == 200);
  CHECK(status("If-Modified-Since: " + kDate + "\r\nIf-Modified-Since: " + kDate + "\r\n") == 200);
  CHECK(status("If-Modified-Since: " + kDate + "\r\nIf-None-Match: \"x\"\r\n") == 200);
  CHECK(status("If-Modified-Since: " + kDate + "\r\nIf-None-Match: junk\r\n") == 200);
  CHECK(status("If-Modified-Since: " + kDate + "\r\n", "GET", {"\"tag\"", -1, 5}) == 200);
}

TEST_CASE("If-Match compares strongly and comes before If-Unmodified-Since") {
  CHECK(status("If-Match: \"tag\"\r\n") == 200);
  CHECK(status("If-Match: *\r\n") == 200);
  CHECK(status("If-Match: \"x\"\r\nIf-Match: \"tag\"\r\n") == 200);
  CHECK(status("If-Match: W/\"tag\"\r\n") == 412);
  CHECK(status("If-Match: \"x\"\r\n") == 412);
  CHECK(status("If-Match: W/\"w\"\r\n", "GET", {"W/\"w\"", -1, 5}) == 412);
  CHECK(status("If-Unmodified-Since: " + kEarlier + "\r\n") == 412);
  CHECK(status("If-Unmodified-Since: " + kDate + "\r\n") == 200);
  CHECK(status("If-Unmodified-Since: junk\r\n") == 200);
  CHECK(status("If-Match: \"tag\"\r\nIf-Unmodified-Since: " + kEarlier + "\r\n") == 200);
  CHECK(status("If-Match: \"x\"\r\nIf-None-Match: \"tag\"\r\n") == 412);
  CHECK(status("If-Match: \"tag\"\r\nIf-None-Match: \"tag\"\r\n") == 304);
}

TEST_CASE("conditions come before ranges") {
  const auto decision = ask("Range: bytes=0-1\r\nIf-None-Match: \"tag\"\r\n");
  CHECK(decision.status == 304);
  CHECK(decision.rangeIgnored);
  CHECK(status("Range: bytes=5000-\r\nIf-Match: \"x\"\r\n") == 412);
}

TEST_CASE("one range") {
  slice("bytes=0-0", 0, 1);
  slice("bytes=0-", 0, 1000);
  slice("bytes=999-", 999, 1);
  slice("bytes=10-19", 10, 10);
  slice("bytes=10-5000", 10, 990);
  slice("bytes=10-99999999999999999999999", 10, 990);
  slice("bytes=-1", 999, 1);
  slice("bytes=-5000", 0, 1000);
  slice("bytes=-99999999999999999999999", 0, 1000);
  slice("BYTES= 1 - 2 ", 1, 2);
  slice("bytes=2000-,3-4", 3, 2);
  slice("bytes=,3-4,", 3, 2);
}

TEST_CASE("ranges that no byte satisfies, and malformed ones, are a 416 as nginx has it") {
  for (const char* value : {"bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=5-3", "bytes=2000-,3000-", "bytes=99999999999999999999999-",
                            "bytes=", "bytes=abc", "bytes=-", "bytes=1", "bytes=1-2x", "bytes=1--2", "bytes=--1", "bytes=0x1-2", "bytes=1-2;3-4", "bytes=1-2 3-4", "bytes=0-1,x"}) {
    CAPTURE(value);
    const auto decision = range(value);
    CHECK(decision.status == 416);
    CHECK(decision.length == 0);
  }
}

TEST_CASE("ranges that do not apply get everything") {
  ignored("lines=0-1");
  ignored("bytes");
  ignored("bytes =0-1");
  ignored("bytes=0-", 0);
  ignored("bytes=-5", 0);
  ignored("bytes=0-999,0-999");
  ignored("bytes=0-,1-");
  ignored("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15,16-16");
  CHECK(range("bytes=5-", 0).status == 416);
  CHECK(status("Range: bytes=0-1\r\n", "HEAD") == 200);
  CHECK(status("Range: bytes=0-1\r\nRange: bytes=0-1\r\n") == 200);
  CHECK(range("bytes=0-", UINT64_MAX).length == UINT64_MAX);
}

TEST_CASE("several ranges are the control plane's") {
  const auto decision = range("bytes=0-1,5-6,-1");
  CHECK(decision.status == 206);
  CHECK(decision.multipart);
  CHECK(range("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15").multipart);
}

TEST_CASE("If-Range: strong tag or exactly the date") {
  const auto with = [](const std::string& value, Validators validators = {"\"tag\"", kModified, 1000}) {
    return ask("Range: bytes=0-1\r\nIf-Range: " + value + "\r\n", "GET", validators);
  };
  CHECK(with("\"tag\"").status == 206);
  CHECK(with(kDate).status == 206);
  CHECK(with("Sunday, 06-Nov-94 08:49:37 GMT").status == 206);
  for (const std::string& value : {std::string("W/\"tag\""), std::string("\"x\""), kEarlier, kLater, std::string("junk"), std::string(""), std::string("\"tag\", \"x\""), std::string("*")}) {
    CAPTURE(value);
    CHECK(with(value).status == 200);
    CHECK(with(value).rangeIgnored);
  }
  CHECK(with("W/\"w\"", {"W/\"w\"", -1, 1000}).status == 200);
  CHECK(with("junk", {"\"tag\"", -1, 1000}).status == 200);
  CHECK(status("Range: bytes=0-1\r\nIf-Range: \"tag\"\r\nIf-Range: \"tag\"\r\n") == 200);
  CHECK(with("\"x\"").length == 1000);
}
