// How the scheduler serves a thread beside others.
#pragma once

#include <chrono>

namespace socrypt::ocf {

/// What the system gives a thread that asks for nothing.
inline constexpr std::chrono::microseconds kUsualSlice{0};

/// Asks for turns of this length for the calling thread: its share of the processor stays what it is; one that asks for short
/// turns is served sooner when it wakes up, one that asks for long ones gives way to it (EEVDF: sched_setattr(2), Linux 6.12;
/// before that nothing changes). 0.1 to 100 ms. Threads inherit it. Needs no rights. `batch`: SCHED_BATCH, see sched(7).
void askForSlice(std::chrono::microseconds slice, bool batch) noexcept;

}  // namespace socrypt::ocf
