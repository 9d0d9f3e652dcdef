// X25519 (RFC 7748), in constant time. libcrypto 3.0 makes a public key in some 60 us, most of an agreement again, since
// it multiplies the base point with limbs of 26 bits, and looks algorithms up by name at every step; this does it in a third.
#pragma once

#include <cstdint>
#include <span>

namespace socrypt::x25519 {

using In = std::span<const uint8_t, 32>;
using Out = std::span<uint8_t, 32>;

/// The public key of a private one; `secret` is clamped here.
void publicKey(In secret, Out share) noexcept;
/// False: the peer's share is of low order, and the result all zeros (RFC 7748 6.1).
[[nodiscard]] bool agree(In secret, In peer, Out shared) noexcept;
/// Both of them, for little more than the latter. False as there; then nothing is written.
[[nodiscard]] bool keyShare(In secret, In peer, Out share, Out shared) noexcept;

}  // namespace socrypt::x25519
