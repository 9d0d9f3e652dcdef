#!/usr/bin/env bash
# Runs BoGo, BoringSSL's test suite for TLS stacks, against src/tls by the shim in test/bogo, and judges the result:
# every test in scope passes, every disabled pattern still matches one, docs/conformance.md says what came out.
#   test-bogo.sh [--write] [PATTERN]   --write: puts the table into docs/conformance.md; PATTERN: only these tests, as
#                                      the runner's -test has them ('Name*;Other*'), with failures in full
#   SOCRYPT_BOGO_RUNNER                see test/bogo/runner.sh
#   SOCRYPT_BOGO_WORKERS               tests at a time (default: two per processor)
set -euo pipefail
cd "$(dirname "$0")/.."
write="" pattern=""
for argument in "$@"; do
  case "$argument" in
    --write) write=--write ;;
    -*) echo "test-bogo.sh: unknown option $argument (known: --write)" >&2; exit 2 ;;
    *) pattern=$argument ;;
  esac
done
out=build/bogo
mkdir -p "$out"
status=0
paths=$(bash test/bogo/runner.sh 2>"$out/unavailable") || status=$?
if [ "$status" = 3 ]; then
  echo "bogo: 0 cases passed, 0 failed, 1 skipped: no runner: $(tail -1 "$out/unavailable")"
  exit 0
elif [ "$status" != 0 ]; then
  cat "$out/unavailable" >&2
  exit 1
fi
{ read -r runner; read -r keys; } <<<"$paths"

# One file each: what a process reads to start counts 3,000 times. rolldown comes with vitest.
for program in shim/main report/main; do
  node_modules/.bin/rolldown "test/bogo/$program.ts" --platform node --format cjs -o "$out/${program%/main}.cjs" \
    >"$out/bundle.log" 2>&1 || { cat "$out/bundle.log" >&2; exit 1; }
done
export SOCRYPT_ADDON=${SOCRYPT_ADDON:-$PWD/build/native/socrypt.node}
export SOCRYPT_BOGO_UNIMPLEMENTED=$PWD/$out/unimplemented
: >"$SOCRYPT_BOGO_UNIMPLEMENTED"
printf '#!/bin/sh\nexec node "%s" "$@"\n' "$PWD/$out/shim.cjs" >"$out/shim"
# Takes part in nothing: a run with it lists the runner's tests.
printf '#!/bin/sh\n[ "$1" = -is-handshaker-supported ] && echo No && exit 0\nexit 89\n' >"$out/no-shim"
chmod +x "$out/shim" "$out/no-shim"

common=(-resource-dir "$keys" -num-workers "${SOCRYPT_BOGO_WORKERS:-$(($(nproc) * 2))}" -allow-unimplemented -pipe)
run=("$runner" "${common[@]}" -shim-path "$PWD/$out/shim" -shim-config "$PWD/test/bogo/config.json" -loose-errors
  -json-output "$PWD/$out/results.json")
if [ -n "$pattern" ]; then
  "${run[@]}" -test "$pattern" >"$out/run.log" 2>&1 || status=1
  grep -vE '^(PASSED|UNIMPLEMENTED) ' "$out/run.log" || true
  node "$out/report.cjs" --only "$out"
  exit "$status"
fi
(cd "$keys" && "$runner" "${common[@]}" -shim-path "$OLDPWD/$out/no-shim" -json-output "$OLDPWD/$out/all.json") \
  >"$out/all.log" 2>&1 || { tail -5 "$out/all.log" >&2; exit 1; }
(cd "$keys" && timeout "${SOCRYPT_BOGO_SECONDS:-1800}" "${run[@]}") >"$out/run.log" 2>&1 || status=1
grep -vE '^(PASSED|UNIMPLEMENTED) |^$' "$out/run.log" | head -200 || true
node "$out/report.cjs" $write "$out" "$(cat "$(dirname "$runner")/version" 2>/dev/null || echo 'a runner given by SOCRYPT_BOGO_RUNNER')" ||
  status=1
exit "$status"
