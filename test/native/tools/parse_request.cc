// What the request parser makes of heads that a test sends: frames on standard input (length as 4 bytes,
// little endian, then the bytes), one JSON line each on standard output.
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "engine/http/http.hpp"

using namespace socrypt::http;

namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<uint8_t>(c)));
    text += digits;
  }
  return text;
}

const char* bodyName(BodyKind kind) {
  switch (kind) {
    case BodyKind::None:
      return "none";
    case BodyKind::Length:
      return "length";
    case BodyKind::Chunked:
      return "chunked";
  }
  return "?";
}

}  // namespace

int main() {
  std::vector<char> bytes;
  uint8_t header[4];
  while (std::fread(header, 1, sizeof header, stdin) == sizeof header) {
    const size_t length = header[0] | size_t{header[1]} << 8 | size_t{header[2]} << 16 | size_t{header[3]} << 24;
    bytes.resize(length);
    if (std::fread(bytes.data(), 1, length, stdin) != length) return 1;
    Request request;
    uint32_t scanned = 0;
    const ParseResult result = parseRequest({bytes.data(), length}, scanned, {}, request);
    switch (result.kind) {
      case ParseResult::Kind::Ok:
        std::printf("{\"kind\":\"ok\",\"method\":\"%s\",\"target\":\"%s\",\"minor\":%d,\"keepAlive\":%s,\"body\":\"%s\",\"contentLength\":\"%llu\",\"headLength\":%u,\"host\":\"%s\"}\n",
                    hex(request.methodName).c_str(), hex(request.target).c_str(), request.minorVersion, request.keepAlive ? "true" : "false",
                    bodyName(request.body), static_cast<unsigned long long>(request.contentLength), request.headLength, hex(request.host).c_str());
        break;
      case ParseResult::Kind::Incomplete:
        std::puts("{\"kind\":\"incomplete\"}");
        break;
      case ParseResult::Kind::Bad:
        std::printf("{\"kind\":\"bad\",\"status\":%d,\"reason\":\"%.*s\"}\n", result.status, static_cast<int>(result.reason.size()), result.reason.data());
        break;
    }
  }
  return 0;
}
