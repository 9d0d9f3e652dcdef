// Accept-Encoding, RFC 9110 12.5.3 and 12.4.2.
#include <array>

#include "engine/http/http.hpp"
#include "engine/http/scan.hpp"

namespace socrypt::http {
namespace {

constexpr int kUnlisted = -1;
constexpr int kMalformed = -2;

/// qvalue in thousandths: "0" [ "." 0*3DIGIT ] or "1" [ "." 0*3("0") ].
int parseQuality(std::string_view text) noexcept {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return kMalformed;
  if (text.size() > 1 && text[1] != '.') return kMalformed;
  int quality = (text[0] - '0') * 1000;
  int unit = 100;
  for (size_t i = 2; i < text.size(); i++, unit /= 10) {
    if (!scan::is(text[i], scan::kDigit)) return kMalformed;
    quality += (text[i] - '0') * unit;
  }
  return quality > 1000 ? kMalformed : quality;
}

/// The weight among the parameters of one member; 1 without one.
int qualityOf(std::string_view parameters) noexcept {
  while (!parameters.empty()) {
    const size_t semicolon = parameters.find(';');
    const std::string_view parameter = scan::trimOws(parameters.substr(0, semicolon));
    if (parameter.size() >= 2 && (parameter[0] | 0x20) == 'q' && parameter[1] == '=') return parseQuality(parameter.substr(2));
    parameters = semicolon == std::string_view::npos ? std::string_view{} : parameters.substr(semicolon + 1);
  }
  return 1000;
}

}  // namespace

bool negotiateEncoding(std::string_view acceptEncoding, uint32_t available, Encoding& out) noexcept {
  std::array<int, 4> quality{kUnlisted, kUnlisted, kUnlisted, kUnlisted};
  int others = kUnlisted;  // "*"
  std::string_view member;
  while (scan::nextMember(acceptEncoding, member)) {
    const size_t semicolon = member.find(';');
    const std::string_view coding = scan::trimOws(member.substr(0, semicolon));
    int* slot = nullptr;
    if (scan::equalsLower(coding, "gzip") || scan::equalsLower(coding, "x-gzip")) slot = &quality[static_cast<size_t>(Encoding::Gzip)];
    else if (scan::equalsLower(coding, "br")) slot = &quality[static_cast<size_t>(Encoding::Brotli)];
    else if (scan::equalsLower(coding, "zstd")) slot = &quality[static_cast<size_t>(Encoding::Zstd)];
    else if (scan::equalsLower(coding, "identity")) slot = &quality[static_cast<size_t>(Encoding::Identity)];
    else if (coding == "*") slot = &others;
    if (slot == nullptr || *slot != kUnlisted) continue;  // of a repeated coding the first counts
    const int weight = semicolon == std::string_view::npos ? 1000 : qualityOf(member.substr(semicolon + 1));
    if (weight != kMalformed) *slot = weight;
  }

  // Best first among equals. Identity that is not listed is acceptable, but only for want of better.
  constexpr std::array<Encoding, 4> preference{Encoding::Brotli, Encoding::Zstd, Encoding::Gzip, Encoding::Identity};
  int best = 0;
  out = Encoding::Identity;
  for (const Encoding encoding : preference) {
    if ((available & (1u << static_cast<unsigned>(encoding))) == 0) continue;
    int weight = quality[static_cast<size_t>(encoding)];
    if (weight == kUnlisted) weight = others;
    if (weight > best) {
      best = weight;
      out = encoding;
    }
  }
  if (best > 0) return true;
  const int identity = quality[static_cast<size_t>(Encoding::Identity)];
  const bool refused = identity == 0 || (identity == kUnlisted && others == 0);
  return (available & 1u) != 0 && !refused;
}

}  // namespace socrypt::http
