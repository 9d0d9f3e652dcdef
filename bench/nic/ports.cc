// What the device does per second of its thread's CPU time between real ports: the same frames sealed and
// passed unsealed, in turn, in namespaces of this program's own.
//
//   AF_PACKET ── tap0 or veth ── Bridge ── AF_XDP (copy) on veth ── a peer that drops them
//
// One thread puts a burst into the host's side, then the bridge alone is measured until the burst has left:
// kernel's work of both ports, and of the peer's half of the veth, included. Needs root.
//   ports [--rounds N] [--megabytes N per round]
#include <linux/if_packet.h>
#include <net/ethernet.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "../../test/native/nic_port/namespaces.hpp"
#include "nic/port/af_xdp.hpp"
#include "nic/port/bridge.hpp"
#include "nic/port/tap.hpp"

using namespace socrypt;

namespace {

constexpr uint32_t kRecord = 16384 + 22;
constexpr size_t kHeaders = 54;
constexpr uint16_t kSealedPort = 1, kPassedPort = 2;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "ports: %s\n", what.c_str());
  std::exit(1);
}

double threadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Setup {
  const char* name;
  bool tap;
  unsigned mtu;
  unsigned segments;  // of the wire's size in one frame of the host: TSO
};

// The stream of one connection as the host frames it, in frames that go into the host's interface.
class Stream {
 public:
  Stream(const Setup& setup, uint16_t port) : setup_(setup), mss_(setup.mtu - 40), frame_(10 + kHeaders + mss_ * setup.segments) {
    std::vector<uint8_t> record(kRecord);
    record[0] = 23;
    record[1] = record[2] = 3;
    nic::put16(record.data() + 3, kRecord - 5);
    record[kRecord - 17] = 23;
    for (int i = 0; i < 6; ++i) content_.insert(content_.end(), record.begin(), record.end());
    uint8_t* eth = frame_.data() + 10;
    eth[0] = 2;  // nobody's address: the peer's kernel drops it early
    eth[12] = 8;
    uint8_t* ip = eth + 14;
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = 6;
    nic::put16(ip + 2, static_cast<uint32_t>(frame_.size() - 10 - 14));
    nic::put16(eth + 36, port);
    eth[46] = 0x50;
    eth[47] = 0x10;
    // virtio_net_hdr: a checksum to be completed; segments to be cut.
    frame_[0] = 1;
    const uint16_t start = 34, offset = 16, size = static_cast<uint16_t>(mss_), headers = kHeaders;
    std::memcpy(frame_.data() + 6, &start, 2);
    std::memcpy(frame_.data() + 8, &offset, 2);
    if (setup.segments > 1) {
      frame_[1] = 1;
      std::memcpy(frame_.data() + 2, &headers, 2);
      std::memcpy(frame_.data() + 4, &size, 2);
    }
  }
  [[nodiscard]] size_t payload() const { return mss_ * setup_.segments; }
  [[nodiscard]] uint64_t at() const { return at_; }

  void sendFrame(int socket) {
    uint8_t* eth = frame_.data() + 10;
    nic::put32(eth + 38, static_cast<uint32_t>(at_));
    std::memcpy(eth + kHeaders, content_.data() + at_ % kRecord, payload());
    at_ += payload();
    if (send(socket, frame_.data(), frame_.size(), 0) < 0) fail(nic::systemError("a frame cannot be put into the host's interface"));
  }

 private:
  const Setup setup_;
  const size_t mss_;
  std::vector<uint8_t> content_;
  std::vector<uint8_t> frame_;
  uint64_t at_ = 0;
};

class Bench {
 public:
  explicit Bench(const Setup& setup, record::Suite suite)
      : setup_(setup), device_({.flow = {.limits = {.records = 1 << 16}}}), sealed_(setup, kSealedPort), passed_(setup, kPassedPort) {
    if (!host_.there() || !wire_.there() || !peer_.there()) fail("network namespaces cannot be made (root is needed)");
    const std::string mtu = std::to_string(setup.mtu);
    if (!wire_.sh("ip link add w0 mtu " + mtu + " type veth peer name w1 mtu " + mtu + " netns " + peer_.path() + " && ip link set w0 up") ||
        !peer_.sh("ip link set w1 up"))
      fail("the wire's interfaces cannot be made");
    std::string why;
    if (setup.tap) {
      host_.in([&] { hostPort_ = nic::TapPort::open("h0", why); });
    } else {
      if (!wire_.sh("ip link add v0 mtu " + mtu + " type veth peer name h0 mtu " + mtu + " netns " + host_.path() + " && ip link set v0 up"))
        fail("the host's interfaces cannot be made");
      wire_.in([&] { hostPort_ = nic::AfXdpPort::open("v0", {.checksumsUnknown = true}, why); });
    }
    wire_.in([&] { wirePort_ = nic::AfXdpPort::open("w0", {}, why); });
    if (hostPort_ == nullptr || wirePort_ == nullptr) fail(why);
    if (!host_.sh("sysctl -qw net.ipv6.conf.h0.disable_ipv6=1; ip link set h0 mtu " + mtu + " up")) fail("the host's interface cannot be set up");
    host_.in([&] { openSocket(); });
    bridge_ = std::make_unique<nic::Bridge>(device_, clock_, *hostPort_, *wirePort_);
    record::TrafficKeys keys;
    keys.suite = suite;
    nic::FlowKey key;
    key.localAddress[10] = key.localAddress[11] = key.remoteAddress[10] = key.remoteAddress[11] = 0xff;
    key.remotePort = kSealedPort;
    if (device_.add(key, keys, 0, 0, &flow_) != ocf::Status::Ok) fail("the device takes no flow");
  }

  // Bytes of TCP payload per second of CPU time.
  double round(bool sealed, uint64_t bytes) {
    Stream& stream = sealed ? sealed_ : passed_;
    const size_t burst = std::max<size_t>(1, 32 / setup_.segments);
    double took = 0;
    const uint64_t until = stream.at() + bytes;
    while (stream.at() < until) {
      if (sealed) announce(stream.at() + burst * stream.payload());
      for (size_t i = 0; i < burst; ++i) stream.sendFrame(socket_.get());
      const uint64_t goal = packets() + burst * setup_.segments;
      const double start = threadSeconds();
      size_t idle = 0;
      while (packets() < goal && idle < 10000) idle += bridge_->once() == 0 ? 1 : 0;
      took += threadSeconds() - start;
      if (packets() < goal) fail("frames were lost on the way to the device");
      if (sealed) device_.acknowledged(flow_, stream.at() / kRecord * kRecord);
    }
    return static_cast<double>(bytes) / took;
  }
  void check() {
    const auto& c = device_.counters();
    if (c.tx_tls_tags == 0 || c.tx_lost_packets != 0 || c.tx_tls_drop_hole + c.tx_tls_drop_no_sync_data + c.tx_tls_drop_header != 0)
      fail("the device did not seal all of it");
  }

 private:
  void openSocket() {
    socket_ = net::Descriptor(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(if_nametoindex("h0"));
    const int on = 1;
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        setsockopt(socket_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
        setsockopt(socket_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0)
      fail(nic::systemError("no packet socket on the host's interface"));
  }
  [[nodiscard]] uint64_t packets() const { return device_.counters().tx_tls_encrypted_packets + device_.counters().tx_pass_packets; }
  void announce(uint64_t end) {
    std::vector<record::NewRecord> batch;
    for (; mapped_ < end; mapped_ += kRecord) batch.push_back({.ref = {mapped_, kRecord, 0, number_++}});
    if (device_.push(flow_, batch) != ocf::Status::Ok) fail("the device takes no records");
  }

  const Setup setup_;
  net::Namespace host_, wire_, peer_;
  nic::InlineDevice device_;
  std::unique_ptr<nic::Port> hostPort_, wirePort_;
  nic::Clock clock_;
  std::unique_ptr<nic::Bridge> bridge_;
  net::Descriptor socket_;
  Stream sealed_, passed_;
  nic::FlowId flow_{};
  uint64_t mapped_ = 0, number_ = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 9;
  uint64_t megabytes = 32;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--rounds") == 0) rounds = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--megabytes") == 0) megabytes = std::strtoull(argv[i + 1], nullptr, 10);
  }
  constexpr Setup kSetups[] = {
      {"tap, TSO 64 KB", true, 1500, 44},
      {"tap", true, 1500, 1},
      {"veth, AF_XDP", false, 1500, 1},
      {"veth, AF_XDP", false, 9000, 1},
  };
  struct {
    record::Suite suite;
    const char* name;
  } constexpr kSuites[] = {{record::Suite::Aes128GcmSha256, "AES-128-GCM"},
                           {record::Suite::Aes256GcmSha384, "AES-256-GCM"},
                           {record::Suite::ChaCha20Poly1305Sha256, "ChaCha20-Poly1305"}};
  std::printf("| host's port | wire's MTU | suite | sealed, GB per CPU-second | passed | ratio |\n|---|---|---|---|---|---|\n");
  for (const Setup& setup : kSetups) {
    for (const auto& [suite, name] : kSuites) {
      Bench bench(setup, suite);
      std::vector<double> sealed, passed, ratio;
      for (int i = -1; i < rounds; ++i) {
        const double p = bench.round(false, megabytes << 20);
        const double s = bench.round(true, megabytes << 20);
        if (i < 0) continue;  // warm-up
        passed.push_back(p / 1e9);
        sealed.push_back(s / 1e9);
        ratio.push_back(s / p);
      }
      bench.check();
      std::printf("| %s | %u | %s | %.2f | %.2f | %.0f %% |\n", setup.name, setup.mtu, name, median(sealed), median(passed), 100 * median(ratio));
      std::fflush(stdout);
    }
  }
}
