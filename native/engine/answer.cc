// One request and what is known of its path -> the head of a response and where its body comes from.
#include <arpa/inet.h>
#include <sys/uio.h>

#include <cerrno>
#include <charconv>

#include "engine/engine.hpp"

namespace socrypt::engine {

namespace {

constexpr std::string_view kCrlf = "\r\n";
// A file that changes faster than it can be looked at is not served from this moment's guess.
constexpr uint8_t kMaxAttempts = 4;

void appendNumber(std::string& out, uint64_t value) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

std::string_view remoteAddress(const Connection& c, std::array<char, INET6_ADDRSTRLEN>& out) {
  const void* address = c.peer.v4.sin_family == AF_INET6 ? static_cast<const void*>(&c.peer.v6.sin6_addr)
                                                          : static_cast<const void*>(&c.peer.v4.sin_addr);
  if (inet_ntop(c.peer.v4.sin_family, address, out.data(), static_cast<socklen_t>(out.size())) == nullptr) return "-";
  std::string_view text(out.data());
  // A dual-stack socket shows IPv4 peers as mapped addresses (RFC 4291 2.5.5.2).
  if (text.starts_with("::ffff:") && text.find('.') != std::string_view::npos) text.remove_prefix(7);
  return text;
}

}  // namespace

bool Engine::answer(Connection& c, const http::Request& request, const EntryRef& entry) {
  if (entry->kind == Entry::Kind::File) return answerFile(c, request, entry);

  if (entry->kind == Entry::Kind::Segments) counters_.add(Counter::range_multipart);
  Response& response = beginResponse(c, &request, entry->status);
  response.entry = entry;
  const uint64_t length = entry->kind == Entry::Kind::Fixed ? entry->body.size() : entry->segmentsLength;
  const bool empty = entry->status == 204 || entry->status == 304;
  response.head.append("HTTP/1.1 ");
  appendNumber(response.head, entry->status);
  response.head.append(" ").append(http::reasonPhrase(entry->status)).append(kCrlf);
  if (!empty) {
    response.head.append("Content-Length: ");
    appendNumber(response.head, length);
    response.head.append(kCrlf);
  }
  response.head.append(entry->headers);
  if (entry->appendQuery && !request.query.empty() && response.head.ends_with(kCrlf)) {
    response.head.resize(response.head.size() - kCrlf.size());
    response.head.append(request.query).append(kCrlf);
  }
  closeHead(c, response, &request, false);
  if (request.method == http::Method::Head || empty) return true;
  if (entry->kind == Entry::Kind::Fixed) {
    response.memory = reinterpret_cast<const uint8_t*>(entry->body.data());
    response.left = length;
  }
  response.bodyBytes = length;
  return true;
}

bool Engine::answerFile(Connection& c, const http::Request& request, const EntryRef& entry) {
  http::Encoding encoding = http::Encoding::Identity;
  http::negotiateEncoding(request.acceptEncoding, entry->encodings, encoding);
  Variant* variant = entry->variant(encoding);
  if (variant == nullptr) variant = &entry->variants.front();

  const auto askAnew = [&] {
    // The file is another one by now, or could not be read: the entry is not to be trusted.
    if (++c.attempts > kMaxAttempts) {
      answerError(c, &request, 503);
      return true;
    }
    const std::string key = entry->key;
    cache_.drop(*entry);
    return ask(c, request, key);
  };
  if (!variant->content) {
    if (!unchanged(variant->fd.get(), variant->identity)) return askAnew();
    if (variant->identity.size <= options_.cacheFileBytes) {
      bool cold = false;
      if (!loadSmall(c, *entry, *variant, cold)) {
        if (!cold) return askAnew();
        c.resolved = entry;  // the same answer, once its bytes are there
        return false;
      }
    }
  }

  http::Decision decision{200, false, false, 0, variant->identity.size};
  if (entry->status == 200) {
    decision = http::evaluate(request, {variant->etag, variant->lastModified, variant->identity.size});
    if (decision.multipart) {
      // The control plane makes the parts; if it only ever names the file, the whole file is an answer too.
      if (++c.attempts <= kMaxAttempts) return ask(c, request, {});
      decision = {200, false, true, 0, variant->identity.size};
    }
    if (decision.rangeIgnored) counters_.add(Counter::range_ignored);
    if (!request.ifNoneMatch.empty() || !request.ifModifiedSince.empty())
      counters_.add(decision.status == 304 ? Counter::conditional_not_modified : Counter::conditional_modified);
  }

  switch (decision.status) {
    case 304: {
      Response& response = beginResponse(c, &request, 304);
      response.head.append("HTTP/1.1 304 Not Modified\r\n");
      if (!variant->etag.empty()) response.head.append("ETag: ").append(variant->etag).append(kCrlf);
      if (variant->lastModified >= 0) {
        char date[29];
        http::formatDate(variant->lastModified, date);
        response.head.append("Last-Modified: ").append(date, sizeof date).append(kCrlf);
      }
      response.head.append(variant->fields304);
      closeHead(c, response, &request, false);
      return true;
    }
    case 412:
      counters_.add(Counter::conditional_precondition_failed);
      answerError(c, &request, 412);
      return true;
    case 416: {
      counters_.add(Counter::range_unsatisfiable);
      std::string range = "Content-Range: bytes */";
      appendNumber(range, variant->identity.size);
      answerError(c, &request, 416, range.append(kCrlf));
      return true;
    }
    default:
      break;
  }

  const uint16_t status = entry->status == 200 ? decision.status : entry->status;
  Response& response = beginResponse(c, &request, status);
  response.entry = entry;
  response.encoding = variant->encoding;
  if (status == 206) {
    counters_.add(Counter::range_single);
    response.head.append("HTTP/1.1 206 Partial Content\r\nContent-Length: ");
    appendNumber(response.head, decision.length);
    response.head.append("\r\nContent-Range: bytes ");
    appendNumber(response.head, decision.offset);
    response.head.append("-");
    appendNumber(response.head, decision.offset + decision.length - 1);
    response.head.append("/");
    appendNumber(response.head, variant->identity.size);
    response.head.append(kCrlf).append(variant->fields);
  } else {
    response.head.append(variant->head200);
  }
  closeHead(c, response, &request, false);
  if (request.method == http::Method::Head) return true;
  response.left = response.bodyBytes = decision.length;
  response.offset = decision.offset;
  if (variant->content)
    response.memory = variant->content.get() + decision.offset;
  else
    response.file = variant;
  return true;
}

/// Keeps a small file with its entry. False: `cold` says that its bytes are on their way, else the
/// file is not what the entry says.
bool Engine::loadSmall(Connection& c, Entry& entry, Variant& variant, bool& cold) {
  const uint64_t size = variant.identity.size;
  auto content = std::make_unique_for_overwrite<uint8_t[]>(size + 1);
  // One byte more than there should be: a file that grew shows.
  const iovec part{content.get(), size + 1};
  ssize_t n = preadv2(variant.fd.get(), &part, 1, 0, RWF_NOWAIT);
  if (n < 0 && errno == EOPNOTSUPP) n = preadv(variant.fd.get(), &part, 1, 0);
  if ((n < 0 && errno == EAGAIN) || (n >= 0 && static_cast<uint64_t>(n) < size)) {
    // RWF_NOWAIT reads what is there: short means cold, or shrunk, which `unchanged` tells.
    if (!unchanged(variant.fd.get(), variant.identity)) return false;
    counters_.add(Counter::cold_reads);
    cold = c.cold = coldReader_.submit(c.id, variant.fd.get(), 0, size);
    return false;
  }
  if (n < 0 || static_cast<uint64_t>(n) != size || !unchanged(variant.fd.get(), variant.identity)) return false;
  if (cache_.charge(entry, size)) {
    cache_.uncharge(entry, 1);
    variant.fd.reset();
  }
  variant.content = std::move(content);
  return true;
}

/// The bytes that a response waits for cannot be read.
void Engine::onColdError(Connection& c) {
  if (c.response) return abort(c, record::Alert::InternalError, Counter::closed_error);
  if (!c.resolved) return;
  cache_.drop(*c.resolved);
  c.resolved = EntryRef();
  answerError(c, nullptr, 500);
}

void Engine::answerError(Connection& c, const http::Request* request, uint16_t status, std::string_view extra) {
  Response& response = beginResponse(c, request, status);
  const auto page = errorPages_.find(status);
  std::string_view headers = "Content-Type: text/plain; charset=utf-8\r\n";
  if (page != errorPages_.end()) {
    headers = page->second.headers;
    response.text = page->second.body;
  } else {
    appendNumber(response.text, status);
    response.text.append(" ").append(http::reasonPhrase(status)).append("\n");
  }
  response.head.append("HTTP/1.1 ");
  appendNumber(response.head, status);
  response.head.append(" ").append(http::reasonPhrase(status)).append("\r\nContent-Length: ");
  appendNumber(response.head, response.text.size());
  response.head.append(kCrlf).append(headers).append(extra);
  // Without a request that was understood nobody knows where the next one starts.
  closeHead(c, response, request, request == nullptr);
  if (request != nullptr && request->method == http::Method::Head) return;
  response.memory = reinterpret_cast<const uint8_t*>(response.text.data());
  response.left = response.bodyBytes = response.text.size();
}

Response& Engine::beginResponse(Connection& c, const http::Request* request, uint16_t status) {
  if (!c.response) {
    if (spareResponses_.empty()) {
      c.response = std::make_unique<Response>();
    } else {
      c.response = std::move(spareResponses_.back());
      spareResponses_.pop_back();
    }
    counters_.add(Counter::requests_in_flight);
  }
  Response& response = *c.response;
  response.reset();
  response.status = status;
  response.startedAt = c.requestAt == 0 ? now_ : c.requestAt;
  c.requestAt = 0;
  response.encoding = http::Encoding::Identity;
  if (log_ != nullptr && options_.logFormat != http::LogFormat::Off) {
    response.logged = true;
    response.logText.clear();
    std::array<char, INET6_ADDRSTRLEN> addressText;
    const std::string_view address = remoteAddress(c, addressText);
    const http::Request none;
    const http::Request& from = request != nullptr ? *request : none;
    const std::string_view parts[] = {address, from.methodName, from.target, from.host, from.referer, from.userAgent};
    std::string_view* const into[] = {&response.log.remoteAddress, &response.log.methodName, &response.log.target,
                                      &response.log.host,          &response.log.referer,    &response.log.userAgent};
    for (const auto part : parts) response.logText.append(part);
    size_t at = 0;
    for (size_t i = 0; i < std::size(parts); ++i) {
      *into[i] = std::string_view(response.logText).substr(at, parts[i].size());
      at += parts[i].size();
    }
    response.log.minorVersion = from.minorVersion;
    response.log.status = status;
  }
  return response;
}

void Engine::closeHead(Connection& c, Response& response, const http::Request* request, bool close) {
  response.head.append(dateField());
  const bool last = options_.maxRequestsPerConnection != 0 && c.requests + 1 >= options_.maxRequestsPerConnection;
  // A body that we will not wait for: too long, or held back until a 100 that we do not send.
  const bool refusedBody = request != nullptr && request->body != http::BodyKind::None &&
                           (request->expectContinue ||
                            (request->body == http::BodyKind::Length && request->contentLength > options_.maxBodyBytes));
  // Without KeyUpdate the connection ends before its key does, and best between two responses.
  const bool lastOfKey = c.tx.tls12() && keyNearlyUsedUp(c);
  response.closeAfter = close || last || draining_ || refusedBody || lastOfKey || request == nullptr || !request->keepAlive;
  if (last) c.closeReason = Counter::closed_max_requests;
  if (lastOfKey) c.closeReason = Counter::closed_key_limit;
  if (response.closeAfter)
    response.head.append("Connection: close\r\n");
  else if (request->minorVersion == 0)
    response.head.append("Connection: keep-alive\r\n");
  response.head.append(kCrlf);
}

}  // namespace socrypt::engine
