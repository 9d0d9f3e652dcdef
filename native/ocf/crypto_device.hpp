// /dev/crypto: sessions of the framework behind a handle that owns them, as user programs get them.
//
// What OpenBSD's device does by ioctl(2) is here a method: CIOCGSESSION openSession(), CIOCFSESSION closeSession(),
// CIOCCRYPT crypt(), CIOCKEY key(). Several ops may be pending: submit() and fetch(). Session ids mean something on
// their own handle only, and end with it. See docs/ocf.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ocf/ocf.hpp"

namespace socrypt::ocf {

/// struct crypt_op: one op over contiguous memory, owned by the caller until it is complete.
struct CryptOp {
  uint32_t session = 0;
  Kind kind = Kind::Null;
  uint8_t ivLength = 0;  // as the session's algorithm has it; 0 where there is none
  uint8_t iv[16] = {};
  uint16_t scheme = 0;              // Sign, VerifySig: a TLS SignatureScheme
  const uint8_t* source = nullptr;  // VerifySig, Sign: the message; Derive: the peer's public value
  uint8_t* destination = nullptr;   // may be `source`
  uint32_t length = 0;
  uint32_t room = 0;                   // at `destination`, for key operations
  std::span<const uint8_t> aad = {};   // VerifySig: the signature
  uint8_t* mac = nullptr;              // a tag's bytes: written by Seal and Mac, read by Open
  void* opaque = nullptr;

  Status status = Status::Ok;
  uint32_t produced = 0;    // bytes of a key operation's result
  CryptOp* next = nullptr;  // the device's, while the op is pending
};

/// CIOCKEY: atomic, no session. The parameters are those of ocf::Kind.
struct KeyOp {
  Kind kind = Kind::ModExp;
  AlgId alg = AlgId::ModExp;
  uint16_t scheme = 0;
  std::span<const uint8_t> key = {};  // Sign, VerifySig, Derive: as for a session
  std::span<const std::span<const uint8_t>> in = {};
  std::span<uint8_t> out = {};
  void* opaque = nullptr;

  Status status = Status::Ok;
  uint32_t produced = 0;
  KeyOp* next = nullptr;
};

class CryptoDevice {
 public:
  /// What a chip of the time took per op; longer ciphers are done in pieces, and in smaller ones where a driver takes less.
  static constexpr uint32_t kMaxPiece = 262'140;
  static constexpr uint32_t kMinPiece = 1024;
  static constexpr size_t kMaxKeyInputs = 8;
  struct Limits {
    uint32_t sessions = 1024;
    uint32_t pending = 256;  // ops submitted and not fetched
  };

  /// Without `allowSoftware`, what only this CPU could do is refused with Invalid (EINVAL), so that the caller does it
  /// himself. `framework` outlives the device.
  explicit CryptoDevice(Framework& framework, bool allowSoftware = false) noexcept : CryptoDevice(framework, allowSoftware, Limits{}) {}
  CryptoDevice(Framework& framework, bool allowSoftware, Limits limits) noexcept;
  CryptoDevice(const CryptoDevice&) = delete;
  CryptoDevice& operator=(const CryptoDevice&) = delete;
  /// Waits for what is pending, then ends every session.
  ~CryptoDevice();

  /// Invalid: nothing but software could serve. Full: `limits.sessions` are open.
  [[nodiscard]] Status openSession(const SessionParams& params, uint32_t& session) noexcept;
  /// Closed, Foreign: no session of this device. Its ops in flight end as usual.
  Status closeSession(uint32_t session) noexcept;
  /// The id of a driver, by its name; for SessionParams::Where::Exact.
  [[nodiscard]] Status find(std::string_view driver, uint32_t& id) const;
  /// Bytes of a session's tag; Closed, Foreign.
  [[nodiscard]] Status tagLength(uint32_t session, uint32_t& length) const noexcept;
  [[nodiscard]] size_t openSessions() const noexcept { return sessions_.size(); }

  /// One op, waited for.
  Status crypt(CryptOp& op) noexcept;
  Status key(KeyOp& op) noexcept;

  /// Takes a prefix and returns its length; fewer than given: fetch() first. An op that is wrong is taken, and comes back
  /// with its error, its data untouched.
  size_t submit(CryptOp* const* ops, size_t n) noexcept;
  [[nodiscard]] bool submit(KeyOp& op) noexcept;
  /// Completed ops, each once; those of submit().
  size_t fetch(CryptOp** done, size_t max) noexcept;
  [[nodiscard]] KeyOp* fetchKey() noexcept;
  /// Ops submitted and not fetched.
  [[nodiscard]] size_t pending() const noexcept { return pending_; }
  /// Ops that a driver still has.
  [[nodiscard]] size_t inFlight() const noexcept { return inFlight_; }
  /// Something is complete and waits for fetch() or fetchKey(): any poll of the framework completes everybody's.
  [[nodiscard]] bool hasDone() const noexcept { return done_.head != nullptr || doneKeys_.head != nullptr; }
  /// Waits until drivers have none; what is complete is still to be fetched.
  void drain() noexcept;

 private:
  struct Request;
  template <class T>
  struct Queue {
    T *head = nullptr, *tail = nullptr;
    void push(T& item) noexcept;
    [[nodiscard]] T* pop() noexcept;
  };

  [[nodiscard]] Status look(uint32_t id, Session*& session) const noexcept;
  [[nodiscard]] SessionParams::Where place(SessionParams::Where wanted) const noexcept;
  [[nodiscard]] Request& take() noexcept;
  [[nodiscard]] Status prepare(Request& request, CryptOp& user) noexcept;
  [[nodiscard]] Status prepare(Request& request, KeyOp& user) noexcept;
  void aimAtPiece(Request& request) noexcept;
  [[nodiscard]] bool goesOn(Request& request) noexcept;
  template <class T>
  [[nodiscard]] Status runAndWait(T& user) noexcept;
  template <class T>
  void start(T& user) noexcept;
  void dispatch(Request& request) noexcept;
  void finish(Request& request, Status status) noexcept;
  Status settle(Request& request, Status status) noexcept;
  void poll() noexcept;
  static void onDone(Op* op);

  Framework& framework_;
  Limits limits_;
  bool allowSoftware_;
  uint32_t number_;
  uint32_t lastSession_ = 0;
  std::unordered_map<uint32_t, SessionHandle> sessions_;
  std::vector<std::unique_ptr<Request>> requests_;
  Request* free_ = nullptr;
  Queue<Request> waiting_;  // for room in the framework
  Queue<CryptOp> done_;
  Queue<KeyOp> doneKeys_;
  size_t pending_ = 0, inFlight_ = 0;
  uint32_t piece_ = kMaxPiece / 16 * 16;  // whole blocks, and what drivers have taken so far
};

}  // namespace socrypt::ocf
