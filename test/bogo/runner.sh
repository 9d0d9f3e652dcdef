#!/usr/bin/env bash
# Brings BoGo, the test runner of BoringSSL, and prints two paths: the runner's binary and the folder of its keys and
# certificates. The source is Debian's package android-platform-external-boringssl, the newest that this machine's
# release or its backports have; it is built with Debian's Go. Everything stays in build/bogo and is made once; apt's
# own configuration and lists are not touched. Exit status 3: it cannot be had here, and the reason is on stderr.
#   SOCRYPT_BOGO_RUNNER  a runner built elsewhere, with its keys beside it, in place of all that
set -euo pipefail
cd "$(dirname "$0")/../.."
unavailable() {
  echo "$*" >&2
  exit 3
}
if [ -n "${SOCRYPT_BOGO_RUNNER:-}" ]; then
  [ -x "$SOCRYPT_BOGO_RUNNER" ] || unavailable "SOCRYPT_BOGO_RUNNER is $SOCRYPT_BOGO_RUNNER, which is no program"
  realpath "$SOCRYPT_BOGO_RUNNER"
  dirname "$(realpath "$SOCRYPT_BOGO_RUNNER")"
  exit 0
fi

folder=$PWD/build/bogo/runner
package=android-platform-external-boringssl
keys=$folder/gopath/src/boringssl.googlesource.com/boringssl/ssl/test/runner
if [ -x "$folder/runner" ] && [ -e "$keys/key.pem" ]; then
  printf '%s\n' "$folder/runner" "$keys"
  exit 0
fi
for tool in apt-get apt-cache tar xz; do
  command -v "$tool" >/dev/null || unavailable "$tool was not found, and the runner's source is a Debian package"
done
helper=/usr/lib/apt/apt-helper
[ -x "$helper" ] || unavailable "$helper was not found, and the runner's source is a Debian package"
command -v go >/dev/null || unavailable "go was not found; install golang-go and golang-golang-x-crypto-dev"
[ -d /usr/share/gocode/src/golang.org/x/crypto ] || unavailable "golang-golang-x-crypto-dev is not installed"

rm -rf "$folder"
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/apt/parts"
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$release" ] || unavailable "/etc/os-release names no release"
# The mirror is the one this machine has its packages from.
mirror() { apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(SITE)' | sed -n "s/^$release main //p" | head -1; }
site=$(mirror)
# A machine that has no lists yet tells nothing of its sources.
if [ -z "$site" ] && [ "$(id -u)" = 0 ]; then timeout 300 apt-get update -qq >/dev/null 2>&1 || true; site=$(mirror); fi
[ -n "$site" ] || unavailable "apt has no source for $release main"
for suite in "$release" "$release-backports"; do echo "deb-src $site $suite main"; done >"$folder/apt/sources.list"
cat >"$folder/apt/apt.conf" <<CONF
Dir::Etc::SourceList "$folder/apt/sources.list";
Dir::Etc::SourceParts "$folder/apt/parts";
Dir::State::Lists "$folder/apt/lists";
Dir::Cache "$folder/apt/cache";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
APT::Sandbox::User "";
CONF
export APT_CONFIG=$folder/apt/apt.conf
timeout 300 apt-get update -qq >"$folder/apt/update.log" 2>&1 ||
  unavailable "apt-get update failed for $package: $(tail -1 "$folder/apt/update.log")"

tarball=$folder/source.tar.xz
# Newest first. Only the upstream tarball is needed; its checksum is the one of the signed index.
for version in $(apt-cache showsrc "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -rV); do
  line=$(apt-get source --print-uris -qq "$package=$version" 2>/dev/null | grep '\.orig\.tar\.xz ' | head -1) || continue
  uri=$(cut -d"'" -f2 <<<"$line")
  sum=$(awk '{print $NF}' <<<"$line")
  if timeout 300 "$helper" download-file "$uri" "$tarball" "$sum" >"$folder/apt/download.log" 2>&1; then
    echo "$package $version" >"$folder/version"
    break
  fi
  rm -f "$tarball"
done
[ -e "$tarball" ] || unavailable "the source of $package could not be had from this machine's Debian mirror"

mkdir -p "$folder/source" "$(dirname "$(dirname "$(dirname "$(dirname "$keys")")")")"
tar -xf "$tarball" -C "$folder/source" --strip-components=1 --wildcards '*/src/ssl/test/runner' '*/src/util/testresult'
mv "$folder/source/src" "$folder/gopath/src/boringssl.googlesource.com/boringssl"
rm -rf "$folder/source" "$tarball"
unset APT_CONFIG
export GO111MODULE=off GOFLAGS= GOPATH=$folder/gopath:/usr/share/gocode GOCACHE=$folder/go-cache
(cd "$keys" && timeout 600 go test -c -o "$folder/runner.new" .) >"$folder/build.log" 2>&1 || {
  tail -5 "$folder/build.log" >&2
  unavailable "the runner of $(cat "$folder/version") does not build with $(go version)"
}
mv "$folder/runner.new" "$folder/runner"
rm -rf "$folder/go-cache" "$folder/apt"
printf '%s\n' "$folder/runner" "$keys"
