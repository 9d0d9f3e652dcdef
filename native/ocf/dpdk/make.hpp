// The two ways to a cryptodev, for plugin.cc.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>

#include "ocf/dpdk/session.hpp"

namespace socrypt::ocf::dpdk {

[[nodiscard]] std::unique_ptr<Driver> makeSync(std::string name, std::shared_ptr<Device> device);
/// nullptr, with the reason: no queue pair is free, or no memory.
[[nodiscard]] std::unique_ptr<Driver> makeQueued(std::string name, std::shared_ptr<Device> device, std::string& why);

[[nodiscard]] inline Private& privateOf(std::byte* bytes) noexcept { return *reinterpret_cast<Private*>(bytes); }

[[nodiscard]] inline Status openPrivate(const SessionParams& params, std::span<std::byte> bytes) noexcept {
  const Alg& alg = params.chain[0];
  Private& priv = privateOf(bytes.data());
  if (alg.key.size() > priv.key.size()) return Status::BadKey;
  priv.alg = alg.id;
  priv.keyBytes = static_cast<uint8_t>(alg.key.size());
  std::copy(alg.key.begin(), alg.key.end(), priv.key.begin());
  return Status::Ok;
}

}  // namespace socrypt::ocf::dpdk
