#include "nic/port/af_xdp.hpp"

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <thread>

#include "nic/port/bpf.hpp"

namespace socrypt::nic {
namespace {

constexpr uint32_t kFrame = 4096;
// Frames in several buffers (af_xdp.rst, "Multi-Buffer Support"; since 6.6): newer than some systems' headers.
constexpr uint16_t kUseSeveral = 1 << 4;     // XDP_USE_SG
constexpr uint32_t kContinued = 1 << 0;      // XDP_PKT_CONTD
constexpr uint32_t kProgramHasFrags = 1 << 5;  // BPF_F_XDP_HAS_FRAGS
// What the kernel puts into one packet: a linear part and 17 fragments.
constexpr size_t kMostBuffers = 17;

// In one buffer, the kernel's headroom and what it keeps behind the bytes of a packet leave this.
constexpr size_t kOneBuffer = 3498 + 14;
constexpr uint32_t kMostQueues = 64;
constexpr uint32_t kLeastRing = 256;
constexpr int kBindAttempts = 50;
constexpr std::chrono::milliseconds kBetweenBinds{5};

// Queues of either direction; 1 when the driver has no notion of it. Its name is of the calling thread's namespace.
uint32_t queuesOf(const std::string& interface) noexcept {
  const Descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (ioctl(control.get(), SIOCETHTOOL, &request) != 0) return 1;
  return std::clamp(channels.combined_count + channels.rx_count, 1u, kMostQueues);
}

// A ring shared with the kernel, one producer, one consumer (af_xdp.rst, "Rings").
template <typename Entry>
class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    if (memory_ != nullptr) munmap(memory_, bytes_);
  }
  bool map(int fd, uint64_t page, const xdp_ring_offset& at, uint32_t size) noexcept {
    bytes_ = at.desc + size * sizeof(Entry);
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(page));
    if (memory == MAP_FAILED) return false;
    memory_ = memory;
    auto* base = static_cast<uint8_t*>(memory);
    producer_ = reinterpret_cast<uint32_t*>(base + at.producer);
    consumer_ = reinterpret_cast<uint32_t*>(base + at.consumer);
    flags_ = reinterpret_cast<uint32_t*>(base + at.flags);
    entries_ = reinterpret_cast<Entry*>(base + at.desc);
    size_ = size;
    return true;
  }
  // As producer. Entries become visible with publish().
  [[nodiscard]] uint32_t room() const noexcept { return size_ - (produced_ - load(consumer_)); }
  [[nodiscard]] bool empty() const noexcept { return room() == size_; }
  void put(const Entry& entry) noexcept { entries_[produced_++ & (size_ - 1)] = entry; }
  void publish() noexcept { std::atomic_ref(*producer_).store(produced_, std::memory_order_release); }
  [[nodiscard]] bool wantsWakeup() const noexcept { return (load(flags_) & XDP_RING_NEED_WAKEUP) != 0; }
  // As consumer. Entries go back with release().
  [[nodiscard]] uint32_t available() const noexcept { return load(producer_) - consumed_; }
  Entry take() noexcept { return entries_[consumed_++ & (size_ - 1)]; }
  void release() noexcept { std::atomic_ref(*consumer_).store(consumed_, std::memory_order_release); }

 private:
  static uint32_t load(uint32_t* word) noexcept { return std::atomic_ref(*word).load(std::memory_order_acquire); }
  void* memory_ = nullptr;
  size_t bytes_ = 0;
  uint32_t* producer_ = nullptr;
  uint32_t* consumer_ = nullptr;
  uint32_t* flags_ = nullptr;
  Entry* entries_ = nullptr;
  uint32_t size_ = 0;
  uint32_t produced_ = 0;
  uint32_t consumed_ = 0;
};

}  // namespace

// One socket with its memory: the first half of the frames receives, the second half sends.
class AfXdpPort::Queue {
 public:
  ~Queue() {
    socket_ = {};
    if (memory_ != nullptr) munmap(memory_, bytes_);
  }
  Queue() = default;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  bool open(unsigned interface, uint32_t queue, uint32_t ring, bool& zeroCopy, std::string& why) {
    socket_ = Descriptor(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!socket_) return why = systemError("no AF_XDP socket (CONFIG_XDP_SOCKETS and CAP_NET_RAW are needed)"), false;
    bytes_ = size_t{2} * ring * kFrame;
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return why = systemError("no " + std::to_string(bytes_) + " bytes of memory for AF_XDP frames"), false;
    memory_ = static_cast<uint8_t*>(memory);
    const xdp_umem_reg area{.addr = reinterpret_cast<uint64_t>(memory_), .len = bytes_, .chunk_size = kFrame, .headroom = 0, .flags = 0};
    const int fd = socket_.get();
    const auto set = [&](int option, const void* value, socklen_t length) { return setsockopt(fd, SOL_XDP, option, value, length) == 0; };
    if (!set(XDP_UMEM_REG, &area, sizeof area)) return why = systemError(std::to_string(bytes_) + " bytes of memory for AF_XDP were refused") + "; the limit on locked memory has to allow them (ulimit -l, LimitMEMLOCK= of systemd), or CAP_IPC_LOCK", false;
    xdp_mmap_offsets at{};
    socklen_t length = sizeof at;
    if (!set(XDP_UMEM_FILL_RING, &ring, sizeof ring) || !set(XDP_UMEM_COMPLETION_RING, &ring, sizeof ring) ||
        !set(XDP_RX_RING, &ring, sizeof ring) || !set(XDP_TX_RING, &ring, sizeof ring) ||
        getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length) != 0 || !fill_.map(fd, XDP_UMEM_PGOFF_FILL_RING, at.fr, ring) ||
        !completion_.map(fd, XDP_UMEM_PGOFF_COMPLETION_RING, at.cr, ring) || !receive_.map(fd, XDP_PGOFF_RX_RING, at.rx, ring) ||
        !transmit_.map(fd, XDP_PGOFF_TX_RING, at.tx, ring))
      return why = systemError("AF_XDP rings cannot be set up"), false;
    for (uint32_t i = 0; i < ring; ++i) {
      fill_.put(uint64_t{i} * kFrame);
      free_.push_back((uint64_t{ring} + i) * kFrame);
    }
    fill_.publish();
    sockaddr_xdp address{};
    address.sxdp_family = AF_XDP;
    address.sxdp_ifindex = interface;
    address.sxdp_queue_id = queue;
    // The kernel takes a queue from a socket that is closed a moment after that.
    for (int patience = kBindAttempts; patience > 0; --patience) {
      // Drivers that do zero-copy, but not in several buffers, are taken at their best.
      for (const bool zero : {true, false}) {
        for (const bool several : {true, false}) {
          address.sxdp_flags = static_cast<uint16_t>(XDP_USE_NEED_WAKEUP | (zero ? XDP_ZEROCOPY : XDP_COPY) | (several ? kUseSeveral : 0));
          if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) continue;
          zeroCopy = zero;
          mostBuffers_ = several ? kMostBuffers : 1;
          return true;
        }
      }
      if (errno != EBUSY) break;
      std::this_thread::sleep_for(kBetweenBinds);
      errno = EBUSY;
    }
    why = systemError("queue " + std::to_string(queue) + " cannot be taken over");
    if (errno == EBUSY) why += "; another process has it by AF_XDP: end that";
    return false;
  }

  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  [[nodiscard]] size_t mostBuffers() const noexcept { return mostBuffers_; }

  size_t receive(FrameReceiver& receiver, const FrameOffload& offload, size_t most) {
    const uint32_t available = receive_.available();
    uint32_t taken = 0;
    size_t n = 0;
    while (n < most && taken < available) {
      const xdp_desc entry = receive_.take();
      ++taken;
      const std::span<uint8_t> buffer(memory_ + entry.addr, entry.len);
      const bool continued = (entry.options & kContinued) != 0;
      if (!continued && joined_.empty()) {
        receiver.frame(buffer, offload);
        ++n;
      } else {
        // Whoever takes frames wants them in one piece.
        joined_.insert(joined_.end(), buffer.begin(), buffer.end());
        if (!continued) {
          receiver.frame(joined_, offload);
          joined_.clear();
          ++n;
        }
      }
      fill_.put(entry.addr - entry.addr % kFrame);
    }
    if (taken != 0) {
      receive_.release();
      fill_.publish();
    }
    if (fill_.wantsWakeup()) recvfrom(socket_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
    return n;
  }

  size_t room() noexcept {
    reclaim();
    if (free_.empty()) static_cast<void>(flush());
    return std::min<size_t>(free_.size(), transmit_.room());
  }

  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept {
    const size_t size = head.size() + rest.size();
    const size_t buffers = (size + kFrame - 1) / kFrame;
    if (buffers > mostBuffers_) return false;
    const auto fits = [&] { return free_.size() >= buffers && transmit_.room() >= buffers; };
    if (!fits()) {
      static_cast<void>(flush());
      if (!fits()) return false;
    }
    for (size_t at = 0; at < size; at += kFrame) {
      const uint64_t address = free_.back();
      free_.pop_back();
      const size_t n = std::min<size_t>(kFrame, size - at);
      const size_t fromHead = at < head.size() ? std::min(n, head.size() - at) : 0;
      std::copy_n(head.data() + std::min(at, head.size()), fromHead, memory_ + address);
      // A frame that lies in `head` alone comes with no `rest` to point into.
      if (fromHead < n) std::copy_n(rest.data() + (at + fromHead - head.size()), n - fromHead, memory_ + address + fromHead);
      transmit_.put({.addr = address, .len = static_cast<uint32_t>(n), .options = at + n < size ? kContinued : 0});
    }
    pending_ = true;
    return true;
  }

  bool flush() noexcept {
    if (pending_) transmit_.publish();
    pending_ = false;
    // In copy mode the kernel sends inside this call, a batch at a time; EAGAIN says that there is more.
    for (int i = 0; i < kMostKicks && !transmit_.empty() && transmit_.wantsWakeup(); ++i) {
      if (sendto(socket_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 && errno != EAGAIN) break;
    }
    reclaim();
    return transmit_.empty() || !transmit_.wantsWakeup();
  }

 private:
  static constexpr int kMostKicks = 64;
  void reclaim() noexcept {
    const uint32_t n = completion_.available();
    for (uint32_t i = 0; i < n; ++i) free_.push_back(completion_.take());
    if (n != 0) completion_.release();
  }

  Descriptor socket_;
  uint8_t* memory_ = nullptr;
  size_t bytes_ = 0;
  Ring<uint64_t> fill_;
  Ring<uint64_t> completion_;
  Ring<xdp_desc> receive_;
  Ring<xdp_desc> transmit_;
  std::vector<uint64_t> free_;    // frames for sending
  std::vector<uint8_t> joined_;   // what has arrived of a frame in several buffers
  size_t mostBuffers_ = 1;        // of one frame
  bool pending_ = false;
};

AfXdpPort::~AfXdpPort() = default;

// bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS): a queue without a socket goes its old way.
bool AfXdpPort::attach(unsigned interface, const std::string& name, std::string& why) {
  const std::array<bpf_insn, 6> program{{
      instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(xdp_md, rx_queue_index), 0),
      instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_.get()),
      instruction(0, 0, 0, 0, 0),
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, XDP_PASS),
      instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  }};
  // Without the flag an interface with a large MTU refuses the program, without the feature a kernel the flag.
  for (const uint32_t flags : {kProgramHasFrags, 0u}) {
    program_ = loadProgram({.type = BPF_PROG_TYPE_XDP, .instructions = program, .expectedAttachType = BPF_XDP, .flags = flags});
    if (program_) break;
  }
  if (!program_) return why = systemError("the XDP program was refused (CAP_BPF and CAP_NET_ADMIN are needed)"), false;
  for (const uint32_t mode : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    // A link, unlike an attachment by netlink, goes with its descriptor.
    link_ = linkProgram(program_, interface, BPF_XDP, mode);
    native_ = mode == XDP_FLAGS_DRV_MODE;
    if (link_) return true;
    if (errno == EBUSY) break;
  }
  const bool taken = errno == EBUSY || errno == EEXIST;
  why = systemError("an XDP program cannot be attached to the interface \"" + name + "\"");
  if (taken) why += "; another one is there (`ip link show dev " + name + "` tells its number): end whoever put it there";
  return false;
}

std::unique_ptr<AfXdpPort> AfXdpPort::open(const std::string& interface, const AfXdpOptions& options, std::string& why) {
  const unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) {
    why = noInterface(interface);
    return nullptr;
  }
  std::unique_ptr<AfXdpPort> port(new AfXdpPort);
  if (options.checksumsUnknown) port->offload_.checksum = FrameOffload::Checksum::Unknown;
  bpf_attr create{};
  create.map_type = BPF_MAP_TYPE_XSKMAP;
  create.key_size = create.value_size = sizeof(uint32_t);
  const uint32_t queues = options.queues != 0 ? options.queues : queuesOf(interface);
  const uint32_t ring = std::max(std::min(kLeastRing, options.ring), std::bit_floor(std::min(options.ring, 4 * options.ring / queues)));
  create.max_entries = queues;
  port->map_ = Descriptor(static_cast<int>(bpf(BPF_MAP_CREATE, create)));
  if (!port->map_) {
    why = systemError("no BPF map (CAP_BPF and CAP_NET_ADMIN are needed)");
    return nullptr;
  }
  // The program first: veth and others have XDP queues only while one is attached.
  if (!port->attach(index, interface, why)) return nullptr;
  port->poll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  for (uint32_t i = 0; i < queues; ++i) {
    auto queue = std::make_unique<Queue>();
    if (!queue->open(index, i, ring, port->zeroCopy_, why)) return why = "of the interface \"" + interface + "\" " + why, nullptr;
    uint32_t key = i;
    uint32_t value = static_cast<uint32_t>(queue->descriptor());
    bpf_attr update{};
    update.map_fd = static_cast<uint32_t>(port->map_.get());
    update.key = reinterpret_cast<uint64_t>(&key);
    update.value = reinterpret_cast<uint64_t>(&value);
    epoll_event event{.events = EPOLLIN, .data = {.u32 = i}};
    if (bpf(BPF_MAP_UPDATE_ELEM, update) != 0 || epoll_ctl(port->poll_.get(), EPOLL_CTL_ADD, queue->descriptor(), &event) != 0) {
      why = systemError("queue " + std::to_string(i) + " of the interface \"" + interface + "\" cannot be connected");
      return nullptr;
    }
    port->queues_.push_back(std::move(queue));
  }
  return port;
}

size_t AfXdpPort::receive(FrameReceiver& receiver, size_t most) {
  size_t n = 0;
  for (size_t i = 0; i < queues_.size() && n < most; ++i) n += queues_[(next_ + i) % queues_.size()]->receive(receiver, offload_, most - n);
  next_ = (next_ + 1) % queues_.size();
  return n;
}

size_t AfXdpPort::mostFrame() const noexcept {
  size_t buffers = kMostBuffers;
  for (const auto& queue : queues_) buffers = std::min(buffers, queue->mostBuffers());
  return buffers == 1 ? kOneBuffer : buffers * kFrame;
}

// By the addresses, and the ports where every packet of the flow has them: not those of fragments.
AfXdpPort::Queue& AfXdpPort::queueOf(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept {
  if (queues_.size() == 1) return *queues_[0];
  std::array<uint8_t, 96> bytes{};
  const size_t fromHead = std::min(head.size(), bytes.size());
  const size_t fromRest = std::min(rest.size(), bytes.size() - fromHead);
  std::copy_n(head.begin(), fromHead, bytes.begin());
  std::copy_n(rest.begin(), fromRest, bytes.begin() + static_cast<ptrdiff_t>(fromHead));
  const auto word = [&bytes](size_t place) { return bytes[place] << 8 | bytes[place + 1]; };
  size_t at = 12;
  for (int tags = 0; tags < 2 && (word(at) == 0x8100 || word(at) == 0x88a8); ++tags) at += 4;
  const int type = word(at);
  at += 2;
  uint32_t hash = 0x811c9dc5;
  const auto mix = [&](size_t from, size_t length) {
    for (size_t i = from; i < from + length; ++i) hash = (hash ^ bytes[i]) * 0x01000193;
  };
  const auto hasPorts = [](uint8_t protocol) { return protocol == 6 || protocol == 17; };
  if (type == 0x0800) {
    mix(at + 12, 8);
    // RFC 791: neither "more fragments" nor an offset.
    if (hasPorts(bytes[at + 9]) && (word(at + 6) & 0x3fff) == 0) mix(at + (bytes[at] & 0xf) * 4u, 4);
  } else if (type == 0x86dd) {
    mix(at + 8, 32);
    if (hasPorts(bytes[at + 6])) mix(at + 40, 4);
  } else {
    return *queues_[0];
  }
  return *queues_[(hash ^ hash >> 16) % queues_.size()];
}

// Whichever queue a frame goes to, there is room in it.
size_t AfXdpPort::room() noexcept {
  size_t least = SIZE_MAX;
  for (const auto& queue : queues_) least = std::min(least, queue->room());
  return least;
}
bool AfXdpPort::send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept { return queueOf(head, rest).send(head, rest); }
bool AfXdpPort::flush() noexcept {
  bool all = true;
  for (const auto& queue : queues_) all = queue->flush() && all;
  return all;
}

}  // namespace socrypt::nic
