// Dates, encodings, log lines.
#include <doctest/doctest.h>

#include <array>
#include <ctime>
#include <string>

#include "engine/http/http.hpp"

using namespace socrypt::http;

namespace {

std::string formatted(int64_t seconds) {
  std::string date(29, '\0');
  formatDate(seconds, date.data());
  return date;
}

std::string picked(const std::string& field, uint32_t available = 0b1111) {
  Encoding encoding{};
  const bool acceptable = negotiateEncoding(field, available, encoding);
  constexpr std::array<const char*, 4> names{"identity", "gzip", "br", "zstd"};
  return acceptable ? names[static_cast<size_t>(encoding)] : encoding == Encoding::Identity ? "none" : "wrong";
}

LogRecord record() {
  return {.timeMs = 784111777042, .remoteAddress = "::1", .methodName = "GET", .target = "/a", .host = "h", .referer = "", .userAgent = "u", .minorVersion = 1, .status = 200, .bodyBytes = 12, .durationUs = 345};
}
std::string line(LogFormat format, const LogRecord& of) {
  std::array<char, 4096> out;
  return {out.data(), formatLog(format, of, out)};
}

}  // namespace

TEST_CASE("dates are written as the C library writes them") {
  for (int64_t seconds = 0; seconds < 253402300800; seconds += 86400 * 17 + 3607) {
    const time_t time = seconds;
    tm parts{};
    gmtime_r(&time, &parts);
    std::array<char, 64> expected;
    strftime(expected.data(), expected.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    REQUIRE(formatted(seconds) == expected.data());
    REQUIRE(parseDate(formatted(seconds)) == seconds);
    strftime(expected.data(), expected.size(), "%a %b %e %H:%M:%S %Y", &parts);
    REQUIRE(parseDate(expected.data()) == seconds);
    strftime(expected.data(), expected.size(), "%A, %d-%b-%y %H:%M:%S GMT", &parts);
    REQUIRE(parseDate(expected.data(), seconds) == seconds);
  }
  CHECK(formatted(-1) == formatted(0));
  CHECK(formatted(INT64_MAX) == "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST_CASE("two digits of year mean the nearest year not more than 50 ahead") {
  const int64_t now = parseDate("Fri, 20 Nov 2026 00:00:00 GMT");
  CHECK(formatted(parseDate("Sunday, 06-Nov-94 08:49:37 GMT", now)).substr(12, 4) == "1994");
  CHECK(formatted(parseDate("Sunday, 06-Nov-76 08:49:37 GMT", now)).substr(12, 4) == "2076");
  CHECK(formatted(parseDate("Sunday, 06-Nov-77 08:49:37 GMT", now)).substr(12, 4) == "1977");
  CHECK(formatted(parseDate("Sunday, 06-Nov-05 08:49:37 GMT", parseDate("Fri, 20 Nov 2076 00:00:00 GMT"))).substr(12, 4) == "2105");
}

TEST_CASE("dates that are none") {
  for (const char* date : {"", "x", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
                           "Sun 06 Nov 1994 08:49:37 GMT", "Son, 06 Nov 1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994", "Sunday, 06-Nov-1994 08:49:37 GMT", "1994-11-06T08:49:37Z", "Tue, 29 Feb 2023 00:00:00 GMT",
                           "Sun, 06 Nov 1900 08:49:37 GMT", "784111777"}) {
    CAPTURE(date);
    CHECK(parseDate(date) == -1);
  }
  CHECK(parseDate("Thu, 29 Feb 2024 00:00:00 GMT") == 1709164800);
  CHECK(parseDate("Sat, 31 Dec 2016 23:59:60 GMT") == 1483228800);
}

TEST_CASE("the best encoding both sides have") {
  CHECK(picked("") == "identity");
  CHECK(picked("gzip, deflate, br, zstd") == "br");
  CHECK(picked("gzip, deflate, br, zstd", 0b0011) == "gzip");
  CHECK(picked("gzip, deflate, br, zstd", 0b1011) == "zstd");
  CHECK(picked("GZIP") == "gzip");
  CHECK(picked("x-gzip") == "gzip");
  CHECK(picked("br;q=0.5, gzip;q=0.501") == "gzip");
  CHECK(picked("br ; q=0.5 , gzip\t;\tq=0.4") == "br");
  CHECK(picked("gzip;q=0.5") == "gzip");
  CHECK(picked("gzip;q=0.5, identity") == "identity");
  CHECK(picked("*") == "br");
  CHECK(picked("*;q=0.5, gzip") == "gzip");
  CHECK(picked("*, br;q=0", 0b0111) == "gzip");
  CHECK(picked("br;q=0, gzip;q=0.000") == "identity");
  CHECK(picked("gzip;q=0, *;q=0") == "none");
  CHECK(picked("identity;q=0") == "none");
  CHECK(picked("identity;q=0, br") == "br");
  CHECK(picked("identity;q=0, br", 0b0001) == "none");
  CHECK(picked("*;q=0, identity") == "identity");
  for (const char* bad : {"br;q=2", "br;q=1.001", "br;q=-1", "br;q=0.1234", "br;q=", "br;q=a", "br;q=.5", "br;q=1e0"}) CHECK(picked(bad) == "identity");
  CHECK(picked("brotli, g, br-x, gzipx") == "identity");
  CHECK(picked(", ,;q=1,br") == "br");
  CHECK(picked("br;level=11;q=0.1, gzip") == "gzip");
  CHECK(picked("gzip", 0b0010) == "gzip");
  CHECK(picked("br", 0b0010) == "none");
}

TEST_CASE("combined log lines") {
  CHECK(line(LogFormat::Combined, record()) == "::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \"u\"\n");
  auto nasty = record();
  nasty.target = "/\"\\\n\x7f\xff~";
  nasty.userAgent = std::string_view("a\0\x1b[2J", 6);
  CHECK(line(LogFormat::Combined, nasty) ==
        "::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /\\x22\\x5C\\x0A\\x7F\\xFF~ HTTP/1.1\" 200 12 \"-\" \"a\\x00\\x1B[2J\"\n");
  auto bad = record();
  bad.methodName = bad.target = "";
  bad.status = 400;
  CHECK(line(LogFormat::Combined, bad) == "::1 - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 12 \"-\" \"u\"\n");
}

TEST_CASE("JSON log lines are JSON and UTF-8") {
  CHECK(line(LogFormat::Json, record()) ==
        "{\"time\":\"1994-11-06T08:49:37.042Z\",\"remote\":\"::1\",\"method\":\"GET\",\"target\":\"/a\",\"protocol\":\"HTTP/1.1\",\"status\":200,"
        "\"bytes\":12,\"duration_us\":345,\"host\":\"h\",\"referer\":\"\",\"user_agent\":\"u\"}\n");
  auto nasty = record();
  nasty.target = "\"\\\n\x7f";
  nasty.userAgent = "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xc3 \xff \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82";
  const auto out = line(LogFormat::Json, nasty);
  CHECK(out.find("\"target\":\"\\\"\\\\\\u000a\\u007f\"") != std::string::npos);
  CHECK(out.find("\"user_agent\":\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \\u00c3 \\u00ff \\u00c0\\u00af \\u00ed\\u00a0\\u0080 "
                 "\\u00f4\\u0090\\u0080\\u0080 \\u00e2\\u0082\"") != std::string::npos);
}

TEST_CASE("a line that does not fit is no line") {
  for (const auto format : {LogFormat::Combined, LogFormat::Json}) {
    const auto whole = line(format, record());
    std::string out(whole.size(), 'x');
    CHECK(formatLog(format, record(), out) == whole.size());
    for (size_t room = 0; room < whole.size(); room++) REQUIRE(formatLog(format, record(), std::span(out.data(), room)) == 0);
  }
  CHECK(line(LogFormat::Off, record()).empty());
}

TEST_CASE("reason phrases") {
  CHECK(reasonPhrase(206) == "Partial Content");
  CHECK(reasonPhrase(431) == "Request Header Fields Too Large");
  CHECK(reasonPhrase(299) == "Unknown");
}
