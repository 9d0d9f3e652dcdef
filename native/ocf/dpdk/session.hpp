// DPDK's sessions behind one of ours. DPDK fixes the direction and the length of the AAD in a session; an op of ours brings
// both. So sessions of DPDK are made as ops ask for them: a key schedule each, a microsecond.
#pragma once

#include <array>
#include <cstdint>

#include "ocf/dpdk/device.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::ocf::dpdk {

inline constexpr uint16_t kIvOffset = sizeof(rte_crypto_op) + sizeof(rte_crypto_sym_op);

struct Variant {
  void* session;
  uint32_t aadBytes;
  uint32_t inFlight;
  bool forward;
};

/// The private bytes of a session of ours.
struct Private {
  AlgId alg;
  uint8_t keyBytes;
  uint8_t next;  // of the variants, to be replaced
  std::array<uint8_t, 32> key;
  // TLS has two lengths of AAD and each session one direction; four serve everybody.
  std::array<Variant, 4> variants;
};

/// Whether the device has the algorithm with these lengths.
[[nodiscard]] bool supports(const Device& device, const Alg& alg) noexcept;
/// The variant for an op; nullptr: there is no room, or every variant is in use.
[[nodiscard]] Variant* variantFor(const Device& device, Private& priv, bool forward, uint32_t aadBytes) noexcept;
void release(const Device& device, Private& priv) noexcept;

}  // namespace socrypt::ocf::dpdk
