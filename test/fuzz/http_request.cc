// Request heads and bodies: however the bytes are cut, the reading is the same; every view stays inside
// the buffer; nothing accepted holds a byte that a second parser could take for a line end.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "engine/http/http.hpp"

using namespace socrypt::http;
using Kind = ParseResult::Kind;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void inside(std::string_view buffer, std::string_view view) {
  if (view.data() == nullptr) return;
  require(view.data() >= buffer.data() && view.data() + view.size() <= buffer.data() + buffer.size());
}

void clean(std::string_view view) {
  for (char c : view) require(c != '\r' && c != '\n' && c != '\0');
}

/// What one reading of the head found, by value.
struct Reading {
  ParseResult result{};
  Request request;
};

Reading readWhole(std::string_view head, const Limits& limits) {
  Reading reading;
  uint32_t scanned = 0;
  reading.result = parseRequest(head, scanned, limits, reading.request);
  require(scanned <= head.size());
  return reading;
}

bool same(const Reading& a, const Reading& b) {
  if (a.result.kind != b.result.kind || a.result.status != b.result.status) return false;
  if (a.result.kind != Kind::Ok) return true;
  const Request &x = a.request, &y = b.request;
  return x.method == y.method && x.methodName == y.methodName && x.target == y.target && x.path == y.path && x.query == y.query &&
         x.minorVersion == y.minorVersion && x.keepAlive == y.keepAlive && x.body == y.body && x.contentLength == y.contentLength &&
         x.headLength == y.headLength && x.host == y.host && x.range == y.range && x.fields == y.fields;
}

size_t feedAll(BodySkipper& skipper, std::string_view bytes, size_t step) {
  size_t used = 0;
  while (used < bytes.size() && !skipper.done() && !skipper.bad()) used += skipper.feed(bytes.substr(used, step));
  return used;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  // Two bytes of schedule, the rest is what the peer sent, in a buffer of exactly its size.
  const unsigned steps = data[0];
  const Limits limits = (data[1] & 1) != 0 ? Limits{} : Limits{.maxHeaderBytes = 256, .maxTargetBytes = 64, .maxFields = 6};
  const size_t length = size - 2;
  const auto buffer = std::make_unique<char[]>(length);
  if (length != 0) std::memcpy(buffer.get(), data + 2, length);
  const std::string_view bytes(buffer.get(), length);

  const Reading whole = readWhole(bytes, limits);
  require(same(whole, readWhole(bytes, limits)));

  // In pieces, each in a buffer of its own, as a moved receive buffer would be.
  Reading pieces;
  uint32_t scanned = 0;
  uint64_t random = steps * 0x9e3779b97f4a7c15u + 1;
  for (size_t at = 0;;) {
    const auto part = std::make_unique<char[]>(at);
    if (at != 0) std::memcpy(part.get(), buffer.get(), at);
    Request request;
    pieces.result = parseRequest({part.get(), at}, scanned, limits, request);
    require(scanned <= at);
    if (pieces.result.kind != Kind::Incomplete || at == length) break;
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    at += 1 + random % (steps % 64 + 1);
    if (at > length) at = length;
  }
  if (pieces.result.kind == Kind::Ok) {
    require(whole.result.kind == Kind::Ok);
    pieces = readWhole(bytes.substr(0, whole.request.headLength), limits);
    require(same(whole, pieces));
  } else if (pieces.result.kind == Kind::Bad) {
    // A piece may meet another fault of the same head first; it is refused either way.
    require(whole.result.kind == Kind::Bad);
  } else if (whole.result.kind == Kind::Bad) {
    // In pieces, a malformed line may be noticed only at the end of the head.
    require(length < limits.maxHeaderBytes && bytes.find("\r\n\r\n", 2) == std::string_view::npos);
  } else {
    require(whole.result.kind == Kind::Incomplete);
  }

  if (whole.result.kind == Kind::Bad) {
    require(whole.result.status >= 400 && whole.result.status < 600 && !whole.result.reason.empty());
    return 0;
  }
  if (whole.result.kind != Kind::Ok) {
    require(length < limits.maxHeaderBytes);
    return 0;
  }
  const Request& request = whole.request;
  require(request.headLength <= length && request.headLength <= limits.maxHeaderBytes);
  require(request.target.size() <= limits.maxTargetBytes && !request.path.empty() && !request.methodName.empty());
  require(bytes.substr(request.headLength - 4, 4) == "\r\n\r\n" || request.fields.empty());
  for (const auto view : {request.methodName, request.target, request.path, request.query, request.host, request.acceptEncoding, request.ifNoneMatch,
                          request.ifModifiedSince, request.ifRange, request.range, request.origin, request.referer, request.userAgent, request.ifMatch,
                          request.ifUnmodifiedSince}) {
    inside(bytes.substr(0, request.headLength), view);
    clean(view);
  }
  inside(bytes.substr(0, request.headLength), request.fields);
  require(request.minorVersion == 0 || !request.host.empty());

  const std::string_view rest = bytes.substr(request.headLength);
  BodySkipper together, apart;
  together.start(request);
  apart.start(request);
  require(feedAll(together, rest, rest.size() + 1) == feedAll(apart, rest, steps % 16 + 1));
  require(together.done() == apart.done() && together.bad() == apart.bad() && together.skipped() == apart.skipped());
  return 0;
}
