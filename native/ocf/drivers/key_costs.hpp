// What a key operation costs on this CPU, measured once per process and algorithm.
#pragma once

#include "ocf/driver.hpp"

namespace socrypt::ocf {

/// Nanoseconds of an op of a session with these parameters; 0 when it cannot be known. Measured with the first known
/// answer of the algorithm, and for RSA carried over to the key's length. Signing is meant where a key can do both.
[[nodiscard]] float keyOpNs(const Alg& alg) noexcept;

/// Nanoseconds that pass until a thread of the pool has been woken and has woken its waker.
[[nodiscard]] float keyHopNs() noexcept;

}  // namespace socrypt::ocf
