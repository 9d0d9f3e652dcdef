// Access log lines. All text from the peer is escaped: nothing it sends can end a line, close a quote
// or reach a terminal as a control sequence (CVE-2009-4487 and its kin).
#include <array>
#include <cstring>

#include "engine/http/http.hpp"

namespace socrypt::http {
namespace {

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Appends within bounds; once something did not fit, the line is lost as a whole.
class LineWriter {
 public:
  explicit LineWriter(std::span<char> out) : begin_(out.data()), p_(out.data()), end_(out.data() + out.size()) {}

  void text(std::string_view text) noexcept {
    if (static_cast<size_t>(end_ - p_) < text.size()) {
      overflow();
      return;
    }
    if (!text.empty()) std::memcpy(p_, text.data(), text.size());
    p_ += text.size();
  }
  void byte(char c) noexcept {
    if (p_ == end_) return overflow();
    *p_++ = c;
  }
  void number(uint64_t value, size_t width = 1) noexcept {
    std::array<char, 20> digits;
    size_t at = digits.size();
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (digits.size() - at < width) digits[--at] = '0';
    text({digits.data() + at, digits.size() - at});
  }
  void hexByte(char c, std::string_view alphabet) noexcept {
    byte(alphabet[static_cast<uint8_t>(c) >> 4]);
    byte(alphabet[static_cast<uint8_t>(c) & 15]);
  }
  [[nodiscard]] size_t length() const noexcept { return full_ ? 0 : static_cast<size_t>(p_ - begin_); }

 private:
  void overflow() noexcept {
    full_ = true;
    p_ = end_;
  }
  char* begin_;
  char* p_;
  char* end_;
  bool full_ = false;
};

struct Clock {
  unsigned year, month, day, hour, minute, second, millisecond;
};

Clock utc(int64_t timeMs) noexcept {
  std::array<char, 29> date;  // "Sun, 06 Nov 1994 08:49:37 GMT": one calendar is enough
  if (timeMs < 0) timeMs = 0;
  formatDate(timeMs / 1000, date.data());
  const auto number = [&date](size_t at, size_t count) {
    unsigned value = 0;
    for (size_t i = at; i < at + count; i++) value = value * 10 + static_cast<unsigned>(date[i] - '0');
    return value;
  };
  const auto month = kMonths.find(std::string_view(date.data() + 8, 3)) / 3 + 1;
  return {number(12, 4), static_cast<unsigned>(month), number(5, 2), number(17, 2),
          number(20, 2), number(23, 2),                static_cast<unsigned>(timeMs % 1000)};
}

// ── combined ────────────────────────────────────────────────────────────────────────────────────────

/// nginx's rule: \xHH for '"', '\', controls and everything from 0x7f.
void putCombined(LineWriter& out, std::string_view text) noexcept {
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') continue;
    out.text(text.substr(plain, i - plain));
    out.text("\\x");
    out.hexByte(c, "0123456789ABCDEF");
    plain = i + 1;
  }
  out.text(text.substr(plain));
}

void putCombinedOrDash(LineWriter& out, std::string_view text) noexcept {
  if (text.empty()) out.byte('-');
  else putCombined(out, text);
}

void combined(LineWriter& out, const LogRecord& record) noexcept {
  const Clock time = utc(record.timeMs);
  putCombinedOrDash(out, record.remoteAddress);
  out.text(" - - [");
  out.number(time.day, 2);
  out.byte('/');
  out.text(kMonths.substr((time.month - 1) * 3, 3));
  out.byte('/');
  out.number(time.year, 4);
  out.byte(':');
  out.number(time.hour, 2);
  out.byte(':');
  out.number(time.minute, 2);
  out.byte(':');
  out.number(time.second, 2);
  out.text(" +0000] \"");
  if (record.methodName.empty()) {
    out.byte('-');  // no request line was understood
  } else {
    putCombined(out, record.methodName);
    out.byte(' ');
    putCombinedOrDash(out, record.target);
    out.text(" HTTP/1.");
    out.number(record.minorVersion);
  }
  out.text("\" ");
  out.number(record.status);
  out.byte(' ');
  out.number(record.bodyBytes);
  out.text(" \"");
  putCombinedOrDash(out, record.referer);
  out.text("\" \"");
  putCombinedOrDash(out, record.userAgent);
  out.text("\"\n");
}

// ── JSON ────────────────────────────────────────────────────────────────────────────────────────────

/// Length of the well-formed UTF-8 sequence at `i` (Unicode table 3-7), or 0.
size_t utf8Length(std::string_view text, size_t i) noexcept {
  const auto at = [text](size_t index) { return index < text.size() ? static_cast<uint8_t>(text[index]) : uint8_t{0}; };
  const auto continues = [at](size_t index) { return (at(index) & 0xc0) == 0x80; };
  const uint8_t first = at(i), second = at(i + 1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(i + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!continues(i + 1) || !continues(i + 2)) return 0;
    if (first == 0xe0 && second < 0xa0) return 0;  // overlong
    if (first == 0xed && second > 0x9f) return 0;  // surrogate
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!continues(i + 1) || !continues(i + 2) || !continues(i + 3)) return 0;
    if (first == 0xf0 && second < 0x90) return 0;
    if (first == 0xf4 && second > 0x8f) return 0;
    return 4;
  }
  return 0;
}

/// A JSON string that is valid UTF-8 whatever came; a byte that is not becomes \u00HH.
void putJson(LineWriter& out, std::string_view text) noexcept {
  out.byte('"');
  size_t plain = 0;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const size_t length = utf8Length(text, i);
    if (length > 1 || (length == 1 && c >= 0x20 && c != 0x7f && c != '"' && c != '\\')) {
      i += length;
      continue;
    }
    out.text(text.substr(plain, i - plain));
    if (c == '"' || c == '\\') {
      out.byte('\\');
      out.byte(c);
    } else {
      out.text("\\u00");
      out.hexByte(c, "0123456789abcdef");
    }
    plain = ++i;
  }
  out.text(text.substr(plain));
  out.byte('"');
}

void json(LineWriter& out, const LogRecord& record) noexcept {
  const Clock time = utc(record.timeMs);
  out.text("{\"time\":\"");
  out.number(time.year, 4);
  out.byte('-');
  out.number(time.month, 2);
  out.byte('-');
  out.number(time.day, 2);
  out.byte('T');
  out.number(time.hour, 2);
  out.byte(':');
  out.number(time.minute, 2);
  out.byte(':');
  out.number(time.second, 2);
  out.byte('.');
  out.number(time.millisecond, 3);
  out.text("Z\",\"remote\":");
  putJson(out, record.remoteAddress);
  out.text(",\"method\":");
  putJson(out, record.methodName);
  out.text(",\"target\":");
  putJson(out, record.target);
  out.text(",\"protocol\":\"HTTP/1.");
  out.number(record.minorVersion);
  out.text("\",\"status\":");
  out.number(record.status);
  out.text(",\"bytes\":");
  out.number(record.bodyBytes);
  out.text(",\"duration_us\":");
  out.number(record.durationUs);
  out.text(",\"host\":");
  putJson(out, record.host);
  out.text(",\"referer\":");
  putJson(out, record.referer);
  out.text(",\"user_agent\":");
  putJson(out, record.userAgent);
  out.text("}\n");
}

}  // namespace

size_t formatLog(LogFormat format, const LogRecord& record, std::span<char> out) noexcept {
  LineWriter line(out);
  switch (format) {
    case LogFormat::Off:
      return 0;
    case LogFormat::Combined:
      combined(line, record);
      break;
    case LogFormat::Json:
      json(line, record);
      break;
  }
  return line.length();
}

}  // namespace socrypt::http
