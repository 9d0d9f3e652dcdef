// Frames from the host's side into a device with one flow. First byte: what the flow is like. Then frames,
// each one byte of kind and
//   raw:     offload (7 bytes), length (1), that many bytes of frame
//   flow:    a segment of the flow, its headers right but for what the input says: position (3), length
//            (2), flags (1), fragment field (2), change of the IP length (1), bytes behind (1)
//   shaped:  a segment of the flow, IPv6 for every other kind of flow, with VLAN tags and options of both layers (1):
//            position (3), length (2)
//   carried: such a segment inside of other protocols (1 each, up to three), position (3), length (2)
//   control: acknowledge (3), push, evict, rekey, remove, release
// Whatever comes: no crash, no state without bound, and what leaves of the flow's records is what the
// oracle sealed. The plaintext is one canary repeated, which must not be seen in a frame of the flow.
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "nic/device/inline_device.hpp"
#include "nic/lab/frames.hpp"
#include "nic/lab/sealer.hpp"

using namespace socrypt;

namespace {

constexpr uint32_t kSequence = 0xffffe000;
constexpr std::string_view kCanary = "canary-4Zq9";

void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "fuzz nic: %s\n", what);
  std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool done() const { return at_ >= size_; }
  uint32_t number(int bytes) {
    uint32_t value = 0;
    while (bytes-- > 0) value = value << 8 | (at_ < size_ ? data_[at_++] : 0);
    return value;
  }
  std::vector<uint8_t> bytes(size_t n) {
    std::vector<uint8_t> out;
    while (n-- > 0) out.push_back(static_cast<uint8_t>(number(1)));
    return out;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

struct Record {
  uint64_t at;
  uint32_t length;
  uint32_t epoch;
  uint64_t number;
};

// The stream of one kind of flow: three records, the third under a second key.
struct Stream {
  std::vector<uint8_t> plain;
  std::vector<uint8_t> sealed;
  std::vector<Record> records;
  record::TrafficKeys keys[2];
};

const Stream& streamOf(size_t kind) {
  static const std::vector<Stream> all = [] {
    std::vector<Stream> streams;
    for (const auto suite : nic::lab::kSuites) {
      Stream s;
      const size_t lengths[] = {1000, 40, 700};
      for (size_t i = 0; i < 3; ++i) {
        const uint32_t epoch = i == 2 ? 1 : 0;
        auto& keys = s.keys[epoch];
        keys.suite = suite;
        keys.epoch = epoch;
        keys.key.fill(static_cast<uint8_t>(epoch + 1));
        std::vector<uint8_t> content;
        while (content.size() < lengths[i]) content.insert(content.end(), kCanary.begin(), kCanary.end());
        const auto framed = nic::lab::frame(keys, i, 23, content);
        s.records.push_back({s.plain.size(), static_cast<uint32_t>(framed.plain.size()), epoch, i});
        s.plain.insert(s.plain.end(), framed.plain.begin(), framed.plain.end());
        s.sealed.insert(s.sealed.end(), framed.sealed.begin(), framed.sealed.end());
      }
      streams.push_back(std::move(s));
    }
    return streams;
  }();
  return all[kind % all.size()];
}

class Wire final : public nic::FrameSink {
 public:
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    std::vector<uint8_t> b(head.begin(), head.end());
    b.insert(b.end(), rest.begin(), rest.end());
    frames.push_back(std::move(b));
    return true;
  }
  std::vector<std::vector<uint8_t>> frames;
};

// A packet in another one, of other hosts than the flow's, or of the same ones (AH).
std::vector<uint8_t> carried(uint32_t how, bool ipv6, const std::vector<uint8_t>& datagram) {
  std::vector<uint8_t> out;
  const auto ip = [&out](uint8_t protocol, size_t length) {
    const size_t total = 20 + length;
    out = {0x45, 0, static_cast<uint8_t>(total >> 8), static_cast<uint8_t>(total), 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 8, 10, 0, 0, 9};
  };
  const uint8_t inner = ipv6 ? 41 : 4;
  switch (how % 4) {
    case 0: ip(inner, datagram.size()); break;
    case 1:
      ip(47, 4 + datagram.size());
      out.insert(out.end(), {0, 0, static_cast<uint8_t>(ipv6 ? 0x86 : 0x08), static_cast<uint8_t>(ipv6 ? 0xdd : 0x00)});
      break;
    case 2:
      ip(51, 12 + datagram.size());
      out.insert(out.end(), {inner, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1});
      break;
    case 3:
      ip(137, 4 + datagram.size());
      out.insert(out.end(), {0, 0, 1, 64});
      break;
  }
  out.insert(out.end(), datagram.begin(), datagram.end());
  return out;
}

bool showsCanary(const std::vector<uint8_t>& frame) {
  return std::string_view(reinterpret_cast<const char*>(frame.data()), frame.size()).find(kCanary) != std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const uint32_t kind = input.number(1);
  Stream stream = streamOf(kind % 6);
  nic::DeviceOptions options{.hashSeed = 1};
  options.flow.resync = static_cast<nic::Resync>(kind / 6 % 3);
  options.flow.retention = kind & 0x80 ? record::Retention::UntilAcknowledged : record::Retention::UntilTag;
  nic::InlineDevice device(options);
  nic::lab::Path path;
  path.ipv6 = kind / 18 % 2 == 1;
  path.local = path.ipv6 ? std::vector<uint8_t>(16, 1) : std::vector<uint8_t>{10, 0, 0, 1};
  path.remote = path.ipv6 ? std::vector<uint8_t>(16, 2) : std::vector<uint8_t>{10, 0, 0, 2};
  const nic::FlowKey key = path.key();
  nic::FlowId flow{};
  require(device.add(key, stream.keys[0], kSequence, 0, &flow) == ocf::Status::Ok, "add");
  require(device.rekey(flow, stream.keys[1]) == ocf::Status::Ok, "rekey");
  size_t pushed = 0;
  bool removed = false;
  uint64_t clock = 0;
  Wire wire;
  for (int steps = 0; steps < 64 && !input.done(); ++steps) {
    wire.frames.clear();
    const uint32_t step = input.number(1);
    switch (step % 11) {
      case 0: {
        nic::FrameOffload offload;
        offload.checksum = static_cast<nic::FrameOffload::Checksum>(input.number(1) % 3);
        offload.start = static_cast<uint16_t>(input.number(2));
        offload.offset = static_cast<uint16_t>(input.number(1));
        offload.segmentSize = static_cast<uint16_t>(input.number(2));
        offload.tcp = (input.number(1) & 1) != 0;
        std::vector<uint8_t> frame = input.bytes(input.number(1));
        device.transmit(frame, offload, wire);
        break;
      }
      case 1:
        device.acknowledged(flow, input.number(3));
        break;
      case 2:
        if (pushed < stream.records.size()) {
          const Record& r = stream.records[pushed];
          record::NewRecord record{.ref = {r.at, r.length, r.epoch, r.number}};
          // What the device writes, TCP has something else for.
          const auto facts = record::factsOf(stream.keys[0].suite);
          const size_t before = facts.framing.before;
          record.headerToWrite = (step / 11 & 1) != 0;
          record.typeToWrite = (step / 11 & 2) != 0;
          if (record.headerToWrite) std::fill_n(stream.plain.begin() + static_cast<long>(r.at), before, uint8_t{0x5a});
          if (record.typeToWrite && !facts.tls12) stream.plain[r.at + r.length - record::kTagLength - 1] = 0x5a;
          if ((kind & 0x40) == 0) {
            record.payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(
                std::vector<uint8_t>(stream.plain.begin() + static_cast<long>(r.at + before), stream.plain.begin() + static_cast<long>(r.at + r.length))));
            record.guarded = (step / 11 & 4) != 0 && options.flow.resync == nic::Resync::OrderFree;
          }
          if (device.push(flow, {&record, 1}) == ocf::Status::Ok) ++pushed;
        }
        break;
      case 3: device.evict(flow); break;
      case 4:
        if (input.number(1) % 8 == 0) device.remove(flow), removed = true;
        break;
      case 5:
        device.resync(flow, input.number(3));
        device.hostIdle(clock += input.number(1) * 16);
        break;
      case 9: {
        const uint32_t shape = input.number(1);
        nic::lab::Path shaped = path;
        shaped.vlanTags = static_cast<int>(shape % 3);
        if ((shape & 4) != 0) shaped.tcpOptions = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
        if ((shape & 8) != 0) shaped.ipOptions = path.ipv6 ? std::vector<uint8_t>{6, 0, 1, 4, 0, 0, 0, 0} : std::vector<uint8_t>{1, 1, 1, 0};
        const uint32_t at = input.number(3) % static_cast<uint32_t>(stream.plain.size());
        const uint32_t length = input.number(2) % static_cast<uint32_t>(stream.plain.size() - at + 1);
        auto built = nic::lab::build(shaped, kSequence + at, 0x10, {stream.plain.begin() + at, stream.plain.begin() + at + length}, (shape & 16) != 0, (shape & 32) != 0 ? 300 : 0);
        device.transmit(built.frame, built.offload, wire);
        uint32_t done = 0;
        for (const auto& out : wire.frames) {
          require(!showsCanary(out), "plaintext on the wire");
          std::string why;
          const auto taken = nic::lab::take(shaped, out, why);
          if (!taken) require(false, why.c_str());
          require(taken->sequence == kSequence + at + done, "another place in the stream");
          require(std::equal(taken->payload.begin(), taken->payload.end(), stream.sealed.begin() + at + done), "other bytes than the oracle's");
          done += static_cast<uint32_t>(taken->payload.size());
        }
        require(wire.frames.empty() || done == length, "bytes went missing");
        require(!removed || wire.frames.empty() || length == 0, "data of a removed flow");
        break;
      }
      case 10: {
        const uint32_t deep = input.number(1) % 3 + 1;
        std::vector<uint32_t> how;
        for (uint32_t i = 0; i < deep; ++i) how.push_back(input.number(1));
        const uint32_t at = input.number(3) % static_cast<uint32_t>(stream.plain.size());
        const uint32_t length = input.number(2) % static_cast<uint32_t>(stream.plain.size() - at + 1);
        const auto built = nic::lab::build(path, kSequence + at, 0x10, {stream.plain.begin() + at, stream.plain.begin() + at + length}, false);
        std::vector<uint8_t> datagram(built.frame.begin() + 14, built.frame.end());
        bool ipv6 = path.ipv6;
        for (const uint32_t each : how) datagram = carried(each, std::exchange(ipv6, false), datagram);
        std::vector<uint8_t> frame = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8, 0};
        frame.insert(frame.end(), datagram.begin(), datagram.end());
        device.transmit(frame, {nic::FrameOffload::Checksum::Complete}, wire);
        require(wire.frames.empty() || length == 0, "data of the flow left inside of another protocol");
        break;
      }
      default: {
        // Taken apart below as it is put together here.
        if (path.ipv6) break;
        const uint32_t at = input.number(3) % static_cast<uint32_t>(stream.plain.size());
        const uint32_t length = input.number(2) % static_cast<uint32_t>(stream.plain.size() - at + 1);
        std::vector<uint8_t> frame = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8, 0, 0x45, 0, 0, 0, 0x12, 0x34};
        const uint8_t flags = static_cast<uint8_t>(input.number(1));
        const uint32_t fragment = input.number(2);
        const auto change = static_cast<int8_t>(input.number(1));
        const uint32_t behind = input.number(1) % 32;
        const auto total = static_cast<uint32_t>(static_cast<int>(40 + length) + (change > 100 ? change : 0));
        frame[16] = static_cast<uint8_t>(total >> 8);
        frame[17] = static_cast<uint8_t>(total);
        frame.insert(frame.end(), {static_cast<uint8_t>(fragment >> 8), static_cast<uint8_t>(fragment), 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2});
        const uint32_t sequence = kSequence + at;
        frame.insert(frame.end(), {443 >> 8, 443 & 0xff, 50000 >> 8, 50000 & 0xff, static_cast<uint8_t>(sequence >> 24),
                                   static_cast<uint8_t>(sequence >> 16), static_cast<uint8_t>(sequence >> 8), static_cast<uint8_t>(sequence),
                                   0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0});
        frame.insert(frame.end(), stream.plain.begin() + at, stream.plain.begin() + at + length);
        frame.insert(frame.end(), stream.plain.begin() + 20, stream.plain.begin() + 20 + behind);
        nic::FrameOffload offload;
        offload.segmentSize = static_cast<uint16_t>(flags & 1 ? 300 : 0);
        device.transmit(frame, offload, wire);
        size_t done = 0;
        for (const auto& out : wire.frames) {
          require(out.size() >= 54, "a frame without headers");
          require(!showsCanary(out), "plaintext on the wire");
          require(std::equal(out.begin() + 54, out.end(), stream.sealed.begin() + at + static_cast<long>(done)), "other bytes than the oracle's");
          done += out.size() - 54;
        }
        require(wire.frames.empty() || done == length || length == 0, "bytes went missing");
        require(!removed || wire.frames.empty() || length == 0 || (flags & 6) != 0, "data of a removed flow");
      }
    }
    if (removed) {
      // SYN and RST from the host end what a removed flow is guarded by; the rest of the input has no flow.
      if (device.add(key, stream.keys[0], kSequence, 0, &flow) == ocf::Status::Ok) return 0;
    }
  }
  require(device.flows() <= 1, "flows that nobody added");
  return 0;
}
