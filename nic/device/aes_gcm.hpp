// AES in counter mode over any range of a text, and the range's share of GHASH in the same pass, by the
// processor's AES instructions: of constant time. A processor without them leaves both to libcrypto and
// GhashKey.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "nic/device/ghash.hpp"

namespace socrypt::nic {

enum class AesKernel : uint8_t {
  None,     // no AES instructions
  Narrow,   // AES-NI and PCLMULQDQ on 128 bits
  Wide,     // VAES and VPCLMULQDQ on 256 bits
};

/// The fastest kernel of this processor.
[[nodiscard]] AesKernel bestAesKernel() noexcept;
[[nodiscard]] bool hasAesKernel(AesKernel kernel) noexcept;

/// An expanded key; wiped when it goes.
class AesKey {
 public:
  /// `key`: 16 or 32 bytes. `kernel`: one that this processor has, not None.
  explicit AesKey(std::span<const uint8_t> key, AesKernel kernel = bestAesKernel()) noexcept;
  AesKey(const AesKey&) = delete;
  AesKey& operator=(const AesKey&) = delete;
  ~AesKey();

  /// XORs the keystream to `data`, whose first byte is byte `skip` (0 to 15) of the block with counter block
  /// `counter` (16 bytes). Its last 32 bits do not wrap within a record.
  void crypt(const uint8_t* counter, size_t skip, std::span<uint8_t> data) const noexcept;

  /// crypt(), and the share of the result as GhashKey::share() gives it.
  [[nodiscard]] FieldElement seal(const uint8_t* counter, size_t skip, std::span<uint8_t> data, const GhashKey& ghash,
                                  size_t power) const noexcept;

  static constexpr size_t kMaxRounds = 14;
  struct Schedule {
    alignas(16) std::array<uint8_t, 16 * (kMaxRounds + 1)> bytes{};
    size_t rounds = 10;  // or 14
  };

 private:
  AesKernel kernel_;
  Schedule schedule_;
};

}  // namespace socrypt::nic
