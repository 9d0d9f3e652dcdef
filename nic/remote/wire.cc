#include "nic/remote/wire.hpp"

#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <type_traits>

namespace socrypt::nic::remote {
namespace {

// Another program that happens to talk to this socket is told apart at once.
constexpr uint32_t kMagic = 0x736f4e49;

struct Head {
  uint32_t magic = kMagic;
  Kind kind{};
  uint16_t count = 0;
  uint64_t flow = 0;
};
struct WireKey {
  uint8_t local[16], remote[16];
  uint16_t localPort, remotePort;
};
struct WireKeys {
  uint16_t suite;
  uint16_t unused;
  uint32_t epoch;
  uint64_t recordSeq, streamOffset;
};
enum : uint8_t { kSealed = 1, kGuarded = 2, kHeaderToWrite = 4, kTypeToWrite = 8, kAllFlags = 15 };
struct WireRecord {
  uint64_t streamOffset, recordSeq, payloadAt;
  uint32_t length, epoch;
  uint8_t type, flags;
  uint16_t unused[3];
};
static_assert(sizeof(Head) == 16 && sizeof(WireKeys) == 24 && sizeof(WireRecord) == 40, "no padding that nobody wrote");
static_assert(sizeof(Head) + 8 + kMaxRecords * sizeof(WireRecord) <= kMaxMessage);

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) noexcept : left_(bytes) {}
  template <typename T>
  [[nodiscard]] bool take(T& value) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    if (left_.size() < sizeof value) return false;
    std::memcpy(&value, left_.data(), sizeof value);
    left_ = left_.subspan(sizeof value);
    return true;
  }
  [[nodiscard]] bool done() const noexcept { return left_.empty(); }

 private:
  std::span<const uint8_t> left_;
};

template <typename... Parts>
std::vector<uint8_t> build(const Parts&... parts) {
  std::vector<uint8_t> bytes;
  bytes.reserve((sizeof parts + ...));
  const auto append = [&bytes](const auto& part) {
    static_assert(std::is_trivially_copyable_v<std::remove_reference_t<decltype(part)>>);
    const auto* at = reinterpret_cast<const uint8_t*>(&part);
    bytes.insert(bytes.end(), at, at + sizeof part);
  };
  (append(parts), ...);
  return bytes;
}

Head headOf(Kind kind, FlowId flow = {}, size_t count = 0) noexcept {
  return {.kind = kind, .count = static_cast<uint16_t>(count), .flow = static_cast<uint64_t>(flow)};
}

WireKey wireOf(const FlowKey& key) noexcept {
  WireKey wire{};
  std::memcpy(wire.local, key.localAddress.data(), 16);
  std::memcpy(wire.remote, key.remoteAddress.data(), 16);
  wire.localPort = key.localPort;
  wire.remotePort = key.remotePort;
  return wire;
}

FlowKey keyOf(const WireKey& wire) noexcept {
  FlowKey key;
  std::memcpy(key.localAddress.data(), wire.local, 16);
  std::memcpy(key.remoteAddress.data(), wire.remote, 16);
  key.localPort = wire.localPort;
  key.remotePort = wire.remotePort;
  return key;
}

WireKeys wireOf(const record::TrafficKeys& keys) noexcept {
  return {static_cast<uint16_t>(keys.suite), 0, keys.epoch, keys.recordSeq, keys.streamOffset};
}

bool known(uint16_t suite) noexcept {
  using record::Suite;
  switch (static_cast<Suite>(suite)) {
    case Suite::Aes128GcmSha256:
    case Suite::Aes256GcmSha384:
    case Suite::ChaCha20Poly1305Sha256:
    case Suite::EcdheEcdsaAes128GcmSha256:
    case Suite::EcdheEcdsaAes256GcmSha384:
    case Suite::EcdheRsaAes128GcmSha256:
    case Suite::EcdheRsaAes256GcmSha384:
    case Suite::EcdheRsaChaCha20Poly1305Sha256:
    case Suite::EcdheEcdsaChaCha20Poly1305Sha256: return true;
  }
  return false;
}

bool readKeyFacts(Reader& reader, KeyFacts& facts) noexcept {
  WireKeys wire;
  if (!reader.take(wire) || !known(wire.suite)) return false;
  facts = {static_cast<record::Suite>(wire.suite), wire.epoch, wire.recordSeq, wire.streamOffset};
  return true;
}

bool readRecord(Reader& reader, record::NewRecord& record) noexcept {
  WireRecord wire;
  if (!reader.take(wire) || (wire.flags & ~kAllFlags) != 0 || ((wire.flags & kSealed) != 0 && wire.flags != kSealed)) return false;
  // RecordMap and Flow check what these mean together; here no sum may wrap.
  if (wire.length == 0 || wire.length > record::kMaxRecord || wire.streamOffset > UINT64_MAX / 2 || wire.payloadAt > UINT64_MAX / 2) return false;
  if (wire.type < static_cast<uint8_t>(record::ContentType::ChangeCipherSpec) || wire.type > static_cast<uint8_t>(record::ContentType::ApplicationData))
    return false;
  record.ref = {wire.streamOffset, wire.length, wire.epoch, wire.recordSeq};
  record.type = static_cast<record::ContentType>(wire.type);
  record.sealed = (wire.flags & kSealed) != 0;
  record.guarded = (wire.flags & kGuarded) != 0;
  record.headerToWrite = (wire.flags & kHeaderToWrite) != 0;
  record.typeToWrite = (wire.flags & kTypeToWrite) != 0;
  record.payloadAt = wire.payloadAt;
  return true;
}

}  // namespace

std::optional<Message> read(std::span<const uint8_t> packet) {
  Reader reader(packet);
  Head head;
  if (!reader.take(head) || head.magic != kMagic || head.kind < Kind::Greet || head.kind > Kind::Last) return std::nullopt;
  Message message;
  message.kind = head.kind;
  message.flow = static_cast<FlowId>(head.flow);
  if (head.kind != Kind::Push && head.count != 0) return std::nullopt;
  bool good = true;
  switch (head.kind) {
    case Kind::Greet: good = reader.take(message.version); break;
    case Kind::Add: {
      WireKey key;
      good = reader.take(key) && reader.take(message.add.tcpSequence) && reader.take(message.add.unacknowledged) && readKeyFacts(reader, message.keys);
      if (good) message.add.key = keyOf(key);
      break;
    }
    case Kind::Rekey: good = readKeyFacts(reader, message.keys); break;
    case Kind::Push: {
      uint64_t newFile = 0;
      good = head.count != 0 && head.count <= kMaxRecords && reader.take(newFile) && newFile <= 1;
      message.newFile = newFile == 1;
      if (good) message.records.resize(head.count);
      for (auto& record : message.records) good = good && readRecord(reader, record);
      break;
    }
    case Kind::Acknowledged:
    case Kind::Resync:
    case Kind::Remove: good = reader.take(message.streamOffset); break;
    case Kind::Release: {
      WireKey key;
      good = reader.take(key);
      if (good) message.add.key = keyOf(key);
      break;
    }
  }
  if (!good || !reader.done()) return std::nullopt;
  return message;
}

bool needsDescriptor(const Message& message) noexcept {
  return message.kind == Kind::Add || message.kind == Kind::Rekey || (message.kind == Kind::Push && message.newFile);
}

std::vector<uint8_t> greet() { return build(headOf(Kind::Greet), kVersion); }

std::vector<uint8_t> add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged) {
  return build(headOf(Kind::Add), wireOf(key), tcpSequence, unacknowledged, wireOf(keys));
}

std::vector<uint8_t> rekey(FlowId flow, const record::TrafficKeys& keys) { return build(headOf(Kind::Rekey, flow), wireOf(keys)); }

std::vector<uint8_t> push(FlowId flow, std::span<const record::NewRecord> records, bool newFile) {
  std::vector<uint8_t> bytes = build(headOf(Kind::Push, flow, records.size()), uint64_t{newFile});
  for (const auto& record : records) {
    WireRecord wire{};
    wire.streamOffset = record.ref.streamOffset;
    wire.recordSeq = record.ref.recordSeq;
    wire.payloadAt = record.payloadAt;
    wire.length = record.ref.length;
    wire.epoch = record.ref.epoch;
    wire.type = static_cast<uint8_t>(record.type);
    wire.flags = static_cast<uint8_t>((record.sealed ? kSealed : 0) | (record.guarded ? kGuarded : 0) |
                                      (record.headerToWrite ? kHeaderToWrite : 0) | (record.typeToWrite ? kTypeToWrite : 0));
    const auto* at = reinterpret_cast<const uint8_t*>(&wire);
    bytes.insert(bytes.end(), at, at + sizeof wire);
  }
  return bytes;
}

std::vector<uint8_t> about(Kind kind, FlowId flow, uint64_t streamOffset) { return build(headOf(kind, flow), streamOffset); }

std::vector<uint8_t> release(const FlowKey& key) { return build(headOf(Kind::Release), wireOf(key)); }

Descriptor writeKeys(const record::TrafficKeys& keys) {
  Descriptor file(memfd_create("socrypt-keys", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  std::array<uint8_t, kKeyBytes> bytes;
  std::memcpy(bytes.data(), keys.key.data(), 32);
  std::memcpy(bytes.data() + 32, keys.iv.data(), 12);
  const bool written = file && pwrite(file.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
  ocf::wipe(bytes.data(), bytes.size());
  return written ? std::move(file) : Descriptor();
}

bool readKeys(int descriptor, record::TrafficKeys& keys) noexcept {
  std::array<uint8_t, kKeyBytes> bytes;
  const bool whole = pread(descriptor, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
  std::memcpy(keys.key.data(), bytes.data(), 32);
  std::memcpy(keys.iv.data(), bytes.data() + 32, 12);
  ocf::wipe(bytes.data(), bytes.size());
  return whole;
}

void wipeKeys(int descriptor) noexcept {
  constexpr std::array<uint8_t, kKeyBytes> kNothing{};
  [[maybe_unused]] const ssize_t written = pwrite(descriptor, kNothing.data(), kNothing.size(), 0);
}

bool sendPacket(int socket, std::span<const uint8_t> packet, int descriptor, bool wait) noexcept {
  iovec part{const_cast<uint8_t*>(packet.data()), packet.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(int))> control{};
  if (descriptor >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  ssize_t n = 0;
  do n = sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
  while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(packet.size());
}

ssize_t receivePacket(int socket, std::span<uint8_t> buffer, Descriptor& descriptor, bool wait) noexcept {
  descriptor = Descriptor();
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  // Room for one: the kernel closes what else a peer may have sent along.
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(int))> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  do n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  while (n < 0 && errno == EINTR);
  if (n < 0) return n;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len < CMSG_LEN(sizeof(int))) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    descriptor = Descriptor(fd);
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    errno = EMSGSIZE;
    return -1;
  }
  return n;
}

}  // namespace socrypt::nic::remote
