#!/bin/sh
# Makes sure that what the build and the tests need is here. Installs Debian or
# Ubuntu packages when it may; otherwise says exactly what to install.
set -eu

missing=""
need() { # command package
  command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

command -v go >/dev/null 2>&1 || { echo "deps: Go 1.26 or newer is missing: install it from your distribution or from go.dev" >&2; exit 1; }
need gcc gcc
need python3 python3-minimal
need xmllint libxml2-utils
need chromium chromium
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"

[ -n "$missing" ] || exit 0
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
  echo "deps: installing$missing"
  $as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -qq; apt-get install -y -qq --no-install-recommends$missing" >/dev/null 2>build-deps.log || true
  rm -f build-deps.log
fi
for p in gcc; do
  command -v $p >/dev/null 2>&1 || { echo "deps: missing:$missing. Install with: apt-get install$missing" >&2; exit 1; }
done
command -v python3 >/dev/null 2>&1 && command -v xmllint >/dev/null 2>&1 && command -v chromium >/dev/null 2>&1 ||
  echo "deps: some tests will be skipped; for all of them: apt-get install$missing"
