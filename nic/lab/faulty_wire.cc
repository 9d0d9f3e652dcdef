#include "nic/lab/faulty_wire.hpp"

#include <algorithm>
#include <cstring>

#include "nic/lab/forgery.hpp"

namespace socrypt::nic::lab {
namespace {

constexpr size_t kBurst = 64;
// Of that many connections what was sent is remembered, and of each as far as this.
constexpr size_t kMostConnections = 8;
constexpr uint64_t kMostBytes = 32u << 20;
constexpr uint64_t kHold = 1000;  // microseconds that a frame waits for the one it is joined with
// Of two joined ones, as an interface with an MTU of 3000 takes it.
constexpr size_t kMostJoined = 3000;
// Linux's tcp_min_snd_mss and min_pmtu are below; what is narrower is ignored by it (net.ipv4.route.min_pmtu).
constexpr uint32_t kLeastMtu = 576;
constexpr uint32_t kHeaders = 52;  // IPv4, TCP, time stamps
constexpr uint64_t kClaimed = 2'000'000;

FlowKey reversed(const FlowKey& key) noexcept { return {key.remoteAddress, key.localAddress, key.remotePort, key.localPort}; }

std::array<uint8_t, 36> nameOf(const FlowKey& key) noexcept {
  std::array<uint8_t, 36> name;
  std::copy(key.localAddress.begin(), key.localAddress.end(), name.begin());
  std::copy(key.remoteAddress.begin(), key.remoteAddress.end(), name.begin() + 16);
  put16(name.data() + 32, key.localPort);
  put16(name.data() + 34, key.remotePort);
  return name;
}

bool checksumHolds(const Packet& packet, std::span<const uint8_t> frame) noexcept {
  const auto segment = frame.subspan(packet.transport, packet.end - packet.transport);
  return checksumFold(checksumAdd(segment, pseudoHeaderSum(packet, frame.data(), static_cast<uint32_t>(segment.size())))) == 0xffff;
}

class Pieces final : public FrameSink {
 public:
  std::vector<Bytes> frames;
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    frames.emplace_back(head.begin(), head.end());
    frames.back().insert(frames.back().end(), rest.begin(), rest.end());
    return true;
  }
};

}  // namespace

class FaultyWire::FromFirst final : public FrameReceiver {
 public:
  explicit FromFirst(FaultyWire& wire) noexcept : wire_(wire) {}
  void frame(std::span<uint8_t> frame, const FrameOffload&) override {
    ++wire_.counts_.framesOut;
    wire_.pass(wire_.out_, frame);
  }

 private:
  FaultyWire& wire_;
};

class FaultyWire::FromSecond final : public FrameReceiver {
 public:
  explicit FromSecond(FaultyWire& wire) noexcept : wire_(wire) {}
  void frame(std::span<uint8_t> frame, const FrameOffload&) override {
    ++wire_.counts_.framesBack;
    wire_.pass(wire_.back_, frame);
  }

 private:
  FaultyWire& wire_;
};

FaultyWire::FaultyWire(const Plan& plan, Port& first, Port& second, std::string canary)
    : out_{&second, SeamRules(plan, Seam::Out, Random(plan.seed).fork(1))},
      back_{&first, SeamRules(plan, Seam::Back, Random(plan.seed).fork(2))},
      first_(first),
      second_(second),
      canary_(std::move(canary)),
      random_(Random(plan.seed).fork(3)) {}

size_t FaultyWire::once(uint64_t now) {
  now_ = now;
  FromFirst fromFirst(*this);
  FromSecond fromSecond(*this);
  for (Direction* direction : {&out_, &back_})
    if (direction->joining && direction->joining->until <= now_) letGo(*direction);
  const size_t moved = (now_ < stalledUntil_ ? 0 : first_.receive(fromFirst, kBurst)) + second_.receive(fromSecond, kBurst);
  const bool released = release(out_);
  unfinished_ = !(release(back_) && released);
  return moved;
}

uint64_t FaultyWire::due() const noexcept {
  const auto of = [](const Direction& direction) {
    return std::min(direction.held.empty() ? UINT64_MAX : direction.held.top().at, direction.joining ? direction.joining->until : UINT64_MAX);
  };
  return std::min(of(out_), of(back_));
}

bool FaultyWire::act(const Deed& deed, uint64_t now) {
  switch (deed.action) {
    case Action::Mtu: {
      const auto mtu = static_cast<uint32_t>(std::min<uint64_t>(deed.amount, 1448)) + kHeaders;
      mtu_ = mtu >= 1448 + kHeaders ? 0 : std::max(mtu, kLeastMtu);
      return true;
    }
    case Action::RingFull:
      stalledUntil_ = now + deed.amount;
      ++counts_.stalls;
      return true;
    case Action::Renege: claimWanted_ = true; return true;
    default: return false;
  }
}

void FaultyWire::pass(Direction& direction, std::span<uint8_t> frame) {
  if (capturing_) capture_.add(now_, frame);
  const Packet packet = parsePacket(frame);
  const bool out = &direction == &out_;
  const bool gone = out && !forward(frame, packet);
  if (out) look(packet, frame);
  // What is no TCP goes by: without address resolution there is nothing to see.
  if (packet.kind != Packet::Kind::Tcp) return hold(direction, frame, now_);
  const Fate fate = direction.rules.empty() ? Fate{} : direction.rules.next(now_);
  if (!out) backward(frame, packet, fate);
  if (gone) return;
  if (fate.drop) {
    ++counts_.dropped;
    return;
  }
  if (direction.joining || fate.coalesce) {
    if (join(direction, frame, packet, fate)) return;
  }
  finishPassing(direction, frame, packet, fate);
}

void FaultyWire::finishPassing(Direction& direction, std::span<uint8_t> frame, const Packet& packet, const Fate& fate) {
  if (fate.wait != 0) {
    ++counts_.delayed;
    direction.freeAt = std::max(direction.freeAt, now_ + fate.wait);
  }
  counts_.overtaken += fate.overtaken != 0;
  counts_.duplicated += fate.copies - 1;
  if (fate.corrupt) {
    ++counts_.corrupted;
    frame[random_.between(packet.transport, packet.end - 1)] ^= static_cast<uint8_t>(1u << random_.below(8));
  }
  const uint64_t at = std::max(now_, direction.freeAt) + fate.overtaken;
  for (uint32_t i = 1; i < fate.copies; ++i) hold(direction, frame, at);
  if (fate.pieces < 2 || packet.payloadLength() < fate.pieces || fate.corrupt || (packet.flags & (kTcpSyn | kTcpRst)) != 0)
    return hold(direction, frame, at);
  ++counts_.resegmented;
  Pieces pieces;
  const FrameOffload cut{.checksum = FrameOffload::Checksum::Unknown, .segmentSize = static_cast<uint16_t>((packet.payloadLength() + fate.pieces - 1) / fate.pieces)};
  static_cast<void>(finishFrame(frame, packet, cut, true, pieces));
  for (const Bytes& piece : pieces.frames) hold(direction, piece, at);
}

bool FaultyWire::forward(std::span<const uint8_t> frame, const Packet& packet) {
  if (packet.kind != Packet::Kind::Tcp || packet.payloadLength() == 0) return true;
  if (mtu_ != 0 && packet.end - packet.ip > mtu_ && !packet.ipv6) {
    ++counts_.tooLong;
    hold(back_, fragmentationNeeded(frame, packet, static_cast<uint16_t>(mtu_)), now_);
    return false;
  }
  const auto known = sent_.find(nameOf(packet.key));
  // The one behind all that was sent, so that it was never acknowledged.
  if (!claimWanted_ || claim_ || known == sent_.end() || !known->second.gap || packet.sequence != known->second.sentTo()) return true;
  claimWanted_ = false;
  claim_ = Claim{known->first, packet.sequence, packet.sequence + packet.payloadLength(), now_ + kClaimed};
  ++counts_.dropped;
  return false;
}

// Only an established connection refuses what is forged (RFC 5961); it has sent data.
void FaultyWire::backward(std::span<uint8_t> frame, const Packet& packet, const Fate& fate) {
  const auto known = sent_.find(nameOf(reversed(packet.key)));
  if (known == sent_.end() || known->second.highest == 0 || (packet.flags & (kTcpSyn | kTcpRst)) != 0) return;
  Sent& sent = known->second;
  counts_.zeroWindows += windowOf(frame, packet) == 0;
  sent.gap = hasSack(frame, packet);
  if (fate.forgedAck) {
    ++counts_.forgedAcks;
    hold(back_, forgedAck(frame, packet, sent.sentTo(), random_), now_);
  }
  if (fate.spoofedRst) {
    ++counts_.spoofedRsts;
    hold(back_, spoofedRst(frame, packet, random_), now_);
  }
  if (!claim_ || claim_->connection != known->first) return;
  const bool reached = static_cast<int32_t>(acknowledgementOf(frame, packet) - claim_->from) >= 0;
  if (reached || now_ >= claim_->until) {
    counts_.renegings += reached && claim_->told;
    claim_.reset();
  } else if (claimReceived(frame, packet, claim_->from, claim_->to)) {
    claim_->told = true;
  }
}

// True: it was taken, to wait or with the one that waited.
bool FaultyWire::join(Direction& direction, std::span<const uint8_t> frame, const Packet& packet, const Fate& fate) {
  const bool fits = packet.payloadLength() != 0 && (packet.flags & (kTcpSyn | kTcpRst)) == 0;
  if (direction.joining) {
    const Bytes before = std::move(direction.joining->frame);
    direction.joining.reset();
    const Packet first = parsePacket(before);
    if (fits && first.key == packet.key && first.sequence + first.payloadLength() == packet.sequence && before.size() + packet.payloadLength() <= kMostJoined) {
      ++counts_.coalesced;
      Bytes both = joined(before, first, frame, packet);
      finishPassing(direction, both, parsePacket(both), fate);
      return true;
    }
    hold(direction, before, now_);
  }
  if (!fate.coalesce || !fits || (packet.flags & kTcpFin) != 0) return false;
  direction.joining = Joining{{frame.begin(), frame.end()}, now_ + kHold};
  return true;
}

void FaultyWire::letGo(Direction& direction) {
  hold(direction, direction.joining->frame, now_);
  direction.joining.reset();
}

void FaultyWire::hold(Direction& direction, std::span<const uint8_t> frame, uint64_t at) {
  direction.held.push({at, order_++, {frame.begin(), frame.end()}});
}

bool FaultyWire::release(Direction& direction) {
  while (!direction.held.empty() && direction.held.top().at <= now_) {
    // A queue that is full: TCP has to bring it again.
    if (!direction.to->send(direction.held.top().frame, {})) ++counts_.refused;
    direction.held.pop();
  }
  return direction.to->flush();
}

void FaultyWire::find(std::string invariant, std::string what) {
  if (finding_) return;
  finding_ = Violation{std::move(invariant), std::move(what)};
  foundAt_ = counts_.framesOut + counts_.framesBack;
}

void FaultyWire::look(const Packet& packet, std::span<const uint8_t> frame) {
  if (memmem(frame.data(), frame.size(), canary_.data(), canary_.size()) != nullptr) return find("canary", "plaintext is on the wire");
  if (packet.kind != Packet::Kind::Tcp) return;
  if (!checksumHolds(packet, frame)) return find("frame", "a frame left that a receiver would drop: wrong TCP checksum");
  if ((packet.flags & kTcpSyn) != 0) {
    // The same connection begun again keeps its number; another one has another.
    const auto known = sent_.find(nameOf(packet.key));
    if (known != sent_.end() && known->second.first != packet.sequence + 1) sent_.erase(known);
    Packet beginning = packet;
    ++beginning.sequence;
    return remember(beginning, {});
  }
  remember(packet, frame.subspan(packet.payload, packet.payloadLength()));
}

void FaultyWire::remember(const Packet& packet, std::span<const uint8_t> payload) {
  auto [it, made] = sent_.try_emplace(nameOf(packet.key));
  Sent& sent = it->second;
  if (made) {
    ++counts_.connections;
    sent.first = packet.sequence;
    if (sent_.size() > kMostConnections) {
      sent.used = UINT64_MAX;
      sent_.erase(std::min_element(sent_.begin(), sent_.end(), [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
    }
  }
  sent.used = order_;
  counts_.bytesOut += payload.size();
  const int64_t at = static_cast<int64_t>(sent.highest) + static_cast<int32_t>(packet.sequence - (sent.first + static_cast<uint32_t>(sent.highest)));
  // Before what was seen of it first, or beyond what is remembered.
  if (payload.empty() || at < 0 || static_cast<uint64_t>(at) + payload.size() > kMostBytes) return;
  const auto from = static_cast<uint64_t>(at), to = from + payload.size();
  sent.highest = std::max(sent.highest, to);
  if (sent.bytes.size() < to) sent.bytes.resize(to);
  for (uint64_t i = from; i < to;) {
    const uint64_t known = std::min(to, sent.seen.coveredTo(i));
    if (known > i) {
      counts_.bytesAgain += known - i;
      if (!std::equal(sent.bytes.begin() + static_cast<long>(i), sent.bytes.begin() + static_cast<long>(known), payload.begin() + static_cast<long>(i - from)))
        return find("one-ciphertext", "bytes " + std::to_string(i) + " to " + std::to_string(known) + " of a connection left with two values");
      i = known;
      continue;
    }
    const uint64_t next = std::min(to, sent.seen.nextFrom(i, to));
    std::copy(payload.begin() + static_cast<long>(i - from), payload.begin() + static_cast<long>(next - from), sent.bytes.begin() + static_cast<long>(i));
    i = next;
  }
  static_cast<void>(sent.seen.add(from, to));
}

}  // namespace socrypt::nic::lab
