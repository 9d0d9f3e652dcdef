// How another binding gets at the NIC behind a NativeNic.
#pragma once

#include <napi.h>

#include <memory>

#include "nic/runtime/inline_nic.hpp"

namespace socrypt::addon {

/// Null when `value` is no NativeNic, or a closed one.
std::shared_ptr<nic::InlineNic> unwrapNic(Napi::Value value);

}  // namespace socrypt::addon
