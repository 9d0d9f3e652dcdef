// Byte classes and scanners of the HTTP parsers (internal). SSE2 is part of x86-64; elsewhere the loops
// over the table do the same work.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace socrypt::http::scan {

enum Class : uint8_t {
  kToken = 1,       // tchar, RFC 9110 5.6.2
  kFieldByte = 2,   // field-vchar, SP, HTAB (obs-text included), RFC 9110 5.5
  kTargetByte = 4,  // VCHAR without '#': a request-target carries no fragment, RFC 9112 3.2
  kHostByte = 8,    // reg-name without percent-encoding's syntax, RFC 3986 3.2.2
  kDigit = 16,
  kEtagByte = 32,   // etagc, RFC 9110 8.8.3
};

constexpr std::array<uint8_t, 256> makeClasses() {
  std::array<uint8_t, 256> table{};
  auto add = [&table](std::string_view bytes, int flags) {
    for (char c : bytes) table[static_cast<uint8_t>(c)] = static_cast<uint8_t>(table[static_cast<uint8_t>(c)] | flags);
  };
  for (int c = 0; c < 256; c++) {
    int flags = 0;
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) flags |= kFieldByte;
    if (c > 0x20 && c < 0x7f && c != '#') flags |= kTargetByte;
    if (c == 0x21 || (c >= 0x23 && c != 0x7f)) flags |= kEtagByte;
    table[static_cast<size_t>(c)] = static_cast<uint8_t>(flags);
  }
  add("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", kToken | kHostByte);
  add("0123456789", kToken | kHostByte | kDigit);
  add("!#$%&'*+-.^_`|~", kToken);
  add("-._~%!$&'()*+,;=", kHostByte);
  return table;
}
inline constexpr std::array<uint8_t, 256> kClasses = makeClasses();

constexpr bool is(char c, Class wanted) noexcept { return (kClasses[static_cast<uint8_t>(c)] & wanted) != 0; }
constexpr bool isOws(char c) noexcept { return c == ' ' || c == '\t'; }

/// The first byte that may not stand in a field value: a control byte other than HTAB; or `end`.
inline const char* findControl(const char* p, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i lastControl = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, lastControl), bytes);
    const __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    if (const int mask = _mm_movemask_epi8(bad); mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  while (p != end && is(*p, kFieldByte)) ++p;
  return p;
}

/// The first byte that may not stand in a request-target, or `end`.
inline const char* findTargetEnd(const char* p, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i space = _mm_set1_epi8(' '), hash = _mm_set1_epi8('#'), del = _mm_set1_epi8(0x7f);
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    // The comparison is signed, so bytes from 0x80 fall out together with the controls and SP.
    const __m128i above = _mm_cmpgt_epi8(bytes, space);
    const __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(bytes, hash), _mm_cmpeq_epi8(bytes, del));
    const int mask = _mm_movemask_epi8(_mm_andnot_si128(bad, above)) ^ 0xffff;
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  while (p != end && is(*p, kTargetByte)) ++p;
  return p;
}

inline const char* findTokenEnd(const char* p, const char* end) noexcept {
  while (p != end && is(*p, kToken)) ++p;
  return p;
}

constexpr std::string_view trimOws(std::string_view text) noexcept {
  while (!text.empty() && isOws(text.front())) text.remove_prefix(1);
  while (!text.empty() && isOws(text.back())) text.remove_suffix(1);
  return text;
}

/// ASCII case-insensitive; `lower` holds lower-case letters, digits and '-', `text` is a field name or
/// token: c|0x20 then folds letters only ('\r' would fold onto '-', and no token holds it).
constexpr bool equalsLower(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size()) return false;
  unsigned different = 0;
  for (size_t i = 0; i < lower.size(); i++) {
    different |= (static_cast<uint8_t>(text[i]) | 0x20u) ^ static_cast<uint8_t>(lower[i]);
  }
  return different == 0;
}

/// Takes the next member off a comma-separated list, trimmed; false at its end. Empty members are
/// skipped (RFC 9110 5.6.1.2). Not for lists whose members may hold commas in quotes.
constexpr bool nextMember(std::string_view& list, std::string_view& member) noexcept {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    member = trimOws(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    if (!member.empty()) return true;
  }
  return false;
}

}  // namespace socrypt::http::scan
