// What a connection that goes through the NIC has more than others.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/paths/file_burst.hpp"
#include "nic/device/device.hpp"
#include "record/record_map.hpp"

namespace socrypt::engine {

inline constexpr size_t kBurstRecords = 16;

struct NicFlow {
  nic::FlowId flow{};
  nic::FlowKey key{};
  uint32_t generation = 0;     // of the host port that the socket is bound to
  uint64_t acknowledged = 0;   // stream offset, as the device was told last
  uint64_t progressAt = 0;     // when that moved
  uint64_t plainEnd = 0;       // stream offset behind the last record that the device has to seal
  bool away = false;           // the way to the peer leads elsewhere: it is to leave the NIC
  bool watched = false;        // something is not acknowledged: looked at now and then
  bool guarded = false;        // … and the guard watches some of it
  std::vector<record::NewRecord> waiting;  // the device has no room for these yet
  std::vector<uint8_t> waitingWire;        // their bytes; empty when they are `burst`
  std::optional<FileBurst> burst;
};

}  // namespace socrypt::engine
