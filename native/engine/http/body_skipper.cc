// Request bodies are read only to find the next request: RFC 9112 6.3 and 7.1, byte by byte where it
// frames, in one step where it carries data.
#include <algorithm>

#include "engine/http/http.hpp"
#include "engine/http/scan.hpp"

namespace socrypt::http {
namespace {

constexpr unsigned kMaxSizeDigits = 16;
/// Chunk extensions and trailers of one body together. An endless extension is a cheap way to keep a
/// server reading (CVE-2023-39326, CVE-2024-22019).
constexpr uint32_t kMaxLineBytes = 8192;

int hexValue(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

void BodySkipper::start(const Request& request) noexcept {
  *this = BodySkipper{};
  if (request.body == BodyKind::Chunked) state_ = State::Size;
  else if (request.body == BodyKind::Length && request.contentLength != 0) {
    state_ = State::Length;
    left_ = request.contentLength;
  }
}

size_t BodySkipper::feed(std::string_view bytes) noexcept {
  size_t used = 0;
  while (used < bytes.size() && state_ != State::Done && state_ != State::Bad) {
    if (state_ == State::Length || state_ == State::Data) {
      const auto step = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - used));
      used += step;
      left_ -= step;
      if (left_ == 0) state_ = state_ == State::Length ? State::Done : State::DataCr;
      continue;
    }
    frame(bytes[used++]);
  }
  skipped_ += used;
  return used;
}

/// One byte of chunked framing. Every line ends in CRLF, never in a lone LF.
void BodySkipper::frame(char c) noexcept {
  const auto expect = [this, c](char wanted, State next) { state_ = c == wanted ? next : State::Bad; };
  const bool counted = state_ == State::Extension || (state_ >= State::Trailer && state_ <= State::TrailerLf);
  if (counted && ++lineBytes_ > kMaxLineBytes) {
    state_ = State::Bad;
    return;
  }
  switch (state_) {
    case State::Size:
      if (const int digit = hexValue(c); digit >= 0) {
        left_ = left_ << 4 | static_cast<uint64_t>(digit);
        if (++digits_ > kMaxSizeDigits) state_ = State::Bad;
      } else if (digits_ == 0) {
        state_ = State::Bad;
      } else if (c == '\r') {
        state_ = State::SizeLf;
      } else {
        // No white space before ';': the grammar has none, and parsers differ on what it means.
        expect(';', State::Extension);
      }
      break;
    case State::Extension:
      if (c == '\r') state_ = State::SizeLf;
      else if (!scan::is(c, scan::kFieldByte)) state_ = State::Bad;
      break;
    case State::SizeLf:
      expect('\n', left_ == 0 ? State::Trailer : State::Data);
      digits_ = 0;
      break;
    case State::DataCr:
      expect('\r', State::DataLf);
      break;
    case State::DataLf:
      expect('\n', State::Size);
      break;
    case State::Trailer:  // at the start of a trailer line
      if (c == '\r') state_ = State::EndLf;
      else state_ = scan::is(c, scan::kToken) ? State::TrailerName : State::Bad;
      break;
    case State::TrailerName:
      if (c == ':') state_ = State::TrailerValue;
      else if (!scan::is(c, scan::kToken)) state_ = State::Bad;
      break;
    case State::TrailerValue:
      if (c == '\r') state_ = State::TrailerLf;
      else if (!scan::is(c, scan::kFieldByte)) state_ = State::Bad;
      break;
    case State::TrailerLf:
      expect('\n', State::Trailer);
      break;
    case State::EndLf:
      expect('\n', State::Done);
      break;
    case State::Done:
    case State::Bad:
    case State::Length:
    case State::Data:
      break;
  }
}

}  // namespace socrypt::http
