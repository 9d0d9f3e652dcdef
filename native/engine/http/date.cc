// HTTP-date, RFC 9110 5.6.7.
#include <array>
#include <ctime>

#include "engine/http/http.hpp"
#include "engine/http/scan.hpp"

namespace socrypt::http {
namespace {

constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongDays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                    "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr int64_t kDaySeconds = 86400;

struct Civil {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

/// Days since 1970-01-01 of a Gregorian date, years counted from March so that leap days come last.
constexpr int64_t daysFromCivil(int year, int month, int day) {
  const int64_t y = year - (month <= 2 ? 1 : 0);
  const int64_t era = y / 400, yearOfEra = y - era * 400;
  const int64_t dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719468;
}

constexpr Civil civilFromDays(int64_t days) {
  days += 719468;
  const int64_t era = days / 146097, dayOfEra = days - era * 146097;
  const int64_t yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365;
  const int64_t dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
  const int64_t shifted = (5 * dayOfYear + 2) / 153;
  Civil civil;
  civil.day = static_cast<int>(dayOfYear - (153 * shifted + 2) / 5 + 1);
  civil.month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
  civil.year = static_cast<int>(yearOfEra + era * 400 + (civil.month <= 2 ? 1 : 0));
  return civil;
}

/// Reads a date from left to right; after a mismatch nothing matches any more.
class DateReader {
 public:
  explicit DateReader(std::string_view text) : text_(text) {}

  void literal(std::string_view expected) {
    if (text_.substr(0, expected.size()) == expected) text_.remove_prefix(expected.size());
    else ok_ = false;
  }
  template <size_t N>
  int name(const std::array<std::string_view, N>& names) {
    for (size_t i = 0; i < N; i++) {
      if (text_.substr(0, names[i].size()) == names[i]) {
        text_.remove_prefix(names[i].size());
        return static_cast<int>(i);
      }
    }
    ok_ = false;
    return 0;
  }
  int digits(size_t count) {
    int value = 0;
    for (size_t i = 0; i < count; i++) {
      if (i >= text_.size() || !scan::is(text_[i], scan::kDigit)) {
        ok_ = false;
        return 0;
      }
      value = value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(count);
    return value;
  }
  bool skip(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void time(Civil& civil) {
    civil.hour = digits(2);
    literal(":");
    civil.minute = digits(2);
    literal(":");
    civil.second = digits(2);
  }
  [[nodiscard]] bool done() const { return ok_ && text_.empty(); }

 private:
  std::string_view text_;
  bool ok_ = true;
};

int64_t toSeconds(const Civil& civil) {
  constexpr std::array<int, 12> lengths{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (civil.year % 4 == 0 && civil.year % 100 != 0) || civil.year % 400 == 0;
  const int length = lengths[static_cast<size_t>(civil.month - 1)] + (leap && civil.month == 2 ? 1 : 0);
  // A leap second (60) is valid by the grammar and counts as the second after.
  if (civil.day < 1 || civil.day > length || civil.hour > 23 || civil.minute > 59 || civil.second > 60) return -1;
  const int64_t seconds = daysFromCivil(civil.year, civil.month, civil.day) * kDaySeconds + civil.hour * 3600 +
                          civil.minute * 60 + civil.second;
  return seconds < 0 ? -1 : seconds;
}

char* putDigits(char* out, int value, int count) {
  for (int i = count - 1; i >= 0; i--, value /= 10) out[i] = static_cast<char>('0' + value % 10);
  return out + count;
}

char* putText(char* out, std::string_view text) {
  for (char c : text) *out++ = c;
  return out;
}

}  // namespace

int64_t parseDate(std::string_view date, int64_t now) noexcept {
  Civil civil;
  DateReader reader(date);
  // The day's name must be a day's name; whether it is that date's, nobody checks (nor does nginx).
  if (date.size() == 29 && date[3] == ',') {  // Sun, 06 Nov 1994 08:49:37 GMT
    reader.name(kDays);
    reader.literal(", ");
    civil.day = reader.digits(2);
    reader.literal(" ");
    civil.month = reader.name(kMonths) + 1;
    reader.literal(" ");
    civil.year = reader.digits(4);
    reader.literal(" ");
    reader.time(civil);
    reader.literal(" GMT");
    return reader.done() ? toSeconds(civil) : -1;
  }
  if (date.size() == 24 && date[3] == ' ') {  // Sun Nov  6 08:49:37 1994
    reader.name(kDays);
    reader.literal(" ");
    civil.month = reader.name(kMonths) + 1;
    reader.literal(" ");
    civil.day = reader.skip(' ') ? reader.digits(1) : reader.digits(2);
    reader.literal(" ");
    reader.time(civil);
    reader.literal(" ");
    civil.year = reader.digits(4);
    return reader.done() ? toSeconds(civil) : -1;
  }
  // Sunday, 06-Nov-94 08:49:37 GMT
  reader.name(kLongDays);
  reader.literal(", ");
  civil.day = reader.digits(2);
  reader.literal("-");
  civil.month = reader.name(kMonths) + 1;
  reader.literal("-");
  civil.year = reader.digits(2);
  reader.literal(" ");
  reader.time(civil);
  reader.literal(" GMT");
  if (!reader.done()) return -1;
  // "A timestamp that appears to be more than 50 years in the future" means the past with those digits.
  const int thisYear = civilFromDays((now < 0 ? 0 : now) / kDaySeconds).year;
  civil.year += thisYear - thisYear % 100;
  if (civil.year > thisYear + 50) civil.year -= 100;
  else if (civil.year <= thisYear - 50) civil.year += 100;
  return toSeconds(civil);
}

int64_t parseDate(std::string_view date) noexcept { return parseDate(date, static_cast<int64_t>(std::time(nullptr))); }

void formatDate(int64_t seconds, char* out) noexcept {
  // Four digits of year are all the format has.
  constexpr int64_t last = daysFromCivil(9999, 12, 31) * kDaySeconds + kDaySeconds - 1;
  if (seconds < 0) seconds = 0;
  if (seconds > last) seconds = last;
  const int64_t days = seconds / kDaySeconds;
  const int time = static_cast<int>(seconds % kDaySeconds);
  const Civil civil = civilFromDays(days);
  out = putText(out, kDays[static_cast<size_t>((days + 4) % 7)]);  // 1970-01-01 was a Thursday
  out = putText(out, ", ");
  out = putDigits(out, civil.day, 2);
  out = putText(out, " ");
  out = putText(out, kMonths[static_cast<size_t>(civil.month - 1)]);
  out = putText(out, " ");
  out = putDigits(out, civil.year, 4);
  out = putText(out, " ");
  out = putDigits(out, time / 3600, 2);
  out = putText(out, ":");
  out = putDigits(out, time / 60 % 60, 2);
  out = putText(out, ":");
  out = putDigits(out, time % 60, 2);
  putText(out, " GMT");
}

}  // namespace socrypt::http
