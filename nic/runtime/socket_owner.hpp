// Whose a TCP socket of this host is, by sock_diag(7).
#pragma once

#include <sys/types.h>

#include <optional>

#include "nic/device/packet.hpp"
#include "nic/port/descriptor.hpp"

namespace socrypt::nic {

/// In the network namespace of the thread that made it; one thread at a time.
class SocketOwner {
 public:
  SocketOwner();
  [[nodiscard]] bool opened() const noexcept { return static_cast<bool>(fd_); }

  enum class Found : uint8_t { Yes, No, Unknown };
  struct Answer {
    Found found = Found::Unknown;
    uid_t user = 0;
  };
  /// The connected socket of this key, bound to `interface`, and the user who opened it. Unknown: the kernel did not say.
  [[nodiscard]] Answer of(const FlowKey& key, unsigned interface);

 private:
  Descriptor fd_;
  uint32_t sequence_ = 0;
};

}  // namespace socrypt::nic
