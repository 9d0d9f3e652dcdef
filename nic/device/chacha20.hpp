// ChaCha20 (RFC 8439 2.4) over any range of a text, many blocks at once in the lanes of vectors: of constant
// time, without allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace socrypt::nic {

enum class ChaChaKernel : uint8_t {
  Portable,  // four blocks at once in vectors of 128 bits, which every compiler can make
  Narrow,    // AVX2: eight blocks
  Wide,      // AVX-512: sixteen blocks
};

/// The fastest kernel of this processor.
[[nodiscard]] ChaChaKernel bestChaChaKernel() noexcept;
[[nodiscard]] bool hasChaChaKernel(ChaChaKernel kernel) noexcept;

/// A key; wiped when it goes.
class ChaChaKey {
 public:
  static constexpr size_t kBlock = 64;

  /// `key`: 32 bytes. `kernel`: one that this processor has.
  explicit ChaChaKey(const uint8_t* key, ChaChaKernel kernel = bestChaChaKernel()) noexcept;
  ChaChaKey(const ChaChaKey&) = delete;
  ChaChaKey& operator=(const ChaChaKey&) = delete;
  ~ChaChaKey();

  /// XORs the keystream to `data`, whose first byte is byte `skip` (0 to 63) of the block with counter block
  /// `counter`: 16 bytes, block number and nonce (RFC 8439 2.3).
  void crypt(const uint8_t* counter, size_t skip, std::span<uint8_t> data) const noexcept;

  /// The keystream of block `counter` itself to `first`, that of the blocks behind it XORed to `data`.
  void cryptBehind(const uint8_t* counter, std::span<uint8_t, kBlock> first, std::span<uint8_t> data) const noexcept;

 private:
  void run(const uint8_t* counter, size_t skip, std::span<uint8_t> data, uint8_t* first) const noexcept;

  ChaChaKernel kernel_;
  std::array<uint32_t, 8> key_;
};

}  // namespace socrypt::nic
