#!/usr/bin/env bash
# Runs every libFuzzer target of test/fuzz, and every target of test/fuzz/js, for SOCRYPT_FUZZ_SECONDS (default 12;
# those in JavaScript: SOCRYPT_FUZZ_JS_SECONDS, default a quarter of it), starting from its corpus in
# test/fuzz/corpus/NAME. A crash, leak, hang or sanitizer report fails; the input that did it stays in
# build/fuzz/. What is found interesting goes to build/fuzz/corpus, not to the repository.
#   test-fuzz.sh [NAME…]   those of test/fuzz/js are called js-NAME
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SOCRYPT_FUZZ_SECONDS:-12}
js_seconds=${SOCRYPT_FUZZ_JS_SECONDS:-$(((seconds + 3) / 4))}
passed=0 failed=0 skipped=0 runs=0 failures=() notes=() started=()
names=("$@")

# start NAME SECONDS COMMAND…: runs a target, as many at once as there are processors.
start() {
  local name=$1 allowed=$2
  shift 2
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
  started+=("$name")
  # The outer limit is for a target that does not come back at all.
  (
    status=0
    timeout $((allowed + 120)) "$@" >"build/fuzz/$name.log" 2>&1 || status=$?
    echo "$status $allowed" >"build/fuzz/$name.status"
  ) &
}
# judge: says of each target how it went.
judge() {
  local name status allowed count log
  wait
  for name in "${started[@]}"; do
    log=build/fuzz/$name.log
    read -r status allowed <"build/fuzz/$name.status"
    # libFuzzer's count, or that of test/fuzz/js.
    count=$(sed -n 's/^stat::number_of_executed_units: *//p; s/^[^:]*: \([0-9]*\) inputs.*/\1/p' "$log" | tail -1)
    if [ "$status" = 0 ] && [ "${count:-0}" -gt 0 ]; then
      runs=$((runs + count))
      passed=$((passed + 1))
      echo "ok    $name: $count inputs in $allowed s"
    else
      tail -60 "$log" >&2
      failures+=("$name: see above; the input, if one did it, is in build/fuzz/$name-*")
      failed=$((failed + 1))
    fi
  done
}

finish() {
  judge
  for failure in "${failures[@]}"; do echo "FAIL  $failure" >&2; done
  echo "fuzz: $passed targets passed, $failed failed, $skipped skipped; $runs inputs${notes[*]:+; ${notes[*]}}"
  [ "$failed" = 0 ] && [ "$passed" != 0 ]
  exit $?
}
mkdir -p build/fuzz
native=() js=()
for name in "${names[@]}"; do
  if [[ $name = js-* ]]; then js+=("$name"); else native+=("$name"); fi
done
if [ "${#names[@]}" = 0 ]; then
  for source in test/fuzz/*.cc; do native+=("$(basename "$source" .cc)"); done
fi
if [ "${#names[@]}" = 0 ] || [ "${#js[@]}" != 0 ]; then
  if node_modules/.bin/tsc -p test/fuzz/js/tsconfig.json >build/fuzz/js.log 2>&1; then
    [ "${#js[@]}" = 0 ] && mapfile -t js < <(node build/fuzz/js/test/fuzz/js/main.js --list | sed 's/^/js-/')
    for name in "${js[@]}"; do
      start "$name" "$js_seconds" node build/fuzz/js/test/fuzz/js/main.js --target "${name#js-}" \
        --seconds "$js_seconds" --found build/fuzz --keep "build/fuzz/corpus/$name"
    done
  else
    cat build/fuzz/js.log >&2
    failures+=("test/fuzz/js: did not build")
    failed=$((failed + 1))
  fi
fi
[ "${#native[@]}" = 0 ] && finish
clang=""
for candidate in clang++ clang++-14 clang++-15 clang++-16 clang++-17 clang++-18 clang++-19; do
  if command -v "$candidate" >/dev/null; then clang=$candidate; break; fi
done
if [ -z "$clang" ]; then
  skipped=${#native[@]}
  notes=("skipped those in C++: clang++ was not found; install clang-14 and libclang-rt-14-dev (bash scripts/setup.sh --test does)")
  finish
fi
mkdir -p build
if ! cmake -S native -B build/fuzz -DSOCRYPT_FUZZ=ON -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1" \
    -DSOCRYPT_SANITIZE=address,undefined >build/fuzz.log 2>&1; then
  cat build/fuzz.log >&2
  echo "fuzz: cmake could not configure build/fuzz; its words are above" >&2
  exit 1
fi

for name in "${native[@]}"; do
  log=build/fuzz/$name.log
  if ! cmake --build build/fuzz -j "$(nproc)" --target "fuzz_$name" >"$log" 2>&1; then
    cat "$log" >&2
    failures+=("$name: did not build")
    failed=$((failed + 1))
    continue
  fi
  grep -A3 'warning:' "$log" >&2 || true
  found=build/fuzz/corpus/$name
  mkdir -p "$found"
  corpus=()
  [ -d "test/fuzz/corpus/$name" ] && corpus=("test/fuzz/corpus/$name")
  # -timeout: seconds for one input.
  start "$name" "$seconds" "build/fuzz/fuzz_$name" "$found" "${corpus[@]}" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=2048 -max_len=20000 -print_final_stats=1 -artifact_prefix="build/fuzz/$name-"
done
finish
