#include "nic/device/chacha20.hpp"

#include <cstring>

#include "nic/device/chacha20_kernels.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::nic {
namespace {

void runKernel(ChaChaKernel kernel, const ChaChaRange& range) noexcept {
#if defined(__x86_64__)
  if (kernel == ChaChaKernel::Wide) return wideChaChaRange(range);
  if (kernel == ChaChaKernel::Narrow) return narrowChaChaRange(range);
#endif
  static_cast<void>(kernel);
  portableChaChaRange(range);
}

}  // namespace

bool hasChaChaKernel(ChaChaKernel kernel) noexcept {
#if defined(__x86_64__)
  if (kernel == ChaChaKernel::Wide) return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
  if (kernel == ChaChaKernel::Narrow) return __builtin_cpu_supports("avx2") != 0;
#endif
  return kernel == ChaChaKernel::Portable;
}

ChaChaKernel bestChaChaKernel() noexcept {
  static const ChaChaKernel best = hasChaChaKernel(ChaChaKernel::Wide)     ? ChaChaKernel::Wide
                                   : hasChaChaKernel(ChaChaKernel::Narrow) ? ChaChaKernel::Narrow
                                                                           : ChaChaKernel::Portable;
  return best;
}

ChaChaKey::ChaChaKey(const uint8_t* key, ChaChaKernel kernel) noexcept : kernel_(kernel) { std::memcpy(key_.data(), key, sizeof key_); }

ChaChaKey::~ChaChaKey() { ocf::wipe(key_.data(), sizeof key_); }

void ChaChaKey::run(const uint8_t* counter, size_t skip, std::span<uint8_t> data, uint8_t* first) const noexcept {
  // RFC 8439 2.3: "expand 32-byte k", the key, block number and nonce.
  uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  std::memcpy(state + 4, key_.data(), sizeof key_);
  std::memcpy(state + 12, counter, 16);
  runKernel(kernel_, {state, skip, data.data(), data.size(), first});
  ocf::wipe(state, sizeof state);
}

void ChaChaKey::crypt(const uint8_t* counter, size_t skip, std::span<uint8_t> data) const noexcept {
  if (!data.empty()) run(counter, skip, data, nullptr);
}

void ChaChaKey::cryptBehind(const uint8_t* counter, std::span<uint8_t, kBlock> first, std::span<uint8_t> data) const noexcept {
  run(counter, kBlock, data, first.data());
}

}  // namespace socrypt::nic
