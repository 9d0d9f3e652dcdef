#!/usr/bin/env bash
# Nanoseconds per record for each software backend, and per handshake primitive.
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake -S native -B build/bench -DSOCRYPT_BENCH=ON >/dev/null
cmake --build build/bench -j "$(nproc)" --target bench_seal >/dev/null
exec build/bench/bench_seal
