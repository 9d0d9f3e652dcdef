# Sourced by test-native.sh and test-sanitize.sh: builds and runs the doctest programs of test/native,
# counts their cases, and says at the end how it went. Every skip has a reason.
programs_passed=0 programs_failed=0 cases_passed=0 cases_failed=0 cases_skipped=0
skips=() failures=() started=() logs=()
jobs=$(nproc)
# Tests that vitest runs beside each other build in one folder; whoever sources this has it alone. Programs do not inherit
# the lock, so that none of their children keeps it.
mkdir -p build
exec 8>build/native-programs.lock
flock 8
# Seconds per program; a hang is a failure, not an endless run.
limit=${SOCRYPT_TEST_TIMEOUT:-300}

# require_doctest NAME: ends the run, on behalf of test-NAME.sh, when the test framework is missing.
require_doctest() {
  [ -e /usr/include/doctest/doctest.h ] && return
  echo "$1: doctest was not found; install doctest-dev (bash scripts/setup.sh --test does)" >&2
  exit 1
}

# configure DIRECTORY CMAKE-ARGUMENTS…
configure() {
  local directory=$1
  shift
  if ! cmake -S native -B "$directory" -DSOCRYPT_TESTS=ON "$@" >"$directory.log" 2>&1; then
    cat "$directory.log" >&2
    echo "cmake could not configure $directory; its words are above" >&2
    exit 1
  fi
}

# run_program DIRECTORY PART LABEL [VARIABLE=VALUE…]: builds test_PART, and runs it while the next one is built.
run_program() {
  local directory=$1 part=$2 label=$3 log
  shift 3
  if ! compgen -G "test/native/$part/*.cc" >/dev/null; then
    skips+=("$label: test/native/$part has no tests")
    return 0
  fi
  log=$directory/test_$part.log
  if ! cmake --build "$directory" -j "$jobs" --target "test_$part" >"$log" 2>&1; then
    cat "$log" >&2
    failures+=("$label: did not build")
    programs_failed=$((programs_failed + 1))
    return 0
  fi
  grep -A3 'warning:' "$log" >&2 || true
  # No more of them at once than processors: much of what they do is waiting, but not all.
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
  log=$directory/run-${#started[@]}.log
  started+=("$label") logs+=("$log")
  (
    status=0
    env "$@" timeout "$limit" "$directory/test_$part" >"$log" 2>&1 8>&- || status=$?
    echo "$status" >"$log.status"
  ) &
}

# judge: waits for every program, and says of each how it went, in their order.
judge() {
  local i label log status summary reason
  wait
  for i in "${!started[@]}"; do
    label=${started[i]} log=${logs[i]}
    status=$(cat "$log.status")
    summary=$(grep -aF '[doctest] test cases:' "$log" | tail -1 || true)
    if [[ $summary =~ \|\ *([0-9]+)\ passed\ \|\ *([0-9]+)\ failed\ \|\ *([0-9]+)\ skipped ]]; then
      cases_passed=$((cases_passed + BASH_REMATCH[1]))
      cases_failed=$((cases_failed + BASH_REMATCH[2]))
      if [ "${BASH_REMATCH[3]}" != 0 ]; then
        cases_skipped=$((cases_skipped + BASH_REMATCH[3]))
        skips+=("$label: ${BASH_REMATCH[3]} cases are marked as skipped in the source")
      fi
    fi
    # A case finds out by itself what it misses; as many as miss the same are one line.
    while read -r reason; do skips+=("$label: $reason"); done < <(sed -n 's/.*MESSAGE: skipped: /cases: /p' "$log" | sort | uniq -c)
    if [ "$status" = 0 ] && [ -n "$summary" ]; then
      programs_passed=$((programs_passed + 1))
      echo "ok    $label"
      grep -aE '^(wycheproof|seed)' "$log" | sed 's/^/      /' || true
    else
      cat "$log" >&2
      [ "$status" = 124 ] && failures+=("$label: not done after $limit s") || failures+=("$label: exit status $status")
      programs_failed=$((programs_failed + 1))
    fi
  done
}

# run_namespaces DIRECTORY PART LABEL: run_program for what needs root's rights and the kernel's help; the
# program itself says what is missing.
run_namespaces() {
  local directory=$1 part=$2 label=$3 reason
  cmake --build "$directory" -j "$jobs" --target "test_$part" >"$directory/test_$part.log" 2>&1 || true
  if [ -x "$directory/test_$part" ] && ! reason=$("$directory/test_$part" --can-run 2>/dev/null); then
    skips+=("$label: ${reason:-it cannot run here and did not say why}")
  else
    run_program "$directory" "$part" "$label"
  fi
}

# Not grep -q: it would close the pipe early, and pipefail would call that a failure now and then.
have_ipsec_mb() {
  [ -e /usr/include/intel-ipsec-mb.h ] && ldconfig -p 2>/dev/null | grep 'libIPSec_MB\.so\.1' >/dev/null
}

# report NAME: the last line, and the exit status.
report() {
  local name=$1 failure skip line
  judge
  for failure in "${failures[@]}"; do echo "FAIL  $failure" >&2; done
  line="$name: $programs_passed programs passed, $programs_failed failed; $cases_passed cases passed, $cases_failed failed, $cases_skipped skipped"
  for skip in "${skips[@]}"; do line+="; skipped $skip"; done
  echo "$line"
  [ "$programs_failed" = 0 ] && [ "$programs_passed" != 0 ]
}
