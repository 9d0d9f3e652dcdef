// What the device costs per byte, on one thread, without ports: its kernels (kernels.cc), sealing by segment size
// and suite, and the same frames passed unsealed. Best of several rounds. `bash bench/nic/run.sh`.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels.hpp"
#include "nic/device/inline_device.hpp"

using namespace socrypt;

namespace {

// Copies, as a wire port does.
class Copy final : public nic::FrameSink {
 public:
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    if (at_ + head.size() + rest.size() > ring_.size()) at_ = 0;
    std::memcpy(ring_.data() + at_, head.data(), head.size());
    if (!rest.empty()) std::memcpy(ring_.data() + at_ + head.size(), rest.data(), rest.size());
    at_ += 2048;
    return true;
  }

 private:
  std::vector<uint8_t> ring_ = std::vector<uint8_t>(1 << 18);
  size_t at_ = 0;
};

constexpr uint32_t kRecord = 16384 + 22;

double throughput(record::Suite suite, size_t segment, bool offloaded) {
  nic::InlineDevice device({.flow = {.limits = {.records = 1 << 16}}, .maxFlows = 1 << 16});
  record::TrafficKeys keys;
  keys.suite = suite;
  nic::FlowKey key;
  key.localAddress[10] = key.localAddress[11] = key.remoteAddress[10] = key.remoteAddress[11] = 0xff;
  key.remotePort = 1;
  nic::FlowId flow{};
  // The unsealed frames meet a table with a flow in it, too.
  if (!offloaded) key.remotePort = 2;
  if (device.add(key, keys, 0, 0, &flow) != ocf::Status::Ok) return 0;
  key.remotePort = 1;

  std::vector<uint8_t> frame(54 + segment);
  frame[12] = 8;
  frame[14] = 0x45;
  nic::put16(frame.data() + 16, static_cast<uint32_t>(frame.size() - 14));
  frame[23] = 6;
  nic::put16(frame.data() + 36, 1);
  frame[46] = 0x50;
  const nic::FrameOffload offload{nic::FrameOffload::Checksum::Partial, 34, 16, static_cast<uint16_t>(segment > 1448 ? 1448 : 0), true};
  // Records as the host frames them; the content does not matter.
  std::vector<uint8_t> plain(kRecord);
  plain[0] = 23;
  plain[1] = plain[2] = 3;
  nic::put16(plain.data() + 3, kRecord - 5);
  plain[kRecord - 17] = 23;
  std::vector<uint8_t> stream;
  for (int i = 0; i < 6; ++i) stream.insert(stream.end(), plain.begin(), plain.end());

  Copy wire;
  uint64_t at = 0, mapped = 0, number = 0;
  double best = 0;
  for (int round = 0; round < 12; ++round) {
    const size_t bytes = 24u << 20;
    double took = 0;
    for (size_t done = 0; done < bytes;) {
      std::vector<record::NewRecord> batch;
      for (; mapped < at + (4u << 20); mapped += kRecord) batch.push_back({.ref = {mapped, kRecord, 0, number++}});
      if (offloaded && device.push(flow, batch) != ocf::Status::Ok) return 0;
      const double start = bench::seconds();
      for (size_t until = done + (3u << 20); done < until; done += segment) {
        nic::put32(frame.data() + 38, static_cast<uint32_t>(at));
        std::memcpy(frame.data() + 54, stream.data() + at % kRecord, segment);  // as from a port
        device.transmit(frame, offload, wire);
        at += segment;
      }
      took += bench::seconds() - start;
      if (offloaded) device.acknowledged(flow, at / kRecord * kRecord);
    }
    best = std::max(best, static_cast<double>(bytes) / took / 1e9);
  }
  if (offloaded && device.counters().tx_tls_tags == 0) return 0;
  return best;
}

}  // namespace

int main() {
  bench::kernels();
  std::printf("frames through the device, with one copy in and one out (16 KiB records)\n");
  struct {
    record::Suite suite;
    const char* name;
  } constexpr kSuites[] = {{record::Suite::Aes128GcmSha256, "AES-128-GCM"},
                           {record::Suite::Aes256GcmSha384, "AES-256-GCM"},
                           {record::Suite::ChaCha20Poly1305Sha256, "ChaCha20-Poly1305"}};
  for (const size_t segment : {size_t{1448}, size_t{8948}, size_t{1448 * 44}}) {
    const double plain = throughput(record::Suite::Aes128GcmSha256, segment, false);
    std::printf("  %5zu bytes%-8s passed unsealed     %6.2f GB/s\n", segment, segment > 9000 ? " (TSO)" : "", plain);
    for (const auto& [suite, name] : kSuites) {
      const double sealed = throughput(suite, segment, true);
      std::printf("  %5zu bytes%-8s %-18s  %6.2f GB/s  %3.0f %%\n", segment, segment > 9000 ? " (TSO)" : "", name, sealed, 100 * sealed / plain);
    }
  }
}
