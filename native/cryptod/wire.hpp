// The language of cryptod's socket: frames over a Unix stream socket, payloads in memory that both sides map.
//
// A frame is a header and a body, little-endian, unaligned. Everything that decides what is done (session, regions,
// IV) travels in frames, which the kernel copies: a peer that rewrites its shared memory while the daemon works on it
// changes its own payload and nothing else. See docs/cryptod.md.
//
//   client                                            daemon
//   Hello    version, size of the arena, its fd       Hello    what this connection may hold
//   Open     where, algorithms with their keys        Opened   status, session, driver
//   Close    session                                  Closed   status
//   Submit   ops                                      Done     cookie and status of ops, in order of completion
//   Key      operation, parameters                    KeyDone  status, results
//   Drivers                                           DriverList
//                                                     Error    why the connection ends
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocf/ocf.hpp"

namespace socrypt::cryptod {

using Bytes = std::span<const uint8_t>;

inline constexpr uint32_t kMagic = 0x31444353;  // "SCD1"
inline constexpr uint16_t kVersion = 1;
inline constexpr size_t kHeaderBytes = 16;
/// A frame with its header: 512 ops, or the parameters of an RSA-8192 operation, fit many times.
inline constexpr size_t kMaxFrame = 64 * 1024;
inline constexpr size_t kOpBytes = 64;
inline constexpr size_t kDoneBytes = 16;
inline constexpr size_t kMaxChain = 2;
/// PKCS#8 of an RSA key of 8192 bits takes 4.7 KB.
inline constexpr size_t kMaxKey = 8192;
inline constexpr size_t kMaxKeyInputs = 8;

enum class Type : uint16_t {
  Hello = 1, Open = 2, Close = 3, Submit = 4, Key = 5, Drivers = 6,
  // The daemon's answer to a request has its number and this bit.
  Answer = 0x80,
  HelloAnswer = Hello | Answer, Opened = Open | Answer, Closed = Close | Answer, Done = Submit | Answer,
  KeyDone = Key | Answer, DriverList = Drivers | Answer,
  Error = 0xff,
};

struct Header {
  uint32_t length;  // of the frame, header included
  Type type;
  uint16_t count;  // of what the body repeats
  uint64_t tag;    // of a request; its answer has the same
};

struct Frame {
  Header header;
  Bytes body;
};

struct Hello {
  uint16_t version;
  uint64_t arenaBytes;
};
struct HelloAnswer {
  uint16_t version;
  bool software;  // the daemon lends its software algorithms
  uint32_t maxSessions, maxPending;
  uint64_t maxArenaBytes;
};

enum class Place : uint8_t { Any = 0, Hardware = 1, Software = 2 };

struct OpenAlg {
  uint16_t id = 0;  // ocf::AlgId
  uint8_t ivLength = 0, tagLength = 0;
  Bytes key;
};
/// Points into the frame.
struct OpenRequest {
  Place place = Place::Any;
  uint8_t count = 0;
  OpenAlg chain[kMaxChain];
};
struct OpenAnswer {
  int16_t status;  // ocf::Status, here and below
  uint32_t session;
  std::string_view driver;
};

/// struct crypt_op of /dev/crypto, with offsets into the arena for its pointers, and what AEADs need beside it.
struct OpRecord {
  uint64_t cookie;  // the client's; comes back with the status
  uint32_t session;
  uint8_t kind;  // ocf::Kind
  uint8_t ivLength;
  uint16_t scheme;  // of signatures
  uint8_t iv[16];
  uint32_t source, destination, length;
  uint32_t aad, aadLength;
  uint32_t mac;
  uint32_t room;  // at `destination`, for a key operation's result
};
struct DoneRecord {
  uint64_t cookie;
  int16_t status;
  uint32_t produced;  // bytes of a key operation's result
};

/// CIOCKEY: parameters are byte strings, big integers big-endian.
struct KeyRequest {
  uint8_t kind;  // ocf::Kind
  uint8_t inputs;
  uint16_t alg;     // ocf::AlgId
  uint16_t scheme;
  Bytes key;
  Bytes input[kMaxKeyInputs];
  uint32_t outputBytes;  // room for the one result
};
struct KeyAnswer {
  int16_t status;
  Bytes output;
};

struct DriverRecord {
  uint32_t id;
  uint32_t flags;  // ocf::Caps
  std::string_view name;
};

// ── reading: the one place where lengths that a peer announces are checked ──

enum class Cut : uint8_t { Whole, NeedMore, Malformed };
/// The first frame of `bytes`. Malformed: a length that no frame has; nothing can be read after it.
[[nodiscard]] Cut cutFrame(Bytes bytes, Frame& out) noexcept;

// False: the body is not exactly what its type says.
[[nodiscard]] bool read(Bytes body, Hello& out) noexcept;
[[nodiscard]] bool read(Bytes body, HelloAnswer& out) noexcept;
[[nodiscard]] bool read(Bytes body, OpenRequest& out) noexcept;
[[nodiscard]] bool read(Bytes body, OpenAnswer& out) noexcept;
[[nodiscard]] bool readSession(Bytes body, uint32_t& session) noexcept;
[[nodiscard]] bool readStatus(Bytes body, int16_t& status) noexcept;
[[nodiscard]] bool read(Bytes body, KeyRequest& out) noexcept;
[[nodiscard]] bool read(Bytes body, KeyAnswer& out) noexcept;
/// Record `index` of a Submit or Done frame; false: `count` and the length of the body disagree.
[[nodiscard]] bool read(const Frame& frame, size_t index, OpRecord& out) noexcept;
[[nodiscard]] bool read(const Frame& frame, size_t index, DoneRecord& out) noexcept;
[[nodiscard]] bool read(const Frame& frame, std::vector<DriverRecord>& out);

/// Memory of `arena`, or nothing when the region leaves it.
[[nodiscard]] inline std::optional<std::span<uint8_t>> region(std::span<uint8_t> arena, uint32_t at, uint32_t length) noexcept {
  if (uint64_t{at} + length > arena.size()) return std::nullopt;
  return arena.subspan(at, length);
}

// ── writing ──

/// Frames in a row. Wiped when it goes: keys pass through it.
class Writer {
 public:
  Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { clear(); }

  void begin(Type type, uint64_t tag);
  /// `count` of what the body repeats.
  void end(uint16_t count = 0);
  void u8(uint8_t value) { bytes_.push_back(value); }
  void u16(uint16_t value) { put(&value, sizeof value); }
  void u32(uint32_t value) { put(&value, sizeof value); }
  void u64(uint64_t value) { put(&value, sizeof value); }
  void put(const void* p, size_t n);
  void op(const OpRecord& op);
  void done(const DoneRecord& done);

  [[nodiscard]] Bytes view() const noexcept { return Bytes(bytes_).subspan(sent_); }
  [[nodiscard]] size_t size() const noexcept { return bytes_.size() - sent_; }
  /// `n` bytes have been sent.
  void consume(size_t n) noexcept;
  void clear() noexcept;

 private:
  std::vector<uint8_t> bytes_;
  size_t sent_ = 0;
  size_t frame_ = 0;
};

void write(Writer& to, uint64_t tag, const Hello& hello);
void write(Writer& to, uint64_t tag, const HelloAnswer& answer);
void write(Writer& to, uint64_t tag, const OpenRequest& request);
void write(Writer& to, uint64_t tag, const OpenAnswer& answer);
void write(Writer& to, uint64_t tag, const KeyRequest& request);
void write(Writer& to, uint64_t tag, const KeyAnswer& answer);
void writeClose(Writer& to, uint64_t tag, uint32_t session);
void writeClosed(Writer& to, uint64_t tag, int16_t status);
void writeDrivers(Writer& to, uint64_t tag);
void write(Writer& to, uint64_t tag, std::span<const DriverRecord> drivers);
void writeError(Writer& to, std::string_view why);

}  // namespace socrypt::cryptod
