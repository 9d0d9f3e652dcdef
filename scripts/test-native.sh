#!/usr/bin/env bash
# Builds and runs the native unit tests, what stands on the software driver once per backend.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/native-programs.sh
mkdir -p build
require_doctest native
configure build/test
for part in ocf record engine; do
  if have_ipsec_mb; then
    run_program build/test "$part" "$part (ipsec-mb)" SOCRYPT_SOFT_DRIVER=ipsec-mb
  else
    skips+=("$part (ipsec-mb): libipsec-mb-dev is not installed, or this is not x86-64")
  fi
  run_program build/test "$part" "$part (libcrypto)" SOCRYPT_SOFT_DRIVER=libcrypto
done
run_program build/test cryptod cryptod
run_program build/test engine "engine (records by another thread)" SOCRYPT_TEST_OFFLOAD=accelerator
run_program build/test http http
run_program build/test nic nic
run_program build/test nic_remote nic_remote
run_namespaces build/test nic_port nic_port
# The programs that vitest asks are built here, where nobody else builds beside.
cmake --build build/test -j "$jobs" --target socrypt_modules bench_papers >build/test/modules.log 2>&1 || true
run_namespaces build/test dpdk dpdk
run_namespaces build/test nic_runtime nic_runtime
report native
