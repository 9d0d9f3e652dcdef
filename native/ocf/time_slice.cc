#include "ocf/time_slice.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace socrypt::ocf {
namespace {

// struct sched_attr of linux/sched/types.h, whose name newer C libraries use as well.
struct Attributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

}  // namespace

void askForSlice(std::chrono::microseconds slice, bool batch) noexcept {
  // Whoever gave this thread another policy knew why.
  if (const int policy = sched_getscheduler(0); policy != SCHED_OTHER && policy != SCHED_BATCH) return;
  Attributes attributes{};
  attributes.size = sizeof attributes;
  attributes.policy = batch ? SCHED_BATCH : SCHED_OTHER;
  // Of this thread: getpriority(2), "C library/kernel differences". What is not said again would be reset.
  attributes.nice = getpriority(PRIO_PROCESS, 0);
  attributes.runtime = static_cast<uint64_t>(std::chrono::nanoseconds(slice).count());
  // Where it is refused, nothing is lost but that.
  (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace socrypt::ocf
