// Plaintext -> requests -> responses.
#include <cstring>

#include "engine/engine.hpp"

namespace socrypt::engine {

namespace {

// Kept after a peak; their strings may be as long as the longest head.
constexpr size_t kSpareResponses = 256;

}  // namespace

void Engine::serve(Connection& c, std::span<uint8_t> fresh) {
  if (c.dead) return;
  const uint64_t sentBefore = c.bytesOut;
  if (c.closing) {
    finishClose(c);
    updateDeadline(c, c.bytesOut != sentBefore);
    return;
  }
  if (c.phase == Phase::Handshake) {
    // A flight that the socket did not take at once. The handshake's deadline stands.
    flush(c);
    return;
  }
  if (!c.plain.empty() && !fresh.empty()) {
    c.plain.append(fresh);
    fresh = {};
  }
  const bool kept = !c.plain.empty();
  cursor_ = kept ? c.plain.view() : fresh;
  const size_t given = cursor_.size();
  pump(c);
  if (c.dead) return;
  if (c.closing) {
    c.plain.clear();
  } else if (kept) {
    c.plain.consume(given - cursor_.size());
  } else if (!cursor_.empty()) {
    c.plain.append(cursor_);
  }
  cursor_ = {};
  updateDeadline(c, c.bytesOut != sentBefore);
  // Reading had stopped because requests were waiting, and now there is room again.
  if (c.readable && mayRead(c)) enqueue(c);
}

bool Engine::nextResponse(Connection& c) {
  if (c.waiting != 0 || c.closing) return false;
  if (c.skipping) {
    const std::string_view text(reinterpret_cast<const char*>(cursor_.data()), cursor_.size());
    cursor_ = cursor_.subspan(c.skipping->feed(text));
    if (c.skipping->bad() || c.skipping->skipped() > options_.maxBodyBytes) {
      counters_.add(Counter::parse_errors);
      // Not beginClose(): answers may be in the slots already, and come before the close_notify.
      cursor_ = {};
      c.closing = c.notifyOnClose = true;
      c.closeReason = Counter::closed_error;
      return false;
    }
    if (!c.skipping->done()) return false;
    c.skipping.reset();
  }
  if (cursor_.empty()) return false;
  if (c.requestAt == 0) c.requestAt = now_;

  http::Request request;
  const std::string_view text(reinterpret_cast<const char*>(cursor_.data()), cursor_.size());
  const auto parsed = http::parseRequest(text, c.scanned, options_.http, request);
  if (parsed.kind == http::ParseResult::Kind::Incomplete) return false;
  c.scanned = 0;
  if (parsed.kind == http::ParseResult::Kind::Bad) {
    counters_.add(Counter::parse_errors);
    cursor_ = {};
    answerError(c, nullptr, parsed.status);
    return true;
  }

  const bool simple = request.method == http::Method::Get || request.method == http::Method::Head;
  bool answered;
  if (c.resolved) {
    const EntryRef entry = std::move(c.resolved);
    c.resolved = EntryRef();
    answered = answer(c, request, entry);
  } else if (!simple) {
    answered = ask(c, request, {});
  } else {
    std::string_view key = request.path;
    if (options_.keyByOrigin && !request.origin.empty()) {
      keyScratch_.assign(request.path).append(1, '\0').append(request.origin);
      key = keyScratch_;
    }
    if (const EntryRef entry = cache_.find(key, now_)) {
      counters_.add(Counter::cache_hits);
      answered = answer(c, request, entry);
    } else {
      counters_.add(Counter::cache_misses);
      answered = ask(c, request, key);
    }
  }
  if (!answered) return false;  // still in the cursor; looked at again when the answer is there

  ++c.requests;
  c.firstRequest = 0;
  c.uncoalesced = false;
  c.attempts = 0;
  switch (request.method) {
    case http::Method::Get: counters_.add(Counter::requests_get); break;
    case http::Method::Head: counters_.add(Counter::requests_head); break;
    case http::Method::Options: counters_.add(Counter::requests_options); break;
    case http::Method::Other: counters_.add(Counter::requests_other); break;
  }
  cursor_ = cursor_.subspan(request.headLength);
  if (request.body != http::BodyKind::None && !c.response->closeAfter) {
    c.skipping = std::make_unique<http::BodySkipper>();
    c.skipping->start(request);
  }
  return true;
}

/// Asks the control plane; `key` empty: for this request alone. Never answers at once.
bool Engine::ask(Connection& c, const http::Request& request, std::string_view key) {
  if (c.uncoalesced) key = {};
  if (!key.empty()) {
    if (const auto same = pendingKeys_.find(std::string(key)); same != pendingKeys_.end()) {
      c.waiting = same->second;
      pending_[same->second].waiters.push_back(c.id);
      return false;
    }
  }
  const uint64_t token = nextToken_++;
  const size_t length = 5 * 4 + request.methodName.size() + request.target.size() + request.path.size() +
                        request.query.size() + request.fields.size();
  if (!sendUp(Up::Request, token, length, [&](MessageWriter& w) {
        w.string(request.methodName);
        w.string(request.target);
        w.string(request.path);
        w.string(request.query);
        w.string(request.fields);
      })) {
    if (!c.upBlocked) {
      c.upBlocked = true;
      blocked_.push_back(c.id);
    }
    return false;
  }
  counters_.add(Counter::js_dispatch);
  c.waiting = token;
  auto& pending = pending_[token];
  pending.waiters.push_back(c.id);
  if (!key.empty()) {
    pending.key = key;
    pendingKeys_.emplace(key, token);
  }
  return false;
}

void Engine::finishResponse(Connection& c) {
  Response& response = *c.response;
  const uint64_t took = now_ > response.startedAt ? now_ - response.startedAt : 0;
  countResponse(response.status);
  counters_.observe(Counter::request_duration_first, kDurationBounds, took);
  counters_.observe(Counter::response_size_first, kSizeBounds, response.bodyBytes);
  switch (response.encoding) {
    case http::Encoding::Identity: counters_.add(Counter::response_bytes_identity, response.bodyBytes); break;
    case http::Encoding::Gzip: counters_.add(Counter::response_bytes_gzip, response.bodyBytes); break;
    case http::Encoding::Brotli: counters_.add(Counter::response_bytes_br, response.bodyBytes); break;
    case http::Encoding::Zstd: counters_.add(Counter::response_bytes_zstd, response.bodyBytes); break;
  }
  if (response.logged) {
    response.log.timeMs = wallMs_;
    response.log.bodyBytes = response.bodyBytes;
    response.log.durationUs = took / 1000;
    std::array<char, 32 * 1024> line;
    const size_t length = http::formatLog(options_.logFormat, response.log, line);
    if (length != 0) log_->write({line.data(), length});
  }
  const bool close = response.closeAfter;
  recycleResponse(c);
  if (close) {
    // pump() sends what is in the slots first, then closes.
    c.requestAt = 0;
    c.plain.clear();
    cursor_ = {};
  }
}

/// Lets go of what the response held: an entry in a spare response would keep its files open.
void Engine::recycleResponse(Connection& c) {
  counters_.sub(Counter::requests_in_flight);
  c.response->entry = EntryRef();
  if (spareResponses_.size() < kSpareResponses) spareResponses_.push_back(std::move(c.response));
  c.response.reset();
}

void Engine::countResponse(uint16_t status) {
  Counter which = Counter::responses_other;
  switch (status) {
#define STATUS(code) \
  case code:         \
    which = Counter::responses_##code; \
    break;
    STATUS(200) STATUS(204) STATUS(206) STATUS(301) STATUS(302) STATUS(304) STATUS(308) STATUS(400) STATUS(403)
    STATUS(404) STATUS(405) STATUS(408) STATUS(412) STATUS(413) STATUS(414) STATUS(416) STATUS(431) STATUS(500)
    STATUS(501) STATUS(503) STATUS(505)
#undef STATUS
    default: break;
  }
  counters_.add(which);
}

std::string_view Engine::dateField() {
  const int64_t second = wallMs_ / 1000;
  if (second != dateSecond_) {
    dateSecond_ = second;
    std::memcpy(date_, "Date: ", 6);
    http::formatDate(second, date_ + 6);
    std::memcpy(date_ + 35, "\r\n", 2);
  }
  return {date_, sizeof date_};
}

}  // namespace socrypt::engine
