// Who sees a text: looks at every frame on every interface of this network namespace, as a sniffer does.
//
//   sniff TEXT
//
// Prints "ready", then on each line that it reads the number of frames with the text by interface, as JSON; ends with its
// standard input.
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nic/port/descriptor.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("sniff: expected TEXT\n", stderr), 2;
  const std::string_view text = argv[1];
  const socrypt::nic::Descriptor fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, __builtin_bswap16(ETH_P_ALL)));
  if (!fd) return std::fprintf(stderr, "sniff: %s\n", std::strerror(errno)), 1;
  const int room = 64 << 20;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  std::map<int, unsigned long long> frames, found;
  std::map<int, std::string> names;
  std::vector<char> buffer(1 << 17);
  std::puts("ready");
  std::fflush(stdout);
  const auto look = [&] {
    for (;;) {
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t n = recvfrom(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return;
      std::array<char, IF_NAMESIZE> name{};
      if (names.find(from.sll_ifindex) == names.end() && if_indextoname(static_cast<unsigned>(from.sll_ifindex), name.data()) != nullptr)
        names[from.sll_ifindex] = name.data();
      ++frames[from.sll_ifindex];
      if (std::string_view(buffer.data(), static_cast<size_t>(n)).find(text) != std::string_view::npos) ++found[from.sll_ifindex];
    }
  };
  for (;;) {
    std::array<pollfd, 2> list{{{fd.get(), POLLIN, 0}, {0, POLLIN, 0}}};
    poll(list.data(), list.size(), -1);
    look();
    if (list[1].revents == 0) continue;
    if (std::getchar() == EOF) return 0;
    tpacket_stats stats{};
    socklen_t length = sizeof stats;
    getsockopt(fd.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &length);
    std::printf("{\"missed\":%u,\"interfaces\":{", stats.tp_drops);
    const char* comma = "";
    for (const auto& [index, n] : frames) {
      std::printf("%s\"%s\":{\"frames\":%llu,\"found\":%llu}", comma, names[index].c_str(), n, found[index]);
      comma = ",";
    }
    std::puts("}}");
    std::fflush(stdout);
  }
}
