#include "engine/paths/nic.hpp"
#include "engine/paths/page_pipe.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

namespace socrypt::engine {

namespace {

constexpr size_t kBatchBytes = kBurstRecords * record::kMaxRecord;
// Bursts shorter than this are copied to be retained; longer ones are retained where they were built.
constexpr size_t kCopyBelow = kBatchBytes / 4;
constexpr size_t kSpareBatches = 64;

bool bindTo(int socket, unsigned interface) noexcept {
  const auto index = static_cast<int>(interface);
  return setsockopt(socket, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index) == 0;
}

}  // namespace

struct NicPath::Pool {
  std::unique_ptr<uint8_t[]> take() {
    const std::lock_guard lock(mutex);
    if (spare.empty()) return std::make_unique_for_overwrite<uint8_t[]>(kBatchBytes);
    auto bytes = std::move(spare.back());
    spare.pop_back();
    return bytes;
  }
  void give(std::unique_ptr<uint8_t[]> bytes) {
    const std::lock_guard lock(mutex);
    if (spare.size() < kSpareBatches) spare.push_back(std::move(bytes));
  }
  std::mutex mutex;
  std::vector<std::unique_ptr<uint8_t[]>> spare;
};

// The bytes of one burst, which go back to the pool, from whichever thread, when no record needs them any more.
class NicPath::Batch final : public record::Payload {
 public:
  explicit Batch(std::shared_ptr<Pool> pool) : pool_(std::move(pool)), bytes_(pool_->take()) {}
  ~Batch() override { pool_->give(std::move(bytes_)); }
  [[nodiscard]] record::Reading read(uint64_t at, std::span<uint8_t> to) const noexcept override {
    if (at > kBatchBytes || to.size() > kBatchBytes - at) return record::Reading::Gone;
    std::copy_n(bytes_.get() + at, to.size(), to.data());
    return record::Reading::Done;
  }
  [[nodiscard]] uint8_t* bytes() noexcept { return bytes_.get(); }

 private:
  std::shared_ptr<Pool> pool_;
  std::unique_ptr<uint8_t[]> bytes_;
};

NicPath::NicPath(std::shared_ptr<nic::Nic> nic, bool mustRetain)
    : OffloadPath(PathKind::Nic), nic_(std::move(nic)), mustRetain_(mustRetain), pool_(std::make_shared<Pool>()) {
  refresh();
}

NicPath::~NicPath() = default;

WhyNot NicPath::routed(Connection& c, const nic::FlowKey& key) {
  switch (nic::coverOf(c.fd)) {
    case nic::Cover::None: break;
    case nic::Cover::Mptcp: return WhyNot::mptcp;
    case nic::Cover::TcpMd5: return WhyNot::tcp_md5;
    case nic::Cover::TcpAo: return WhyNot::tcp_ao;
    case nic::Cover::Unknown: return WhyNot::no_rights;
  }
  switch (wayOf(key)) {
    case Way::HostPort: return WhyNot::Taken;
    case Way::ThisHost: return WhyNot::same_host;
    case Way::Elsewhere:
    case Way::Nowhere: break;
  }
  return WhyNot::other_route;
}

NicPath::Way NicPath::wayOf(const nic::FlowKey& key) {
  const bool ipv4 = nic::isIpv4(key.remoteAddress);
  const auto address = [ipv4](const std::array<uint8_t, 16>& whole) { return std::span(whole).subspan(ipv4 ? 12 : 0); };
  const auto route = netlink_.routeTo(address(key.remoteAddress), address(key.localAddress));
  if (!route) return Way::Nowhere;
  if (route->local) return Way::ThisHost;
  return route->interface == host_.interface && !route->encapsulated ? Way::HostPort : Way::Elsewhere;
}

WhyNot NicPath::take(Connection& c, Direction direction, const record::TrafficKeys& keys) {
  if (direction == Direction::Rx) return WhyNot::Elsewhere;
  if (!usable()) return dead() ? WhyNot::device_dead : WhyNot::paused;
  if (c.nic && c.nic->away) return WhyNot::other_route;
  if (c.nic) return rekey(c, keys);
  if (const WhyNot why = enter(c, keys); why != WhyNot::Taken) return why;
  if (c.tx.install(keys) == ocf::Status::Ok) return WhyNot::Taken;
  leave(c);
  return WhyNot::failed;
}

WhyNot NicPath::join(Connection& c) {
  if (!usable()) return dead() ? WhyNot::device_dead : WhyNot::paused;
  record::TrafficKeys keys;
  return c.tx.copyKeys(keys) ? enter(c, keys) : WhyNot::failed;
}

/// Gives the connection a flow that begins with the record that `keys` are for next.
WhyNot NicPath::enter(Connection& c, const record::TrafficKeys& keys) {
  const auto key = nic::flowKeyOf(c.fd);
  if (!key) return WhyNot::other_route;
  if (const WhyNot way = routed(c, *key); way != WhyNot::Taken) return way;
  // Before the first byte that is not sealed: from here on there is no other way out, whatever becomes of routes.
  if (!bindTo(c.fd, host_.interface)) return WhyNot::no_rights;
  const auto refused = [&](WhyNot why) {
    bindTo(c.fd, 0);
    return why;
  };
  const auto sequence = nic::nextSequence(c.fd);
  if (!sequence) return refused(WhyNot::no_rights);
  const auto waiting = nic::unacknowledged(c.fd);
  if (!waiting) return refused(WhyNot::failed);
  auto flow = std::make_unique<NicFlow>();
  flow->key = *key;
  flow->generation = host_.generation;
  flow->plainEnd = keys.streamOffset;
  flow->acknowledged = c.bytesOut - std::min<uint64_t>(*waiting, c.bytesOut);
  // What the socket did not take yet, of the handshake or of records that software has sealed, comes first.
  const auto first = static_cast<uint32_t>(*sequence + (keys.streamOffset - c.bytesOut));
  switch (nic_->device().add(*key, keys, first, static_cast<uint32_t>(keys.streamOffset - flow->acknowledged), &flow->flow)) {
    case ocf::Status::Ok: break;
    case ocf::Status::Full: return refused(WhyNot::no_room);
    case ocf::Status::Invalid: return refused(WhyNot::key_in_use);
    default: return refused(WhyNot::suite);
  }
  c.nic = std::move(flow);
  return WhyNot::Taken;
}

WhyNot NicPath::rekey(Connection& c, const record::TrafficKeys& keys) {
  ocf::Status status = nic_->device().rekey(c.nic->flow, keys);
  if (status == ocf::Status::Full) {
    acknowledge(c, c.nic->progressAt);
    status = nic_->device().rekey(c.nic->flow, keys);
  }
  if (status != ocf::Status::Ok) return WhyNot::no_room;
  return c.tx.install(keys) == ocf::Status::Ok ? WhyNot::Taken : WhyNot::failed;
}

WhyNot NicPath::Aside::take(Connection& c, Direction direction, const record::TrafficKeys& keys) {
  if (direction == Direction::Rx || !c.nic) return WhyNot::Elsewhere;
  // The device gets these keys too, so that the connection can come back; without room for them it cannot, before the next.
  static_cast<void>(path_.nic_->device().rekey(c.nic->flow, keys));
  return c.tx.install(keys) == ocf::Status::Ok ? WhyNot::Taken : WhyNot::failed;
}

void NicPath::forget(Connection& c, Direction direction) noexcept {
  // A connection that goes on keeps its flow.
  if (direction == Direction::Rx || !c.nic || !c.dead) return;
  const bool all = acknowledge(c, c.nic->progressAt) && c.out.empty() && c.making == 0;
  // First: from here on the device drops what TCP may still send.
  nic_->device().remove(c.nic->flow);
  if (!all) {
    // Nothing could seal what is in the socket. RST, and none of it is sent.
    const linger hard{1, 0};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  forgotten_.push_back(c.nic->key);
  c.nic.reset();
}

void NicPath::leave(Connection& c) noexcept {
  nic_->device().remove(c.nic->flow);
  nic_->device().release(c.nic->key);
  c.nic.reset();
  bindTo(c.fd, 0);
}

void NicPath::releaseForgotten() noexcept {
  for (const auto& key : forgotten_) nic_->device().release(key);
  forgotten_.clear();
}

bool NicPath::rebind(Connection& c) noexcept {
  if (c.nic->generation == host_.generation) return true;
  if (!bindTo(c.fd, host_.interface)) return false;
  c.nic->generation = host_.generation;
  nic_->device().bound(c.nic->flow);
  return true;
}

bool NicPath::acknowledge(Connection& c, uint64_t now) noexcept {
  const auto waiting = nic::unacknowledged(c.fd);
  if (!waiting) return false;
  const uint64_t acknowledged = c.bytesOut - std::min<uint64_t>(*waiting, c.bytesOut);
  if (acknowledged > c.nic->acknowledged) {
    c.nic->acknowledged = acknowledged;
    c.nic->progressAt = now;
    nic_->device().acknowledged(c.nic->flow, acknowledged);
  }
  // A FIN counts as one.
  return *waiting <= (c.shut ? 1 : 0);
}

OffloadPath::Room NicPath::room(Connection& c) {
  if (!c.nic->waiting.empty() || c.nic->burst) return {};
  if (current_ == nullptr) current_ = std::make_unique<Batch>(pool_);
  return {current_->bytes(), kBurstRecords};
}

uint8_t* NicPath::controlRoom(Connection&, size_t bytes) {
  control_.resize(std::max(control_.size(), bytes));
  return control_.data();
}

// Keeps the bytes at `wire` for a device that has not yet seen, or has lost, what it needs of them.
record::PayloadRef NicPath::retain(std::span<const uint8_t> wire) {
  if (current_ != nullptr && wire.data() == current_->bytes() && wire.size() >= kCopyBelow) {
    lastBatch_ = record::PayloadRef(std::move(current_));
    return lastBatch_;
  }
  return record::PayloadRef(std::make_unique<record::MemoryPayload>(std::vector(wire.begin(), wire.end())));
}

OffloadPath::Made NicPath::make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) {
  std::array<record::Framed, kBurstRecords> framed;
  slots = slots.first(std::min(slots.size(), framed.size()));
  const size_t n = c.tx.frame(type, slots, framed.data());
  if (n == 0) return {};
  const std::span<const uint8_t> wire{slots.front().at, wireLength(slots.first(n), c.tx.framing())};
  const record::PayloadRef payload = retain(wire);
  std::array<record::NewRecord, kBurstRecords> records;
  for (size_t i = 0; i < n; ++i) {
    records[i].ref = framed[i].ref;
    records[i].type = type;
    records[i].payload = payload;
    records[i].payloadAt = static_cast<uint64_t>(slots[i].at - wire.data()) + c.tx.framing().before;
  }
  c.nic->plainEnd = c.tx.streamOffset();
  return {n, announce(c, std::span(records).first(n), wire)};
}

OffloadPath::Made NicPath::Aside::make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) {
  slots = slots.first(std::min(slots.size(), kBurstRecords));
  std::array<record::NewRecord, kBurstRecords> records;
  uint64_t offset = c.tx.streamOffset();
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto length = static_cast<uint32_t>(slots[i].payloadLength + c.tx.framing().overhead());
    records[i].ref = {offset, length, c.tx.epoch(), c.tx.recordSeq() + i};
    records[i].type = type;
    records[i].sealed = true;
    offset += length;
  }
  const size_t n = c.tx.seal(type, slots);
  if (n == 0) return {};
  return {n, path_.announce(c, std::span(records).first(n), {slots.front().at, wireLength(slots.first(n), c.tx.framing())})};
}

/// What may be written now of `wire`: all of it, once the device knows the records.
std::span<const uint8_t> NicPath::announce(Connection& c, std::span<record::NewRecord> records, std::span<const uint8_t> wire) {
  NicFlow& flow = *c.nic;
  const bool first = flow.waitingWire.empty();
  flow.waiting.insert(flow.waiting.end(), std::make_move_iterator(records.begin()), std::make_move_iterator(records.end()));
  if (first && !flow.burst && announceWaiting(c)) return wire;
  if (first) ++c.making;
  flow.waitingWire.insert(flow.waitingWire.end(), wire.begin(), wire.end());
  return {};
}

bool NicPath::announceWaiting(Connection& c) {
  NicFlow& flow = *c.nic;
  const auto push = [&] { return nic_->device().push(flow.flow, flow.waiting) == ocf::Status::Ok; };
  bool good = push();
  if (!good) {
    acknowledge(c, flow.progressAt);
    good = push();
  }
  if (!good && !mustRetain_) {
    // Retained payload makes up for what a device has lost. Without it TCP has to bring what is missing.
    for (auto& record : flow.waiting)
      if (!record.guarded) record.payload = {};
    good = push();
  }
  if (good) flow.waiting.clear();
  return good;
}

record::RecordReader::Result NicPath::open(Connection& c, std::span<uint8_t> buffer, record::RecordReader::Opened& opened) {
  return c.rx.open(buffer, opened);
}

bool NicPath::beginBurst(Connection& c, FileBurst&& wanted) {
  FileBurst& burst = c.nic->burst.emplace(std::move(wanted));
  const auto [before, after] = c.tx.framing();
  burst.before = before;
  burst.after = after;
  // Framed in one place, one after the other, for what stands around the payloads.
  const record::Slot slot{controlRoom(c, burst.recordLength()), burst.payload};
  c.nic->waiting.resize(burst.records);
  for (size_t i = 0; i < burst.records; ++i) {
    record::Framed framed;
    if (c.tx.frame(record::ContentType::ApplicationData, {&slot, 1}, &framed) != 1) return false;
    const bool first = i == 0, last = i + 1 == burst.records;
    if (first) std::copy_n(slot.at, before, burst.header.begin());
    if (last) std::copy_n(slot.at + before + burst.payload, after - record::kTagLength, burst.trailer.begin());
    record::NewRecord& record = c.nic->waiting[i];
    record.ref = framed.ref;
    record.payload = burst.pages.payload;
    record.payloadAt = burst.offset + i * burst.payload;
    record.guarded = burst.pages.mayChange;
    record.headerToWrite = !first;
    record.typeToWrite = !last;
  }
  c.nic->plainEnd = c.tx.streamOffset();
  c.nic->guarded = c.nic->guarded || burst.pages.mayChange;
  burst.announced = announceWaiting(c);
  ++c.making;
  return true;
}

}  // namespace socrypt::engine
