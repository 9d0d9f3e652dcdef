// The crypto framework: consumers open sessions and dispatch ops, producers (drivers) do the work.
//
// The shape is that of OpenBSD's OCF and FreeBSD's opencrypto(9): sessions opened with parameters,
// probing by parameters instead of capability lists, ranks, ops with region offsets. Bursts of which
// a prefix is accepted are DPDK's. See docs/ocf.md.
#pragma once

#include "ocf/driver.hpp"     // IWYU pragma: export
#include "ocf/framework.hpp"  // IWYU pragma: export
#include "ocf/op.hpp"         // IWYU pragma: export
#include "ocf/session.hpp"    // IWYU pragma: export
