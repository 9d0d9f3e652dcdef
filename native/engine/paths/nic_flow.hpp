// What a connection that goes through the NIC has more than others.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "nic/device/device.hpp"
#include "engine/paths/page_pipe.hpp"
#include "record/record_map.hpp"

namespace socrypt::engine {

inline constexpr size_t kBurstRecords = 16;
/// Of records around a file's pages, which take no memory: with four pages and a frame each, 32 fit into a pipe of 256.
inline constexpr size_t kPageRecords = 32;

/// A file as the payload of records.
struct Pages {
  record::PayloadRef payload{};  // position 0 is the file's
  int file = -1;                 // the payload's; open as long as that lives
  bool mayChange = true;
};

/// Records whose payload is a file's pages, on their way into the socket: all have the same length.
struct FileBurst {
  Pages pages{};
  std::shared_ptr<const FileWindow> window;  // holds all of it
  LentPipe pipe{};            // with what comes behind `written` in it, or none
  uint64_t offset = 0;        // of the first record's payload
  uint32_t payload = 0;       // bytes of each
  uint8_t before = 0, after = 0;
  uint8_t records = 0;
  bool announced = false;     // the device knows of them: not one byte is written before
  uint64_t written = 0;       // of the wire's bytes
  bool more = false;          // of the response is still to come
  // Of each record what stands before, and then what stands behind its payload.
  std::array<std::array<uint8_t, record::kMaxOverhead>, kPageRecords> around{};
  [[nodiscard]] uint64_t recordLength() const noexcept { return uint64_t{before} + payload + after; }
  [[nodiscard]] uint64_t wireLength() const noexcept { return recordLength() * records; }
};

struct NicFlow {
  nic::FlowId flow{};
  nic::FlowKey key{};
  uint32_t generation = 0;     // of the host port that the socket is bound to
  uint64_t acknowledged = 0;   // stream offset, as the device was told last
  uint64_t progressAt = 0;     // when that moved
  uint64_t plainEnd = 0;       // stream offset behind the last record that the device has to seal
  bool watched = false;        // something is not acknowledged: looked at now and then
  bool guarded = false;        // … and the guard watches some of it
  std::vector<record::NewRecord> waiting;  // the device has no room for these yet
  std::vector<uint8_t> waitingWire;        // their bytes; empty when they are `burst`
  std::optional<FileBurst> burst;
};

}  // namespace socrypt::engine
