// Arithmetic on big integers, big-endian byte strings of any length, with the parameters and their order of
// OpenBSD's CRK_MOD_EXP, CRK_MOD_EXP_CRT, CRK_DH_COMPUTE_KEY, CRK_DSA_SIGN and CRK_DSA_VERIFY.
//
// Exponents are taken for secret: the time does not depend on them. So moduli have to be odd (Montgomery).
#pragma once

#include <cstdint>
#include <span>

#include "ocf/key.hpp"

namespace socrypt::key {

/// 16,384 bits: what libcrypto itself takes of RSA and DH.
inline constexpr size_t kMaxIntegerBytes = 2048;

/// Invalid: a parameter is out of range or too long, or `out` is too short. Failed: libcrypto had no memory.
enum class Arithmetic : uint8_t { Ok, Invalid, Failed };

/// base^exponent mod modulus. `out` is at least as long as the modulus; its first bytes, as many as the modulus has,
/// are written, with leading zeros, and `length` says how many.
[[nodiscard]] Arithmetic modExp(View base, View exponent, View modulus, std::span<uint8_t> out, size_t& length) noexcept;
/// base^d mod p*q from d mod p-1, d mod q-1 and q^-1 mod p.
[[nodiscard]] Arithmetic modExpCrt(View p, View q, View base, View dp, View dq, View qInverse, std::span<uint8_t> out,
                                   size_t& length) noexcept;
/// The shared secret pub^priv mod p with its leading zeros. Invalid for 0, 1, p-1 and above (RFC 7919 5.1), and for a
/// secret of 1.
[[nodiscard]] Arithmetic dhComputeKey(View priv, View pub, View p, std::span<uint8_t> out, size_t& length) noexcept;

/// r and s, each as long as q. Failed, too, where libcrypto has no DSA any more.
[[nodiscard]] Arithmetic dsaSign(View digest, View p, View q, View g, View x, std::span<uint8_t> r, std::span<uint8_t> s,
                                 size_t& length) noexcept;
/// Bad for a signature of another text or key, and for parameters that are none.
[[nodiscard]] Verdict dsaVerify(View digest, View p, View q, View g, View y, View r, View s) noexcept;
/// Whether libcrypto still has it.
[[nodiscard]] bool hasDsa() noexcept;

}  // namespace socrypt::key
