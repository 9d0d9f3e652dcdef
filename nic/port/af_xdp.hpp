// A network interface taken over with AF_XDP (Documentation/networking/af_xdp.rst): all that arrives on its
// first queues comes here, nothing of it reaches the kernel's stack, and frames leave without the stack.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nic/port/descriptor.hpp"
#include "nic/port/port.hpp"

namespace socrypt::nic {

struct AfXdpOptions {
  /// Queues 0 to queues - 1, each with a socket of its own; 0: all that the interface has. Frames leave by the queue
  /// that their addresses and ports choose, so that those of a flow stay in order.
  uint32_t queues = 1;
  /// A host's side whose interface claims checksum offload (veth does): checksums of what arrives cannot be
  /// believed and are computed by the device.
  bool checksumsUnknown = false;
  /// Frames per queue and direction; a power of two. Of more than four queues each has fewer.
  uint32_t ring = 2048;
};

class AfXdpPort final : public Port {
 public:
  /// `interface` in the network namespace of the calling thread. Zero-copy where the driver can, else copy.
  /// The program that steers frames here goes with the port, also when the process dies. Needs CAP_NET_ADMIN,
  /// CAP_NET_RAW and CAP_BPF. Null: `why` says what was missing.
  [[nodiscard]] static std::unique_ptr<AfXdpPort> open(const std::string& interface, const AfXdpOptions& options, std::string& why);
  ~AfXdpPort() override;

  [[nodiscard]] int descriptor() const noexcept override { return poll_.get(); }
  size_t receive(FrameReceiver& receiver, size_t most) override;
  [[nodiscard]] size_t room() noexcept override;
  /// False: the ring is full, or the frame does not fit: into 4096 bytes, or where kernel and driver take
  /// frames in several buffers into 17 times that.
  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override;
  [[nodiscard]] bool flush() noexcept override;

  [[nodiscard]] bool zeroCopy() const noexcept { return zeroCopy_; }
  [[nodiscard]] size_t queues() const noexcept { return queues_.size(); }
  /// The longest frame that comes and goes.
  [[nodiscard]] size_t mostFrame() const noexcept;

  /// False: the driver has no XDP and the kernel's generic one is used.
  [[nodiscard]] bool native() const noexcept { return native_; }

 private:
  class Queue;
  AfXdpPort() = default;
  [[nodiscard]] bool attach(unsigned interface, const std::string& name, std::string& why);
  [[nodiscard]] Queue& queueOf(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept;

  std::vector<std::unique_ptr<Queue>> queues_;
  Descriptor map_;
  Descriptor program_;
  Descriptor link_;
  Descriptor poll_;
  FrameOffload offload_{};
  size_t next_ = 0;  // the queue that receive() asks first
  bool zeroCopy_ = false;
  bool native_ = true;
};

}  // namespace socrypt::nic
