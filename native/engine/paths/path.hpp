// Offload paths: who makes the records of a connection. One interface for all of them, as a kernel has one for its
// devices (Documentation/networking/tls-offload.rst: tls_dev_add, tls_dev_del, tls_dev_resync): take these keys from
// this stream offset, forget them, make these records.
//
// A path knows connections and records. The socket is the engine's: bytes go out through Engine::transmit and come in
// through Engine::onReadable, in one order for all paths. What a path does with a burst of records is one of three
// things, and make() says which by what it returns:
//
//   sealed at once        `wire` is ciphertext (software)
//   framed only           `wire` is plaintext in records, to be sealed below TCP; whatever has to know of the records
//                         before their bytes reach the socket was told in make() (nic, kernel)
//   sealed later          `wire` is empty; the path hands the ciphertext over, in order, when it is done, and counts
//                         the burst in Connection::making until then (accelerator)
//
// A new path is a class in a file of its own here, one `paths_.push_back` in Engine, and lines in reasons.def.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/paths/kind.hpp"
#include "record/record.hpp"

namespace socrypt::engine {

struct Connection;

enum class Direction : uint8_t { Tx, Rx };

class OffloadPath {
 public:
  explicit OffloadPath(PathKind kind) noexcept : kind_(kind) {}
  OffloadPath(const OffloadPath&) = delete;
  OffloadPath& operator=(const OffloadPath&) = delete;
  virtual ~OffloadPath() = default;

  [[nodiscard]] PathKind kind() const noexcept { return kind_; }

  /// Keys that hold from keys.streamOffset on: a connection's first, or those after a KeyUpdate. When they are taken
  /// they are installed in c.tx or c.rx, which go on counting records for every path. Otherwise the reason, nothing
  /// has changed, and the engine asks the next path; for the last one there is none.
  [[nodiscard]] virtual WhyNot take(Connection& c, Direction direction, const record::TrafficKeys& keys) = 0;
  /// This direction has another path from here on, or its connection ends; the socket is still open.
  virtual void forget(Connection& /*c*/, Direction /*direction*/) noexcept {}

  /// Where the next burst of application data is to be built: `records` records of full length, one behind the other.
  /// None: the path has no memory for this connection now, and calls Engine::enqueue for it when that changes. What
  /// room() gave is given again until make() was called.
  struct Room {
    uint8_t* at = nullptr;
    size_t records = 0;
  };
  [[nodiscard]] virtual Room room(Connection& c) = 0;
  /// The same for an alert or a handshake message, which never wait: they are few, and bounded elsewhere.
  [[nodiscard]] virtual uint8_t* controlRoom(Connection& c, size_t bytes) = 0;

  /// Makes records of slots that lie one behind the other in room() or controlRoom(). Fewer than given: see
  /// RecordWriter::seal(); the connection is not to go on.
  struct Made {
    size_t records = 0;
    std::span<const uint8_t> wire;  // to be sent now; valid until the next call
  };
  [[nodiscard]] virtual Made make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) = 0;

  /// As RecordReader::open(), which is what it does unless a path knows better.
  [[nodiscard]] virtual record::RecordReader::Result open(Connection& c, std::span<uint8_t> buffer, record::RecordReader::Opened& opened);

  /// Whether records are opened later, by openLater() instead of open(): the path takes records from the front of
  /// `bytes`, which it copies, and hands their plaintext over, in order, when it is done. Until then it takes no more.
  [[nodiscard]] virtual bool opensLater() const noexcept { return false; }
  struct Later {
    size_t taken = 0;  // bytes
    enum : uint8_t { NeedMore, Begun, NoMemory, Bad } what = NeedMore;  // Bad: RecordReader::open() says how
  };
  virtual Later openLater(Connection& /*c*/, std::span<const uint8_t> /*bytes*/) { return {}; }

 private:
  PathKind kind_;
};

/// The bytes that records in these slots take.
[[nodiscard]] inline size_t wireLength(std::span<const record::Slot> slots, record::Framing framing) noexcept {
  const record::Slot& last = slots.back();
  return static_cast<size_t>(last.at - slots.front().at) + framing.overhead() + last.payloadLength;
}

}  // namespace socrypt::engine
