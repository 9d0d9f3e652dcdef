// A plan of the fault laboratory out of an object: NativePlan of src/native.ts.
#pragma once

#include <napi.h>

#include "nic/lab/plan.hpp"

namespace socrypt::addon {

/// False: an exception is pending.
[[nodiscard]] bool readPlan(const Napi::Object& object, nic::lab::Plan& plan);
/// False: an exception is pending.
[[nodiscard]] bool readDeed(const Napi::Object& object, nic::lab::Deed& deed);

}  // namespace socrypt::addon
