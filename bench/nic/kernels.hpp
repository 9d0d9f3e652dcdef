// The kernels' part of device.cc.
#pragma once

namespace bench {

double seconds();
void kernels();

}  // namespace bench
