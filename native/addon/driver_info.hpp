// Drivers of the crypto framework as JavaScript is told of them (NativeDriverInfo in src/native.ts).
#pragma once

#include <napi.h>

#include <span>

#include "ocf/framework.hpp"

namespace socrypt::addon {

[[nodiscard]] Napi::Array describeDrivers(Napi::Env env, std::span<const ocf::DriverInfo> drivers);

}  // namespace socrypt::addon
