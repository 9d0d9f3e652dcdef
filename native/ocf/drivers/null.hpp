// The null driver: data comes back unprocessed. What it takes is what the framework takes.
#pragma once

#include <memory>

#include "ocf/driver.hpp"

namespace socrypt::ocf {

[[nodiscard]] std::unique_ptr<Driver> makeNullDriver();

}  // namespace socrypt::ocf
