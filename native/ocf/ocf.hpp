// The crypto framework: consumers open sessions and dispatch ops, producers (drivers) do the work.
//
// The shape is that of OpenBSD's OCF and FreeBSD's opencrypto(9): sessions opened with parameters,
// probing by parameters instead of capability lists, ranks, ops with region offsets. Bursts of which
// a prefix is accepted are DPDK's. A synchronous driver runs inside dispatch(): no queue, no thread
// hop, no allocation per op.
//
// One Framework per engine thread. Nothing here is thread-safe, and nothing throws.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "ocf/session_pool.hpp"

namespace socrypt::ocf {

enum class Status : int16_t {
  Ok = 0,
  Pending = 1,  // accepted by an asynchronous driver, not complete
  NoDriver = -EOPNOTSUPP,
  Invalid = -EINVAL,
  BadTag = -EBADMSG,
  TooBig = -E2BIG,
  Full = -EBUSY,
  NoMemory = -ENOMEM,
};

/// Bytes of somebody else's memory.
struct Seg {
  uint8_t* p;
  uint32_t n;
};

/// What a driver costs, measured when it is attached: a burst of `ops` operations over `bytes` bytes
/// takes (C1 + ops * C2 + bytes * C3) / lanes nanoseconds (the model of Lindemann and Smith, 2001).
struct Cost {
  float batchNs = 0;  // C1
  float opNs = 0;     // C2
  float byteNs = 0;   // C3
  uint16_t lanes = 1;
  [[nodiscard]] float predict(uint32_t ops, uint64_t bytes) const noexcept {
    return (batchNs + static_cast<float>(ops) * opNs + static_cast<float>(bytes) * byteNs) / static_cast<float>(lanes);
  }
};

/// What a driver is and can do.
struct Caps {
  enum : uint32_t {
    Hardware = 1,
    Accel = 2,
    Soft = 4,
    Sync = 8,  // an op is complete when submit() returns
    Ordered = 16,
    Sgl = 32,  // more than one segment per op
    OutOfPlace = 64,
    Verify = 128,  // Open compares the tag itself
  };
  uint32_t flags = 0;
  uint32_t maxLen = 0;      // bytes per op
  uint32_t queueDepth = 0;  // 0: no queue
  uint32_t bestBurst = 1;
  uint32_t maxSessions = 0;  // 0: no limit
};

enum class AlgId : uint16_t { Aes128Gcm = 1, Aes256Gcm = 2, ChaCha20Poly1305 = 3 };

/// Key bytes that an algorithm takes; 0 for one that is not known.
[[nodiscard]] constexpr size_t keyLength(AlgId id) noexcept {
  switch (id) {
    case AlgId::Aes128Gcm: return 16;
    case AlgId::Aes256Gcm: return 32;
    case AlgId::ChaCha20Poly1305: return 32;
  }
  return 0;
}

struct Alg {
  AlgId id = AlgId::Aes128Gcm;
  uint8_t ivLen = 12;   // bytes
  uint8_t tagLen = 16;  // bytes
  std::span<const uint8_t> key;
};

struct SessionParams {
  std::span<const Alg> chain;  // one AEAD
  uint32_t needs = 0;          // Caps flags that the driver must have
  enum class Where : uint8_t { Any, Hardware, Software, Exact } where = Where::Any;
  uint32_t driver = 0;  // for Where::Exact
};

enum class Kind : uint8_t { Seal, Open };

class Session;

/// One operation. Owned by the caller, who keeps it and its buffers alive until it is complete.
///
/// Regions are those of crypto_request(9): `len` bytes of payload start at `skip` in `in`; the result
/// goes to `outSkip` in `out`. `out == in` and `outSkip == skip` is in place; other overlap is
/// Invalid to ask for. The tag stands at `tagAt`: written to `out` by Seal, read from `in` by Open.
struct Op {
  Session* ses;
  Kind kind;
  Status status;
  uint16_t nIn, nOut;
  uint8_t iv[16];
  Seg* in;
  Seg* out;
  Seg aad;
  uint32_t skip, len, outSkip, tagAt;
  void* opaque;  // the caller's; passed back untouched
};

/// Producer API. Nothing in it may block.
class Driver {
 public:
  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  virtual ~Driver() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual const Caps& caps() const noexcept = 0;
  /// A rank (higher is better) for exactly these parameters, or a negative errno. The scale is
  /// FreeBSD's CRYPTODEV_PROBE_*: 400 hardware, 300 accelerated software, 100 plain software.
  [[nodiscard]] virtual int probe(const SessionParams& params) const noexcept = 0;
  /// Private bytes that a session with these parameters takes. Asked only after probe() ranked it.
  [[nodiscard]] virtual size_t sessionBytes(const SessionParams& params) const noexcept = 0;
  /// `priv` is zeroed, 64-byte aligned and sessionBytes() long.
  [[nodiscard]] virtual Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept = 0;
  /// The framework zeroises `priv` afterwards.
  virtual void freeSession(std::span<std::byte> priv) noexcept = 0;
  /// Accepts a prefix of `ops` and returns its length; the rest was not touched. A synchronous
  /// driver sets the final status of every op that it accepted. `more`: another burst follows at once.
  virtual size_t submit(Op* const* ops, size_t n, bool more) noexcept = 0;
  /// Completed ops of an asynchronous driver, each reported once. A synchronous one has none.
  virtual size_t poll(Op** /*done*/, size_t /*max*/, bool /*flush*/) noexcept { return 0; }
};

/// A session owns its key and the private state of the driver that it is bound to. It is reached
/// through a SessionHandle; a driver sees it as `Op::ses`.
class Session {
 public:
  [[nodiscard]] uint32_t id() const noexcept { return id_; }
  [[nodiscard]] AlgId alg() const noexcept { return alg_; }
  [[nodiscard]] uint8_t tagLength() const noexcept { return tagLength_; }
  [[nodiscard]] Driver& driver() const noexcept { return *driver_; }
  /// The driver's private bytes.
  [[nodiscard]] std::span<std::byte> priv() noexcept { return {reinterpret_cast<std::byte*>(this + 1), privBytes_}; }

 private:
  friend class Framework;
  friend class SessionHandle;
  Session() = default;
  class Framework* framework_ = nullptr;
  Driver* driver_ = nullptr;
  uint32_t privBytes_ = 0;
  uint32_t id_ = 0;
  AlgId alg_ = AlgId::Aes128Gcm;
  uint8_t ivLength_ = 12;
  uint8_t tagLength_ = 16;
  // The key stays with the session, not with the driver, so that the session can be bound anew.
  alignas(16) std::array<uint8_t, 32> key_{};
};
// The private bytes follow the header and are aligned like it.
static_assert(sizeof(Session) == 64, "the header is one cache line");

/// Owns a session: frees it, with keys and private state zeroised, when it goes. Must not outlive
/// its Framework.
class SessionHandle {
 public:
  SessionHandle() noexcept = default;
  SessionHandle(std::nullptr_t) noexcept {}  // NOLINT: reads like a pointer
  SessionHandle(SessionHandle&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
  SessionHandle& operator=(SessionHandle&& other) noexcept {
    if (this != &other) {
      reset();
      session_ = std::exchange(other.session_, nullptr);
    }
    return *this;
  }
  SessionHandle(const SessionHandle&) = delete;
  SessionHandle& operator=(const SessionHandle&) = delete;
  ~SessionHandle() { reset(); }

  void reset() noexcept;
  [[nodiscard]] Session* get() const noexcept { return session_; }
  Session* operator->() const noexcept { return session_; }
  explicit operator bool() const noexcept { return session_ != nullptr; }
  friend bool operator==(const SessionHandle& a, std::nullptr_t) noexcept { return a.session_ == nullptr; }

 private:
  friend class Framework;
  explicit SessionHandle(Session* session) noexcept : session_(session) {}
  Session* session_ = nullptr;
};

/// Consumer API.
class Framework {
 public:
  Framework() = default;
  Framework(const Framework&) = delete;
  Framework& operator=(const Framework&) = delete;
  ~Framework();

  /// Publishes a driver once it has given the right answers for every algorithm that it ranks, and
  /// measures its cost. Returns its id, 0 when it was refused: Invalid (wrong answers, or no
  /// driver given), NoDriver (it ranks no algorithm).
  uint32_t attach(std::unique_ptr<Driver> driver, Status* status);

  /// Binds a session to the driver with the highest rank. Empty, with NoDriver or Invalid or
  /// NoMemory in `status`, when there is none. The key is copied.
  [[nodiscard]] SessionHandle open(const SessionParams& params, Status* status);

  /// Hands ops to their sessions' drivers, in order. Accepts a prefix and returns its length; the
  /// rest was not touched. Ops of a synchronous driver are complete on return, with their status
  /// set, and are not reported again.
  size_t dispatch(Op* const* ops, size_t n) noexcept;

  /// What `driver` costs for `alg`, as measured when it was attached; all zero when it has it not.
  [[nodiscard]] Cost cost(uint32_t driver, AlgId alg) const noexcept;
  [[nodiscard]] std::string_view driverName(uint32_t driver) const noexcept;
  [[nodiscard]] size_t openSessions() const noexcept { return openSessions_; }
  /// Bytes of memory held for sessions, free slots included.
  [[nodiscard]] size_t poolBytes() const noexcept { return pool_.bytes(); }

 private:
  friend class SessionHandle;
  struct Published {
    uint32_t id;
    std::unique_ptr<Driver> driver;
    std::array<Cost, 3> cost;
  };
  [[nodiscard]] const Published* find(uint32_t id) const noexcept;
  [[nodiscard]] SessionHandle bind(Driver& driver, const SessionParams& params, Status* status) noexcept;
  [[nodiscard]] Status check(Driver& driver, std::array<Cost, 3>& cost) noexcept;
  void close(Session* session) noexcept;

  SessionPool pool_;
  std::vector<Published> drivers_;
  size_t openSessions_ = 0;
  uint32_t lastSessionId_ = 0;
  uint32_t lastDriverId_ = 0;
};

/// Overwrites memory in a way that the compiler keeps.
void wipe(void* p, size_t n) noexcept;
/// Constant-time comparison.
[[nodiscard]] bool equalConstantTime(const void* a, const void* b, size_t n) noexcept;

}  // namespace socrypt::ocf
