#include "nic/port/tap.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <array>

namespace socrypt::nic {
namespace {

// An IP datagram of 64 KiB, Ethernet and two VLAN tags.
constexpr size_t kMaxFrame = 65535 + 14 + 8;

// struct virtio_net_hdr (virtio 1.2, 5.1.6) in this machine's byte order; <linux/virtio_net.h> is no C++.
struct VirtioHeader {
  uint8_t flags;
  uint8_t segmentation;
  uint16_t headerLength;
  uint16_t segmentSize;
  uint16_t checksumStart;
  uint16_t checksumOffset;
};
constexpr size_t kHeader = sizeof(VirtioHeader);
static_assert(kHeader == 10);
constexpr uint8_t kNeedsChecksum = 1;
constexpr uint8_t kSegmentNone = 0, kSegmentTcp4 = 1, kSegmentTcp6 = 4, kSegmentEcn = 0x80;

FrameOffload offloadOf(const VirtioHeader& header) noexcept {
  FrameOffload offload;
  if ((header.flags & kNeedsChecksum) != 0) {
    offload.checksum = FrameOffload::Checksum::Partial;
    offload.start = header.checksumStart;
    offload.offset = header.checksumOffset;
  }
  const uint8_t type = header.segmentation & static_cast<uint8_t>(~kSegmentEcn);
  if (type != kSegmentNone) {
    offload.segmentSize = header.segmentSize;
    offload.tcp = type == kSegmentTcp4 || type == kSegmentTcp6;
  }
  return offload;
}

}  // namespace

TapPort::TapPort(Descriptor fd) : fd_(std::move(fd)), buffer_(kHeader + kMaxFrame) {}

std::unique_ptr<TapPort> TapPort::open(const std::string& name, std::string& why) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    why = "an interface name has 1 to 15 characters; \"" + name + "\" has " + std::to_string(name.size());
    return nullptr;
  }
  Descriptor fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    why = systemError("/dev/net/tun cannot be opened (the tun module, or access to the device)");
    return nullptr;
  }
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  int size = kHeader;
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    why = systemError("tap interface \"" + name + "\" cannot be created (CAP_NET_ADMIN is needed)");
    return nullptr;
  }
  if (ioctl(fd.get(), TUNSETVNETHDRSZ, &size) != 0 || ioctl(fd.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) {
    why = systemError("the kernel's tap has no checksum and TSO offload");
    return nullptr;
  }
  return std::unique_ptr<TapPort>(new TapPort(std::move(fd)));
}

size_t TapPort::receive(FrameReceiver& receiver, size_t most) {
  size_t n = 0;
  for (; n < most; ++n) {
    const ssize_t got = read(fd_.get(), buffer_.data(), buffer_.size());
    if (got < static_cast<ssize_t>(kHeader)) break;
    VirtioHeader header;
    std::memcpy(&header, buffer_.data(), kHeader);
    receiver.frame(std::span(buffer_).subspan(kHeader, static_cast<size_t>(got) - kHeader), offloadOf(header));
  }
  return n;
}

bool TapPort::send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept {
  VirtioHeader header{};
  const std::array<iovec, 3> parts{{{&header, kHeader},
                                    {const_cast<uint8_t*>(head.data()), head.size()},
                                    {const_cast<uint8_t*>(rest.data()), rest.size()}}};
  return writev(fd_.get(), parts.data(), 3) >= 0;
}

}  // namespace socrypt::nic
