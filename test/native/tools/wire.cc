// A wire for tests: moves frames between two interfaces of this network namespace, with faults from a seed, and
// searches those that come from the first one for a text that must not be in them.
//
//   wire FIRST SECOND CANARY SEED LOSS REPEAT REORDER      (per mille, on the way from the first)
//
// FIRST may be a DPDK device, too (net_memif0,role=server,…).
//
// Prints "ready", then on each line that it reads what it has seen so far, as JSON; ends with its standard input.
#include <poll.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../nic_port/faulty_port.hpp"
#include "nic/port/af_xdp.hpp"
#include "nic/port/dpdk.hpp"

using namespace socrypt;

namespace {

class To final : public nic::FrameReceiver {
 public:
  explicit To(nic::Port& port) : port_(port) {}
  void frame(std::span<uint8_t> frame, const nic::FrameOffload&) override { static_cast<void>(port_.send(frame, {})); }

 private:
  nic::Port& port_;
};

std::unique_ptr<nic::Port> open(const char* name, std::string& why) {
  nic::DpdkPortFacts facts;
  if (std::string_view(name).starts_with("net_")) return nic::openDpdkPort(name, facts, why);
  return nic::AfXdpPort::open(name, {}, why);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return std::fputs("wire: expected FIRST SECOND CANARY SEED LOSS REPEAT REORDER\n", stderr), 2;
  std::string why;
  const auto first = open(argv[1], why);
  const auto second = first == nullptr ? nullptr : open(argv[2], why);
  if (second == nullptr) return std::fprintf(stderr, "wire: %s\n", why.c_str()), 1;
  const auto number = [&](int i) { return static_cast<unsigned>(std::strtoul(argv[i], nullptr, 10)); };
  faulty::FaultyPort out(*second, {number(5), number(6), number(7)}, number(4), argv[3]);
  To toSecond(out), toFirst(*first);
  std::puts("ready");
  std::fflush(stdout);
  constexpr size_t kBurst = 64;
  for (;;) {
    size_t moved = first->receive(toSecond, kBurst);
    bool good = out.flush();
    moved += second->receive(toFirst, kBurst);
    good = first->flush() && good;
    if (moved != 0) continue;
    std::array<pollfd, 3> list{{{first->descriptor(), POLLIN, 0}, {second->descriptor(), POLLIN, 0}, {0, POLLIN, 0}}};
    // A port without a descriptor has to be asked.
    const bool polled = first->descriptor() < 0 || second->descriptor() < 0;
    const timespec limit{good && !polled ? 1 : 0, polled ? 50'000 : good ? 0 : 1'000'000};
    ppoll(list.data(), list.size(), &limit, nullptr);
    if (list[2].revents == 0) continue;
    if (std::getchar() == EOF) return 0;
    std::printf("{\"frames\":%llu,\"lost\":%llu,\"canaries\":%llu}\n", static_cast<unsigned long long>(out.frames),
                static_cast<unsigned long long>(out.lost), static_cast<unsigned long long>(out.canaries));
    std::fflush(stdout);
  }
}
