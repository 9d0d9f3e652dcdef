#!/usr/bin/env bash
# The crypto framework against what it stands on: DPDK's null device, ipsec-mb called directly, and what
# simulated cards can do. Prints pass or miss beside each target.
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake -S native -B build/bench -DSOCRYPT_BENCH=ON >/dev/null
cmake --build build/bench -j "$(nproc)" --target bench_ocf >/dev/null
./build/bench/bench_ocf
