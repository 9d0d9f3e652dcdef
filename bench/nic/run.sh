#!/usr/bin/env bash
# Builds and runs the device's benchmarks: alone in GB per second of one thread, between ports (as root) in GB per
# CPU-second. Arguments go to the second.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build
cmake -S native -B build/bench -DSOCRYPT_BENCH=ON >build/bench.log 2>&1 || { cat build/bench.log >&2; exit 1; }
cmake --build build/bench -j "$(nproc)" --target bench_nic bench_nic_ports >>build/bench.log 2>&1 || { cat build/bench.log >&2; exit 1; }
build/bench/bench_nic
exec build/bench/bench_nic_ports "$@"
