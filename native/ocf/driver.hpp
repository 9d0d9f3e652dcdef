// Producer API of the crypto framework: what a driver implements. "Write a driver in one page" is in
// docs/ocf.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ocf/op.hpp"

namespace socrypt::ocf {

/// What a driver costs: a burst of `ops` operations over `bytes` bytes takes
/// (C1 + ops * C2 + bytes * C3) / lanes nanoseconds (the model of Lindemann and Smith, 2001).
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
    Accel = 2,  // not this CPU's time: a processor set aside
    Soft = 4,
    Sync = 8,  // an op is complete when submit() returns
    Ordered = 16,
    Sgl = 32,  // more than one segment per op
    OutOfPlace = 64,
    Verify = 128,         // Open compares the tag itself
    NeedsKeyPerOp = 256,  // caches no keys
    Asym = 512,           // key operations
    Rng = 1024,           // random() works
  };
  uint32_t flags = 0;
  uint32_t maxLen = 0;      // bytes per op; 0: no limit
  uint32_t queueDepth = 0;  // ops that it holds at most; 0: no queue
  uint32_t bestBurst = 1;
  uint32_t maxSessions = 0;  // 0: no limit
};

struct SessionParams {
  std::span<const Alg> chain;  // one algorithm, or a cipher and then a MAC
  uint32_t needs = 0;          // Caps flags that the driver must have
  enum class Where : uint8_t {
    Any,
    Hardware,
    Software,     // this CPU, or one set aside
    Accelerator,  // anything but this CPU
    Exact,        // `driver` alone
  } where = Where::Any;
  uint32_t driver = 0;
  bool ordered = false;  // ops complete in the order of their dispatch
};

/// How a driver tells that poll() has something to report. Called from any thread.
class Waker {
 public:
  virtual void ready(Driver* driver) noexcept = 0;

 protected:
  ~Waker() = default;
};

/// Nothing in it may block. Calls come from the framework's thread alone.
class Driver {
 public:
  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  virtual ~Driver() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual const Caps& caps() const noexcept = 0;
  /// A rank (higher is better) for exactly these parameters, or a negative errno. The scale is
  /// FreeBSD's CRYPTODEV_PROBE_*: 400 hardware, 300 accelerated software, 100 plain software. `cost`
  /// may be filled with what the driver states; the framework measures where it can.
  [[nodiscard]] virtual int probe(const SessionParams& params, Cost& cost) const noexcept = 0;
  /// Private bytes that a session with these parameters takes. Asked only after probe() ranked it.
  [[nodiscard]] virtual size_t sessionBytes(const SessionParams& params) const noexcept = 0;
  /// `priv` is zeroed, 64-byte aligned and sessionBytes() long.
  [[nodiscard]] virtual Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept = 0;
  /// No op of the session is in flight. The framework zeroises `priv` afterwards.
  virtual void freeSession(std::span<std::byte> priv) noexcept = 0;
  /// Accepts a prefix of `ops` and returns its length; the rest was not touched. A synchronous
  /// driver sets the final status of every op that it accepted; an asynchronous one does so in poll() and
  /// nowhere else, since the consumer may look at it before. `more`: another burst follows at once.
  virtual size_t submit(Op* const* ops, size_t n, bool more) noexcept = 0;
  /// Completed ops of an asynchronous driver, each reported once, with its status set. Gone says that
  /// the data may have been touched, Again and Canceled that it was not. `flush`: nothing more is
  /// coming for now, so partial batches are to be finished. A synchronous driver has none.
  virtual size_t poll(Op** /*done*/, size_t /*max*/, bool /*flush*/) noexcept { return 0; }
  /// Gives accepted ops back that were not started; their data was not touched. They are not reported.
  virtual size_t cancel(Op** /*back*/, size_t /*max*/) noexcept { return 0; }
  /// When it returns, no op's memory is touched any more. What was complete may still be polled, what
  /// was not begun canceled; then sessions are freed and the driver is destroyed.
  virtual void stop() noexcept {}
  /// Asynchronous drivers keep the waker until they are destroyed.
  virtual void attach(Waker* /*waker*/) noexcept {}
  /// Random bytes (Caps::Rng), as many as there are now; returns how many. They are tested by the framework, at the start and
  /// always.
  virtual size_t random(std::span<uint8_t> /*out*/) noexcept { return 0; }
};

}  // namespace socrypt::ocf
