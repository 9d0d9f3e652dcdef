#include "nic/runtime/inline_nic.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <exception>

namespace socrypt::nic {
namespace {

// A device that always has frames looks up now and then.
constexpr int kTurnsPerLook = 64;
// Engines take about a millisecond to bind their sockets to another host port. Those of other processes do not tell.
constexpr uint64_t kBoundWithinNs = 250'000'000;

}  // namespace

struct InlineNic::Ports {
  LinkMonitor monitor;
  Descriptor events;
  std::unique_ptr<WirePort> wire;
  std::unique_ptr<HostInterface> host;
  std::unique_ptr<EgressGuard> guard;
  std::optional<Bridge> bridge;
};

InlineNic::InlineNic(NicOptions options) : options_(std::move(options)), device_(options_.device), wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

std::shared_ptr<InlineNic> InlineNic::open(NicOptions options, std::string& why) {
  std::shared_ptr<InlineNic> nic(new InlineNic(std::move(options)));
  if (!nic->wake_) return why = noDescriptor("no event descriptor"), nullptr;
  return nic->start(why) ? nic : nullptr;
}

InlineNic::~InlineNic() { stop(); }

bool InlineNic::start(std::string& why) {
  auto ports = std::make_unique<Ports>();
  Netlink netlink;
  ports->events = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = EPOLLIN, .data = {}};
  if (!netlink.opened() || !ports->monitor.opened() || !ports->events ||
      epoll_ctl(ports->events.get(), EPOLL_CTL_ADD, ports->monitor.descriptor(), &event) != 0 ||
      epoll_ctl(ports->events.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0)
    return why = noDescriptor("interfaces cannot be watched (netlink, epoll)"), false;

  ports->wire = WirePort::open(options_.wire, netlink, why);
  if (ports->wire == nullptr) return false;
  Status status{.alive = true};
  status.wirePort = ports->wire->words();
  if (options_.wrapWire) ports->wire->port() = options_.wrapWire(std::move(ports->wire->port()));
  ports->host = HostInterface::create(options_.host, ports->wire->link(), why);
  if (ports->host == nullptr) return false;
  status.hostPort = options_.host.name + (options_.host.driver == HostDriver::Tap ? ", tap with TSO" : ", veth with AF_XDP");
  std::string without;
  ports->guard = EgressGuard::attach(ports->host->index(), options_.senders, without);
  status.guard = ports->guard != nullptr ? "bound to the host port, and watched at IP's way out: those " + ports->guard->whose() : "bound to the host port alone: " + without;
  ports->bridge.emplace(device_, clock_, ports->host->port(), *ports->wire->port());

  // Of a first device there is no flow.
  device_.awaitBinding(clock_.now(), kBoundWithinNs);
  {
    const std::lock_guard lock(mutex_);
    hostPort_ = {ports->host->index(), options_.host.name, hostPort_.generation + 1};
    status_ = std::move(status);
    killed_.clear();
  }
  ports_ = std::move(ports);
  stop_ = false;
  thread_ = std::thread([this] { run(*ports_); });
  return true;
}

void InlineNic::stop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_.get(), &one, sizeof one);
  thread_.join();
  // One device at a time: nothing of the old one is left when the next begins.
  ports_.reset();
}

bool InlineNic::restart(std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (status_.alive) return true;
  }
  stop();
  if (!start(why)) return false;
  watchers_.tell();
  return true;
}

void InlineNic::kill(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    killed_ = reason;
  }
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_.get(), &one, sizeof one);
}

/// Why there is no going on; empty: there is.
std::string InlineNic::look(Ports& ports, std::span<const unsigned> watched) {
  uint64_t ignored;
  [[maybe_unused]] const auto n = read(wake_.get(), &ignored, sizeof ignored);
  if (const unsigned lost = ports.monitor.gone(watched); lost != 0)
    return "the interface \"" + (lost == ports.wire->link().index ? ports.wire->name() : options_.host.name) + "\" is gone";
  const std::lock_guard lock(mutex_);
  return killed_;
}

void InlineNic::run(Ports& ports) {
  pthread_setname_np(pthread_self(), "socrypt-nic");
  const std::array<unsigned, 2> watched{ports.wire->link().index, ports.host->index()};
  std::string reason;
  try {
    while (!stop_.load(std::memory_order_acquire) && reason.empty()) {
      size_t moved = 1;
      for (int turn = 0; turn < kTurnsPerLook && moved != 0; ++turn) moved = ports.bridge->once();
      if (moved == 0) ports.bridge->wait(-1, ports.events.get());
      epoll_event events[2];
      if (epoll_wait(ports.events.get(), events, 2, 0) > 0) reason = look(ports, watched);
    }
  } catch (const std::exception& error) {
    reason = error.what();
    // What was learned may be half of something. A successor learns it anew.
    device_.evict();
  }
  if (!reason.empty()) died(reason);
}

void InlineNic::died(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    hostPort_.interface = 0;
    status_.alive = false;
    status_.reason = reason;
  }
  watchers_.tell();
}

std::shared_ptr<void> InlineNic::watch(std::function<void()> changed) { return watchers_.watch(std::move(changed)); }

Nic::HostPort InlineNic::hostPort() {
  const std::lock_guard lock(mutex_);
  return hostPort_;
}

bool InlineNic::broken(FlowId flow) {
  const auto usage = device_.usage(flow);
  return usage && usage->broken;
}

InlineNic::Status InlineNic::status() {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace socrypt::nic
