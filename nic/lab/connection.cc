#include "nic/lab/connection.hpp"

#include <algorithm>

namespace socrypt::nic::lab {
namespace {

// Longer than any row of retransmission timeouts that chance alone makes.
constexpr uint64_t kWedged = 3'600'000'000;
// How often a driver that waits for room asks again.
constexpr uint64_t kAskAgain = 1000;

}  // namespace

Connection::Connection(World& w, uint64_t number, const Path& there, uint32_t mss, bool tso, Random source)
    : world(w),
      id(number),
      path(there),
      back(there.reversed()),
      random(source),
      stream(w.plan_, source.fork(1), w.file_),
      tcp(mss, tso, source.fork(2), *this, w.tcp_),
      peer(w.plan_.receiveBuffer),
      // Near the wrap of sequence numbers half of the time.
      isn_(source.fork(3).below(2) == 0 ? static_cast<uint32_t>(0 - source.fork(4).below(60000)) : static_cast<uint32_t>(source.fork(4)())) {}

void Connection::begin() {
  begun_ = true;
  progressAt_ = world.now_;
  announced_ = told_ = stream.start();
  const auto status = add(stream.epochs()[0], stream.start());
  offloaded_ = status == ocf::Status::Ok;
  if (!offloaded_) ++world.statistics_.software;
  fill();
}

ocf::Status Connection::add(const record::TrafficKeys& keys, uint64_t start) {
  floor_ = std::min(tcp.una(), start);
  return world.device_->driver().add(path.key(), keys, sequenceOf(start), static_cast<uint32_t>(start - floor_), &flow_);
}

void Connection::segment(uint64_t from, uint64_t to) { world.fromHost(*this, from, to); }

// Keys come before the first record that is sealed with them. False: the driver has to wait.
bool Connection::giveKeys(size_t keys) {
  for (; epochsGiven_ <= keys; ++epochsGiven_) {
    if (world.device_->driver().rekey(flow_, stream.epochs()[epochsGiven_]) != ocf::Status::Ok) return false;
    const auto usage = world.device_->inner().usage(flow_);
    if (usage) world.statistics_.mostEpochs = std::max<uint64_t>(world.statistics_.mostEpochs, usage->epochs);
  }
  return true;
}

// Announces what was made and is not announced yet. False: the driver has to wait.
bool Connection::announce() {
  if (!offloaded_) {
    announced_ = stream.end();
    return true;
  }
  std::vector<record::NewRecord> batch;
  const auto push = [&] {
    if (batch.empty()) return true;
    auto status = world.device_->driver().push(flow_, batch);
    if (status == ocf::Status::Full && batch.size() > 1) {
      batch.resize(1);
      status = world.device_->driver().push(flow_, batch);
    }
    if (status == ocf::Status::Ok) announced_ = batch.back().ref.streamOffset + batch.back().ref.length;
    if (status != ocf::Status::Ok && status != ocf::Status::Full) world.find("driver", "push said something else than Ok or Full", this);
    return status == ocf::Status::Ok;
  };
  const auto& records = stream.records();
  auto it = std::partition_point(records.begin(), records.end(), [&](const Stream::Record& r) { return r.ref.streamOffset < announced_; });
  while (it != records.end()) {
    batch.clear();
    const size_t keys = it->keys;
    if (!giveKeys(keys)) return false;
    for (; it != records.end() && it->keys == keys; ++it) batch.push_back(stream.announce(*it));
    const uint64_t end = batch.back().ref.streamOffset + batch.back().ref.length;
    if (!push()) return false;
    if (announced_ != end) it = std::partition_point(records.begin(), records.end(), [&](const Stream::Record& r) { return r.ref.streamOffset < announced_; });
  }
  return true;
}

void Connection::fill() {
  if (!begun_) return;
  while (alive_ && !closed_ && !world.dead_ && tcp.end() - std::min(tcp.end(), tcp.una()) < world.plan_.sendBuffer) {
    if (guardSays()) return;
    if (announced_ == stream.end()) {
      if (stream.end() >= stream.start() + world.plan_.bytes) {
        closed_ = true;
        tcp.close(world.now_);
        break;
      }
      const bool bySoftware = software_ || !offloaded_;
      for (uint64_t n = random.between(1, 4); n-- > 0; ++world.statistics_.records) {
        if (updateWanted_ && stream.makeKeyUpdate(bySoftware)) ++world.statistics_.keyUpdates;
        else stream.make(bySoftware);
        updateWanted_ = false;
      }
    }
    const bool all = announce();
    if (announced_ > tcp.end()) tcp.write(announced_, world.now_);
    if (all) continue;
    ++world.statistics_.waits;
    report();
    if (!waiting_) {
      waiting_ = true;
      world.schedule(world.now_ + kAskAgain, World::Kind::Fill, this).a = 1;
    }
    return;
  }
  waiting_ = false;
}

void Connection::report() {
  if (!offloaded_) {
    told_ = std::min(tcp.una(), stream.end());
    stream.forget(told_);
    return;
  }
  if (world.dead_) return;
  const uint64_t una = std::min(tcp.una(), announced_);
  if (una <= told_) return;
  world.device_->driver().acknowledged(flow_, una);
  told_ = floor_ = una;
  stream.forget(una);
}

void Connection::acknowledged(const Acknowledgement& answer) {
  if (!alive_ || !begun_) return;
  const uint64_t before = tcp.una();
  tcp.acknowledge(answer.next, answer.window, std::span(answer.blocks).first(answer.blockCount), world.now_);
  if (tcp.una() != before) progressAt_ = world.now_;
  if (guardSays()) return;
  // The driver looks now and then, not at every acknowledgement.
  if (random.below(100) < world.plan_.reportPercent) report();
  fill();
  if (tcp.done() && peer.next() > stream.end()) finish();
}

void Connection::onTimer() {
  if (!alive_ || guardSays()) return;
  tcp.onTimer(world.now_);
  fill();
}

void Connection::migrate(bool software) {
  if (software_ == software || !offloaded_) return;
  software_ = software;
  ++world.statistics_.migrations;
}

void Connection::evict() {
  // Without payload a lost context cannot be made up for bytes that are acknowledged already.
  if (!alive_ || !offloaded_ || !world.plan_.payload || world.dead_) return;
  world.device_->inner().evict(flow_);
  ++world.statistics_.evictions;
}

bool Connection::guardSays() {
  if (!offloaded_ || world.dead_ || world.plan_.guardedPercent == 0) return false;
  const auto usage = world.device_->inner().usage(flow_);
  if (!usage || !usage->broken) return false;
  if (!world.file_.changed()) world.find("guard", "a flow was ended although no file has changed", this);
  ++world.statistics_.guardEnded;
  abort(true);
  return true;
}

void Connection::reinstall(bool lost) {
  if (!alive_ || !offloaded_) return;
  told_ = std::min(std::max(told_, tcp.una()), announced_);
  stream.forget(told_);
  auto& driver = world.device_->driver();
  // Fingerprints are gone: that a file has not changed cannot be known any more.
  if (lost || stream.hasGuarded() || !world.plan_.payload) {
    static_cast<void>(add(stream.epochs()[0], announced_));
    abort(!lost);
    return;
  }
  const auto& records = stream.records();
  const bool none = records.empty() || records.front().ref.streamOffset >= announced_;
  size_t keys = none ? epochsGiven_ - 1 : records.front().keys;
  auto first = stream.epochs()[keys];
  first.streamOffset = none ? announced_ : records.front().ref.streamOffset;
  if (add(first, first.streamOffset) != ocf::Status::Ok) {
    world.find("driver", "a device that was reset takes no flows", this);
    return;
  }
  for (const auto& record : records) {
    if (record.ref.streamOffset >= announced_) break;
    bool good = true;
    for (; good && keys < record.keys; ++keys) good = driver.rekey(flow_, stream.epochs()[keys + 1]) == ocf::Status::Ok;
    auto again = stream.announce(record);
    if (good && driver.push(flow_, {&again, 1}) == ocf::Status::Ok) continue;
    // What the limits let in with tags does not fit in with payload.
    abort(true);
    return;
  }
  for (; keys + 1 < epochsGiven_; ++keys) static_cast<void>(driver.rekey(flow_, stream.epochs()[keys + 1]));
}

void Connection::abort(bool rst) {
  if (!alive_) return;
  ++world.statistics_.aborted;
  end();
  if (rst) world.control(*this, 0x14);
  world.device_->driver().release(path.key());
}

void Connection::end() {
  alive_ = false;
  --world.alive_;
  if (!offloaded_) return;
  world.device_->driver().remove(flow_);
  world.removed_.push_back({path.key(), world.now_});
}

void Connection::finish() {
  ++world.statistics_.completed;
  report();
  if (offloaded_ && !world.dead_) {
    const auto usage = world.device_->inner().usage(flow_);
    if (!usage) {
      world.find("state", "the device has lost a flow", this);
    } else if (usage->records != 0 || usage->openRecords != 0 || usage->payloadBytes != 0 || usage->epochs != 1) {
      world.find("state",
                 "everything is acknowledged and the device still holds " + std::to_string(usage->records) + " records, " +
                     std::to_string(usage->openRecords) + " contexts, " + std::to_string(usage->payloadBytes) + " bytes, " +
                     std::to_string(usage->epochs) + " epochs",
                 this);
    }
  }
  end();
  world.device_->driver().release(path.key());
}

void Connection::inspect() {
  if (!alive_ || !begun_) return;
  if (world.now_ - progressAt_ > kWedged) {
    const auto at = [](uint64_t offset) { return std::to_string(offset); };
    world.find("progress",
               "nothing was acknowledged for an hour: the connection is wedged at stream offset " + at(tcp.una()) + "; sent to " + at(tcp.nxt()) +
                   ", written to " + at(tcp.end()) + ", announced to " + at(announced_) + ", made to " + at(stream.end()) + ", reported to " + at(told_),
               this);
    return;
  }
  if (!offloaded_ || world.dead_) return;
  const auto usage = world.device_->inner().usage(flow_);
  if (!usage) return;
  auto& s = world.statistics_;
  s.mostOpenRecords = std::max<uint64_t>(s.mostOpenRecords, usage->openRecords);
  if (usage->records > world.plan_.mapRecords || usage->payloadBytes > world.plan_.mapPayload)
    world.find("bounds", "a flow holds more than its limits", this);
}

}  // namespace socrypt::nic::lab
