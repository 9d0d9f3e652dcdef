// The software driver: AES-GCM and ChaCha20-Poly1305 on this CPU, synchronous, in line.
//
// Two backends with the same behaviour: intel-ipsec-mb, found at run time (about three times the
// speed of OpenSSL 3.0 at 16 KB), and libcrypto, which is always there. See
// docs/decisions/0003-soft-driver.md.
#pragma once

#include <memory>
#include <string>

#include "ocf/ocf.hpp"

namespace socrypt::ocf {

enum class SoftBackend : uint8_t { IpsecMb, Libcrypto };

/// The backend in use: SOCRYPT_SOFT_DRIVER (`libcrypto` or `ipsec-mb`) when set, else the fastest
/// that this machine has. Decided once per process.
[[nodiscard]] SoftBackend softBackend() noexcept;

/// nullptr when the backend is not on this machine (`softBackend()` itself always is, unless
/// SOCRYPT_SOFT_DRIVER forces one that is missing).
[[nodiscard]] std::unique_ptr<Driver> makeSoftDriver(SoftBackend backend);
[[nodiscard]] std::unique_ptr<Driver> makeSoftDriver();

/// What softBackend() stands on: "ipsec-mb 1.3.0 (VAES)" or "libcrypto 3.0.19".
[[nodiscard]] const std::string& softDriverName();

/// Why ipsec-mb is not in use; empty when it is.
[[nodiscard]] const std::string& ipsecMbAbsence();

}  // namespace socrypt::ocf
