#include "engine/paths/file_burst.hpp"

#include <algorithm>

namespace socrypt::engine {

namespace {

constexpr size_t kPage = 4096;
// What FrameMemory is asked for between two begin(), and for one frame.
static_assert(2 * record::kMaxOverhead <= FrameMemory::kBytes && record::kMaxOverhead <= FrameMemory::kLongest);

}  // namespace

size_t FileBurst::parts(FrameMemory& frames, std::span<iovec, kMostParts> to) const noexcept {
  uint64_t at = written;
  size_t count = 0;
  size_t references = 0;
  frames.begin();
  const auto frame = [&](std::span<const uint8_t> bytes) {
    uint8_t* const place = frames.room(bytes.size());
    std::copy(bytes.begin(), bytes.end(), place);
    to[count++] = {place, bytes.size()};
    ++references;
    at += bytes.size();
  };
  if (at < before) frame(std::span(header).first(before).subspan(at));
  while (at < wireLength()) {
    // Counted from where the first payload begins, a record ends where the next payload begins.
    const uint64_t i = (at - before) / recordLength();
    const uint64_t done = (at - before) % recordLength();
    const bool last = i + 1 == records;
    if (last && done >= payload) {
      frame(std::span(trailer).first(after).subspan(done - payload));
      continue;
    }
    const uint64_t from = offset + i * payload + done;
    size_t length = (last ? payload : recordLength()) - done;
    const size_t touched = (from + length - 1) / kPage - from / kPage + 1;
    // Were what stands between two payloads the last reference of one call into TCP, then what TCP keeps for the next segment,
    // less than a packet, would be two fragments, and with those of the next call more than a segment may have (MAX_SKB_FRAGS
    // is 17): a second, small segment. So the first page is two references here. TCP joins them again (skb_can_coalesce()).
    const bool split = !last && (references + touched) % PagePipe::kPerCall == 0;
    if (split) length = (std::min<size_t>(length, kPage - from % kPage) + 1) / 2;
    to[count++] = {window->at(from), length};
    references += split ? 1 : touched;
    at += length;
  }
  return count;
}

}  // namespace socrypt::engine
