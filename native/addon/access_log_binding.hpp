// How another binding gets at the log behind a NativeAccessLog.
#pragma once

#include <napi.h>

#include <memory>

#include "engine/access_log.hpp"

namespace socrypt::addon {

/// Null when `value` is no NativeAccessLog, or a closed one.
std::shared_ptr<engine::AccessLog> unwrapAccessLog(Napi::Value value);

}  // namespace socrypt::addon
