#include "engine/engine.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <future>

#include "ocf/drivers/soft.hpp"
#include "ocf/time_slice.hpp"

namespace socrypt::engine {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kLingerNs = 2 * kSecond;
constexpr uint64_t kMinRecordLimit = 16;
constexpr int kAcceptsPerTurn = 64;
constexpr uint64_t kAcceptPauseNs = kSecond / 10;
constexpr uint64_t kListenerEvent = UINT64_MAX, kWakeEvent = UINT64_MAX - 1, kOffloadEvent = UINT64_MAX - 2, kRoutesEvent = UINT64_MAX - 3;
// How long a driver that says nothing goes unasked: deadlines of its own are noticed by asking.
constexpr int kOffloadWaitMs = 20;

uint64_t clockNs(clockid_t clock) noexcept {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace

Engine::Engine(EngineOptions options, std::shared_ptr<AccessLog> log, std::function<void()> wakeControl)
    : options_(std::move(options)),
      accessLog_(std::move(log)),
      cache_(options_.cache, counters_),
      doorbell_(std::make_shared<Doorbell>()),
      control_(std::make_shared<ControlChannel>(doorbell_)),
      separate_(options_.separateHandshakes ? std::make_shared<ControlChannel>(doorbell_) : nullptr),
      readBuffer_(std::make_unique_for_overwrite<uint8_t[]>(kReadBuffer)),
      outBuffer_(std::make_unique_for_overwrite<uint8_t[]>(kSlots * record::kMaxRecord)),
      software_(outBuffer_.get(), kSlots),
      paths_{&software_},
      coldReader_([this] { doorbell_->ring(); }) {
  control_->attach(std::move(wakeControl));
  attachNic();
  if (accessLog_) log_ = accessLog_->producer();
  // With fewer there would be none left for data (transmit.cc keeps some back).
  if (options_.recordLimit != 0) options_.recordLimit = std::max(options_.recordLimit, kMinRecordLimit);
  // No more than the cache takes into its account (FileCache::charge).
  options_.cacheFileBytes = std::min(options_.cacheFileBytes, options_.cache.bytes / 4);
  deadlines_.setDuration(Deadline::Handshake, options_.handshakeTimeoutNs);
  deadlines_.setDuration(Deadline::Header, options_.headerTimeoutNs);
  deadlines_.setDuration(Deadline::KeepAlive, options_.keepAliveTimeoutNs);
  deadlines_.setDuration(Deadline::Write, options_.writeTimeoutNs);
  deadlines_.setDuration(Deadline::Linger, kLingerNs);
  counters_.set(Counter::buffer_bytes_allocated, kReadBuffer + kSlots * record::kMaxRecord + (separate_ ? 4 : 2) * ControlChannel::kRing);
}

Engine::~Engine() {
  stop();
  // Of an engine that never ran: descriptors in messages are closed with them.
  takeMessages();
}

int Engine::listen(const char** call) {
  *call = "listen";
  // All that the loop needs, while there is somebody to tell.
  if (doorbell_->fd() < 0) return EMFILE;
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return errno;
  reserve_.reset(fcntl(doorbell_->fd(), F_DUPFD_CLOEXEC, 0));
  if (!reserve_) return errno;

  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(options_.host.c_str(), nullptr, &hints, &found) != 0) return EINVAL;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);

  Descriptor fd(socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  const int on = 1, off = 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return errno;
  if (const auto& name = options_.congestionControl; !name.empty()) {
    // Connections inherit it from their listener.
    *call = "setsockopt(TCP_CONGESTION)";
    if (setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) != 0) return errno;
    *call = "listen";
  }
  if (found->ai_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);

  sockaddr_storage address{};
  std::memcpy(&address, found->ai_addr, found->ai_addrlen);
  if (found->ai_family == AF_INET6)
    reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = htons(options_.port);
  else
    reinterpret_cast<sockaddr_in*>(&address)->sin_port = htons(options_.port);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), found->ai_addrlen) != 0) return errno;
  if (::listen(fd.get(), options_.backlog) != 0) return errno;
  socklen_t length = sizeof address;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return errno;
  options_.port = ntohs(found->ai_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                                     : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  listener_ = std::move(fd);
  return 0;
}

bool Engine::start(std::string& why) {
  const auto attached = std::make_shared<std::promise<bool>>();
  // Drivers belong to the thread that calls them, from the first call on.
  thread_ = std::thread([this, attached, &why] {
    const bool good = attachDrivers(why);
    attached->set_value(good);
    if (good) run();
  });
  if (attached->get_future().get()) return true;
  thread_.join();
  return false;
}

bool Engine::attachDrivers(std::string& why) {
  ocf::Status status = ocf::Status::Ok;
  softwareDriver_ = framework_.attach(ocf::makeSoftDriver(), &status);
  if (softwareDriver_ == 0) {
    why = "the software driver gave wrong answers to its known-answer tests on this machine";
    return false;
  }
  std::vector<uint32_t> drivers;
  for (const auto& make : options_.accelerator.drivers) {
    auto driver = make(why);
    if (driver == nullptr) return false;
    const std::string name(driver->name());
    ocf::Framework::Examined examined = framework_.examineApart(std::move(driver), &status);
    why = whyNotServing(name, status, examined.offers);
    if (!why.empty()) return false;
    drivers.push_back(framework_.attach(std::move(examined), &status));
  }
  if (drivers.empty() && !options_.accelerator.inThread) return true;
  framework_.setPolicy(options_.accelerator.policy);
  if (!drivers.empty()) preferDrivers();
  accelerator_ = std::make_unique<AcceleratorPath>(framework_, std::move(drivers), counters_, report_, options_.accelerator);
  paths_.insert(paths_.begin(), accelerator_.get());
  admission_ = std::make_unique<DriverAdmission>(framework_, options_.accelerator.byName, [this] { doorbell_->ring(); });
  return true;
}

void Engine::drain(uint64_t deadlineNs) {
  drainDeadline_.store(deadlineNs, std::memory_order_relaxed);
  drainAsked_.store(true, std::memory_order_release);
  doorbell_->ring();
}

void Engine::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  doorbell_->ring();
  thread_.join();
}

// ── the engine's thread ──

void Engine::run() {
  pthread_setname_np(pthread_self(), "socrypt-engine");
  // Where it shares a core with the control plane, every packet would wake it in the middle of a handshake, to pass on one
  // message. As a batch thread (sched(7)) it finds those of several connections when its turn comes; on a core of its own
  // nothing changes. Needs no rights; where it is refused, nothing is lost but that.
  ocf::askForSlice(ocf::kUsualSlice, true);

  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListenerEvent;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event);
  event.data.u64 = kWakeEvent;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, doorbell_->fd(), &event);
  if (nicRoutes_ && nicRoutes_->opened()) {
    event.data.u64 = kRoutesEvent;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, nicRoutes_->descriptor(), &event);
  }
  if (accelerator_) {
    event.data.u64 = kOffloadEvent;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, accelerator_->wakeFd(), &event);
  }

  while (!stopping_.load(std::memory_order_acquire)) loopOnce();

  for (auto& connection : connections_)
    if (connection) destroy(*connection, Counter::closed_drain);
  admission_.reset();
  if (accelerator_) accelerator_->stop();
  graveyard_.clear();
  if (nic_) nic_->releaseForgotten();
  announce();
  pending_.clear();
  // Descriptors in messages that came too late are closed with what they belong to.
  takeMessages();
  cache_.flush();
  listener_.reset();
}

void Engine::loopOnce() {
  epoll_event events[256];
  int timeout = -1;
  if (!ready_.empty() || (accelerator_ && accelerator_->hasNext())) {
    timeout = 0;
  } else {
    const uint64_t next = std::min({deadlines_.nearest(), drainUntil_, acceptAgainAt_, nicTickAt_, nicJoinAt_, nicRoutesAt_});
    if (next != UINT64_MAX) {
      const uint64_t now = clockNs(CLOCK_MONOTONIC);
      timeout = next <= now ? 0 : static_cast<int>(std::min<uint64_t>((next - now) / 1'000'000 + 1, 60'000));
    }
    if (accelerator_ && accelerator_->busy() && (timeout < 0 || timeout > kOffloadWaitMs)) timeout = kOffloadWaitMs;
    if (accelerator_ && accelerator_->unreviewed() && (timeout < 0 || timeout > AcceleratorPath::kReviewMs)) timeout = AcceleratorPath::kReviewMs;
    // An exchange, here and in poll(): what the other side published before its own exchange is seen after it.
    doorbell_->fallAsleep();
    if (!control_->empty() || (separate_ && !separate_->empty())) timeout = 0;
  }
  const int count = epoll_wait(epoll_.get(), events, static_cast<int>(std::size(events)), timeout);
  doorbell_->awake();
  now_ = clockNs(CLOCK_MONOTONIC);
  wallMs_ = static_cast<int64_t>(clockNs(CLOCK_REALTIME_COARSE) / 1'000'000);

  // Before the sockets: what the control plane changed a moment ago holds for every request read now.
  takeMessages();
  if (separate_ && separate_->takeAbandoned()) endAbandoned();
  bool acceptable = false;
  for (int i = 0; i < count; ++i) {
    const uint64_t id = events[i].data.u64;
    if (id == kListenerEvent) {
      acceptable = true;
    } else if (id == kOffloadEvent) {
      // Looked at below, whatever woke us.
    } else if (id == kRoutesEvent) {
      onRoutesChanged();
    } else if (id == kWakeEvent) {
      uint64_t ignored;
      [[maybe_unused]] const auto n = read(doorbell_->fd(), &ignored, sizeof ignored);
    } else if (Connection* c = find(id)) {
      const uint32_t what = events[i].events;
      // TLS has no urgent data. A byte out of band is missing in its record, and a read stops where it was: what is behind
      // it would look like an empty socket.
      if ((what & EPOLLPRI) != 0 && c->phase != Phase::Linger) {
        if (c->phase == Phase::Open) abort(*c, record::Alert::UnexpectedMessage, Counter::closed_error);
        else destroy(*c, Counter::closed_handshake);
        continue;
      }
      if ((what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        c->readable = true;
        if ((what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) c->hungUp = true;
        onReadable(*c);
      }
      if ((what & EPOLLOUT) != 0 && !c->dead && (!c->sent() || c->closing)) serve(*c, {});
    }
  }
  if (admission_ && admission_->hasDone()) admitDrivers();
  if (accelerator_) harvestOffload();
  if (!leaving_.empty() || !driverAnswers_.empty()) answerDrivers();
  coldReader_.harvest(coldDone_);
  for (const auto& done : coldDone_) {
    if (Connection* c = find(done.connection)) {
      c->cold = false;
      // Not tried again: RWF_NOWAIT says EAGAIN, and never the error, of a page that cannot be read.
      if (done.error != 0 && !c->closing) onColdError(*c);
      if (!c->dead) serve(*c, {});
    }
  }
  coldDone_.clear();
  if (!blocked_.empty()) retryBlocked();
  if (nic_) nicTurn();
  readyNow_.swap(ready_);
  for (const uint64_t id : readyNow_) {
    if (Connection* c = find(id)) {
      c->queued = false;
      if (c->readable) onReadable(*c);
      if (!c->dead) serve(*c, {});
    }
  }
  readyNow_.clear();
  if (now_ >= acceptAgainAt_) {
    watchListener(true);
    acceptable = true;
  }
  if (acceptable) accept();
  Deadline kind;
  while (DeadlineNode* node = deadlines_.expired(now_, kind)) onDeadline(static_cast<Connection&>(*node), kind);
  if (drainAsked_.load(std::memory_order_acquire) && !draining_) beginDrain();
  if (draining_) {
    if (now_ >= drainUntil_) {
      for (auto& connection : connections_)
        if (connection) destroy(*connection, Counter::closed_drain);
      drainUntil_ = UINT64_MAX;  // nothing to wake up for any more
    }
    if (live_ == 0 && !drainedSaid_) drainedSaid_ = sendUp(Up::Drained, 0, 0, [](MessageWriter&) {});
  }
  graveyard_.clear();
  if (nic_) nic_->releaseForgotten();
  announce();
  if (accelerator_) accelerator_->flush();
  counters_.add(Counter::busy_ns, clockNs(CLOCK_MONOTONIC) - now_);
}

void Engine::announce() {
  control_->announce();
  if (separate_) separate_->announce();
}

Connection* Engine::find(uint64_t id) noexcept {
  const auto slot = static_cast<uint32_t>(id);
  if (slot >= connections_.size() || !connections_[slot] || connections_[slot]->id != id) return nullptr;
  return connections_[slot].get();
}

void Engine::accept() {
  for (int i = 0; i < kAcceptsPerTurn && listener_; ++i) {
    sockaddr_in6 peer;
    socklen_t length = sizeof peer;
    const int fd = accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      const int error = errno;
      if (error == ECONNABORTED || error == EINTR) continue;
      const bool exhausted = error == EMFILE || error == ENFILE;
      // A listener that stays readable while accept() fails would keep the loop spinning.
      if (exhausted ? !refuseForLackOfDescriptors() : error == ENOBUFS || error == ENOMEM) watchListener(false);
      return;
    }
    // Not with the first one that succeeds: near the limit that comes and goes with every connection.
    if (descriptorsShort_ && now_ - descriptorsShortAt_ >= kSecond) {
      descriptorsShort_ = false;
      notice(Notice::AcceptRecovered, 0);
    }
    counters_.add(Counter::connections_accepted);
    if (live_ >= options_.maxConnections) {
      counters_.add(Counter::connections_rejected_limit);
      close(fd);
      continue;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    uint32_t slot;
    if (freeSlots_.empty()) {
      slot = static_cast<uint32_t>(connections_.size());
      connections_.emplace_back();
      generations_.push_back(0);
    } else {
      slot = freeSlots_.back();
      freeSlots_.pop_back();
    }
    auto connection = std::make_unique<Connection>(framework_, counters_);
    Connection& c = *connection;
    // 21 bits of generation: an id is an exact JavaScript number.
    generations_[slot] = (generations_[slot] + 1) & 0x1fffff;
    c.id = static_cast<uint64_t>(generations_[slot]) << 32 | slot;
    c.fd = fd;
    c.acceptedAt = c.activeAt = c.controlAt = now_;
    std::memcpy(&c.peer, &peer, std::min<size_t>(length, sizeof c.peer));
    connections_[slot] = std::move(connection);
    ++live_;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
    event.data.u64 = c.id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      destroy(c, Counter::closed_error);
      continue;
    }
    setGauge(c, Gauge::Handshake);
    deadlines_.arm(c, Deadline::Handshake, now_);
  }
}

// Without a free descriptor accept() fails for ever and the listener stays readable: the loop would
// spin. Giving up a reserved one lets us take the connection and refuse it. False when another thread
// took the one that was given up.
bool Engine::refuseForLackOfDescriptors() {
  descriptorsShortAt_ = now_;
  if (!descriptorsShort_) {
    descriptorsShort_ = true;
    notice(Notice::AcceptFailed, EMFILE);
  }
  cache_.flush();
  reserve_.reset();
  const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) {
    close(fd);
    counters_.add(Counter::connections_accepted);
    counters_.add(Counter::connections_rejected_fd);
  }
  const bool nobodyWaits = fd < 0 && errno == EAGAIN;
  reserve_.reset(fcntl(doorbell_->fd(), F_DUPFD_CLOEXEC, 0));
  return fd >= 0 || nobodyWaits;
}

void Engine::watchListener(bool watch) {
  acceptAgainAt_ = watch ? UINT64_MAX : now_ + kAcceptPauseNs;
  if (!listener_) return;
  epoll_event event{};
  event.events = watch ? static_cast<uint32_t>(EPOLLIN) : 0;
  event.data.u64 = kListenerEvent;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &event);
}

void Engine::updateDeadline(Connection& c, bool progress) {
  if (c.dead || c.phase != Phase::Open) {
    if (!c.dead && c.closing && !c.sent() && (progress || c.kind != Deadline::Write))
      deadlines_.arm(c, Deadline::Write, now_);
    return;
  }
  Deadline wanted;
  if (c.response || !c.sent() || c.waiting != 0 || c.cold || c.closing) {
    wanted = Deadline::Write;
    setGauge(c, Gauge::Writing);
  } else if (!c.plain.empty() || c.firstRequest != 0) {
    wanted = Deadline::Header;
    setGauge(c, c.plain.empty() ? Gauge::Idle : Gauge::Reading);
    progress = false;  // a trickled head does not earn more time
  } else {
    wanted = Deadline::KeepAlive;
    setGauge(c, Gauge::Idle);
  }
  if (progress || c.kind != wanted) deadlines_.arm(c, wanted, now_);
}

void Engine::setGauge(Connection& c, Gauge gauge) {
  if (c.gauge == gauge) return;
  const auto counter = [](Gauge which) {
    switch (which) {
      case Gauge::Handshake: return Counter::connections_handshake;
      case Gauge::Idle: return Counter::connections_idle;
      case Gauge::Reading: return Counter::connections_reading;
      case Gauge::Writing: return Counter::connections_writing;
      default: return Counter::connections_draining;
    }
  };
  if (c.gauge != Gauge::None) counters_.sub(counter(c.gauge));
  if (gauge != Gauge::None) counters_.add(counter(gauge));
  c.gauge = gauge;
}

void Engine::enqueue(Connection& c) {
  if (c.queued) return;
  c.queued = true;
  ready_.push_back(c.id);
}

}  // namespace socrypt::engine
