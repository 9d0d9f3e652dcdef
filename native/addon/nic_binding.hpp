// How another binding gets at the NIC behind a JavaScript object.
#pragma once

#include <napi.h>

#include <memory>

#include "nic/runtime/inline_nic.hpp"

namespace socrypt::addon {

/// Null when `value` is no NativeNic, or a closed one.
std::shared_ptr<nic::InlineNic> unwrapInlineNic(Napi::Value value);
/// The same of a NativeNic or a NativeRemoteNic.
std::shared_ptr<nic::Nic> unwrapNic(Napi::Value value);

}  // namespace socrypt::addon
