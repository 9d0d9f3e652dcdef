// The oracle: a separate record sealer and opener on libcrypto's AEADs, one record at a time, TLS 1.2 and 1.3.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "record/record.hpp"

namespace socrypt::nic::lab {

using Bytes = std::vector<uint8_t>;

inline constexpr record::Suite kSuites[] = {
    record::Suite::Aes128GcmSha256,           record::Suite::Aes256GcmSha384,           record::Suite::ChaCha20Poly1305Sha256,
    record::Suite::EcdheRsaAes128GcmSha256,   record::Suite::EcdheEcdsaAes256GcmSha384, record::Suite::EcdheRsaChaCha20Poly1305Sha256,
};

/// One record: what the host writes into its socket (plain, with the tag's room) and what has to leave.
struct Framed {
  Bytes plain;
  Bytes sealed;
};

/// Ends the process when libcrypto fails: an oracle that cannot be asked is worse than none.
[[nodiscard]] Framed frame(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, const Bytes& content);

/// The content of a sealed record of `type`, as a receiver would open it. None: it would refuse it.
[[nodiscard]] std::optional<Bytes> open(const record::TrafficKeys& keys, uint64_t recordSeq, uint8_t type, std::span<const uint8_t> sealed);

}  // namespace socrypt::nic::lab
