// Drivers of engines by the names that people give them.
#pragma once

#include <string>

#include "engine/paths/accelerator.hpp"

namespace socrypt::addon {

/// Fills in what makes the driver `name`, with what was said after it (a device, a file). False, and `why`: there is none
/// of that name here.
[[nodiscard]] bool nameAccelerator(const std::string& name, const std::string& argument, engine::AcceleratorOptions& options, std::string& why);

}  // namespace socrypt::addon
