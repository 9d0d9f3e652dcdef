#include <doctest/doctest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <thread>

#include "ocf/time_slice.hpp"

using namespace socrypt::ocf;

namespace {

struct Attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

Attributes ofThisThread() {
  Attributes attributes{};
  REQUIRE(syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0);
  return attributes;
}

// Since 6.12 the kernel has slices of threads, and tells them.
bool hasSlices() {
  utsname name{};
  int major = 0, minor = 0;
  return uname(&name) == 0 && std::sscanf(name.release, "%d.%d", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 12));
}

}  // namespace

TEST_CASE("a slice is asked for without anything else being changed") {
  std::thread([] {
    REQUIRE(setpriority(PRIO_PROCESS, 0, 3) == 0);
    askForSlice(std::chrono::microseconds(300), true);
    Attributes now = ofThisThread();
    CHECK(now.policy == SCHED_BATCH);
    CHECK(now.nice == 3);
    if (hasSlices()) CHECK(now.runtime == 300'000);
    std::thread([] {
      if (hasSlices()) CHECK(ofThisThread().runtime == 300'000);
    }).join();
    askForSlice(kUsualSlice, false);
    now = ofThisThread();
    CHECK(now.policy == SCHED_OTHER);
    CHECK(now.nice == 3);
    CHECK((!hasSlices() || now.runtime != 300'000));
    // A policy that somebody gave it is theirs.
    const sched_param none{};
    REQUIRE(sched_setscheduler(0, SCHED_IDLE, &none) == 0);
    askForSlice(std::chrono::microseconds(300), true);
    CHECK(sched_getscheduler(0) == SCHED_IDLE);
  }).join();
}
