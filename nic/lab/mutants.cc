// Devices that are broken on purpose, each in one way that a real one could be: whether the laboratory notices
// is what tells how much its silence is worth. They exist in here alone; no port is ever given one.
#include <algorithm>
#include <cstring>
#include <map>

#include "nic/lab/ranges.hpp"
#include "nic/lab/subject.hpp"

namespace socrypt::nic::lab {
namespace {

class Real : public Subject, public Device {
 public:
  explicit Real(const DeviceOptions& options) : device_(options) {}
  [[nodiscard]] Device& driver() noexcept override { return *this; }
  [[nodiscard]] InlineDevice& inner() noexcept override { return device_; }
  void transmit(std::span<uint8_t> frame, const FrameOffload& offload, FrameSink& wire) override { device_.transmit(frame, offload, wire); }

  [[nodiscard]] ocf::Status add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged, FlowId* flow) override {
    return device_.add(key, keys, tcpSequence, unacknowledged, flow);
  }
  [[nodiscard]] ocf::Status rekey(FlowId flow, const record::TrafficKeys& keys) override { return device_.rekey(flow, keys); }
  [[nodiscard]] ocf::Status push(FlowId flow, std::span<record::NewRecord> records) override { return device_.push(flow, records); }
  void acknowledged(FlowId flow, uint64_t streamOffset) override { device_.acknowledged(flow, streamOffset); }
  void resync(FlowId flow, uint64_t streamOffset) override { device_.resync(flow, streamOffset); }
  void remove(FlowId flow) override { device_.remove(flow); }
  void release(const FlowKey& key) override { device_.release(key); }

 protected:
  InlineDevice device_;
};

// Keeps what the ones below have to know: where a flow's records are.
class Knowing : public Real {
 public:
  using Real::Real;
  [[nodiscard]] ocf::Status add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged, FlowId* flow) override {
    const auto status = Real::add(key, keys, tcpSequence, unacknowledged, flow);
    if (status == ocf::Status::Ok) flows_[static_cast<uint64_t>(*flow)] = {key, tcpSequence, keys.streamOffset, {}, {}};
    return status;
  }
  [[nodiscard]] ocf::Status push(FlowId flow, std::span<record::NewRecord> records) override {
    const auto status = Real::push(flow, records);
    if (status == ocf::Status::Ok)
      for (const auto& record : records)
        if (!record.sealed) flows_[static_cast<uint64_t>(flow)].records.push_back(record.ref);
    return status;
  }

 protected:
  struct Known {
    FlowKey key;
    uint32_t sequence;
    uint64_t start;
    std::vector<record::RecordRef> records;
    Ranges sent;
  };
  Known* of(const FlowKey& key) {
    // The newest: keys are used again.
    for (auto it = flows_.rbegin(); it != flows_.rend(); ++it)
      if (it->second.key == key) return &it->second;
    return nullptr;
  }
  static uint64_t offset(const Known& flow, uint32_t sequence) {
    return flow.start + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(sequence - flow.sequence)));
  }
  std::map<uint64_t, Known> flows_;
};

// Gives each finished frame to `change`, which may write into its payload; the checksum is put right again.
class Changing final : public FrameSink {
 public:
  explicit Changing(FrameSink& wire) noexcept : wire_(wire) {}
  std::vector<std::vector<uint8_t>> frames;
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    frames.emplace_back(head.begin(), head.end());
    frames.back().insert(frames.back().end(), rest.begin(), rest.end());
    return true;
  }
  void pass(std::vector<uint8_t>& frame) {
    static_cast<void>(finishFrame(frame, parsePacket(frame), {FrameOffload::Checksum::Unknown}, false, wire_));
  }

 private:
  FrameSink& wire_;
};

// SkippedTag: the tag's room leaves as TCP had it. DoubleCount: bytes that come twice before the tag exists are
// added twice, and the tag is wrong.
class WrongTags final : public Knowing {
 public:
  WrongTags(const DeviceOptions& options, bool onlyRepeated) : Knowing(options), onlyRepeated_(onlyRepeated) {}
  void transmit(std::span<uint8_t> frame, const FrameOffload& offload, FrameSink& wire) override {
    Changing changing(wire);
    device_.transmit(frame, offload, changing);
    for (auto& out : changing.frames) {
      const Packet packet = parsePacket(out);
      Known* flow = packet.kind == Packet::Kind::Tcp ? of(packet.key) : nullptr;
      if (flow != nullptr && packet.payloadLength() != 0) spoil(*flow, offset(*flow, packet.sequence), std::span(out).subspan(packet.payload));
      changing.pass(out);
    }
  }

 private:
  void spoil(Known& flow, uint64_t from, std::span<uint8_t> payload) {
    const uint64_t to = from + payload.size();
    const bool again = flow.sent.bytesIn(from, to) != 0;
    for (const auto& record : flow.records) {
      const uint64_t end = record.streamOffset + record.length, tag = end - record::kTagLength;
      if (end <= from || record.streamOffset >= to) continue;
      const bool wrong = !onlyRepeated_ || (again && !flow.sent.covers(tag, end) && flow.sent.bytesIn(record.streamOffset, tag) != 0);
      if (onlyRepeated_ && wrong) doubled_.add(record.streamOffset, end);
      if (onlyRepeated_ && !doubled_.covers(record.streamOffset, end)) continue;
      for (uint64_t at = std::max(from, tag); at < std::min(to, end); ++at)
        payload[at - from] = onlyRepeated_ ? static_cast<uint8_t>(payload[at - from] ^ 0x55) : uint8_t{0};
    }
    flow.sent.add(from, to);
  }
  const bool onlyRepeated_;
  Ranges doubled_;  // records of any flow: a fault too many does no harm here
};

// Keys of a new epoch are the old ones.
class WrongEpoch final : public Real {
 public:
  using Real::Real;
  [[nodiscard]] ocf::Status add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged, FlowId* flow) override {
    const auto status = Real::add(key, keys, tcpSequence, unacknowledged, flow);
    if (status == ocf::Status::Ok) first_[static_cast<uint64_t>(*flow)] = keys;
    return status;
  }
  [[nodiscard]] ocf::Status rekey(FlowId flow, const record::TrafficKeys& keys) override {
    auto old = first_[static_cast<uint64_t>(flow)];
    old.epoch = keys.epoch;
    return Real::rekey(flow, old);
  }

 private:
  std::map<uint64_t, record::TrafficKeys> first_;
};

// What cannot be sealed leaves as it is.
class FailsOpen final : public Real {
 public:
  using Real::Real;
  void transmit(std::span<uint8_t> frame, const FrameOffload& offload, FrameSink& wire) override {
    std::vector<uint8_t> before(frame.begin(), frame.end());
    Changing changing(wire);
    device_.transmit(frame, offload, changing);
    for (auto& out : changing.frames) static_cast<void>(wire.send(out, {}));
    if (changing.frames.empty()) static_cast<void>(finishFrame(before, parsePacket(before), offload, false, wire));
  }
};

// State is freed on an acknowledgement that was seen on the wire.
class WireAck final : public Knowing {
 public:
  using Knowing::Knowing;
  [[nodiscard]] bool looksAtWire() const noexcept override { return true; }
  void fromWire(const FlowKey& key, uint32_t acknowledgement) override {
    for (auto& [id, flow] : flows_)
      if (flow.key == key) device_.acknowledged(FlowId{id}, offset(flow, acknowledgement));
  }
};

class NoGuard final : public Real {
 public:
  using Real::Real;
  [[nodiscard]] ocf::Status push(FlowId flow, std::span<record::NewRecord> records) override {
    for (auto& record : records) record.guarded = false;
    return Real::push(flow, records);
  }
};

class NoChecksum final : public Real {
 public:
  using Real::Real;
  void transmit(std::span<uint8_t> frame, const FrameOffload& offload, FrameSink& wire) override {
    const Packet before = parsePacket(frame);
    const uint8_t old[2] = {frame.size() > before.transport + 17u ? frame[before.transport + 16] : uint8_t{0},
                            frame.size() > before.transport + 17u ? frame[before.transport + 17] : uint8_t{0}};
    Changing changing(wire);
    device_.transmit(frame, offload, changing);
    for (auto& out : changing.frames) {
      const Packet packet = parsePacket(out);
      if (packet.kind == Packet::Kind::Tcp && packet.payloadLength() != 0) std::copy_n(old, 2, out.data() + packet.transport + 16);
      static_cast<void>(wire.send(out, {}));
    }
  }
};

class NeverFrees final : public Real {
 public:
  using Real::Real;
  void acknowledged(FlowId, uint64_t) override {}
};

// A removed flow is forgotten at once, as the first version of the device did.
class ForgetsRemoved final : public Real {
 public:
  using Real::Real;
  void release(const FlowKey& key) override {
    Real::release(key);
    for (int i = 0; i < 64; ++i) static_cast<void>(device_.hostIdle(clock_ += 1000));
  }
  uint64_t clock_ = uint64_t{1} << 40;
};

// A clock that is ahead has waited, as the first version of the device thought.
class BelievesClock final : public Real {
 public:
  using Real::Real;
  void hostIdle(uint64_t milliseconds) override {
    for (int i = 0; i < 64 && last_ < milliseconds; ++i) Real::hostIdle(last_ += 20);
    Real::hostIdle(last_ = milliseconds);
  }

 private:
  uint64_t last_ = 0;
};

// What is in front of a flow's start leaves as it is, however long ago it was acknowledged.
class NoFloor final : public Knowing {
 public:
  using Knowing::Knowing;
  [[nodiscard]] ocf::Status add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t, FlowId* flow) override {
    return Knowing::add(key, keys, tcpSequence, static_cast<uint32_t>(Flow::kWindow), flow);
  }
  void acknowledged(FlowId flow, uint64_t streamOffset) override {
    if (streamOffset > flows_[static_cast<uint64_t>(flow)].start) Knowing::acknowledged(flow, streamOffset);
  }
};

}  // namespace

std::unique_ptr<Subject> makeSubject(const DeviceOptions& options, Mutant mutant) {
  switch (mutant) {
    case Mutant::None: break;
    case Mutant::SkippedTag: return std::make_unique<WrongTags>(options, false);
    case Mutant::DoubleCount: return std::make_unique<WrongTags>(options, true);
    case Mutant::WrongEpoch: return std::make_unique<WrongEpoch>(options);
    case Mutant::FailsOpen: return std::make_unique<FailsOpen>(options);
    case Mutant::WireAck: return std::make_unique<WireAck>(options);
    case Mutant::NoGuard: return std::make_unique<NoGuard>(options);
    case Mutant::NoChecksum: return std::make_unique<NoChecksum>(options);
    case Mutant::NeverFrees: return std::make_unique<NeverFrees>(options);
    case Mutant::BelievesClock: return std::make_unique<BelievesClock>(options);
    case Mutant::NoFloor: return std::make_unique<NoFloor>(options);
    case Mutant::ForgetsRemoved: return std::make_unique<ForgetsRemoved>(options);
  }
  return std::make_unique<Real>(options);
}

}  // namespace socrypt::nic::lab
