// What a process that sends through another process's NIC says to it, over a Unix socket of sequenced packets.
//
// One packet is one message. Both ends are of this host and of one build: numbers stand as the processor has them, and
// the version in the greeting must be equal. Keys never stand in a packet: they are in a memory file whose descriptor
// comes along, and which its owner wipes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nic/device/device.hpp"
#include "nic/port/descriptor.hpp"

namespace socrypt::nic::remote {

inline constexpr uint32_t kVersion = 3;
/// Records in one message.
inline constexpr size_t kMaxRecords = 64;
inline constexpr size_t kMaxMessage = 4096;

enum class Kind : uint16_t { Greet = 1, Add, Rekey, Push, Acknowledged, Resync, Remove, Release, Last = Release };

struct AddFacts {
  FlowKey key;
  uint32_t tcpSequence = 0;
  uint32_t unacknowledged = 0;
};
/// What is no secret of record::TrafficKeys.
struct KeyFacts {
  record::Suite suite{};
  uint32_t epoch = 0;
  uint64_t recordSeq = 0;
  uint64_t streamOffset = 0;
};

/// One message, as read and checked.
struct Message {
  Kind kind{};
  FlowId flow{};
  uint32_t version = 0;               // Greet
  AddFacts add{};                     // Add; Release: the key
  KeyFacts keys{};                    // Add, Rekey
  uint64_t streamOffset = 0;          // Acknowledged, Resync
  bool newFile = false;               // Push: the descriptor is the file of the payloads from here on
  std::vector<record::NewRecord> records;  // Push; guarded ones get their payload from the receiver
};

/// The one reader of what a peer sends. None: it is not a message of this version.
[[nodiscard]] std::optional<Message> read(std::span<const uint8_t> packet);
/// Whether a message of this kind comes with a descriptor: the keys', or with `newFile` the file's.
[[nodiscard]] bool needsDescriptor(const Message& message) noexcept;

[[nodiscard]] std::vector<uint8_t> greet();
[[nodiscard]] std::vector<uint8_t> add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged);
[[nodiscard]] std::vector<uint8_t> rekey(FlowId flow, const record::TrafficKeys& keys);
/// At most kMaxRecords.
[[nodiscard]] std::vector<uint8_t> push(FlowId flow, std::span<const record::NewRecord> records, bool newFile);
[[nodiscard]] std::vector<uint8_t> about(Kind kind, FlowId flow, uint64_t streamOffset = 0);
[[nodiscard]] std::vector<uint8_t> release(const FlowKey& key);

/// The answer to Greet, Add and Rekey; to Greet with the descriptor that Notices come from.
struct Reply {
  int16_t status = 0;
  uint64_t flow = 0;
  uint32_t records = 0;   // Greet: mapped at most, of one flow
  uint32_t hostInterface = 0;
  uint32_t generation = 0;
  char hostName[16] = {};
};
/// What the NIC's process says by itself.
struct Notice {
  enum class Kind : uint32_t { HostPort = 1, Broken, Lost } kind = Kind::HostPort;
  uint32_t hostInterface = 0;
  uint32_t generation = 0;
  char hostName[16] = {};
  uint64_t flow = 0;  // Broken, Lost
};

/// Keys in a memory file, as kKeyBytes bytes: key, iv.
inline constexpr size_t kKeyBytes = 32 + 12;
[[nodiscard]] Descriptor writeKeys(const record::TrafficKeys& keys);
[[nodiscard]] bool readKeys(int descriptor, record::TrafficKeys& keys) noexcept;
void wipeKeys(int descriptor) noexcept;

/// False: errno says why. EAGAIN: there is no room.
[[nodiscard]] bool sendPacket(int socket, std::span<const uint8_t> packet, int descriptor = -1, bool wait = false) noexcept;
/// Bytes received; 0: the other end is gone; -1: errno says why. A descriptor that came along is in `descriptor`.
[[nodiscard]] ssize_t receivePacket(int socket, std::span<uint8_t> buffer, Descriptor& descriptor, bool wait = false) noexcept;

}  // namespace socrypt::nic::remote
