// Shared by hkdf.cc, agreement.cc and private_key.cc.
#pragma once

#include <openssl/evp.h>

#include "ocf/key.hpp"

namespace socrypt::key {

/// The fetched hash; held for the life of the process.
[[nodiscard]] const EVP_MD* md(Hash hash) noexcept;

}  // namespace socrypt::key
