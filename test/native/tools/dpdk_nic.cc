// The device between two DPDK devices, for tests of what it writes:
//
//   dpdk_nic HOST WIRE KEY IV SEQUENCE LENGTH…
//
// From 10.9.0.1:443 to 10.9.0.2:50000 a flow is offloaded, in AES-128-GCM of TLS 1.3 (key and IV in hex), whose stream begins
// at TCP's SEQUENCE with records of these lengths, header and tag included. It ends when neither device has had anything for a
// while, and prints the device's counters as JSON.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "nic/port/bridge.hpp"
#include "nic/port/dpdk.hpp"

using namespace socrypt;

namespace {

void fromHex(const std::string& hex, std::span<uint8_t> to) {
  for (size_t i = 0; i < to.size() && 2 * i + 1 < hex.size(); ++i) to[i] = static_cast<uint8_t>(std::strtoul(hex.substr(2 * i, 2).c_str(), nullptr, 16));
}

std::array<uint8_t, 16> mapped(uint8_t last) { return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 0, last}; }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) return std::fputs("dpdk_nic: expected HOST WIRE KEY IV SEQUENCE LENGTH...\n", stderr), 2;
  std::string why;
  nic::DpdkPortFacts facts;
  const auto host = nic::openDpdkPort(argv[1], facts, why);
  const auto wire = host == nullptr ? nullptr : nic::openDpdkPort(argv[2], facts, why);
  if (wire == nullptr) return std::fprintf(stderr, "dpdk_nic: %s\n", why.c_str()), 1;

  nic::InlineDevice device({});
  record::TrafficKeys keys;
  fromHex(argv[3], std::span(keys.key).first(16));
  fromHex(argv[4], keys.iv);
  nic::FlowId flow{};
  const nic::FlowKey key{mapped(1), mapped(2), 443, 50000};
  if (device.add(key, keys, static_cast<uint32_t>(std::strtoul(argv[5], nullptr, 10)), 0, &flow) != ocf::Status::Ok) return 1;
  uint64_t offset = 0;
  for (int i = 6; i < argc; ++i) {
    const auto length = static_cast<uint32_t>(std::strtoul(argv[i], nullptr, 10));
    record::NewRecord record{.ref = {offset, length, 0, static_cast<uint64_t>(i - 6)}};
    if (device.push(flow, {&record, 1}) != ocf::Status::Ok) return 1;
    offset += length;
  }

  const nic::Clock clock;
  nic::Bridge bridge(device, clock, *host, *wire);
  for (int idle = 0; idle < 20;) {
    idle = bridge.once() != 0 ? 0 : idle + 1;
    if (idle != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const char* separator = "{";
  device.counters().each([&](std::string_view name, std::string_view, uint64_t value) {
    std::printf("%s\"%.*s\":%llu", separator, static_cast<int>(name.size()), name.data(), static_cast<unsigned long long>(value));
    separator = ",";
  });
  std::puts("}");
}
