#!/usr/bin/env bash
# Builds build/native/socrypt.node. Finds Node's headers beside the running node, in an npm nodedir, or
# in the node-api-headers package; OpenSSL's beside Node's, or from libssl-dev.
#   --quiet  print only when something was built or is missing
set -euo pipefail
cd "$(dirname "$0")/.."
quiet=0
[ "${1:-}" = --quiet ] && quiet=1

node_prefix=$(node -p "require('node:path').dirname(require('node:path').dirname(process.execPath))")
node_include=""
for candidate in "$node_prefix/include/node" /usr/include/node node_modules/node-api-headers/include; do
  if [ -e "$candidate/node_api.h" ]; then node_include=$(cd "$candidate" && pwd); break; fi
done
[ -n "$node_include" ] || { echo "build: node_api.h was not found; run npm ci first" >&2; exit 1; }
openssl_include=""
if [ -e "$node_include/openssl/evp.h" ]; then openssl_include=$node_include
elif [ ! -e /usr/include/openssl/evp.h ]; then
  echo "build: OpenSSL headers were found neither beside node nor in /usr/include; install libssl-dev" >&2; exit 1
fi

# CMake refuses a build folder whose clone was moved or copied.
if [ -e build/native/CMakeCache.txt ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD/native" build/native/CMakeCache.txt; then
  rm -rf build/native
fi

jobs=$(nproc)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake -S native -B build/native -DSOCRYPT_ADDON=ON -DCMAKE_BUILD_TYPE=Release \
        -DSOCRYPT_NODE_INCLUDE="$node_include" -DSOCRYPT_NODE_ADDON_API="$PWD/node_modules/node-addon-api" \
        -DSOCRYPT_OPENSSL_INCLUDE="$openssl_include" &&
      cmake --build build/native -j "$jobs" --target socrypt_addon socrypt_modules; } >"$log" 2>&1; then
  cat "$log" >&2
  echo "build: the native data plane did not build; the compiler's words are above" >&2
  exit 1
fi
if grep -q 'warning:' "$log"; then grep -A3 'warning:' "$log" >&2; fi
if [ "$quiet" = 0 ] || grep -q 'Linking' "$log"; then
  echo "build: build/native/socrypt.node is ready"
  grep -q 'IPSEC_MB_INCLUDE:PATH=.*NOTFOUND' build/native/CMakeCache.txt &&
    echo "build: without ipsec-mb (AES-GCM about 3 times slower); install libipsec-mb-dev and build again" || true
fi
