// One data-plane thread: accepts, owns its sockets from accept to close, carries handshake bytes to
// the control plane, makes and opens records, and answers every HTTP request whose path it knows.
//
// engine.cc     life, loop, accepting, deadlines
// close.cc      how connections end
// control.cc    what the control plane says
// receive.cc    socket -> records -> plaintext
// post_handshake.cc  alerts and handshake messages between the data
// respond.cc    plaintext -> requests -> responses
// answer.cc     the head of a response, and where its body comes from
// transmit.cc   responses -> records -> socket
// offload.cc    which path makes the records (paths/)
// nic.cc        connections that go through the NIC
// nic_routes.cc those whose way to the peer changes
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/access_log.hpp"
#include "engine/cold_reader.hpp"
#include "engine/connection.hpp"
#include "engine/control_channel.hpp"
#include "engine/counters.hpp"
#include "engine/deadlines.hpp"
#include "engine/file_cache.hpp"
#include "engine/messages.hpp"
#include "engine/paths/nic.hpp"
#include "engine/paths/page_pipe.hpp"
#include "engine/paths/accelerator.hpp"
#include "engine/paths/software.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::engine {

/// One read, behind what was left of a record.
inline constexpr size_t kReadBuffer = 64 * 1024 + record::kMaxReceived;

/// How a file gets into the records that the NIC seals.
enum class ZeroCopy : uint8_t {
  Copy,
  Guard,  // by its pages, watched by the changed-file guard
};

enum class OnDeviceLoss : uint8_t {
  Close,
  Software,  // records are sealed here, and what was sent unsealed waits for another device
};

struct EngineOptions {
  std::string host;
  uint16_t port = 0;
  int backlog = 511;
  std::string congestionControl;  // empty: the system's
  uint32_t maxConnections = 10000;
  uint32_t maxHandshakeBytes = 65536;
  uint32_t maxRequestsPerConnection = 0;  // 0: no limit
  uint32_t maxBodyBytes = 65536;
  uint64_t handshakeTimeoutNs = 0, headerTimeoutNs = 0, keepAliveTimeoutNs = 0, writeTimeoutNs = 0;
  http::Limits http;
  CacheLimits cache{};
  size_t cacheFileBytes = 65536;
  bool separateHandshakes = false;  // handshakes have a ControlChannel of their own
  bool keyByOrigin = false;
  uint64_t recordLimit = 0;  // 0: RFC 8446's
  http::LogFormat logFormat = http::LogFormat::Off;
  std::shared_ptr<nic::Nic> nic{};
  bool nicMustRetain = false;  // see NicPath
  ZeroCopy zeroCopy = ZeroCopy::Guard;
  OnDeviceLoss onDeviceLoss = OnDeviceLoss::Software;
  AcceleratorOptions accelerator;  // without drivers: software seals
};

class Engine {
 public:
  Engine(EngineOptions options, std::shared_ptr<AccessLog> log, std::function<void()> wakeControl);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // ── from the control plane's thread ──

  /// Binds and listens; 0, or an errno, and `call` says of which system call. `port()` tells the port then.
  int listen(const char** call);
  [[nodiscard]] uint16_t port() const noexcept { return options_.port; }
  /// False when a crypto driver could not be had, or gave wrong answers: `why` says which.
  [[nodiscard]] bool start(std::string& why);
  /// Copies whole messages from the engine into `into`; returns the bytes used.
  size_t poll(std::span<uint8_t> into) { return control_->poll(into); }
  /// Takes whole messages from `messages`; returns how many bytes were taken.
  size_t submit(std::span<const uint8_t> messages) { return control_->submit(messages); }
  /// For the thread that answers handshakes and what comes after them; empty unless options.separateHandshakes.
  [[nodiscard]] std::shared_ptr<ControlChannel> handshakes() const noexcept { return separate_; }
  void drain(uint64_t deadlineNs);
  void stop();
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  /// Drivers of the accelerator path and the software that helps them, as they were a moment ago; of any thread.
  [[nodiscard]] std::vector<ocf::DriverInfo> drivers() const { return report_.read(); }

 private:
  // engine.cc
  [[nodiscard]] bool attachDrivers(std::string& why);
  void run();
  void loopOnce();
  void announce();
  void accept();
  bool refuseForLackOfDescriptors();
  void watchListener(bool watch);
  void setGauge(Connection& c, Gauge gauge);
  void updateDeadline(Connection& c, bool progress);
  void enqueue(Connection& c);
  [[nodiscard]] Connection* find(uint64_t id) noexcept;

  // close.cc
  void destroy(Connection& c, Counter reason);
  void beginClose(Connection& c, bool notify, Counter reason);
  void abort(Connection& c, record::Alert alert, Counter reason);
  void finishClose(Connection& c);
  void onDeadline(Connection& c, Deadline kind);
  void beginDrain();

  // control.cc
  void takeMessages();
  void onMessage(std::span<uint8_t> message);
  void onEstablish(Connection& c, MessageReader& reader);
  void onResolve(uint64_t token, MessageReader& reader);
  void resumeReceive(Connection& c);
  bool keepBlob(Connection& c, std::span<const uint8_t> blob);
  /// Sends a message up whose body is written by `write(MessageWriter&)`; false when the ring is full.
  template <typename Write>
  bool sendUp(Up type, uint64_t id, size_t bodyLength, Write&& write) {
    ControlChannel& channel = separate_ && aboutHandshakes(type) ? *separate_ : *control_;
    if (channel.send(type, id, bodyLength, std::forward<Write>(write))) return true;
    counters_.add(Counter::ring_full);
    return false;
  }
  /// What the thread that detached from `separate_` did not answer is ended.
  void endAbandoned();
  void notice(Notice what, int error);
  void retryBlocked();

  // receive.cc
  void onReadable(Connection& c);
  [[nodiscard]] bool mayRead(const Connection& c) const noexcept;
  void onHandshakeBytes(Connection& c, std::span<uint8_t> bytes);
  bool passHandshakeBytes(Connection& c, std::span<const uint8_t> bytes);
  void openRecords(Connection& c, std::span<uint8_t> bytes);
  struct Received {
    size_t plain = 0;  // bytes of application data
    bool ended = false;   // nothing more is to be done for the connection
    bool failed = false;  // and `alert` is owed to the peer
    record::Alert alert = record::Alert::InternalError;
    void refuse(record::Alert why) noexcept {
      failed = true;
      alert = why;
    }
  };
  template <typename Next>
  void takeRecords(Connection& c, uint8_t* to, Received& received, Next next);
  void serveReceived(Connection& c, std::span<uint8_t> plain, const Received& received);
  bool openLater(Connection& c, std::span<const uint8_t> bytes);
  void onOpened(Connection& c, Burst& burst);
  void continueReceive(Connection& c);
  /// Refused: the peer is owed unexpected_message. Ended: nothing more is to be done for the connection.
  enum class Verdict : uint8_t { GoOn, Refused, Ended };
  Verdict onControlRecord(Connection& c, const record::RecordReader::Opened& opened);
  void onEndOfStream(Connection& c);

  // post_handshake.cc
  bool onAlert(Connection& c, std::span<const uint8_t> content);
  bool onHandshakeRecord(Connection& c, std::span<const uint8_t> content);
  bool passPostHandshake(Connection& c, std::span<const uint8_t> content);
  bool refuseRenegotiation(Connection& c, std::span<const uint8_t> content);
  [[nodiscard]] bool affordControl(Connection& c) noexcept;
  void sendHandshake(Connection& c, std::span<const uint8_t> content);

  // respond.cc
  /// Serves what it can of the plaintext at hand and of what waits in `c.plain`.
  void serve(Connection& c, std::span<uint8_t> fresh);
  /// Begins the next response from the cursor; false when there is none to begin now.
  bool nextResponse(Connection& c);
  bool ask(Connection& c, const http::Request& request, std::string_view key);
  void finishResponse(Connection& c);
  void recycleResponse(Connection& c);
  void countResponse(uint16_t status);
  [[nodiscard]] std::string_view dateField();

  // answer.cc
  bool answer(Connection& c, const http::Request& request, const EntryRef& entry);
  bool answerFile(Connection& c, const http::Request& request, const EntryRef& entry);
  void answerError(Connection& c, const http::Request* request, uint16_t status, std::string_view extra = {});
  Response& beginResponse(Connection& c, const http::Request* request, uint16_t status);
  void closeHead(Connection& c, Response& response, const http::Request* request, bool close);
  void onColdError(Connection& c);
  bool loadSmall(Connection& c, Entry& entry, Variant& variant, bool& cold);

  // transmit.cc
  void pump(Connection& c);
  /// Fills slots_, which lie in `room`, from responses; returns how many slots have a payload.
  size_t fill(Connection& c, OffloadPath::Room room);
  bool flush(Connection& c);
  /// Sends bytes that are records already; keeps what the socket does not take.
  bool transmit(Connection& c, std::span<const uint8_t> bytes);
  bool sendControl(Connection& c, record::ContentType type, std::span<const uint8_t> content);
  [[nodiscard]] bool keyNearlyUsedUp(const Connection& c) const noexcept;
  void checkUsage(Connection& c);
  [[nodiscard]] size_t batch() const noexcept;

  // offload.cc
  bool takeKeys(Connection& c, Direction direction, const record::TrafficKeys& keys);
  void setPath(Connection& c, Direction direction, OffloadPath* path);
  bool emit(Connection& c, record::ContentType type, std::span<const record::Slot> slots);
  /// What the accelerator has done meanwhile.
  void harvestOffload();
  void admitDrivers();
  void answerDrivers();
  void preferDrivers() noexcept;
  void onAttachDriver(uint64_t token, MessageReader& reader);
  void onWithdrawDriver(uint64_t token, MessageReader& reader);
  void onAcceleratorsChanged();

  // nic_routes.cc
  void onRoutesChanged();
  void lookAtRoutes();
  void followRoute(Connection& c);
  [[nodiscard]] bool mayLeave(Connection& c);

  // nic.cc
  void attachNic();
  void nicTurn();
  void onNicChanged();
  void pauseNic(bool pause);
  void movePath(Connection& c);
  void leaveNic(Connection& c, WhyNot why);
  void joinLater(Connection& c, WhyNot why);
  void joinNow();
  void joinSoon(Connection& c);
  void joinWaiting();
  bool mayJoin(Connection& c);
  void watchFlow(Connection& c);
  bool lookAtFlow(Connection& c);
  bool owesAcknowledgement(Connection& c);
  [[nodiscard]] bool pagesWanted(const Connection& c) const noexcept;
  [[nodiscard]] static uint64_t copiedBeforePages(const Connection& c, uint64_t small) noexcept;
  bool beginPages(Connection& c);
  bool writeBurst(Connection& c);
  bool flushNic(Connection& c);

  EngineOptions options_;
  std::shared_ptr<AccessLog> accessLog_;
  AccessLog::Producer* log_ = nullptr;
  Counters counters_;
  ocf::Framework framework_;
  ocf::DriverReport report_;
  Deadlines deadlines_;
  FileCache cache_;

  std::shared_ptr<Doorbell> doorbell_;
  std::shared_ptr<ControlChannel> control_, separate_;
  std::atomic<bool> stopping_{false}, drainAsked_{false};
  std::atomic<uint64_t> drainDeadline_{0};

  Descriptor listener_, epoll_, reserve_;
  std::thread thread_;

  uint64_t now_ = 0;  // monotonic nanoseconds, read once per turn of the loop
  uint64_t drainUntil_ = UINT64_MAX;
  uint64_t acceptAgainAt_ = UINT64_MAX;  // the listener rests until then
  bool draining_ = false, drainedSaid_ = false, descriptorsShort_ = false;
  uint64_t descriptorsShortAt_ = 0;
  std::unique_ptr<PagePipes> pagePipes_;  // none: files are copied; connections have some of them
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<uint32_t> freeSlots_;
  std::vector<uint32_t> generations_;
  std::vector<std::unique_ptr<Connection>> graveyard_;  // freed at the end of a turn
  uint32_t live_ = 0;
  std::vector<uint64_t> ready_, readyNow_;
  std::vector<uint64_t> blocked_;
  std::vector<ColdReader::Done> coldDone_;
  std::vector<std::unique_ptr<Response>> spareResponses_;

  struct Pending {
    std::string key;
    std::vector<uint64_t> waiters;
  };
  std::unordered_map<uint64_t, Pending> pending_;
  std::unordered_map<std::string, uint64_t> pendingKeys_;
  uint64_t nextToken_ = 1;

  struct Page {
    std::string headers, body;
  };
  std::unordered_map<uint16_t, Page> errorPages_;

  std::span<uint8_t> cursor_;  // plaintext that serve() works on
  std::unique_ptr<uint8_t[]> readBuffer_, outBuffer_;
  static constexpr size_t kSlots = 16;
  std::array<record::Slot, kSlots> slots_{};
  SoftwarePath software_;
  std::unique_ptr<AcceleratorPath> accelerator_;
  std::unique_ptr<DriverAdmission> admission_;  // with accelerator_
  uint32_t softwareDriver_ = 0;
  struct Leaving {
    uint64_t token;
    uint32_t driver;
  };
  std::vector<Leaving> leaving_;  // drivers that were withdrawn and still have something
  struct DriverAnswer {
    uint64_t token;
    uint32_t driver;
    std::string why;
  };
  std::deque<DriverAnswer> driverAnswers_;  // for the ring
  std::vector<uint64_t> starvedNow_;
  std::vector<OffloadPath*> paths_;  // the best first, software last
  std::unique_ptr<NicPath> nic_;
  std::vector<uint64_t> nicWatched_;  // something of theirs is not acknowledged
  uint64_t nicTickAt_ = UINT64_MAX;
  struct NicWaiting {
    uint64_t id;
    uint64_t at;     // when the NIC is asked again
    uint64_t pause;  // and how long after that, if it refuses
  };
  std::vector<NicWaiting> nicWaiting_;  // connections that software seals for, since the NIC could not take them
  uint64_t nicJoinAt_ = UINT64_MAX;  // the earliest of them
  std::optional<nic::RouteMonitor> nicRoutes_;
  uint64_t nicRoutesAt_ = UINT64_MAX;  // when connections are asked for their ways
  uint64_t nicRoutesBy_ = UINT64_MAX;  // and not later, however often routes change
  size_t nicLookedAt_ = 0;             // the next of them
  std::shared_ptr<std::atomic<bool>> nicChanged_;
  std::shared_ptr<void> nicWatch_;
  std::string keyScratch_;
  char date_[37];
  int64_t dateSecond_ = -1;
  int64_t wallMs_ = 0;
  ColdReader coldReader_;  // last: its threads end, and wake no engine any more, before anything else does
};

}  // namespace socrypt::engine
