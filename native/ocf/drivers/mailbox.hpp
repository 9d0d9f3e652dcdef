// A driver whose work is done by somebody else of the framework's own thread, later: ops lie in a mailbox until they are
// taken, and are complete when they were answered. The addon puts drivers written in JavaScript behind it, which must
// not run inside submit() or poll().
//
// Whoever answers never sees the ops' memory: inputs are copied out when an op is taken, results in when it is answered.
// So an answer that comes twice, late, for an op that has long gone elsewhere, or never, harms nobody.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ocf/driver.hpp"

namespace socrypt::ocf {

class MailboxDriver final : public Driver {
 public:
  struct Offer {
    AlgId alg, mac;
    int rank;
    Cost cost;
  };
  MailboxDriver(std::string name, const Caps& caps, std::vector<Offer> offers);
  ~MailboxDriver() override;

  // ── for whoever does the work ──

  /// A session as it was opened, with its keys; wiped when they were told.
  struct Opened {
    uint32_t number;
    struct Part {
      AlgId id;
      uint8_t tagLen;
      std::vector<uint8_t> key;
    };
    std::vector<Part> chain;
  };
  struct Taken {
    uint64_t token;
    uint32_t session;
    const Op* op;
  };
  /// Sessions that were opened and closed since it was asked last; keys are the caller's to wipe.
  [[nodiscard]] std::vector<Opened> opened();
  [[nodiscard]] std::vector<uint32_t> closed();
  /// Ops that nobody has taken yet, all of them. The pointers are good until the next call of anything.
  void take(std::vector<Taken>& into);
  /// The input as a whole, for symmetric ops payload and then, for Open, the tag.
  [[nodiscard]] static std::vector<uint8_t> inputOf(const Op& op);
  /// Bytes of a symmetric op's result, tag included.
  [[nodiscard]] static size_t resultLength(const Op& op) noexcept;
  enum class Answer : uint8_t { Taken, Unknown, WrongLength };
  /// The op's end, with its results when it is Ok: one of a symmetric op, one per output of a key operation. Unknown: it was
  /// answered before, or is done elsewhere. WrongLength: it ends with Canceled, as it does when it is to go elsewhere.
  Answer answer(uint64_t token, Status status, std::span<const std::span<const uint8_t>> results) noexcept;
  /// Whether there is something to take.
  [[nodiscard]] bool waiting() const noexcept { return !queue_.empty(); }
  /// Nobody is left to do the work: everything goes elsewhere.
  void abandon() noexcept;
  /// The driver may be destroyed before whoever does the work: then this is false.
  [[nodiscard]] std::weak_ptr<const bool> alive() const noexcept { return alive_; }

  // ── Driver ──

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] const Caps& caps() const noexcept override { return caps_; }
  [[nodiscard]] int probe(const SessionParams& params, Cost& cost) const noexcept override;
  [[nodiscard]] size_t sessionBytes(const SessionParams&) const noexcept override { return sizeof(uint32_t); }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override;
  void freeSession(std::span<std::byte> priv) noexcept override;
  size_t submit(Op* const* ops, size_t n, bool more) noexcept override;
  size_t poll(Op** done, size_t max, bool flush) noexcept override;
  size_t cancel(Op** back, size_t max) noexcept override;
  void stop() noexcept override;
  void attach(Waker* waker) noexcept override { waker_ = waker; }

 private:
  struct Done {
    Op* op;
    Status status;
  };
  std::string name_;
  Caps caps_;
  std::vector<Offer> offers_;
  Waker* waker_ = nullptr;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  std::vector<Opened> opened_;
  std::vector<uint32_t> closed_;
  std::deque<Op*> queue_;          // accepted, not taken
  std::map<uint64_t, Op*> taken_;  // by token, in the order in which they were taken
  std::deque<Done> done_;
  uint64_t lastToken_ = 0;
  uint32_t lastSession_ = 0;
  bool stopped_ = false;
};

}  // namespace socrypt::ocf
