// Ports on DPDK's virtual devices: what goes in comes out, whole and in order.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "dpdk_devices.hpp"

using namespace socrypt;

namespace {

std::unique_ptr<nic::Port> open(const std::string& device) {
  nic::DpdkPortFacts facts;
  std::string why;
  auto port = nic::openDpdkPort(device, facts, why);
  INFO(device, ": ", why);
  REQUIRE(port != nullptr);
  return port;
}

/// Frame `number` of a direction: 60 to 1514 bytes, the same for both sides.
std::vector<uint8_t> frameOf(uint32_t direction, uint32_t number) {
  std::minstd_rand random(direction * 1'000'003 + number + 1);
  std::vector<uint8_t> frame(60 + random() % 1455);
  for (uint8_t& byte : frame) byte = static_cast<uint8_t>(random() >> 8);
  return frame;
}

/// Compares what comes with what has to come.
class Expecting final : public nic::FrameReceiver {
 public:
  explicit Expecting(uint32_t direction) : direction_(direction) {}
  void frame(std::span<uint8_t> frame, const nic::FrameOffload&) override {
    const auto expected = frameOf(direction_, came++);
    if (!std::equal(frame.begin(), frame.end(), expected.begin(), expected.end())) ++wrong;
  }
  uint32_t came = 0;
  uint32_t wrong = 0;

 private:
  uint32_t direction_;
};

/// Sends `frames` of one direction, takes as many of the other, however much the other end is behind.
void exchange(nic::Port& port, uint32_t direction, uint32_t frames, Expecting& taken) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  bool good = false;
  for (uint32_t sent = 0; (sent < frames || !good || taken.came < frames) && std::chrono::steady_clock::now() < limit;) {
    for (size_t room = std::min<size_t>(port.room(), 64); room != 0 && sent < frames; --room, ++sent) {
      const auto frame = frameOf(direction, sent);
      // In two pieces, as segments are cut.
      if (!port.send(std::span(frame).first(54), std::span(frame).subspan(54))) break;
    }
    good = port.flush();
    if (port.receive(taken, 64) == 0) std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("DPDK devices: memif, both ways at once") {
  constexpr uint32_t kFrames = 50'000;
  const dpdk::Memif memif(0);
  if (const auto why = dpdk::whyNot(memif.server()); !why.empty()) {
    MESSAGE("skipped: ", why);
    return;
  }
  const auto server = open(memif.server());
  const auto client = open(memif.client());
  Expecting atServer(1), atClient(2);
  const auto started = std::chrono::steady_clock::now();
  std::thread other([&] { exchange(*client, 1, kFrames, atClient); });
  exchange(*server, 2, kFrames, atServer);
  other.join();
  std::printf("memif: %u frames each way in %.2f s\n", kFrames, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  for (const Expecting& taken : {atServer, atClient}) {
    CHECK(taken.came == kFrames);
    CHECK(taken.wrong == 0);
  }
}

TEST_CASE("DPDK devices: a memif whose other end goes under load, and comes again") {
  const dpdk::Memif memif(0);
  if (const auto why = dpdk::whyNot(memif.server()); !why.empty()) {
    MESSAGE("skipped: ", why);
    return;
  }
  class Counting final : public nic::FrameReceiver {
   public:
    void frame(std::span<uint8_t>, const nic::FrameOffload&) override { ++came; }
    std::atomic<uint64_t> came{0};
  };
  const auto load = [](nic::Port& port, Counting& taken, const std::atomic<bool>& ended) {
    const std::vector<uint8_t> frame(1500, 7);
    while (!ended) {
      for (size_t room = std::min<size_t>(port.room(), 64); room != 0; --room) static_cast<void>(port.send(frame, {}));
      static_cast<void>(port.flush());
      port.receive(taken, 64);
    }
  };
  // A client looks for its server once a second.
  for (const bool clientStays : {false, true}) {
    CAPTURE(clientStays);
    auto going = clientStays ? open(memif.server()) : nullptr;
    const auto staying = open(clientStays ? memif.client() : memif.server());
    Counting atStaying;
    std::atomic<bool> ended{false};
    std::thread stays([&] { load(*staying, atStaying, ended); });
    for (int round = 0; round < (clientStays ? 3 : 30); ++round) {
      CAPTURE(round);
      if (going == nullptr) going = open(clientStays ? memif.server() : memif.client());
      Counting atGoing;
      std::atomic<bool> gone{false};
      std::thread goes([&] { load(*going, atGoing, gone); });
      const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      const uint64_t before = atStaying.came;
      while ((atStaying.came - before < 500 || atGoing.came < 500) && std::chrono::steady_clock::now() < limit) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      CHECK(atStaying.came - before >= 500);
      CHECK(atGoing.came >= 500);
      gone = true;
      goes.join();
      going.reset();
    }
    ended = true;
    stays.join();
  }
}

TEST_CASE("DPDK devices: a ring gives back what goes in") {
  if (const auto why = dpdk::whyNot("net_ring0"); !why.empty()) {
    MESSAGE("skipped: ", why);
    return;
  }
  const auto ring = open("net_ring0");
  Expecting taken(1);
  exchange(*ring, 1, 2000, taken);
  CHECK(taken.came == 2000);
  CHECK(taken.wrong == 0);
}

TEST_CASE("DPDK devices: a file of packets is written, and read") {
  if (const auto why = dpdk::whyNot("net_pcap0,tx_pcap=/dev/null"); !why.empty()) {
    MESSAGE("skipped: ", why);
    return;
  }
  constexpr uint32_t kFrames = 2000;
  const dpdk::Place place;
  {
    const auto writer = open("net_pcap0,tx_pcap=" + place.at("out.pcap"));
    Expecting nothing(2);
    CHECK(writer->receive(nothing, 64) == 0);
    for (uint32_t i = 0; i < kFrames; ++i) {
      if (writer->room() == 0) static_cast<void>(writer->flush());
      REQUIRE(writer->send(frameOf(1, i), {}));
    }
    REQUIRE(writer->flush());
  }
  const auto reader = open("net_pcap1,rx_pcap=" + place.at("out.pcap") + ",tx_pcap=/dev/null");
  Expecting taken(1);
  while (reader->receive(taken, 64) != 0) {
  }
  CHECK(taken.came == kFrames);
  CHECK(taken.wrong == 0);
}
