#!/usr/bin/env bash
# The native tests under AddressSanitizer and UndefinedBehaviorSanitizer, then the engine's under
# ThreadSanitizer. SOCRYPT_TEST_TIMEOUT bounds each program (seconds, default 300).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/native-programs.sh
mkdir -p build
require_doctest sanitize
# Half the compiler's time of -O2 -g, which is most of this script's.
kind=(-DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1")
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:detect_stack_use_after_return=1}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/test/native/lsan.supp:print_suppressions=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/test/native/tsan.supp}

configure build/asan "${kind[@]}" -DSOCRYPT_SANITIZE=address,undefined
for part in ocf cryptod record nic nic_remote http engine; do run_program build/asan "$part" "$part (address, undefined)"; done
run_namespaces build/asan nic_port "nic_port (address, undefined)"
# The plugin is ours, DPDK's libraries are not. Where libdpdk-dev is missing there is no target, and test_dpdk says so.
if cmake --build build/asan --target help | grep -F socrypt_dpdk >/dev/null &&
  ! cmake --build build/asan -j "$jobs" --target socrypt_dpdk >build/asan/dpdk.log 2>&1; then
  cat build/asan/dpdk.log >&2
  failures+=("the DPDK plugin (address, undefined): did not build")
  programs_failed=$((programs_failed + 1))
fi
run_namespaces build/asan dpdk "dpdk (address, undefined)"
run_namespaces build/asan nic_runtime "nic_runtime (address, undefined)"
# Only the engine, the device, the NIC around it and the drivers have threads.
configure build/tsan "${kind[@]}" -DSOCRYPT_SANITIZE=thread
run_program build/tsan ocf "ocf (thread)"
run_program build/tsan engine "engine (thread)"
# It waits more than it works, so it comes before what it can run beside.
run_namespaces build/tsan nic_runtime "nic_runtime (thread)"
run_program build/tsan cryptod "cryptod (thread)"
run_namespaces build/tsan nic_port "nic_port (thread)"
report sanitize
