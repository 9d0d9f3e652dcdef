// A world in virtual time: connections, the device, a wire, and faults at every seam between them. What happens
// is a pure function of the plan. Every frame that leaves the device is compared with the oracle.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "nic/lab/capture.hpp"
#include "nic/lab/faults.hpp"
#include "nic/lab/frames.hpp"
#include "nic/lab/stream.hpp"
#include "nic/lab/subject.hpp"
#include "nic/lab/tcp_receiver.hpp"
#include "nic/lab/tcp_sender.hpp"

namespace socrypt::nic::lab {

class Connection;

struct Statistics {
#define STATISTIC(name, help) uint64_t name = 0;
#include "nic/lab/statistics.def"
#undef STATISTIC
};

/// A record as it was seen on the wire, for an opener that shares no code with us.
struct Sample {
  record::TrafficKeys keys;
  uint64_t recordSeq = 0;
  uint8_t type = 0;
  Bytes content;
  Bytes wire;
};

/// When and where a rule did not hold.
struct Finding {
  Violation violation;
  uint64_t packet = 0;
  uint64_t time = 0;  // microseconds
  uint64_t connection = 0;
};

class World final : public FrameSink {
 public:
  explicit World(const Plan& plan);
  ~World() override;

  /// Goes on until packet `packet`, microsecond `until`, a finding, or the end.
  void run(uint64_t packet, uint64_t until);
  /// Ends in front of the first packet behind number `packet`, in the middle of an event if need be.
  void stopBehind(uint64_t packet) noexcept { last_ = packet; }
  /// No further connections begin, no deeds are done; the end is when the last connection is over.
  void windDown();
  void act(const Deed& deed);
  void capture(bool on) noexcept { capturing_ = on; }

  [[nodiscard]] bool over() const noexcept { return finding_.has_value() || stopped_ || (windingDown_ && alive_ == 0); }
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }
  [[nodiscard]] const std::optional<Finding>& finding() const noexcept { return finding_; }
  [[nodiscard]] const Statistics& statistics() const noexcept { return statistics_; }
  [[nodiscard]] const SenderCounts& tcp() const noexcept { return tcp_; }
  /// The device's own, over all its lives.
  [[nodiscard]] std::map<std::string, uint64_t> counters() const;
  [[nodiscard]] const std::vector<Sample>& samples() const noexcept { return samples_; }
  [[nodiscard]] const Capture& captured() const noexcept { return capture_; }
  [[nodiscard]] uint64_t packets() const noexcept { return packets_; }
  [[nodiscard]] uint64_t now() const noexcept { return now_; }

  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override;

 private:
  friend class Connection;
  struct HostFrame {
    Connection* connection = nullptr;
    uint64_t from = 0;
    uint64_t to = 0;
    Built built;
  };
  enum class Kind : uint8_t { HostFrame, FlushHost, FlushOut, Arrival, Answer, SenderTimer, DelayedAnswer, Resume, Fill, SetMss, Deed, Idle, Look, Revive };
  struct Event {
    Kind kind = Kind::Idle;
    Connection* connection = nullptr;
    uint64_t a = 0;
    uint64_t b = 0;
    Acknowledgement answer{};
    bool believable = true;
    std::unique_ptr<HostFrame> frame{};
  };
  struct Due {
    uint64_t at;
    uint64_t order;
    uint32_t slot;
    bool operator<(const Due& other) const noexcept { return at != other.at ? at > other.at : order > other.order; }
  };
  // What the frame is that the device is working on.
  struct Current {
    enum class What : uint8_t { Nothing, Data, Empty, Foreign, Forbidden } what = What::Nothing;
    Connection* connection = nullptr;
    uint64_t from = 0;
    uint64_t to = 0;
    uint16_t segmentSize = 0;
    bool left = false;
    std::span<const uint8_t> expected{};
  };

  Event& schedule(uint64_t at, Kind kind, Connection* connection);
  void dispatch(Event& event);
  void armTimer(Connection& connection);
  void start();
  void makeDevice();
  void collectCounters();
  [[nodiscard]] bool countPacket() noexcept;
  void find(std::string invariant, std::string what, const Connection* connection);

  // From TCP to the device.
  void fromHost(Connection& connection, uint64_t from, uint64_t to);
  void pieceFromHost(Connection& connection, uint64_t from, uint64_t to, const Fate& fate);
  void queueForDevice(std::unique_ptr<HostFrame> frame, uint64_t wait, uint64_t overtaken);
  void flushHost();
  void toDevice(HostFrame& frame);
  void control(Connection& connection, uint8_t flags);
  void noise(Connection& connection);
  void stale(Connection& connection, uint64_t bytes);
  void transmit(Current current, Built& built);

  // From the device to the peer and back.
  void check(std::span<const uint8_t> frame);
  void sample(Connection& connection, uint64_t at, std::span<const uint8_t> payload);
  void out(Connection& connection, uint64_t from, uint64_t to, std::span<const uint8_t> frame);
  void arrive(Connection& connection, uint64_t from, uint64_t to, uint64_t at);
  void flushOut();
  void answer(Connection& connection);
  void intrude(Connection& connection, const Fate& fate);
  void answerArrives(Event& event);
  void record(std::span<const uint8_t> frame);

  void reset(bool again);
  void idle();
  void look();

  const Plan plan_;
  Random random_;
  Statistics statistics_;
  SenderCounts tcp_;
  std::map<std::string, uint64_t> counters_;
  std::optional<Finding> finding_;

  uint64_t now_ = 0;
  uint64_t order_ = 0;
  uint64_t packets_ = 0;
  uint64_t last_ = UINT64_MAX;
  bool stopped_ = false;  // what happens from here on does not count
  std::priority_queue<Due> due_;
  std::vector<Event> events_;
  std::vector<uint32_t> freeEvents_;

  File file_;
  std::unique_ptr<Subject> device_;
  bool dead_ = false;
  uint64_t clockOffset_ = 0;  // milliseconds, of the device's clock
  uint64_t ringFullUntil_ = 0;
  uint64_t outFreeAt_ = 0;
  uint64_t hostFreeAt_ = 0;
  uint64_t backFreeAt_ = 0;
  uint64_t hostReverse_ = 0;  // frames to be turned around, still to come
  std::vector<std::unique_ptr<HostFrame>> heldHost_;
  std::optional<HostFrame> joining_;
  struct Segment {
    Connection* connection;
    uint64_t from;
    uint64_t to;
    uint64_t at;
  };
  std::optional<Segment> heldOut_;
  SeamRules hostRules_;
  SeamRules outRules_;
  SeamRules backRules_;

  std::vector<std::unique_ptr<Connection>> connections_;
  size_t alive_ = 0;
  uint64_t lastId_ = 0;
  uint32_t mtu_ = 0;  // 0: as the plan has it
  bool windingDown_ = false;
  struct Removed {
    FlowKey key;
    uint64_t at;
  };
  std::vector<Removed> removed_;
  std::vector<Path> usedPaths_;

  Current current_;
  Built built_;
  Bytes scratch_;
  Bytes frame_;
  std::string why_;
  bool capturing_ = false;
  Capture capture_;
  std::vector<Sample> samples_;
  struct Sampling {
    Connection* connection;
    uint64_t at;
    Ranges seen;
    Sample sample;
  };
  std::optional<Sampling> sampling_;
};

}  // namespace socrypt::nic::lab
