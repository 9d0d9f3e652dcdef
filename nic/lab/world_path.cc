// The way of a frame through a world: from TCP to the device, over the wire, and what comes back.
#include <algorithm>
#include <cstring>

#include "nic/lab/connection.hpp"

namespace socrypt::nic::lab {
namespace {

constexpr uint8_t kAck = 0x10;
constexpr uint64_t kHold = 1000;  // microseconds that a frame waits for one to be joined or turned around with
constexpr uint64_t kMostJoined = 60'000;
constexpr uint64_t kQueue = 20'000;  // microseconds of the wire's queue
constexpr size_t kMostSamples = 24;
constexpr uint32_t kSampleRate = 4000;  // of a million frames

}  // namespace

void World::fromHost(Connection& c, uint64_t from, uint64_t to) {
  const Fate fate = hostRules_.empty() ? Fate{} : hostRules_.next(now_);
  if (fate.noise) noise(c);
  if (fate.stale != 0) stale(c, fate.stale);
  if (fate.stray != 0 && c.tcp.una() < std::min(c.tcp.nxt(), c.stream.end())) {
    ++statistics_.strays;
    const uint64_t una = c.tcp.una(), nxt = std::min(c.tcp.nxt(), c.stream.end());
    const uint64_t a = una + random_.below(nxt - una);
    pieceFromHost(c, a, std::min(nxt, a + fate.stray), {});
  }
  if (fate.drop) {
    ++statistics_.hostDropped;
    return;
  }
  if (fate.pieces > 1 && to - from > 1) {
    ++statistics_.resegmented;
    for (uint32_t i = fate.pieces; i > 1 && to - from > 1; --i) {
      const uint64_t cut = from + 1 + random_.below(to - from - 1);
      pieceFromHost(c, from, cut, fate);
      from = cut;
    }
  }
  pieceFromHost(c, from, to, fate);
}

void World::pieceFromHost(Connection& c, uint64_t from, uint64_t to, const Fate& fate) {
  const uint64_t end = c.stream.end();
  const uint64_t last = std::min(to, end);
  const bool tso = c.tcp.tso() && last > from + c.tcp.mss();
  const bool partial = tso || random_.below(2) == 0;
  scratch_.resize(last > from ? last - from : 0);
  if (!scratch_.empty()) c.stream.plain(from, scratch_);
  TcpFields fields{.sequence = c.sequenceOf(from) - (from == to ? 1 : 0)};
  if (to > end && from < to) fields.flags |= kTcpFin;
  if (random_.below(4) == 0) fields.flags |= kTcpPsh;
  // A host without TSO never hands over more than a segment; a stray range is cut as TCP would cut it.
  const auto mss = static_cast<uint16_t>(std::min<uint32_t>(c.tcp.mss(), 65535));
  const bool cut = scratch_.size() > mss;
  auto frame = std::make_unique<HostFrame>();
  frame->connection = &c;
  frame->from = from;
  frame->to = last > from ? last : from;
  build(c.path, fields, scratch_, partial || cut, tso || cut ? mss : uint16_t{0}, frame->built);
  if (fate.coalesce && !joining_ && !scratch_.empty()) {
    joining_ = std::move(*frame);
    schedule(now_ + kHold, Kind::FlushHost, nullptr);
    return;
  }
  if (joining_) {
    HostFrame before = std::move(*joining_);
    joining_.reset();
    if (before.connection == &c && before.to == from && to - before.from <= kMostJoined && from < last) {
      ++statistics_.coalesced;
      Bytes both(before.built.frame.begin() + static_cast<long>(before.built.payload), before.built.frame.end());
      both.insert(both.end(), scratch_.begin(), scratch_.end());
      fields.sequence = c.sequenceOf(before.from);
      build(c.path, fields, both, true, mss, frame->built);
      frame->from = before.from;
    } else {
      toDevice(before);
    }
  }
  if (fate.reversed != 0 && hostReverse_ == 0) {
    hostReverse_ = fate.reversed;
    schedule(now_ + kHold, Kind::FlushHost, nullptr);
  }
  if (hostReverse_ != 0) {
    heldHost_.push_back(std::move(frame));
    if (--hostReverse_ == 0) flushHost();
    return;
  }
  for (uint32_t i = 1; i < fate.copies; ++i, ++statistics_.duplicated) {
    HostFrame copy{frame->connection, frame->from, frame->to, frame->built};
    toDevice(copy);
  }
  queueForDevice(std::move(frame), fate.wait, fate.overtaken);
}

void World::queueForDevice(std::unique_ptr<HostFrame> frame, uint64_t wait, uint64_t overtaken) {
  if (wait != 0) hostFreeAt_ = std::max(hostFreeAt_, now_ + wait);
  if (overtaken != 0) ++statistics_.reordered;
  const uint64_t at = std::max(now_, hostFreeAt_) + overtaken;
  if (at == now_) {
    toDevice(*frame);
    return;
  }
  Event& event = schedule(at, Kind::HostFrame, frame->connection);
  event.frame = std::move(frame);
}

void World::flushHost() {
  hostReverse_ = 0;
  auto held = std::move(heldHost_);
  heldHost_.clear();
  for (size_t i = held.size(); i-- > 0;) toDevice(*held[i]);
  if (!joining_) return;
  HostFrame alone = std::move(*joining_);
  joining_.reset();
  toDevice(alone);
}

void World::toDevice(HostFrame& frame) {
  Connection& c = *frame.connection;
  Current current{.what = frame.from == frame.to ? Current::What::Empty : Current::What::Data,
                  .connection = &c,
                  .from = frame.from,
                  .to = frame.to,
                  .segmentSize = frame.built.offload.segmentSize};
  transmit(current, frame.built);
  if (!current_.left || frame.from == frame.to) return;
  const uint64_t text = c.stream.textIn(frame.from, frame.to);
  statistics_.textSealed += text;
  if (frame.from < c.highest) statistics_.textResealed += c.stream.textIn(frame.from, std::min(frame.to, c.highest));
  c.highest = std::max(c.highest, frame.to);
}

// A segment without data that the host's stack makes by itself.
void World::control(Connection& c, uint8_t flags) {
  Built built;
  build(c.path, {.sequence = c.sequenceOf(0) - 1, .flags = flags}, {}, true, 0, built);
  transmit({.what = Current::What::Empty, .connection = &c}, built);
}

// What must pass as it is, and what must not leave.
void World::noise(Connection& c) {
  ++statistics_.noise;
  Built built;
  Current current{.what = Current::What::Foreign, .connection = &c};
  const Bytes words(kCanary.begin(), kCanary.end());
  switch (random_.below(6)) {
    case 0: {  // another connection, with data
      Path other = c.path;
      other.remotePort ^= 0x8000;
      for (const Removed& r : removed_)
        if (r.key == other.key()) return;
      for (const auto& one : connections_)
        if (one->path.key() == other.key()) return;
      build(other, {.sequence = static_cast<uint32_t>(random_())}, randomBytes(random_, random_.below(1000)), false, 0, built);
      break;
    }
    case 1: {  // ARP
      built.frame = randomBytes(random_, 42);
      built.frame[12] = 8;
      built.frame[13] = 6;
      break;
    }
    case 2: {  // an empty segment of ours
      build(c.path, {.sequence = c.sequenceOf(c.tcp.una()) - 1}, {}, false, 0, built);
      break;
    }
    case 3: {  // a position that nobody announced
      current.what = Current::What::Forbidden;
      build(c.path, {.sequence = c.sequenceOf(c.stream.end()) + static_cast<uint32_t>(random_.below(100000))}, words, false, 0, built);
      break;
    }
    case 4: {  // a fragment that hides TCP
      current.what = Current::What::Forbidden;
      Path ipv4 = c.path;
      if (ipv4.ipv6) return;
      build(ipv4, {.sequence = c.sequenceOf(c.tcp.una())}, words, false, 0, built);
      built.frame[14 + 4 * static_cast<size_t>(ipv4.vlanTags) + 6] |= 0x20;
      break;
    }
    default: {  // nonsense with our addresses
      current.what = Current::What::Nothing;
      build(c.path, {.sequence = static_cast<uint32_t>(random_()), .flags = static_cast<uint8_t>(random_() & ~6u)}, words, false, 0, built);
      for (int i = 0; i < 4; ++i) built.frame[random_.between(12, built.payload - 1)] ^= static_cast<uint8_t>(1u << random_.below(8));
      built.frame.resize(random_.between(10, built.frame.size()));
      if (std::search(built.frame.begin(), built.frame.end(), kCanary.begin(), kCanary.end()) != built.frame.end()) return;
    }
  }
  const Bytes before = built.frame;
  current.expected = before;
  // Both may leave when there is no flow.
  if (current.what == Current::What::Forbidden && (!c.alive() || !c.offloaded() || dead_)) return;
  transmit(current, built);
  if (current.what == Current::What::Foreign && !current_.left && !dead_ && now_ >= ringFullUntil_ && c.alive())
    find("passes", "a frame of somebody else did not leave", &c);
}

// A segment that TCP cannot send, since the device was told that it is acknowledged. Where another flow or software was in
// front of this one's start, it is anybody's.
void World::stale(Connection& c, uint64_t bytes) {
  const uint64_t floor = c.floor();
  if (floor == 0 || !c.alive() || !c.offloaded() || dead_) return;
  ++statistics_.stale;
  // Now and then what a keepalive of other systems has: one byte before what is acknowledged.
  const uint64_t from = random_.below(4) == 0 ? floor - 1 : random_.below(floor);
  Bytes words;
  while (words.size() < std::min(bytes, floor - from)) words.insert(words.end(), kCanary.begin(), kCanary.end());
  words.resize(std::min(bytes, floor - from));
  Built built;
  build(c.path, {.sequence = c.sequenceOf(from)}, words, false, 0, built);
  transmit({.what = Current::What::Forbidden, .connection = &c}, built);
}

void World::transmit(Current current, Built& built) {
  current_ = current;
  if (dead_ || finding_ || stopped_) return;
  ++statistics_.hostFrames;
  device_->transmit(built.frame, built.offload, *this);
}

// The device's wire.
bool World::send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept {
  if (finding_ || !countPacket()) return true;
  frame_.assign(head.begin(), head.end());
  frame_.insert(frame_.end(), rest.begin(), rest.end());
  ++statistics_.packetsOut;
  current_.left = true;
  if (capturing_) capture_.add(now_, frame_);
  check(frame_);
  return now_ >= ringFullUntil_;
}

void World::check(std::span<const uint8_t> frame) {
  Connection& c = *current_.connection;
  if (current_.what != Current::What::Nothing && memmem(frame.data(), frame.size(), kCanary.data(), kCanary.size()) != nullptr) {
    find("canary", "plaintext is on the wire", &c);
    return;
  }
  switch (current_.what) {
    case Current::What::Nothing: return;
    case Current::What::Forbidden: return find("forbidden", "a frame left that nothing may be known of", &c);
    case Current::What::Foreign:
      if (!std::equal(frame.begin(), frame.end(), current_.expected.begin(), current_.expected.end())) find("passes", "a frame of somebody else was changed", &c);
      return;
    case Current::What::Empty:
    case Current::What::Data: break;
  }
  const auto taken = take(c.path, frame, why_);
  if (!taken) return find("frame", "a frame left that a receiver would drop: " + why_, &c);
  if (taken->payload.empty()) {
    if ((taken->flags & kTcpFin) != 0) out(c, c.stream.end(), c.stream.end() + 1, frame);
    return;
  }
  if (!c.alive()) {
    // What software has sealed may leave late.
    if (c.offloaded()) find("removed", "data of a connection left after it was removed", &c);
    return;
  }
  if (current_.what == Current::What::Empty) return find("frame", "a segment without data left with some", &c);
  if (current_.segmentSize != 0 && taken->payload.size() > current_.segmentSize) return find("frame", "a segment left that is longer than the wire's size", &c);
  const uint64_t at = current_.from + (taken->sequence - c.sequenceOf(current_.from));
  if (at < current_.from || at + taken->payload.size() > current_.to) return find("frame", "a segment left with another sequence number", &c);
  statistics_.bytesChecked += taken->payload.size();
  // What software has sealed may come late as well.
  if (!c.offloaded() && c.stream.find(std::max(at, c.stream.start())) == nullptr) return;
  if (auto violation = c.stream.emitted(at, taken->payload)) return find(std::move(violation->invariant), std::move(violation->what), &c);
  sample(c, at, taken->payload);
  if (now_ < ringFullUntil_) return;
  const bool fin = (taken->flags & kTcpFin) != 0 && at + taken->payload.size() == c.stream.end();
  out(c, at, at + taken->payload.size() + (fin ? 1 : 0), frame);
}

void World::sample(Connection& c, uint64_t at, std::span<const uint8_t> payload) {
  if (!sampling_) {
    if (samples_.size() >= kMostSamples || !random_.chance(kSampleRate)) return;
    const auto* record = c.stream.find(at + payload.size() - 1);
    if (record == nullptr || record->sealed || record->emitted || record->ref.streamOffset < at) return;
    sampling_ = Sampling{&c, record->ref.streamOffset, {}, {c.stream.epochs()[record->keys], record->ref.recordSeq, static_cast<uint8_t>(record->type), c.stream.content(*record), Bytes(record->ref.length)}};
  }
  if (sampling_->connection != &c) return;
  Bytes& wire = sampling_->sample.wire;
  const uint64_t a = std::max(at, sampling_->at), b = std::min(at + payload.size(), sampling_->at + wire.size());
  if (a >= b) return;
  std::copy_n(payload.begin() + static_cast<long>(a - at), b - a, wire.begin() + static_cast<long>(a - sampling_->at));
  sampling_->seen.add(a, b);
  if (!sampling_->seen.covers(sampling_->at, sampling_->at + wire.size())) return;
  samples_.push_back(std::move(sampling_->sample));
  sampling_.reset();
}

void World::out(Connection& c, uint64_t from, uint64_t to, std::span<const uint8_t> frame) {
  const Fate fate = outRules_.empty() ? Fate{} : outRules_.next(now_);
  // The wire takes its time; a full queue in front of it drops.
  const uint64_t busy = std::max(now_, outFreeAt_);
  if (busy - now_ > kQueue) {
    ++statistics_.queueDropped;
    return;
  }
  outFreeAt_ = busy + fate.wait + (frame.size() * 8'000'000 + plan_.bitsPerSecond / 2) / plan_.bitsPerSecond;
  if (fate.drop || (mtu_ != 0 && to - from > uint64_t{mtu_} + 1)) {
    ++statistics_.wireDropped;
    return;
  }
  if (fate.corrupt) {
    ++statistics_.corrupted;
    Bytes hurt(frame.begin(), frame.end());
    // Behind the Ethernet header, whose own checksum is not here.
    const size_t at = random_.between(frame.size() - (to - from), frame.size() - 1);
    hurt[at] ^= static_cast<uint8_t>(1u << random_.below(8));
    if (take(c.path, hurt, why_)) find("frame", "a flipped bit would not be noticed", &c);
    return;
  }
  const uint64_t at = outFreeAt_ + plan_.roundTrip / 2 + fate.overtaken;
  if (fate.overtaken != 0) ++statistics_.reordered;
  for (uint32_t i = 1; i < fate.copies; ++i, ++statistics_.duplicated) arrive(c, from, to, at + i);
  if (fate.pieces > 1 && to - from > 1) {
    ++statistics_.resegmented;
    for (uint32_t i = fate.pieces; i > 1 && to - from > 1; --i) {
      const uint64_t cut = from + 1 + random_.below(to - from - 1);
      arrive(c, from, cut, at);
      from = cut;
    }
  }
  if (heldOut_) {
    const Segment before = *heldOut_;
    heldOut_.reset();
    if (before.connection == &c && before.to == from) {
      ++statistics_.coalesced;
      from = before.from;
    } else {
      arrive(*before.connection, before.from, before.to, at);
    }
  } else if (fate.coalesce) {
    heldOut_ = Segment{&c, from, to, at};
    schedule(now_ + kHold, Kind::FlushOut, nullptr);
    return;
  }
  arrive(c, from, to, at);
}

void World::arrive(Connection& c, uint64_t from, uint64_t to, uint64_t at) {
  Event& event = schedule(at, Kind::Arrival, &c);
  event.a = from;
  event.b = to;
}

void World::flushOut() {
  if (!heldOut_) return;
  const Segment alone = *heldOut_;
  heldOut_.reset();
  arrive(*alone.connection, alone.from, alone.to, alone.at);
}

void World::answer(Connection& c) {
  const Acknowledgement sent = c.peer.acknowledgement();
  if (!countPacket()) return;
  ++statistics_.packetsBack;
  if (capturing_) {
    build(c.back,
          {.sequence = 0x01020304,
           .acknowledgement = c.sequenceOf(sent.next),
           .window = static_cast<uint16_t>(std::min<uint64_t>(sent.window >> 8, 0xffff))},
          {}, false, 0, built_);
    capture_.add(now_, built_.frame);
  }
  const Fate fate = backRules_.empty() ? Fate{} : backRules_.next(now_);
  intrude(c, fate);
  if (fate.drop || fate.corrupt) {
    ++(fate.corrupt ? statistics_.corrupted : statistics_.wireDropped);
    return;
  }
  if (fate.overtaken != 0) ++statistics_.reordered;
  statistics_.duplicated += fate.copies - 1;
  if (fate.wait != 0) backFreeAt_ = std::max(backFreeAt_, now_ + fate.wait);
  for (uint32_t i = 0; i < fate.copies; ++i)
    schedule(std::max(now_, backFreeAt_) + plan_.roundTrip / 2 + fate.overtaken + i, Kind::Answer, &c).answer = sent;
}

// Frames that an attacker off the path has made. TCP refuses them: a wrong checksum, a sequence number
// outside the window (RFC 5961), an acknowledgement of what was never sent.
void World::intrude(Connection& c, const Fate& fate) {
  if (fate.forgedAck) {
    ++statistics_.forgedAcks;
    Event& event = schedule(now_ + plan_.roundTrip / 2, Kind::Answer, &c);
    const bool beyond = random_.below(2) == 0;
    event.believable = beyond;  // TCP itself sees through those
    event.answer.next = beyond ? c.tcp.nxt() + (uint64_t{1} << 25) + random_.below(100000) : c.tcp.una() + random_.below(c.tcp.nxt() - c.tcp.una() + 1);
    event.answer.window = random_.below(1 << 20);
  }
  if (fate.spoofedRst) {
    ++statistics_.spoofedRsts;
    // RFC 5961 3.2: in the window, but not exact: the host's stack answers with a challenge ACK.
    control(c, kAck);
  }
}

void World::answerArrives(Event& event) {
  Connection& c = *event.connection;
  if (device_->looksAtWire() && !dead_) device_->fromWire(c.path.key(), c.sequenceOf(event.answer.next));
  if (event.believable) c.acknowledged(event.answer);
}

}  // namespace socrypt::nic::lab
