#!/usr/bin/env bash
# Makes a fresh clone ready to run: Debian packages where root allows it, npm packages, the native
# build, the TypeScript build. Does nothing twice. Says what is missing and how to get it.
#   --quiet   print only what was done or is missing
#   --test    also what the tests need (compilers' sanitizers, peers, a browser)
set -euo pipefail
cd "$(dirname "$0")/.."
quiet=0 tests=0
for argument in "$@"; do
  case "$argument" in
    --quiet) quiet=1 ;;
    --test) tests=1 ;;
    *) echo "setup.sh: unknown option $argument (known: --quiet, --test)" >&2; exit 2 ;;
  esac
done
say() { [ "$quiet" = 1 ] || echo "setup: $*"; }

build_packages=(g++ cmake make libssl-dev libipsec-mb-dev)
test_packages=(doctest-dev clang-14 libclang-rt-14-dev curl openssl gnutls-bin nginx-light chromium golang-go libnss3-tools default-jdk-headless iproute2 ethtool golang-golang-x-crypto-dev xz-utils libdpdk-dev dpdk)

missing() {
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}
want=("${build_packages[@]}")
[ "$tests" = 1 ] && want+=("${test_packages[@]}")
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  mapfile -t lacking < <(missing "${want[@]}")
  if [ "${#lacking[@]}" -gt 0 ]; then
    if [ "$(id -u)" = 0 ]; then
      echo "setup: installing Debian packages: ${lacking[*]}"
      export DEBIAN_FRONTEND=noninteractive
      # A policy of "do not start services": nginx is a peer in the tests, never a daemon here.
      apt-get update -qq || echo "setup: apt-get update failed; trying with the lists at hand" >&2
      for package in "${lacking[@]}"; do
        RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
          echo "setup: could not install $package; what needs it will say so" >&2
      done
    else
      echo "setup: missing Debian packages; for the full speed and all tests run: sudo apt-get install ${lacking[*]}" >&2
    fi
  fi
fi
for tool in g++ cmake; do
  command -v "$tool" >/dev/null || { echo "setup: $tool is needed to build the data plane and was not found; install g++, make and cmake" >&2; exit 1; }
done

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "setup: installing npm packages"
  npm ci --no-audit --no-fund --loglevel=error
fi
bash scripts/build-native.sh --quiet
if [ ! -e dist/.stamp ] || [ -n "$(find src tsconfig.json tsconfig.build.json package.json -newer dist/.stamp -print -quit)" ]; then
  echo "setup: compiling TypeScript"
  rm -rf dist
  npx --no-install tsc -p tsconfig.build.json
  chmod +x dist/cli/main.js
  touch dist/.stamp
fi
say "ready"
