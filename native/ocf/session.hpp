// Virtual sessions: what a consumer opens. A session owns its keys and binds to the drivers that work
// for it when it needs them.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "ocf/driver.hpp"

namespace socrypt::ocf {

class Framework;
struct SessionClass;

/// Reached through a SessionHandle; a driver sees it as `Op::ses`.
class Session {
 public:
  /// Changes with a migration that the consumer asked to be told of (Policy::transparent).
  [[nodiscard]] uint32_t id() const noexcept { return id_; }
  /// Counts migrations.
  [[nodiscard]] uint32_t generation() const noexcept { return generation_; }
  [[nodiscard]] uint32_t inFlight() const noexcept { return inFlight_; }
  [[nodiscard]] AlgId alg() const noexcept { return alg_; }
  /// The second algorithm of a chain; Null when there is none.
  [[nodiscard]] AlgId mac() const noexcept { return mac_; }
  [[nodiscard]] uint8_t tagLength() const noexcept { return tagLength_; }
  [[nodiscard]] uint32_t boundDrivers() const noexcept;

 private:
  friend class Framework;
  friend class Examiner;
  friend class SessionHandle;
  Session() = default;

  // Set while exactly one driver is in question, and synchronous: ops go straight there. With `shared_`, those do that are
  // few and short enough, see Framework::straight().
  Unit* direct_ = nullptr;
  Framework* framework_ = nullptr;  // not first: of a slot that is free all but the first word is zero, hence Closed
  std::byte* directPriv_ = nullptr;
  Binding* bindings_ = nullptr;
  SessionClass* class_ = nullptr;
  uint32_t id_ = 0;
  AlgId alg_ = AlgId::Aes128Gcm;
  AlgId mac_ = AlgId::Null;
  uint8_t tagLength_ = 16;
  uint8_t ivLength_ = 12;
  bool ordered_ = false;
  bool closed_ = false;
  bool aimed_ = false;  // direct_ is what it should be
  bool moved_ = false;  // its driver went away, and nobody was told yet
  bool shared_ = false;  // with drivers that work elsewhere
  uint8_t algs_ = 1;
  uint16_t keyBytes_[2] = {};
  uint32_t slotBytes_ = 0;
  // The second cache line: what an op that goes straight to its driver does not need.
  uint32_t generation_ = 0;
  uint32_t inFlight_ = 0;  // accepted and not reported
  uint32_t ready_ = 0;     // of an ordered session: complete and not reported
  Session *next_ = nullptr, *previous_ = nullptr;  // all sessions of the framework
  Op *oldest_ = nullptr, *newest_ = nullptr;       // of an ordered session, in order of dispatch
  // Of a chain that no driver has: one session per algorithm.
  Session* stages_[2] = {};
  // The keys follow. They stay with the session, not with a driver, so that it can be bound anew.
  [[nodiscard]] uint8_t* keys() noexcept { return reinterpret_cast<uint8_t*>(this + 1); }
};
static_assert(sizeof(Session) <= 128, "the header is two cache lines");

/// Owns a session: closes it when it goes. Keys and private state are zeroised then, or with the last
/// op in flight. Must not outlive its Framework.
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
  friend class Examiner;
  explicit SessionHandle(Session* session) noexcept : session_(session) {}
  Session* session_ = nullptr;
};

}  // namespace socrypt::ocf
