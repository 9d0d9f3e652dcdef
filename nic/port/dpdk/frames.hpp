// The buffers of a port's frames.
#pragma once

#include <rte_mempool.h>

#include <cstdint>
#include <memory>

namespace socrypt::nic {

struct FreePool {
  void operator()(rte_mempool* pool) const noexcept { rte_mempool_free(pool); }
};
using FramePool = std::unique_ptr<rte_mempool, FreePool>;

/// `count` buffers with room for `frame` bytes each. Null: rte_errno says why.
[[nodiscard]] FramePool makeFrames(unsigned count, uint16_t frame);

/// The same, each in a page of 4096 bytes of its own, and these one behind the other: what net_af_xdp takes a pool for. It
/// tells the kernel of as many bytes as the buffers have (22.11, 23.11: xdp_umem_configure()), while DPDK puts none across
/// the border of two pages, which are small where there are no huge ones. With makeFrames() two buffers of five lie behind what
/// the kernel knows; a frame in one of them is an invalid descriptor, which is neither sent nor given back.
[[nodiscard]] FramePool makeFramesInPages(unsigned count);

}  // namespace socrypt::nic
