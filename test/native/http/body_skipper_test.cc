#include <doctest/doctest.h>

#include <string>

#include "engine/http/http.hpp"

using namespace socrypt::http;

namespace {

struct Outcome {
  size_t used = 0;
  bool done = false, bad = false;
};

Outcome skip(const Request& request, const std::string& bytes, size_t step) {
  BodySkipper skipper;
  skipper.start(request);
  Outcome outcome;
  while (outcome.used < bytes.size() && !skipper.done() && !skipper.bad()) {
    outcome.used += skipper.feed(std::string_view(bytes).substr(outcome.used, step));
  }
  CHECK(skipper.skipped() == outcome.used);
  outcome.done = skipper.done();
  outcome.bad = skipper.bad();
  return outcome;
}

Request of(BodyKind kind, uint64_t length = 0) {
  Request request;
  request.body = kind;
  request.contentLength = length;
  return request;
}

void skips(const std::string& body) {
  CAPTURE(body);
  for (size_t step : {size_t{1}, size_t{2}, size_t{3}, size_t{100000}}) {
    const auto outcome = skip(of(BodyKind::Chunked), body + "GET /", step);
    CHECK(outcome.done);
    CHECK(outcome.used == body.size());
  }
}

void refuses(const std::string& body) {
  CAPTURE(body);
  for (size_t step : {size_t{1}, size_t{7}, size_t{100000}}) CHECK(skip(of(BodyKind::Chunked), body, step).bad);
}

}  // namespace

TEST_CASE("a body of known length ends where it ends") {
  CHECK(skip(of(BodyKind::None), "GET", 1).done);
  CHECK(skip(of(BodyKind::Length, 5), "12345GET", 2).used == 5);
  CHECK_FALSE(skip(of(BodyKind::Length, 5), "1234", 4).done);
}

TEST_CASE("chunked bodies") {
  skips("0\r\n\r\n");
  skips("5\r\nhello\r\n0\r\n\r\n");
  skips("00A;name=value;other=\"x y\"\r\n0123456789\r\n0;last\r\nTrailer: v\r\nX:\r\n\r\n");
  skips("ff\r\n" + std::string(255, '\n') + "\r\n0\r\n\r\n");
}

TEST_CASE("chunked framing has one reading") {
  for (const char* body : {"\r\n", "g\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", "1 ;x\r\n", "1\n", "1\rx", "1;a\nb", ";\r\n",
                           "1\r\nxx\r\n", "1\r\nx\n", "1\r\nx\rx", "0\r\n\n", "0\r\n\rx", "0\r\nA\r\n", "0\r\n x: y\r\n", "0\r\nA : b\r\n",
                           "0\r\nA: b\n", "0\r\nA: b\rx", "0\r\nA: \x01\r\n", "0\r\n: b\r\n", "1;\x7f\r\n", "11111111111111111\r\n", "00000000000000000\r\n"}) {
    refuses(body);
  }
}

TEST_CASE("extensions and trailers of one body are bounded together") {
  std::string body;
  for (int i = 0; i < 9000; i++) body += "1;x\r\na\r\n";
  refuses(body);
  refuses("1;" + std::string(9000, 'x'));
  refuses("0\r\nA: " + std::string(9000, 'x'));
  std::string trailers = "0\r\n";
  for (int i = 0; i < 5000; i++) trailers += "A:\r\n";
  refuses(trailers);
  skips("1;" + std::string(8000, 'x') + "\r\na\r\n0\r\n\r\n");
}

TEST_CASE("the largest chunk is no overflow") {
  CHECK_FALSE(skip(of(BodyKind::Chunked), "ffffffffffffffff\r\n" + std::string(1000, 'x'), 100).bad);
}
