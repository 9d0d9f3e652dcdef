// Records sealed and opened by drivers of the crypto framework that are not this thread: in bursts, several records of
// a connection in flight, delivered in the order of the stream.
//
// The engine never waits for one. It builds the next burst while others are under way, sleeps on the framework's
// wakeFd(), and is given back, by next(), what is done. Which driver does an op, whether it moves to another one when
// its driver is full, dies or lies, and when software is the better choice, is the framework's affair; its sessions own
// the keys. Here is the order, the memory, and what happens to records whose connection is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/connection.hpp"
#include "engine/paths/burst.hpp"
#include "engine/driver_admission.hpp"
#include "engine/paths/path.hpp"
#include "ocf/driver_report.hpp"

namespace socrypt::engine {

/// What an engine is told of accelerators.
struct AcceleratorOptions {
  /// Makes one driver; called in the engine's thread. nullptr, and `why`: there is none.
  using Maker = std::function<std::unique_ptr<ocf::Driver>(std::string& why)>;
  std::vector<Maker> drivers;
  /// Makes those that are attached later, by name; called in a thread of its own.
  DriverAdmission::Maker byName;
  ocf::Policy policy;
  /// Records of one connection and direction that are under way, at most.
  uint32_t recordsInFlight = 32;
  /// Memory of all bursts of this engine, in bytes.
  uint64_t memory = 64u << 20;
  /// No drivers: the software driver does it, in this thread. For tests, and for what the path itself costs.
  bool inThread = false;
};

class AcceleratorPath final : public OffloadPath {
 public:
  /// `drivers` are ids of the framework's.
  AcceleratorPath(ocf::Framework& framework, std::vector<uint32_t> drivers, Counters& counters, ocf::DriverReport& report, const AcceleratorOptions& options);
  /// After stop().
  ~AcceleratorPath() override;

  WhyNot take(Connection& c, Direction direction, const record::TrafficKeys& keys) override;
  void forget(Connection& c, Direction direction) noexcept override;
  Room room(Connection& c) override;
  uint8_t* controlRoom(Connection& c, size_t bytes) override;
  Made make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) override;
  [[nodiscard]] bool opensLater() const noexcept override { return true; }
  Later openLater(Connection& c, std::span<const uint8_t> bytes) override;

  /// Dispatches what was gathered since. At the end of a turn, or bursts of many connections are not one for a driver.
  void flush() noexcept;
  /// Looks for what is done.
  void poll() noexcept;
  /// The next burst that is done, all before it in its connection's direction having been given out; it is in no queue
  /// any more, and to be given back. nullptr: there is none now.
  [[nodiscard]] Burst* next() noexcept;
  void release(Burst* burst) noexcept { pool_.release(burst); }
  /// next() or takeStarved() has something.
  [[nodiscard]] bool hasNext() const noexcept { return doneFirst_ != nullptr || (!starved_.empty() && hasRoom()); }
  /// Connections that got no memory, and should try again; each is told of once.
  void takeStarved(std::vector<uint64_t>& ids) noexcept;
  /// Ops are under way, or wait for a driver that takes them.
  [[nodiscard]] bool busy() const noexcept { return waiting() != 0 || framework_.pending() != 0; }
  [[nodiscard]] int wakeFd() noexcept { return framework_.wakeFd(); }
  /// Drivers come and go while connections are open; the next review() says what that means for them. Those that
  /// withdraw() takes back are gone some time after, see has().
  void add(uint32_t driver);
  ocf::Status withdraw(uint32_t driver, uint64_t deadlineNs) noexcept;
  ocf::Status withdraw(uint32_t driver, ocf::AlgId alg) noexcept;
  [[nodiscard]] bool has(uint32_t driver) const noexcept { return !framework_.driverName(driver).empty(); }

  /// Looks after the drivers, a few times a second: counts what they did, and says whether some suite has a driver now and
  /// had none before, or the other way round.
  [[nodiscard]] bool review(uint64_t now) noexcept;
  /// Something was done since; it will be told of by a review, after at most so many milliseconds.
  [[nodiscard]] bool unreviewed() const noexcept { return touched_; }
  static constexpr int kReviewMs = 50;
  [[nodiscard]] bool anybody() const noexcept { return running_ != 0 || inThread_; }
  /// As of the last review.
  [[nodiscard]] bool serves(record::Suite suite) const noexcept;
  /// A direction of a connection whose records software made, one by one, goes on here under the same keys. False: no
  /// driver took them, and nothing has changed.
  [[nodiscard]] bool adopt(Connection& c, Direction direction);
  /// The same path for as long as no accelerator is left, and software does all of it.
  [[nodiscard]] OffloadPath& bypass() noexcept { return bypass_; }
  /// The end of the engine: takes the drivers back, and returns when no op is under way. Nothing is to be dispatched
  /// afterwards.
  void stop() noexcept;

 private:
  class Bypass final : public OffloadPath {
   public:
    explicit Bypass(AcceleratorPath& path) noexcept : OffloadPath(PathKind::Software), path_(path) {}
    WhyNot take(Connection& c, Direction direction, const record::TrafficKeys& keys) override { return path_.take(c, direction, keys); }
    void forget(Connection& c, Direction direction) noexcept override { path_.forget(c, direction); }
    Room room(Connection& c) override { return path_.room(c); }
    uint8_t* controlRoom(Connection& c, size_t bytes) override { return path_.controlRoom(c, bytes); }
    Made make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) override { return path_.make(c, type, slots); }
    [[nodiscard]] bool opensLater() const noexcept override { return true; }
    Later openLater(Connection& c, std::span<const uint8_t> bytes) override { return path_.openLater(c, bytes); }

   private:
    AcceleratorPath& path_;
  };

  [[nodiscard]] bool offered(record::Suite suite) noexcept;
  [[nodiscard]] static BurstQueue& queueOf(Connection& c, Direction direction) noexcept {
    return direction == Direction::Tx ? c.txBursts : c.rxBursts;
  }
  [[nodiscard]] bool hasRoom() const noexcept { return filling_ != nullptr || pool_.hasRoom(); }
  [[nodiscard]] size_t waiting() const noexcept { return gathered_.size() - dispatched_; }
  void begin(Burst& burst, Connection& c, Direction direction, ocf::Session* session) noexcept;
  void complete(ocf::Op& op) noexcept;
  void look() noexcept;
  void list(Burst& burst) noexcept;
  void unlist(Burst& burst) noexcept;
  void starve(Connection& c);
  [[nodiscard]] bool ours(uint32_t driver) const noexcept;

  ocf::Framework& framework_;
  std::vector<uint32_t> drivers_;
  const uint32_t inFlight_;     // records per connection and direction
  const uint32_t perBurst_;
  BurstPool pool_;
  Burst* filling_ = nullptr;    // what room() gave
  Burst* control_ = nullptr;    // what controlRoom() gave
  std::vector<ocf::Op*> gathered_;
  size_t dispatched_ = 0;       // so many of gathered_ are no longer ours
  std::vector<ocf::SessionHandle> retired_;  // of old keys, until their last record was dispatched
  Burst *doneFirst_ = nullptr, *doneLast_ = nullptr;  // each the first of its connection's queue
  std::vector<uint64_t> starved_;
  Counters& counters_;
  const bool inThread_;
  struct Done {
    uint64_t ops = 0, rescued = 0, wrong = 0;
  };
  std::vector<std::pair<uint32_t, Done>> done_;  // by driver, as of the last review
  Done gone_;                                    // of those that are no more
  size_t running_ = 0;
  uint32_t served_ = 0;  // a bit for each algorithm of records
  uint64_t reviewedAt_ = 0;
  bool touched_ = false;
  ocf::DriverReport& report_;
  Bypass bypass_{*this};
};

}  // namespace socrypt::engine
