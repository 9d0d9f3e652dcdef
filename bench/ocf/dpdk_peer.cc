#include "dpdk_peer.hpp"

#ifdef SOCRYPT_HAVE_DPDK

#include <rte_bus_vdev.h>
#include <rte_cryptodev.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#include <chrono>
#include <thread>
#include <vector>

namespace {

// Of one process, and of one thread: DPDK pins whoever initialises it.
DpdkNull measure() {
  DpdkNull out;
  std::vector<std::string> words{"bench_ocf", "--no-huge",      "-m",       "64",         "--no-shconf", "--no-pci",
                                 "--no-telemetry", "--lcores", "0@(0-1)", "--log-level=*:error"};
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) return {{}, "rte_eal_init failed"};
  if (rte_vdev_init("crypto_null", nullptr) != 0) return {{}, "there is no crypto_null driver (install dpdk)"};
  const int device = rte_cryptodev_get_dev_id("crypto_null");
  rte_cryptodev_config config{};
  config.nb_queue_pairs = 1;
  rte_cryptodev_qp_conf queue{};
  queue.nb_descriptors = 1024;
  const auto id = static_cast<uint8_t>(device);
  rte_mempool* sessions = rte_cryptodev_sym_session_pool_create("sessions", 16, rte_cryptodev_sym_get_private_session_size(id), 0, 0, 0);
  queue.mp_session = sessions;
  if (device < 0 || sessions == nullptr || rte_cryptodev_configure(id, &config) != 0 ||
      rte_cryptodev_queue_pair_setup(id, 0, &queue, 0) != 0 || rte_cryptodev_start(id) != 0)
    return {{}, "crypto_null could not be set up"};
  rte_crypto_sym_xform transform{};
  transform.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
  transform.cipher.op = RTE_CRYPTO_CIPHER_OP_ENCRYPT;
  transform.cipher.algo = RTE_CRYPTO_CIPHER_NULL;
  void* session = rte_cryptodev_sym_session_create(id, &transform, sessions);
  rte_mempool* ops = rte_crypto_op_pool_create("ops", RTE_CRYPTO_OP_TYPE_SYMMETRIC, 256, 0, 0, 0);
  rte_mempool* buffers = rte_pktmbuf_pool_create("buffers", 256, 0, 0, 2048, 0);
  if (session == nullptr || ops == nullptr || buffers == nullptr) return {{}, "crypto_null had no memory"};
  rte_crypto_op* list[32];
  if (rte_crypto_op_bulk_alloc(ops, RTE_CRYPTO_OP_TYPE_SYMMETRIC, list, 32) == 0) return {{}, "no memory for ops"};
  for (rte_crypto_op* op : list) {
    op->sym->m_src = rte_pktmbuf_alloc(buffers);
    rte_pktmbuf_append(op->sym->m_src, 64);
    op->sym->cipher.data.length = 64;
    rte_crypto_op_attach_sym_session(op, session);
  }
  size_t at = 0;
  for (const uint16_t burst : {uint16_t{1}, uint16_t{8}, uint16_t{32}}) {
    double best = 0;
    for (int round = 0; round < 30; ++round) {
      constexpr int kCalls = 4000;
      const auto start = std::chrono::steady_clock::now();
      for (int call = 0; call < kCalls; ++call) {
        uint16_t back = 0;
        rte_crypto_op* done[32];
        rte_cryptodev_enqueue_burst(id, 0, list, burst);
        while (back < burst) back = static_cast<uint16_t>(back + rte_cryptodev_dequeue_burst(id, 0, done, burst));
      }
      const double took = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / kCalls / burst;
      if (round == 0 || took < best) best = took;
    }
    out.ns[at++] = best;
  }
  return out;
}

}  // namespace

DpdkNull measureDpdkNull() {
  DpdkNull out;
  std::thread([&out] { out = measure(); }).join();
  return out;
}

#else

DpdkNull measureDpdkNull() { return {{}, "built without DPDK (libdpdk-dev was not found)"}; }

#endif
