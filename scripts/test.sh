#!/usr/bin/env bash
# Sets up, then runs every test: style and types, native programs, symbols of the addon, vitest
# (unit and end to end), sanitizers, fuzz targets for a bounded time. Ends with one line of totals.
#   SOCRYPT_FUZZ_SECONDS  per fuzz target (default 12)
set -uo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh --test || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }

passed=0 failed=0 skipped=0
stage() {
  echo
  echo "── $1"
}
# once NAME COMMAND…: a stage that passes or fails as a whole.
once() {
  stage "$1"
  shift
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
# counted NAME PATTERN COMMAND…: a stage whose last line counts its cases, as PATTERN's three groups.
counted() {
  local name=$1 pattern=$2 log status=0 summary
  shift 2
  stage "$name"
  log=$(mktemp)
  "$@" 2>&1 | tee "$log" || status=1
  summary=$(grep -E "$pattern" "$log" | tail -1)
  rm -f "$log"
  if [[ $summary =~ $pattern ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + BASH_REMATCH[3]))
    # A stage that failed without a failing case, such as a build, counts as one.
    if [ "$status" != 0 ] && [ "${BASH_REMATCH[2]}" = 0 ]; then failed=$((failed + 1)); fi
  else
    failed=$((failed + 1))
  fi
}
vitest() {
  local report=build/vitest.json
  rm -f "$report"
  npx --no-install vitest run --reporter=default --reporter=json --outputFile.json="$report"
  local status=$?
  [ -e "$report" ] || return 1
  node -e '
    const r = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    const broken = r.testResults.filter((file) => file.status === "failed" && !file.assertionResults.some((t) => t.status === "failed")).length;
    console.log(`vitest: ${r.numPassedTests} cases passed, ${r.numFailedTests + broken} failed, ${r.numPendingTests + r.numTodoTests} skipped`);' "$report"
  return $status
}

mkdir -p build
once "style" npx --no-install biome check .
once "types" npx --no-install tsc -p tsconfig.json --noEmit
once "symbols of the addon" bash scripts/check-symbols.sh
counted "native programs" 'native: .* ([0-9]+) cases passed, ([0-9]+) failed, ([0-9]+) skipped' bash scripts/test-native.sh
counted "vitest" 'vitest: ([0-9]+) cases passed, ([0-9]+) failed, ([0-9]+) skipped' vitest
counted "bogo" 'bogo: ([0-9]+) cases passed, ([0-9]+) failed, ([0-9]+) skipped' bash scripts/test-bogo.sh
counted "sanitizers" 'sanitize: .* ([0-9]+) cases passed, ([0-9]+) failed, ([0-9]+) skipped' bash scripts/test-sanitize.sh
counted "fuzz targets" 'fuzz: ([0-9]+) targets passed, ([0-9]+) failed, ([0-9]+) skipped' bash scripts/test-fuzz.sh

echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
