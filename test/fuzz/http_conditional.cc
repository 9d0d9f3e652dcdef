// The values that a hit evaluates: entity-tags, dates, ranges, Accept-Encoding, and the log line.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "engine/http/http.hpp"

using namespace socrypt::http;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool validUtf8Json(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<uint8_t>(text[i]);
    const size_t length = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (length == 0 || i + length > text.size() || (length == 1 && (c < 0x20 || c == 0x7f))) return false;
    for (size_t k = 1; k < length; k++) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 10) return 0;
  // A byte of choices, a byte and seven of size, then five values divided by 0x01.
  const uint8_t choices = data[0];
  uint64_t fileSize = 0;
  std::memcpy(&fileSize, data + 1, 8);
  if ((choices & 1) != 0) fileSize %= 300;
  const size_t length = size - 9;
  const auto buffer = std::make_unique<char[]>(length);
  std::memcpy(buffer.get(), data + 9, length);
  std::string_view rest(buffer.get(), length);
  const auto next = [&rest] {
    const size_t end = std::min(rest.find('\x01'), rest.size());
    const std::string_view value = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return value;
  };

  Request request;
  request.method = (choices & 2) != 0 ? Method::Head : Method::Get;
  request.range = next();
  request.ifRange = (choices & 4) != 0 ? next() : std::string_view{};
  request.ifNoneMatch = (choices & 8) != 0 ? next() : std::string_view{};
  request.ifModifiedSince = (choices & 16) != 0 ? next() : std::string_view{};
  request.ifMatch = (choices & 32) != 0 ? next() : std::string_view{};
  request.ifUnmodifiedSince = (choices & 64) != 0 ? next() : std::string_view{};
  request.acceptEncoding = next();
  const Validators validators{(choices & 128) != 0 ? std::string_view("W/\"a\"") : std::string_view("\"a\""), 784111777, fileSize};

  const Decision decision = evaluate(request, validators);
  switch (decision.status) {
    case 200:
      require(decision.offset == 0 && decision.length == fileSize && !decision.multipart);
      break;
    case 206:
      require(request.method == Method::Get && !decision.rangeIgnored);
      if (decision.multipart) break;
      require(decision.length > 0 && decision.offset < fileSize && decision.length <= fileSize - decision.offset);
      break;
    case 304:
      require(request.ifNoneMatch.data() != nullptr || request.ifModifiedSince.data() != nullptr);
      break;
    case 412:
      require(request.ifMatch.data() != nullptr || request.ifUnmodifiedSince.data() != nullptr);
      break;
    case 416:
      require(request.method == Method::Get && !request.range.empty());
      break;
    default:
      std::abort();
  }

  for (const auto value : {request.ifModifiedSince, request.ifUnmodifiedSince, request.ifRange}) {
    const int64_t date = parseDate(value, 1800000000);
    require(date >= -1);
    if (date < 0) continue;
    std::array<char, 29> written;
    formatDate(date, written.data());
    require(parseDate({written.data(), written.size()}) == date);
  }

  for (uint32_t available = 0; available < 16; available++) {
    Encoding encoding{};
    const bool acceptable = negotiateEncoding(request.acceptEncoding, available, encoding);
    require(!acceptable || (available & (1u << static_cast<unsigned>(encoding))) != 0);
    require(acceptable || encoding == Encoding::Identity);
  }

  const LogRecord record{.timeMs = static_cast<int64_t>(fileSize), .remoteAddress = "::1", .methodName = request.ifMatch, .target = request.range, .host = request.ifRange,
                         .referer = request.ifNoneMatch, .userAgent = request.acceptEncoding, .minorVersion = 1, .status = 200, .bodyBytes = fileSize, .durationUs = fileSize};
  const auto out = std::make_unique<char[]>(2048);
  for (const auto format : {LogFormat::Combined, LogFormat::Json}) {
    const size_t written = formatLog(format, record, {out.get(), 2048});
    if (written == 0) continue;
    const std::string_view line(out.get(), written);
    require(line.find('\n') == written - 1);
    require(validUtf8Json(line.substr(0, written - 1)));
    const auto exact = std::make_unique<char[]>(written);
    require(formatLog(format, record, {exact.get(), written}) == written);
    require(formatLog(format, record, {exact.get(), written - 1}) == 0);
  }
  return 0;
}
