// Nanoseconds per request head, and per step of answering it:
//   cmake -S native -B build/bench -DSOCRYPT_BENCH=ON && cmake --build build/bench --target bench_parse && build/bench/bench_parse
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "engine/http/http.hpp"

using namespace socrypt::http;

namespace {

const std::string kCurl = "GET /index.html HTTP/1.1\r\nHost: localhost:8443\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
const std::string kChromium =
    "GET /assets/app.5f3c9a1b.js HTTP/1.1\r\nHost: localhost:8443\r\nConnection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n"
    "Accept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n"
    "Referer: https://localhost:8443/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "If-None-Match: \"65f0c1a2-1f40\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";

template <typename Work>
double best(Work work) {
  constexpr int kRounds = 20, kRepeats = 200000;
  double fastest = 1e9;
  for (int round = 0; round < kRounds; round++) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kRepeats; i++) work();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    if (took.count() / kRepeats < fastest) fastest = took.count() / kRepeats;
  }
  return fastest;
}

volatile uint64_t sink = 0;

double parse(const std::string& head) {
  return best([&head] {
    Request request;
    uint32_t scanned = 0;
    const auto result = parseRequest(head, scanned, {}, request);
    sink = sink + request.headLength + static_cast<uint64_t>(result.kind);
  });
}

}  // namespace

int main() {
  std::printf("parse curl      %4zu bytes  %6.1f ns\n", kCurl.size(), parse(kCurl));
  std::printf("parse chromium  %4zu bytes  %6.1f ns\n", kChromium.size(), parse(kChromium));
  Request request;
  uint32_t scanned = 0;
  parseRequest(kChromium, scanned, {}, request);
  request.range = "bytes=100-199";
  const Validators same{"\"65f0c1a2-1f40\"", 784111777, 8000}, other{"\"x\"", 784111777, 8000};
  std::printf("evaluate 304                %6.1f ns\n", best([&] { sink = sink + evaluate(request, same).status; }));
  std::printf("evaluate 206                %6.1f ns\n", best([&] { sink = sink + evaluate(request, other).status; }));
  std::printf("negotiate                   %6.1f ns\n", best([&] {
                Encoding encoding{};
                sink = sink + negotiateEncoding(request.acceptEncoding, 7, encoding);
              }));
  const LogRecord record{784111777042, "127.0.0.1", request.methodName, request.target, request.host, request.referer, request.userAgent, 1, 200, 8000, 45};
  char line[2048];
  std::printf("log combined                %6.1f ns\n", best([&] { sink = sink + formatLog(LogFormat::Combined, record, line); }));
  std::printf("log json                    %6.1f ns\n", best([&] { sink = sink + formatLog(LogFormat::Json, record, line); }));
}
