// Records of one connection whose payload is a file's pages, on their way into the socket by reference.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/paths/page_pipe.hpp"
#include "record/record_map.hpp"

namespace socrypt::engine {

/// A file as the payload of records.
struct Pages {
  record::PayloadRef payload{};  // position 0 is the file's
  int file = -1;                 // the payload's; open as long as that lives
  bool mayChange = true;
};

/// All its records have the same length. Between two payloads, where a tag and the next header are to be, TCP gets what there is in the file: the
/// first bytes of the next payload, which so go in twice. The device writes over them, and a record is one part.
struct FileBurst {
  /// They take no memory. With five references each, 48 fit into a pipe of 256.
  static constexpr size_t kMostRecords = 48;
  /// Records in two parts, and what stands around them all.
  static constexpr size_t kMostParts = 2 * kMostRecords + 2;

  Pages pages{};
  std::shared_ptr<const FileWindow> window;  // holds all of it
  LentPipe pipe{};            // with what comes behind `written` in it, or none
  uint64_t offset = 0;        // of the first record's payload
  uint32_t payload = 0;       // bytes of each; a page at least
  uint8_t before = 0, after = 0;
  uint8_t records = 0;
  bool announced = false;     // the device knows of them: not one byte is written before
  uint64_t written = 0;       // of the wire's bytes
  bool more = false;          // of the response is still to come
  // What stands before the first payload, and behind the last.
  std::array<uint8_t, record::kMaxOverhead> header{}, trailer{};
  [[nodiscard]] uint64_t recordLength() const noexcept { return uint64_t{before} + payload + after; }
  [[nodiscard]] uint64_t wireLength() const noexcept { return recordLength() * records; }

  /// What is not written yet, in order; valid until frames.begin(). Returns how many parts it takes.
  [[nodiscard]] size_t parts(FrameMemory& frames, std::span<iovec, kMostParts> to) const noexcept;
};

}  // namespace socrypt::engine
