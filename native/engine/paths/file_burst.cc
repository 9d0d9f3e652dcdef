#include "engine/paths/file_burst.hpp"

#include <algorithm>

namespace socrypt::engine {

namespace {

constexpr size_t kPage = 4096;
// What FrameMemory is asked for between two begin(), and for one frame.
static_assert(FileBurst::kMostRecords * record::kMaxOverhead <= FrameMemory::kBytes && 2 * record::kMaxOverhead <= FrameMemory::kLongest);

}  // namespace

size_t FileBurst::parts(FrameMemory& frames, std::span<iovec, kMostParts> to) const noexcept {
  const uint64_t end = wireLength();
  size_t count = 0;
  size_t references = 0;
  frames.begin();
  for (uint64_t at = written; at < end; at += to[count++].iov_len) {
    const uint64_t within = at % recordLength();
    if (within < before || within >= before + payload) {
      to[count] = frameAt(at, frames);
      ++references;
      continue;
    }
    const uint64_t done = within - before;
    const auto from = offset + at / recordLength() * payload + done;
    size_t length = payload - done;
    const size_t touched = (from + length - 1) / kPage - from / kPage + 1;
    // Were a frame the last reference of one call into TCP, then what TCP keeps for the next segment, less than a packet,
    // would be two fragments, and with those of the next call more than a segment may have (MAX_SKB_FRAGS is 17): a second,
    // small segment. So the first page is two references here. TCP joins them again (skb_can_coalesce()).
    const bool split = (references + touched) % PagePipe::kPerCall == PagePipe::kPerCall - 1 && at + length + after < end;
    if (split) length = std::min<size_t>(length, kPage - from % kPage) / 2;
    to[count] = {window->at(from), length};
    references += split ? 1 : touched;
  }
  return count;
}

/// From there to the next payload: what is left of what stands behind one goes together with what stands before the next.
iovec FileBurst::frameAt(uint64_t at, FrameMemory& frames) const noexcept {
  const uint64_t i = at / recordLength();
  const uint64_t within = at % recordLength();
  const bool ahead = within < before;
  std::array<uint8_t, 2 * record::kMaxOverhead> bytes;
  const auto from = around[i].begin() + static_cast<ptrdiff_t>(ahead ? within : within - payload);
  const auto to = around[i].begin() + before + (ahead ? 0 : after);
  auto end = std::copy(from, to, bytes.begin());
  if (!ahead && i + 1 < records) end = std::copy_n(around[i + 1].begin(), before, end);
  const std::span<const uint8_t> frame(bytes.begin(), end);
  if (alike && (within == 0 || within == before + payload)) return {const_cast<uint8_t*>(frames.like(frame)), frame.size()};
  uint8_t* const place = frames.unlike(frame.size());
  std::copy(frame.begin(), frame.end(), place);
  return {place, frame.size()};
}

}  // namespace socrypt::engine
