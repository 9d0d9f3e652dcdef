// What a burst puts into a pipe: the wire's bytes, from wherever it goes on, and where TCP cuts them.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "engine/paths/file_burst.hpp"

using socrypt::engine::FileBurst;
using socrypt::engine::FileWindow;
using socrypt::engine::FrameMemory;
using socrypt::engine::PagePipe;

namespace {

constexpr size_t kPage = 4096;
constexpr uint32_t kPayload = 4 * kPage;
constexpr size_t kFilePages = 4 * FileBurst::kMostRecords + 8;

struct File {
  std::string bytes;
  std::shared_ptr<const FileWindow> window;
  File() : bytes(kFilePages * kPage, '\0') {
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / kPage);
    const int fd = memfd_create("file", MFD_CLOEXEC);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    window = FileWindow::of(fd, bytes.size(), 0);
    close(fd);
    REQUIRE(window);
  }
};

// As TLS 1.2 has it, with AES-GCM, or TLS 1.3.
void describe(FileBurst& burst, const File& file, uint8_t records, bool tls12, uint32_t payload = kPayload) {
  burst.window = file.window;
  burst.offset = 8 * kPage;
  burst.payload = payload;
  burst.records = records;
  burst.before = tls12 ? 13 : 5;
  burst.after = tls12 ? 16 : 17;
  for (size_t k = 0; k < burst.header.size(); ++k) {
    burst.header[k] = static_cast<uint8_t>(k + 100);
    burst.trailer[k] = static_cast<uint8_t>(k + 200);
  }
}

std::string wireOf(const FileBurst& burst, const File& file) {
  std::string wire(burst.header.begin(), burst.header.begin() + burst.before);
  for (size_t i = 0; i < burst.records; ++i) {
    const bool last = i + 1 == burst.records;
    wire += file.bytes.substr(burst.offset + i * burst.payload, last ? burst.payload : burst.recordLength());
  }
  return wire.append(burst.trailer.begin(), burst.trailer.begin() + burst.after);
}

std::string joined(std::span<const iovec> parts) {
  std::string all;
  for (const iovec& part : parts) all.append(static_cast<const char*>(part.iov_base), part.iov_len);
  return all;
}

// What each call inside the kernel takes: as many references as fit, each to one page.
std::vector<std::vector<iovec>> callsOf(std::span<const iovec> parts) {
  std::vector<std::vector<iovec>> calls;
  size_t references = 0;
  for (const iovec& part : parts) {
    auto at = reinterpret_cast<uintptr_t>(part.iov_base);
    for (const uintptr_t end = at + part.iov_len; at < end;) {
      const size_t n = std::min<size_t>(end - at, kPage - at % kPage);
      if (references++ % PagePipe::kPerCall == 0) calls.emplace_back();
      calls.back().push_back({reinterpret_cast<void*>(at), n});
      at += n;
    }
  }
  return calls;
}

}  // namespace

TEST_CASE("parts are the wire's bytes, from wherever a burst goes on") {
  const uint32_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const File file;
  const auto frames = FrameMemory::make();
  REQUIRE(frames);
  std::array<iovec, FileBurst::kMostParts> parts;
  for (const bool tls12 : {true, false})
    for (const uint8_t records : {uint8_t{1}, uint8_t{2}, uint8_t{3}, uint8_t{17}, uint8_t{FileBurst::kMostRecords}}) {
      FileBurst burst;
      // What a peer's record_size_limit leaves, too.
      describe(burst, file, records, tls12, static_cast<uint32_t>((1 + random() % 4) * kPage));
      const std::string wire = wireOf(burst, file);
      REQUIRE(wire.size() == burst.wireLength());
      for (size_t round = 0; round < 60; ++round) {
        // Most of them near the ends of records, where frames are.
        const uint64_t near = random() % records * burst.recordLength() + random() % 64;
        burst.written = round == 0 ? 0 : round % 4 == 0 ? random() % wire.size() : near < 40 ? near : near - 40;
        CAPTURE(burst.written);
        const size_t n = burst.parts(*frames, parts);
        REQUIRE(joined(std::span(parts).first(n)) == wire.substr(burst.written));
      }
    }
}

TEST_CASE("what one call takes fits into one segment, with what TCP kept of the one before") {
  constexpr size_t kMostFragments = 17, kPacket = 1448;
  const File file;
  const auto frames = FrameMemory::make();
  REQUIRE(frames);
  std::array<iovec, FileBurst::kMostParts> parts;
  for (const bool tls12 : {true, false}) {
    FileBurst burst;
    describe(burst, file, FileBurst::kMostRecords, tls12);
    const auto calls = callsOf(std::span(parts).first(burst.parts(*frames, parts)));
    size_t references = 0;
    std::vector<iovec> kept;
    for (const auto& call : calls) {
      references += call.size();
      // What TCP has not sent, and behind it what comes: fragments of one page that follow each other are one.
      std::vector<iovec> fragments = kept;
      for (const iovec& each : call) {
        const auto at = reinterpret_cast<uintptr_t>(each.iov_base);
        if (!fragments.empty() && at % kPage != 0 && static_cast<uint8_t*>(fragments.back().iov_base) + fragments.back().iov_len == each.iov_base) fragments.back().iov_len += each.iov_len;
        else fragments.push_back(each);
      }
      CHECK(fragments.size() <= kMostFragments);
      size_t bytes = 0;
      for (const iovec& each : fragments) bytes += each.iov_len;
      // At most so much is less than a packet, and waits for more.
      size_t waits = std::min(bytes, kPacket - 1);
      kept.clear();
      for (auto each = fragments.rbegin(); waits != 0; ++each) {
        const size_t n = std::min(waits, each->iov_len);
        kept.insert(kept.begin(), {static_cast<uint8_t*>(each->iov_base) + each->iov_len - n, n});
        waits -= n;
      }
    }
    CHECK(references == 256);
    CHECK(calls.size() == 256 / PagePipe::kPerCall);
  }
}
