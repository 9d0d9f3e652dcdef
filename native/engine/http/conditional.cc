// Preconditions in the order of RFC 9110 13.2.2.
#include "engine/http/http.hpp"
#include "engine/http/range.hpp"
#include "engine/http/scan.hpp"

namespace socrypt::http {
namespace {

enum class Comparison : uint8_t { Strong, Weak };

bool present(std::string_view field) noexcept { return field.data() != nullptr; }

/// An entity-tag without its W/; whether it had one.
struct EntityTag {
  std::string_view opaque;
  bool weak = false;
};

EntityTag splitTag(std::string_view tag) noexcept {
  if (tag.substr(0, 2) == "W/") return {tag.substr(2), true};
  return {tag, false};
}

bool sameTag(EntityTag a, EntityTag b, Comparison comparison) noexcept {
  if (comparison == Comparison::Strong && (a.weak || b.weak)) return false;
  return !a.opaque.empty() && a.opaque == b.opaque;
}

/// "*" or a list of entity-tags; commas may stand within the quotes. Reading ends at the first
/// malformed member: what came before it counts.
bool listMatches(std::string_view list, EntityTag own, Comparison comparison) noexcept {
  if (list == "*") return true;
  for (;;) {
    while (!list.empty() && (scan::isOws(list.front()) || list.front() == ',')) list.remove_prefix(1);
    EntityTag tag;
    if (list.substr(0, 2) == "W/") {
      tag.weak = true;
      list.remove_prefix(2);
    }
    if (list.empty() || list.front() != '"') return false;
    size_t end = 1;
    while (end < list.size() && scan::is(list[end], scan::kEtagByte)) end++;
    if (end == list.size() || list[end] != '"') return false;
    tag.opaque = list.substr(0, end + 1);
    list.remove_prefix(end + 1);
    while (!list.empty() && scan::isOws(list.front())) list.remove_prefix(1);
    if (!list.empty() && list.front() != ',') return false;
    if (sameTag(tag, own, comparison)) return true;
  }
}

/// A list field may be split over several lines (RFC 9110 5.3); the parser then leaves it void and
/// this walks the raw lines, which are known to be well-formed.
bool fieldMatches(const Request& request, std::string_view value, std::string_view name, EntityTag own,
                  Comparison comparison) noexcept {
  if (!value.empty()) return listMatches(value, own, comparison);
  std::string_view fields = request.fields;
  while (!fields.empty()) {
    const size_t lineEnd = fields.find('\r');
    const std::string_view line = fields.substr(0, lineEnd);
    fields = lineEnd == std::string_view::npos ? std::string_view{} : fields.substr(lineEnd + 2);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !scan::equalsLower(line.substr(0, colon), name)) continue;
    if (listMatches(scan::trimOws(line.substr(colon + 1)), own, comparison)) return true;
  }
  return false;
}

Decision answer(uint16_t status, bool hasRange) noexcept { return {status, false, hasRange, 0, 0}; }

/// 412, 304, or 0 when the request goes on.
uint16_t precondition(const Request& request, const Validators& validators) noexcept {
  const EntityTag own = splitTag(validators.etag);
  const bool dated = validators.lastModified >= 0;
  const bool reads = request.method == Method::Get || request.method == Method::Head;

  if (present(request.ifMatch)) {
    if (!fieldMatches(request, request.ifMatch, "if-match", own, Comparison::Strong)) return 412;
  } else if (dated && present(request.ifUnmodifiedSince)) {
    const int64_t date = parseDate(request.ifUnmodifiedSince);
    if (date >= 0 && validators.lastModified > date) return 412;
  }

  // If-Modified-Since does not count beside If-None-Match, not even beside a malformed one (13.1.3).
  if (present(request.ifNoneMatch)) {
    if (fieldMatches(request, request.ifNoneMatch, "if-none-match", own, Comparison::Weak)) return reads ? 304 : 412;
  } else if (dated && reads && present(request.ifModifiedSince)) {
    const int64_t date = parseDate(request.ifModifiedSince);
    if (date >= 0 && validators.lastModified <= date) return 304;
  }
  return 0;
}

/// If-Range, RFC 9110 13.1.5: an entity-tag by strong comparison, or exactly our date.
bool rangeStillApplies(std::string_view ifRange, const Validators& validators) noexcept {
  if (!present(ifRange)) return true;
  // "Wed, …" is a date, W/"…" a tag.
  const bool isTag = ifRange.substr(0, 1) == "\"" || ifRange.substr(0, 2) == "W/";
  if (isTag) return sameTag(splitTag(ifRange), splitTag(validators.etag), Comparison::Strong);
  return validators.lastModified >= 0 && parseDate(ifRange) == validators.lastModified;
}

}  // namespace

Decision evaluate(const Request& request, const Validators& validators) noexcept {
  const bool hasRange = present(request.range);
  if (const uint16_t status = precondition(request, validators); status != 0) return answer(status, hasRange);

  Decision whole{200, false, hasRange, 0, validators.size};
  // Range is defined for GET alone (RFC 9110 14.2).
  if (!hasRange || request.range.empty() || request.method != Method::Get) return whole;
  if (!rangeStillApplies(request.ifRange, validators)) return whole;

  const RangeSet set = parseRange(request.range, validators.size);
  switch (set.kind) {
    case RangeSet::Kind::Ignore:
      return whole;
    case RangeSet::Kind::Unsatisfiable:
      return answer(416, false);
    case RangeSet::Kind::Single:
      return {206, false, false, set.offset, set.length};
    case RangeSet::Kind::Several:
      return {206, true, false, 0, 0};
  }
  return whole;
}

}  // namespace socrypt::http
