// What X25519 costs here: our two ladders, share and agreement together, and libcrypto's agreement. CPU time, the least of
// several rounds. Build and run: cmake -S native -B build/bench -DSOCRYPT_BENCH=ON && cmake --build build/bench --target
// bench_x25519 && build/bench/bench_x25519
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <memory>

#include "ocf/x25519.hpp"
#include "ocf/x25519_ladder.hpp"

namespace {

namespace x25519 = socrypt::x25519;

struct Free {
  void operator()(EVP_PKEY* p) const noexcept { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const noexcept { EVP_PKEY_CTX_free(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;

double cpuMicroseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

template <typename Op>
void measure(const char* what, Op op) {
  constexpr int kRounds = 20, kOps = 1000;
  double least = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const double begin = cpuMicroseconds();
    for (int i = 0; i < kOps; ++i) op();
    least = std::min(least, (cpuMicroseconds() - begin) / kOps);
  }
  std::printf("%-32s %6.1f us\n", what, least);
}

}  // namespace

int main() {
  x25519::Scalar secret{};
  secret.fill(0x55);
  secret[0] &= 248;
  secret[31] = 64 | 0x15;
  std::array<uint8_t, 32> peer{9}, share{}, shared{};
  volatile uint64_t sink = 0;

  measure("ladder, portable", [&] { sink = x25519::ladderPortable(secret, peer).x.limb[0]; });
  if (x25519::haveIfma()) measure("ladder, AVX-512 IFMA", [&] { sink = x25519::ladderIfma(secret, peer).x.limb[0]; });
  else std::puts("this CPU has no AVX-512 IFMA");
  measure("share and agreement", [&] { sink = x25519::keyShare(secret, peer, share, shared); });

  const Key own(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size()));
  const Key other(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, share.data(), share.size()));
  const std::unique_ptr<EVP_PKEY_CTX, Free> context(EVP_PKEY_CTX_new(own.get(), nullptr));
  size_t length = shared.size();
  if (!context || EVP_PKEY_derive_init(context.get()) != 1 || EVP_PKEY_derive_set_peer(context.get(), other.get()) != 1) return 1;
  measure("libcrypto, agreement", [&] { sink = static_cast<uint64_t>(EVP_PKEY_derive(context.get(), shared.data(), &length)); });
  return 0;
}
