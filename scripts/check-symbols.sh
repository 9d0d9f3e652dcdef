#!/usr/bin/env bash
# What the addon defines and what it expects from the process that loads it. `node` exports over a
# thousand symbols (OpenSSL, llhttp, nghttp2, zlib, libuv): anything of ours that shares a name with one
# of them would silently become node's. Only libcrypto's are taken, on purpose.
#   check-symbols.sh [FILE]   default: build/native/socrypt.node
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:-build/native/socrypt.node}
[ -e "$file" ] || { echo "symbols: $file is not there; run npm run build:native first" >&2; exit 1; }
command -v nm >/dev/null || { echo "symbols: nm was not found; install binutils" >&2; exit 1; }

exported=$(nm -D --defined-only "$file" | awk '{print $NF}' | sed 's/@.*//' | sort -u)
unexpected_exports=$(grep -vxE 'napi_register_module_v1|node_api_module_get_api_version_v1' <<<"$exported" || true)
# Every module has the first of these two; without it nothing could be loaded.
grep -qx 'napi_register_module_v1' <<<"$exported" || { echo "symbols: $file exports no napi_register_module_v1" >&2; exit 1; }

# Undefined symbols: those with a GLIBC version come from the C library (libm, libdl and libpthread are
# part of it); libstdc++ and libgcc are linked in. The rest must be on this list.
allowed='^(napi_|node_api_)'                                                                # Node-API
allowed+='|^(EVP_|OSSL_PARAM_|OPENSSL_|OpenSSL_version|CRYPTO_(free|malloc|memcmp)|ERR_|BN_|HMAC|RAND_)' # libcrypto
allowed+='|^(PKCS8_PRIV_KEY_INFO_|[di]2[di]_PKCS8_PRIV_KEY_INFO|i2d_PUBKEY|X509_|ASN1_|DSA_SIG_|[di]2[di]_DSA_SIG)' # libcrypto: keys
# Weak references that may stay unresolved: transactional memory, gcov and start-up hooks of the tool chain.
weak='^(_ITM_|_ZGTt|__gmon_start__|__cxa_|__pthread_key_create|pthread_)'
unexpected_imports=$(nm -D --undefined-only "$file" | awk -v weak="$weak" '
  { type = $(NF - 1); name = $NF }
  name ~ /@GLIBC_/ || name ~ /@GLIBC_PRIVATE/ { next }
  { sub(/@.*/, "", name) }
  type == "w" && name ~ weak { next }
  { print name }' | grep -vE "$allowed" | sort -u || true)

failed=0
if [ -n "$unexpected_exports" ]; then
  printf 'symbols: exported, and only the entry points may be:\n%s\n' "$unexpected_exports" >&2
  failed=1
fi
if [ -n "$unexpected_imports" ]; then
  printf 'symbols: wanted from the process, and not on the list in scripts/check-symbols.sh:\n%s\n' "$unexpected_imports" >&2
  failed=1
fi
total=$(nm -D --undefined-only "$file" | wc -l)
if [ "$failed" = 0 ]; then
  echo "symbols: $file exports $(wc -l <<<"$exported") entry points and imports $total names, all of them on purpose"
else
  echo "symbols: $file failed" >&2
  exit 1
fi
