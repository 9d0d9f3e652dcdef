// What our driver adds to DPDK: AES-128-GCM in place by the framework over dpdk:crypto_aesni_gcm, beside the same device called
// directly (rte_cryptodev_sym_cpu_crypto_process), in turns, best of many rounds. ns per op.
//   bench_ocf_dpdk            needs socrypt-dpdk.so beside it
#include <rte_cryptodev.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "ocf/drivers/dpdk.hpp"

using namespace socrypt::ocf;

namespace {

constexpr const char* kDevice = "crypto_aesni_gcm";
constexpr int kRounds = 60;
constexpr uint32_t kAad = 13;

template <class Body>
double bestNs(size_t ops, Body body) {
  double best = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(ops));
  }
  return best;
}

struct Direct {
  uint8_t device;
  void* session;
  explicit Direct(const uint8_t* key) : device(static_cast<uint8_t>(rte_cryptodev_get_dev_id(kDevice))) {
    rte_mempool* pool = rte_cryptodev_sym_session_pool_create("bench", 16, rte_cryptodev_sym_get_private_session_size(device), 0, 0, SOCKET_ID_ANY);
    rte_crypto_sym_xform xform{};
    xform.type = RTE_CRYPTO_SYM_XFORM_AEAD;
    xform.aead.op = RTE_CRYPTO_AEAD_OP_ENCRYPT;
    xform.aead.algo = RTE_CRYPTO_AEAD_AES_GCM;
    xform.aead.key = {key, 16};
    xform.aead.iv = {0, 12};
    xform.aead.digest_length = 16;
    xform.aead.aad_length = kAad;
    session = rte_cryptodev_sym_session_create(device, &xform, pool);
  }
};

}  // namespace

int main() {
  std::string why;
  Framework framework;
  Status status = Status::Ok;
  auto driver = makeDpdkDriver(kDevice, why);
  if (driver == nullptr || framework.attach(std::move(driver), &status) == 0) {
    std::fprintf(stderr, "bench: %s\n", why.empty() ? "the driver was refused" : why.c_str());
    return 1;
  }
  const uint8_t key[16] = {1, 2, 3};
  const Alg alg = algOf(AlgId::Aes128Gcm, key);
  SessionHandle session = framework.open({.chain = {&alg, 1}}, &status);
  const Direct direct(key);
  if (session == nullptr || direct.session == nullptr) return 1;
  std::printf("%8s %6s %12s %12s %8s\n", "bytes", "burst", "DPDK ns/op", "ours ns/op", "ratio");
  for (const uint32_t bytes : {64u, 1024u, 16384u}) {
    for (const size_t burst : {size_t{1}, size_t{8}, size_t{32}}) {
      std::vector<std::vector<uint8_t>> buffers(burst, std::vector<uint8_t>(bytes + 16));
      uint8_t aad[kAad] = {};
      std::vector<Op> ops(burst);
      std::vector<Seg> segments(burst);
      std::vector<Op*> list(burst);
      std::vector<rte_crypto_vec> data(burst);
      std::vector<rte_crypto_sgl> lists(burst);
      std::vector<rte_crypto_va_iova_ptr> ivs(burst), tags(burst), aads(burst);
      std::vector<int32_t> statuses(burst);
      uint8_t iv[12] = {};
      for (size_t i = 0; i < burst; ++i) {
        segments[i] = {buffers[i].data(), bytes + 16};
        ops[i] = {};
        ops[i].ses = session.get();
        ops[i].kind = Kind::Seal;
        ops[i].nIn = ops[i].nOut = 1;
        ops[i].in = ops[i].out = &segments[i];
        ops[i].aad = {aad, kAad};
        ops[i].len = ops[i].tagAt = bytes;
        list[i] = &ops[i];
        data[i] = {};
        data[i].base = buffers[i].data();
        data[i].len = data[i].tot_len = bytes;
        lists[i] = {&data[i], 1};
        ivs[i].va = iv, tags[i].va = buffers[i].data() + bytes, aads[i].va = aad;
      }
      rte_crypto_sym_vec vector{};
      vector.num = static_cast<uint32_t>(burst);
      vector.src_sgl = lists.data();
      vector.iv = ivs.data();
      vector.digest = tags.data();
      vector.aad = aads.data();
      vector.status = statuses.data();
      const size_t turns = std::max<size_t>(4, 2'000'000 / (burst * (bytes + 500)));
      const auto theirs = [&] {
        for (size_t t = 0; t < turns; ++t) rte_cryptodev_sym_cpu_crypto_process(direct.device, direct.session, rte_crypto_sym_ofs{}, &vector);
      };
      const auto ours = [&] {
        for (size_t t = 0; t < turns; ++t) framework.dispatch(list.data(), burst);
      };
      const double a = bestNs(turns * burst, theirs), b = bestNs(turns * burst, ours);
      std::printf("%8u %6zu %12.1f %12.1f %8.2f\n", bytes, burst, a, b, b / a);
    }
  }
  return 0;
}
