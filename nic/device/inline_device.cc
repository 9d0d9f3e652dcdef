#include "nic/device/inline_device.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <random>

namespace socrypt::nic {
namespace {

using ocf::Status;

// A segment may leave a queue of the host's stack (a qdisc) for the port a moment after the port was empty.
constexpr uint64_t kGrace = 1000;
constexpr uint64_t kMostStep = kGrace / 50;

__extension__ using Wide = unsigned __int128;

uint64_t mix(uint64_t a, uint64_t b) noexcept {
  const Wide product = Wide{a} * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t randomSeed() {
  std::random_device source;
  return uint64_t{source()} << 32 | source();
}

FlowKey hostsOf(FlowKey key) noexcept {
  key.localPort = key.remotePort = 0;
  return key;
}

}  // namespace

size_t InlineDevice::Hash::operator()(const FlowKey& key) const noexcept {
  uint64_t words[4];
  std::memcpy(words, key.localAddress.data(), 16);
  std::memcpy(words + 2, key.remoteAddress.data(), 16);
  uint64_t h = mix(seed ^ (uint64_t{key.localPort} << 16 | key.remotePort), 0x9e3779b97f4a7c15);
  for (const uint64_t word : words) h = mix(h ^ word, 0xd6e8feb86659fd93 ^ seed);
  return h;
}

InlineDevice::InlineDevice(const DeviceOptions& options)
    : options_(options), budget_(options.payloadBytes), table_(16, Hash{options.hashSeed ? *options.hashSeed : randomSeed()}), hosts_(0, table_.hash_function()), unbound_(0, table_.hash_function()) {}

InlineDevice::~InlineDevice() = default;

Status InlineDevice::add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged, FlowId* flow) {
  if (!record::factsOf(keys.suite).known) return Status::NoDriver;
  if (unacknowledged > Flow::kWindow) return Status::Invalid;
  const std::unique_lock lock(mutex_);
  // A removed flow of this key has to be seen off first: its plaintext may still be on the way.
  if (table_.contains(key)) return Status::Invalid;
  if (table_.size() >= options_.maxFlows) return Status::Full;
  const FlowId id{++lastId_};
  auto made = Flow::make(id, key, keys, {tcpSequence, unacknowledged}, options_.flow, counters_, budget_);
  if (made == nullptr) return Status::NoDriver;
  byId_.emplace(lastId_, made);
  table_.emplace(key, std::move(made));
  ++hosts_[hostsOf(key)];
  Counters::add(counters_.tx_tls_ctx);
  *flow = id;
  return Status::Ok;
}

std::shared_ptr<Flow> InlineDevice::find(FlowId flow) {
  const std::shared_lock lock(mutex_);
  const auto it = byId_.find(static_cast<uint64_t>(flow));
  return it == byId_.end() ? nullptr : it->second;
}

Status InlineDevice::rekey(FlowId flow, const record::TrafficKeys& keys) {
  const auto found = find(flow);
  return found == nullptr ? Status::Invalid : found->rekey(keys);
}

Status InlineDevice::push(FlowId flow, std::span<record::NewRecord> records) {
  const auto found = find(flow);
  return found == nullptr ? Status::Invalid : found->push(records);
}

void InlineDevice::acknowledged(FlowId flow, uint64_t streamOffset) {
  if (const auto found = find(flow)) found->acknowledged(streamOffset);
}

void InlineDevice::resync(FlowId flow, uint64_t streamOffset) {
  if (const auto found = find(flow)) found->resync(streamOffset);
}

void InlineDevice::evict(FlowId flow) {
  if (const auto found = find(flow)) found->evict();
}

void InlineDevice::evict() {
  const std::shared_lock lock(mutex_);
  for (const auto& [id, flow] : byId_) flow->evict();
}

std::optional<Flow::Usage> InlineDevice::usage(FlowId flow) {
  const auto found = find(flow);
  return found == nullptr ? std::nullopt : std::optional(found->usage());
}

std::vector<InlineDevice::Listed> InlineDevice::list() {
  std::vector<std::shared_ptr<Flow>> all;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [id, flow] : byId_) all.push_back(flow);
  }
  std::vector<Listed> listed;
  for (const auto& flow : all) listed.push_back({flow->id(), flow->key(), flow->usage()});
  std::sort(listed.begin(), listed.end(), [](const Listed& a, const Listed& b) { return a.id < b.id; });
  return listed;
}

std::optional<std::vector<RecordTrace>> InlineDevice::trace(FlowId flow) {
  const auto found = find(flow);
  return found == nullptr ? std::nullopt : std::optional(found->trace());
}

void InlineDevice::setCatchUp(CatchUp* catchUp) {
  const std::unique_lock lock(catchUpMutex_);
  catchUp_ = catchUp;
}

// No lock of the device or of the flow is held while the queue is emptied: what is in it comes back to both.
Flow::Result InlineDevice::seal(Flow& flow, uint32_t sequence, std::span<uint8_t> payload) {
  const uint64_t now = now_.load(std::memory_order_relaxed);
  {
    const std::shared_lock lock(catchUpMutex_);
    if (catchUp_ != nullptr) {
      const Flow::Result result = flow.seal(sequence, payload, {.mayBeEarly = true, .now = now});
      if (result != Flow::Result::Unmapped) return result;
      catchUp_->catchUp();
    }
  }
  return flow.seal(sequence, payload, {.now = now});
}

size_t InlineDevice::flows() {
  const std::shared_lock lock(mutex_);
  return byId_.size();
}

void InlineDevice::remove(FlowId flow) {
  const std::unique_lock lock(mutex_);
  const auto it = byId_.find(static_cast<uint64_t>(flow));
  if (it == byId_.end()) return;
  table_[it->second->key()] = nullptr;
  byId_.erase(it);
  Counters::add(counters_.tx_tls_del);
}

void InlineDevice::release(const FlowKey& key) {
  const std::unique_lock lock(mutex_);
  const auto it = table_.find(key);
  if (it == table_.end() || it->second != nullptr) return;
  for (const Gone& gone : gone_)
    if (gone.key == key) return;
  gone_.push_back({key, std::nullopt});
  anyGone_ = true;
}

void InlineDevice::awaitBinding(uint64_t now, uint64_t nanoseconds) {
  const std::unique_lock lock(mutex_);
  for (const auto& [id, flow] : byId_) unbound_.insert(flow->key());
  bindingLeft_ = nanoseconds;
  bindingStep_ = nanoseconds / 2;
  bindingLookedAt_ = now;
  anyUnbound_ = !unbound_.empty();
}

void InlineDevice::bound(FlowId flow) {
  if (!anyUnbound_.load(std::memory_order_acquire)) return;
  const std::unique_lock lock(mutex_);
  if (const auto it = byId_.find(static_cast<uint64_t>(flow)); it != byId_.end()) unbound_.erase(it->second->key());
  anyUnbound_ = !unbound_.empty();
}

bool InlineDevice::deliverable(std::span<const uint8_t> frame) {
  if (!anyUnbound_.load(std::memory_order_acquire)) return true;
  const std::unique_lock lock(mutex_);
  const uint64_t now = now_.load(std::memory_order_relaxed);
  bindingLeft_ -= std::min({bindingLeft_, bindingStep_, now - std::min(now, bindingLookedAt_)});
  bindingLookedAt_ = std::max(now, bindingLookedAt_);
  if (bindingLeft_ == 0) {
    unbound_.clear();
    anyUnbound_ = false;
    return true;
  }
  const Packet packet = parsePacket(frame);
  if (packet.kind != Packet::Kind::Tcp) return true;
  FlowKey key = packet.key;
  std::swap(key.localAddress, key.remoteAddress);
  std::swap(key.localPort, key.remotePort);
  if (!unbound_.contains(key)) return true;
  Counters::add(counters_.rx_drop_unbound);
  return false;
}

bool InlineDevice::hostIdle(uint64_t milliseconds) {
  if (!anyGone_.load(std::memory_order_acquire)) return false;
  const std::unique_lock lock(mutex_);
  const uint64_t step = milliseconds < lastIdle_ ? 0 : std::min(milliseconds - lastIdle_, kMostStep);
  lastIdle_ = milliseconds;
  std::erase_if(gone_, [&](Gone& gone) {
    gone.idle = gone.idle ? *gone.idle + step : 0;
    if (*gone.idle < kGrace) return false;
    table_.erase(gone.key);
    if (const auto hosts = hosts_.find(hostsOf(gone.key)); --hosts->second == 0) hosts_.erase(hosts);
    return true;
  });
  anyGone_ = !gone_.empty();
  return anyGone_;
}

void InlineDevice::transmit(std::span<uint8_t> frame, const FrameOffload& offload, FrameSink& wire) {
  const Packet packet = parsePacket(frame);
  std::shared_ptr<Flow> flow;
  bool known = false;
  bool any = false;
  bool carried = false;
  {
    const std::shared_lock lock(mutex_);
    any = !table_.empty();
    if (any && packet.kind == Packet::Kind::Tcp) {
      const auto it = table_.find(packet.key);
      known = it != table_.end();
      if (known) flow = it->second;
    }
    // The route, or IPsec's policy, has changed under a connection, which its socket's interface does not prevent.
    carried = any && ((packet.kind == Packet::Kind::Carried && packet.payloadLength() != 0 && table_.contains(packet.key)) ||
                      (packet.kind == Packet::Kind::Opaque && hosts_.contains(hostsOf(packet.key))));
  }
  if (carried) {
    Counters::add(counters_.tx_drop_carried);
    return;
  }
  if (any && packet.kind == Packet::Kind::Unclear) {
    Counters::add(counters_.tx_drop_unclear);
    return;
  }
  bool sealed = false;
  if (known && packet.payloadLength() != 0) {
    if (flow == nullptr) {
      Counters::add(counters_.tx_tls_drop_removed);
      return;
    }
    if (packet.unsupported || (packet.flags & (kTcpSyn | kTcpUrg)) != 0) {
      Counters::add(counters_.tx_tls_drop_unsupported);
      return;
    }
    const Flow::Result result = seal(*flow, packet.sequence, frame.subspan(packet.payload, packet.payloadLength()));
    if (result == Flow::Result::Drop) return;
    sealed = result == Flow::Result::Sealed;
  } else if (known && flow == nullptr && (packet.flags & (kTcpSyn | kTcpRst)) != 0) {
    // The host's stack has done with the old connection. What it sent before may still be behind this.
    release(packet.key);
  }
  // What follows the datagram is nobody's data; it is not shown to the wire either.
  if (known) frame = frame.first(packet.end);
  const SegmentCount count = finishFrame(frame, packet, offload, sealed, wire);
  Counters::add(sealed ? counters_.tx_tls_encrypted_packets : counters_.tx_pass_packets, count.sent);
  if (count.lost != 0) Counters::add(counters_.tx_lost_packets, count.lost);
  if (count.sent + count.lost == 0) Counters::add(counters_.tx_drop_offload);
}

}  // namespace socrypt::nic
