#include "nic/lab/host_seam.hpp"

#include <algorithm>
#include <cstring>

#include "nic/device/packet.hpp"
#include "nic/lab/forgery.hpp"

namespace socrypt::nic::lab {
namespace {

constexpr uint64_t kHold = 1000;  // microseconds that a frame waits for one to be joined or turned around with
constexpr size_t kMostJoined = 60'000;
constexpr size_t kRecent = 64;

// Lengths and checksums as the payload asks for, and who cuts what.
void finish(HostFrame& made, const Packet& packet, uint16_t segment) {
  Bytes& frame = made.frame;
  finishIp(frame, packet);
  const auto tcp = std::span<uint8_t>(frame).subspan(packet.transport);
  const uint64_t pseudo = pseudoHeaderSum(packet, frame.data(), static_cast<uint32_t>(tcp.size()));
  if ((made.offload.flags & Offload::kNeedsChecksum) != 0) {
    put16(tcp.data() + 16, checksumFold(pseudo));
  } else {
    put16(tcp.data() + 16, 0);
    put16(tcp.data() + 16, static_cast<uint16_t>(~checksumFold(checksumAdd(tcp, pseudo))));
  }
  const bool cut = segment != 0 && frame.size() - packet.payload > segment;
  made.offload.gsoType = !cut ? Offload::kGsoNone : packet.ipv6 ? Offload::kGsoTcp6 : Offload::kGsoTcp4;
  made.offload.gsoSize = cut ? segment : uint16_t{0};
  made.offload.headerLength = static_cast<uint16_t>(packet.payload);
}

HostFrame joined(const HostFrame& first, const Packet& before, const HostFrame& second, const Packet& behind) {
  HostFrame made{second.offload, {second.frame.begin(), second.frame.begin() + behind.payload}};
  made.frame.insert(made.frame.end(), first.frame.begin() + before.payload, first.frame.begin() + before.end);
  made.frame.insert(made.frame.end(), second.frame.begin() + behind.payload, second.frame.begin() + behind.end);
  put32(made.frame.data() + behind.transport + 4, before.sequence);
  const uint32_t segment = first.offload.gsoSize != 0 ? first.offload.gsoSize : before.payloadLength();
  // Its checksum is whole no more.
  made.offload.flags |= Offload::kNeedsChecksum;
  made.offload.checksumStart = behind.transport;
  made.offload.checksumOffset = 16;
  finish(made, behind, static_cast<uint16_t>(std::min<uint32_t>(segment, 65535)));
  return made;
}

bool holds(const Bytes& frame, const std::string& words) { return memmem(frame.data(), frame.size(), words.data(), words.size()) != nullptr; }

}  // namespace

HostFrame partOf(const HostFrame& whole, size_t from, size_t to) {
  const Packet packet = parsePacket(whole.frame);
  HostFrame made{whole.offload, {whole.frame.begin(), whole.frame.begin() + packet.payload}};
  const auto payload = whole.frame.begin() + packet.payload;
  made.frame.insert(made.frame.end(), payload + static_cast<long>(from), payload + static_cast<long>(to));
  uint8_t* tcp = made.frame.data() + packet.transport;
  put32(tcp + 4, packet.sequence + static_cast<uint32_t>(from));
  if (to != packet.payloadLength()) tcp[13] = static_cast<uint8_t>(tcp[13] & ~(kTcpFin | kTcpPsh));
  finish(made, packet, whole.offload.gsoSize);
  return made;
}

HostSeam::HostSeam(const Plan& plan, std::string canary)
    : rules_(plan, Seam::Host, Random(plan.seed).fork(4)), canary_(std::move(canary)), random_(Random(plan.seed).fork(5)) {}

void HostSeam::take(HostFrame frame, uint64_t now) {
  const Packet packet = parsePacket(frame.frame);
  const bool data = packet.kind == Packet::Kind::Tcp && packet.payloadLength() != 0 && (packet.flags & (kTcpSyn | kTcpRst)) == 0;
  if (!data || rules_.empty()) return hold(std::move(frame), std::max(now, freeAt_));
  ++counts_.frames;
  const Fate fate = rules_.next(now);
  if (fate.noise && holds(frame.frame, canary_)) noise(frame, now);
  if (fate.stray != 0) stray(packet.key, fate.stray, now);
  if (recent_.size() == kRecent) recent_.pop_front();
  recent_.push_back(frame);
  if (fate.drop) {
    ++counts_.dropped;
    return;
  }
  if (fate.pieces > 1 && packet.payloadLength() > 1) {
    ++counts_.resegmented;
    size_t from = 0;
    const size_t end = packet.payloadLength();
    for (uint32_t i = fate.pieces; i > 1 && end - from > 1; --i) {
      const size_t cut = from + 1 + random_.below(end - from - 1);
      pass(partOf(frame, from, cut), fate, now);
      from = cut;
    }
    return pass(partOf(frame, from, end), fate, now);
  }
  pass(std::move(frame), fate, now);
}

void HostSeam::pass(HostFrame frame, const Fate& fate, uint64_t now) {
  if (joining_) {
    const HostFrame before = std::move(*joining_);
    joining_.reset();
    const Packet first = parsePacket(before.frame), second = parsePacket(frame.frame);
    if (first.key == second.key && first.sequence + first.payloadLength() == second.sequence && before.frame.size() + second.payloadLength() <= kMostJoined &&
        (first.flags & kTcpFin) == 0) {
      ++counts_.coalesced;
      frame = joined(before, first, frame, second);
    } else {
      hold(before, now);
    }
  } else if (fate.coalesce) {
    joining_ = std::move(frame);
    until_ = now + kHold;
    return;
  }
  if (fate.reversed != 0 && rowLeft_ == 0) {
    rowLeft_ = fate.reversed;
    until_ = now + kHold;
  }
  if (rowLeft_ != 0) {
    row_.push_back(std::move(frame));
    if (--rowLeft_ == 0) letGo(now);
    return;
  }
  if (fate.wait != 0) {
    ++counts_.delayed;
    freeAt_ = std::max(freeAt_, now + fate.wait);
  }
  counts_.overtaken += fate.overtaken != 0;
  counts_.duplicated += fate.copies - 1;
  const uint64_t at = std::max(now, freeAt_) + fate.overtaken;
  for (uint32_t i = 1; i < fate.copies; ++i) hold(frame, at);
  hold(std::move(frame), at);
}

// Of a connection that is still there: of one that has ended TCP sends nothing, and a device forgets it a second later.
void HostSeam::stray(const FlowKey& key, uint64_t bytes, uint64_t now) {
  std::erase_if(recent_, [&](const HostFrame& one) { return !(parsePacket(one.frame).key == key); });
  if (recent_.empty()) return;
  const HostFrame& one = recent_[random_.below(recent_.size())];
  const size_t length = parsePacket(one.frame).payloadLength();
  const size_t from = random_.below(length);
  ++counts_.strays;
  hold(partOf(one, from, std::min<size_t>(length, from + bytes)), now);
}

// Plaintext that must not leave: nobody announced it, or it hides what it is.
void HostSeam::noise(const HostFrame& like, uint64_t now) {
  ++counts_.noise;
  const Packet packet = parsePacket(like.frame);
  HostFrame made = partOf(like, 0, std::min<size_t>(packet.payloadLength(), 1000));
  uint8_t* frame = made.frame.data();
  if (packet.ipv6 || random_.below(2) == 0) {
    put32(frame + packet.transport + 4, packet.sequence + (1u << 26) + static_cast<uint32_t>(random_.below(1u << 20)));
  } else {
    frame[packet.ip + 6] = 0x20;  // more fragments
    const auto header = std::span<const uint8_t>(made.frame).subspan(packet.ip, packet.transport - packet.ip);
    put16(frame + packet.ip + 10, 0);
    put16(frame + packet.ip + 10, static_cast<uint16_t>(~checksumFold(checksumAdd(header))));
  }
  hold(std::move(made), now);
}

void HostSeam::letGo(uint64_t now) {
  until_ = UINT64_MAX;
  if (joining_) hold(std::move(*joining_), now);
  joining_.reset();
  rowLeft_ = 0;
  if (row_.size() > 1) counts_.reversed += row_.size();
  for (size_t i = row_.size(); i-- > 0;) hold(std::move(row_[i]), now);
  row_.clear();
}

void HostSeam::release(uint64_t now, const std::function<void(const HostFrame&)>& device) {
  if (until_ <= now) letGo(now);
  while (!held_.empty() && held_.top().at <= now) {
    device(held_.top().frame);
    held_.pop();
  }
}

void HostSeam::forget() noexcept {
  held_ = {};
  recent_.clear();
  joining_.reset();
  row_.clear();
  rowLeft_ = 0;
  until_ = UINT64_MAX;
}

uint64_t HostSeam::due() const noexcept { return std::min(held_.empty() ? UINT64_MAX : held_.top().at, until_); }

}  // namespace socrypt::nic::lab
