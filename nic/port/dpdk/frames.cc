#include "nic/port/dpdk/frames.hpp"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memzone.h>

#include <atomic>
#include <string>

namespace socrypt::nic {
namespace {

constexpr uint32_t kPage = 4096;

std::string nextName() {
  static std::atomic<unsigned> made{0};
  return "socrypt-nic-" + std::to_string(made++);
}

}  // namespace

FramePool makeFrames(unsigned count, uint16_t frame) {
  return FramePool(rte_pktmbuf_pool_create(nextName().c_str(), count, 0, 0, static_cast<uint16_t>(frame + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY));
}

FramePool makeFramesInPages(unsigned count) {
  const std::string name = nextName();
  // Else DPDK makes them longer than a page, to spread their beginnings over the channels of memory.
  constexpr unsigned kFlags = RTE_MEMPOOL_F_NO_SPREAD;
  rte_mempool_objsz sizes{};
  rte_mempool_calc_obj_size(sizeof(rte_mbuf), kFlags, &sizes);
  const uint32_t element = kPage - sizes.header_size - sizes.trailer_size;
  const auto refuse = [](int error) {
    rte_errno = error;
    return FramePool{};
  };
  if (rte_mempool_calc_obj_size(element, kFlags, nullptr) != kPage) return refuse(ENOTSUP);
  FramePool pool(rte_mempool_create_empty(name.c_str(), count, element, 0, sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, kFlags));
  if (pool == nullptr) return pool;
  if (const int error = rte_mempool_set_ops_byname(pool.get(), rte_mbuf_best_mempool_ops(), nullptr); error != 0) return refuse(-error);
  rte_pktmbuf_pool_private facts{};
  facts.mbuf_data_room_size = static_cast<uint16_t>(element - sizeof(rte_mbuf));
  rte_pktmbuf_pool_init(pool.get(), &facts);
  const rte_memzone* const memory = rte_memzone_reserve_aligned(name.c_str(), size_t{count} * kPage, SOCKET_ID_ANY, 0, kPage);
  if (memory == nullptr) return FramePool{};
  const auto free = [](rte_mempool_memhdr*, void* mine) { rte_memzone_free(static_cast<const rte_memzone*>(mine)); };
  const int put = rte_mempool_populate_iova(pool.get(), static_cast<char*>(memory->addr), memory->iova, memory->len, free, const_cast<rte_memzone*>(memory));
  if (put <= 0) rte_memzone_free(memory);
  if (put != static_cast<int>(count)) return refuse(put < 0 ? -put : ENOMEM);
  rte_mempool_obj_iter(pool.get(), rte_pktmbuf_init, nullptr);
  return pool;
}

}  // namespace socrypt::nic
