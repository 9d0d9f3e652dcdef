#include "nic/lab/faulty_wire.hpp"

#include <algorithm>
#include <cstring>

namespace socrypt::nic::lab {
namespace {

constexpr size_t kBurst = 64;
// Of that many connections what was sent is remembered, and of each as far as this.
constexpr size_t kMostConnections = 8;
constexpr uint64_t kMostBytes = 32u << 20;

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
  const size_t moved = first_.receive(fromFirst, kBurst) + second_.receive(fromSecond, kBurst);
  const bool released = release(out_);
  unfinished_ = !(release(back_) && released);
  return moved;
}

uint64_t FaultyWire::due() const noexcept {
  const auto of = [](const Direction& direction) { return direction.held.empty() ? UINT64_MAX : direction.held.top().at; };
  return std::min(of(out_), of(back_));
}

void FaultyWire::pass(Direction& direction, std::span<uint8_t> frame) {
  if (capturing_) capture_.add(now_, frame);
  const Packet packet = parsePacket(frame);
  if (&direction == &out_) look(packet, frame);
  // What is no TCP goes by: without address resolution there is nothing to see.
  if (packet.kind != Packet::Kind::Tcp || direction.rules.empty()) return hold(direction, frame, now_);
  const Fate fate = direction.rules.next(now_);
  if (fate.drop) {
    ++counts_.dropped;
    return;
  }
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
