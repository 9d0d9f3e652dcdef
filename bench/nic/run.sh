#!/usr/bin/env bash
# Builds and runs the device's micro benchmark. Prints GB per second of one thread.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build
cmake -S native -B build/bench -DSOCRYPT_BENCH=ON >build/bench.log 2>&1 || { cat build/bench.log >&2; exit 1; }
cmake --build build/bench -j "$(nproc)" --target bench_nic >>build/bench.log 2>&1 || { cat build/bench.log >&2; exit 1; }
exec build/bench/bench_nic
