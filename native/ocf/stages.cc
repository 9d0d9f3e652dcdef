// Chains that no single driver has: their stages run one after the other, on whichever drivers have
// them, and complete as one op.
#include "ocf/unit.hpp"

namespace socrypt::ocf {

bool Framework::openStages(Session&) noexcept { return false; }

Framework::Placed Framework::startStages(Op& op) noexcept {
  op.fw.result = Status::NoDriver;
  return Placed::Settled;
}

}  // namespace socrypt::ocf
