#include "simulation.hpp"

#include <algorithm>

namespace simulation {
namespace {

using oracle::below;

constexpr uint8_t kAck = 0x10;

}  // namespace

nic::DeviceOptions Connection::options(const Plan& plan, Random& random) {
  nic::DeviceOptions options;
  options.flow.resync = plan.resync;
  options.flow.retention = plan.retention;
  if (plan.faults && random() % 3 == 0) {
    options.flow.limits = {static_cast<uint32_t>(1 + below(random, 8)), 20000 + below(random, 100000)};
  }
  options.hashSeed = random();
  return options;
}

Connection::Connection(uint64_t seed, const Plan& plan)
    : random_(seed), plan_(plan), device_(options(plan, random_)), path_(frames::randomPath(random_)) {
  makeStream();
}

void Connection::makeStream() {
  // Near the wrap of sequence numbers half of the time.
  sequence_ = random_() % 2 == 0 ? static_cast<uint32_t>(0 - below(random_, 60000)) : static_cast<uint32_t>(random_());
  mss_ = plan_.segmentBytes != 0 ? plan_.segmentBytes : static_cast<uint32_t>(random_() % 4 == 0 ? 1 + below(random_, 100) : 500 + below(random_, 9000));
  lossPercent_ = plan_.faults ? static_cast<unsigned>(below(random_, 30)) : 0;
  const size_t wanted = plan_.streamBytes != 0 ? plan_.streamBytes : 1 + below(random_, mss_ < 100 ? 6000 : 150000);

  // Handshake bytes, sealed by software before.
  plain_ = sealed_ = oracle::randomBytes(random_, plan_.faults ? below(random_, 3000) : 0);
  start_ = plain_.size();
  const auto suite = oracle::kSuites[below(random_, std::size(oracle::kSuites))];
  const bool tls12 = static_cast<uint16_t>(suite) >= 0xc000;
  const auto newKeys = [&](uint32_t epoch, uint64_t number) {
    auto keys = oracle::randomKeys(random_, suite);
    keys.epoch = epoch;
    keys.recordSeq = number;
    keys.streamOffset = plain_.size();
    epochs_.push_back(keys);
  };
  uint64_t number = random_() % 2 == 0 ? 0 : random_() >> 1;
  newKeys(static_cast<uint32_t>(below(random_, 5)), number);
  while (plain_.size() < start_ + wanted) {
    const uint64_t at = plain_.size();
    if (chance(5)) {
      // A stretch that software sealed: the connection was on another path for a while.
      const Bytes other = oracle::randomBytes(random_, 1 + below(random_, 3000));
      plain_.insert(plain_.end(), other.begin(), other.end());
      sealed_.insert(sealed_.end(), other.begin(), other.end());
      records_.push_back({{.ref = {at, static_cast<uint32_t>(other.size()), 0, 0}, .sealed = true}, epochs_.size() - 1});
      continue;
    }
    if (!tls12 && chance(5)) {
      number = 0;
      newKeys(epochs_.back().epoch + 1 + static_cast<uint32_t>(below(random_, 2)), number);
    }
    size_t length = plan_.recordBytes;
    if (length == 0) length = random_() % 3 == 0 ? 1u << 14 : random_() % 2 == 0 ? below(random_, 300) : below(random_, (1u << 14) + 1);
    const uint8_t type = chance(10) ? 21 + static_cast<uint8_t>(below(random_, 2)) : 23;
    const Bytes content = oracle::randomBytes(random_, length);
    const oracle::Framed framed = oracle::frame(epochs_.back(), number, type, content);
    plain_.insert(plain_.end(), framed.plain.begin(), framed.plain.end());
    sealed_.insert(sealed_.end(), framed.sealed.begin(), framed.sealed.end());
    record::NewRecord record{.ref = {at, static_cast<uint32_t>(framed.plain.size()), epochs_.back().epoch, number},
                             .type = static_cast<record::ContentType>(type)};
    // Several records share one buffer in the engine; here each begins a little into its own.
    if (plan_.payload) {
      Bytes buffer(below(random_, 9));
      record.payloadAt = buffer.size();
      buffer.insert(buffer.end(), content.begin(), content.end());
      record.guarded = plan_.guarded && random_() % 2 == 0;
      record.payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(std::move(buffer)));
    }
    records_.push_back({std::move(record), epochs_.size() - 1});
    number += 1 + (chance(5) ? below(random_, 1000) : 0);
  }
  got_.resize(plain_.size());
  writable_ = start_;
  REQUIRE(device_.add(path_.key(), epochs_[0], sequence_ + static_cast<uint32_t>(start_), &flow_) == ocf::Status::Ok);
}

void Connection::pushRecords() {
  while (pushed_ < records_.size() && writable_ - una_ < 200000) {
    size_t n = std::min<size_t>(1 + below(random_, 4), records_.size() - pushed_);
    // Keys come before the first record that is sealed with them.
    for (; epochsGiven_ <= records_[pushed_].epoch; ++epochsGiven_) {
      if (device_.rekey(flow_, epochs_[epochsGiven_]) != ocf::Status::Ok) return;
    }
    while (n > 1 && records_[pushed_ + n - 1].epoch >= epochsGiven_) --n;
    std::vector<record::NewRecord> batch;
    for (size_t i = 0; i < n; ++i) batch.push_back(records_[pushed_ + i].record);
    ocf::Status status = device_.push(flow_, batch);
    if (status == ocf::Status::Full && n > 1) {
      n = 1;
      status = device_.push(flow_, {batch.data(), 1});
    }
    if (status == ocf::Status::Full) return;
    REQUIRE(status == ocf::Status::Ok);
    pushed_ += n;
    writable_ = records_[pushed_ - 1].record.ref.streamOffset + records_[pushed_ - 1].record.ref.length;
    // The map alone keeps the payload from here on.
    for (size_t i = 1; i <= n; ++i) records_[pushed_ - i].record.payload = {};
  }
}

Connection::Segment Connection::choose() {
  const bool tso = random_() % 3 == 0;
  const uint64_t most = tso ? std::min<uint64_t>(uint64_t{mss_} * (1 + below(random_, 20)), 60000) : mss_;
  const auto cut = [&](uint64_t from, uint64_t limit) {
    uint64_t to = std::min(limit, from + most);
    if (chance(30)) to = from + 1 + below(random_, to - from);
    return Segment{from, to, tso};
  };
  if (next_ < writable_ && (una_ == next_ || !chance(lossPercent_))) {
    const Segment segment = cut(next_, writable_);
    next_ = segment.to;
    return segment;
  }
  // Retransmission: from the front, or any unacknowledged range, as SACK holes and tail probes give.
  const uint64_t from = chance(30) ? una_ + below(random_, next_ - una_) : una_;
  return cut(from, next_);
}

void Connection::transmit(const Segment& segment) {
  const Bytes payload(plain_.begin() + static_cast<long>(segment.from), plain_.begin() + static_cast<long>(segment.to));
  const uint32_t sequence = sequence_ + static_cast<uint32_t>(segment.from);
  const bool partial = segment.tso || random_() % 2 == 0;
  const auto size = static_cast<uint16_t>(segment.tso ? mss_ : 0);
  auto built = frames::build(path_, sequence, kAck | (random_() % 4 == 0 ? nic::kTcpPsh : 0), payload, partial, size);
  frames::Wire wire;
  device_.transmit(built.frame, built.offload, wire);
  ++totals_->packets;
  for (const Bytes& frame : wire.frames) {
    ++totals_->wireFrames;
    // Checked whether the wire then loses it or not: somebody may listen.
    const frames::Taken taken = frames::take(path_, frame);
    const uint64_t at = segment.from + (taken.sequence - sequence);
    REQUIRE(at + taken.payload.size() <= segment.to);
    REQUIRE(taken.payload.size() <= std::max<size_t>(mss_, segment.tso ? 0 : payload.size()));
    REQUIRE(std::equal(taken.payload.begin(), taken.payload.end(), sealed_.begin() + static_cast<long>(at)));
    totals_->bytes += taken.payload.size();
    if (chance(lossPercent_)) continue;
    std::fill_n(got_.begin() + static_cast<long>(at), taken.payload.size(), true);
  }
  while (received_ < got_.size() && got_[received_]) ++received_;
}

void Connection::acknowledge(bool all) {
  una_ = std::max(una_, all ? received_ : una_ + below(random_, received_ - una_ + 1));
  // The device is told later, or never of this one.
  if (all || random_() % 3 == 0) device_.acknowledged(flow_, una_);
}

// What must not disturb: another connection, an empty segment of ours, garbage.
void Connection::noise() {
  frames::Wire wire;
  switch (below(random_, 3)) {
    case 0: {
      frames::Path other = path_;
      other.remotePort ^= 1;
      auto built = frames::build(other, sequence_, kAck, oracle::randomBytes(random_, below(random_, 1000)), false);
      const Bytes before = built.frame;
      device_.transmit(built.frame, built.offload, wire);
      REQUIRE(wire.frames.size() == 1);
      REQUIRE(wire.frames[0] == before);
      break;
    }
    case 1: {
      auto built = frames::build(path_, sequence_ + static_cast<uint32_t>(una_) - 1, kAck, {}, false);
      const Bytes before = built.frame;
      device_.transmit(built.frame, built.offload, wire);
      REQUIRE(wire.frames.size() == 1);
      REQUIRE(wire.frames[0] == before);
      break;
    }
    default: {
      // A position that nobody announced: nothing may leave.
      auto built = frames::build(path_, sequence_ + static_cast<uint32_t>(writable_ + below(random_, 100000)), kAck, Bytes(50, 'x'), false);
      device_.transmit(built.frame, built.offload, wire);
      REQUIRE(wire.frames.empty());
    }
  }
}

void Connection::runWithRepeats(Totals& totals, unsigned perMille) {
  totals_ = &totals;
  while (next_ < plain_.size()) {
    pushRecords();
    const Segment segment{next_, std::min<uint64_t>(next_ + mss_, writable_), false};
    next_ = segment.to;
    transmit(segment);
    if (random_() % 1000 < perMille) {
      const uint64_t back = mss_ * (1 + below(random_, 100));
      const uint64_t from = std::max(una_, segment.to > back ? segment.to - back : 0);
      transmit({from, std::min(from + mss_, next_), false});
    }
    una_ = next_ > 160000 ? next_ - 160000 : 0;
    device_.acknowledged(flow_, una_);
  }
}

void Connection::run(Totals& totals) {
  totals_ = &totals;
  const size_t most = 2000 + 60 * (plain_.size() / mss_ + 1);
  for (size_t step = 0; received_ < plain_.size(); ++step) {
    REQUIRE(step < most);
    pushRecords();
    if (chance(2)) noise();
    // Without payload a lost context cannot be made up for bytes that are acknowledged already.
    if (plan_.payload && chance(2)) device_.evict(flow_);
    if (next_ < writable_ || una_ < next_) {
      const Segment segment = choose();
      if (chance(lossPercent_ / 2)) {
        // Lost between TCP and the device.
      } else if (chance(15)) {
        delayed_.push_back(segment);
      } else {
        transmit(segment);
        if (chance(5)) transmit(segment);
      }
    }
    if (!delayed_.empty() && chance(30)) {
      const size_t i = below(random_, delayed_.size());
      const Segment segment = delayed_[i];
      delayed_.erase(delayed_.begin() + static_cast<long>(i));
      // What is acknowledged by now may be unknown to the device: then it says nothing.
      if (segment.from >= una_) transmit(segment);
    }
    acknowledge(!plan_.faults || random_() % 4 == 0);
  }
  acknowledge(true);
  const auto usage = device_.usage(flow_);
  REQUIRE(usage.has_value());
  CHECK(usage->records == 0);
  CHECK(usage->openRecords == 0);
  CHECK(usage->payloadBytes == 0);
  CHECK(usage->epochs == 1);
  CHECK(device_.retainedBytes() == 0);
}

}  // namespace simulation
