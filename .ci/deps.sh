#!/bin/sh
# Makes sure that what is needed is here: `deps.sh build` for the build and the
# demonstration, `deps.sh` for the tests, `deps.sh wine` for those under Wine too.
# Installs Debian or Ubuntu packages when it may, otherwise says exactly what to
# install. Does nothing when nothing is missing.
set -eu

need() { # PACKAGE COMMAND: the command works when the package is there
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}

look() {
  missing=""
  need gcc command -v gcc
  need libc6-dev test -e /usr/include/stdio.h
  [ "$1" != build ] || return 0
  need python3 python3 -c "import ctypes"
  need libxml2-utils command -v xmllint
  need chromium command -v chromium
  need fp-compiler command -v fpc
  need iproute2 command -v ip
  need mosquitto test -x /usr/sbin/mosquitto
  need postgresql sh -c 'ls /usr/lib/postgresql/*/bin/postgres'
  need gcc-mingw-w64-i686 command -v i686-w64-mingw32-gcc
  need gcc-mingw-w64-x86-64 command -v x86_64-w64-mingw32-gcc
  ! command -v javac >/dev/null 2>&1 || need libjna-java test -e /usr/share/java/jna.jar
  [ "$1" != wine ] || need debootstrap command -v debootstrap
}

command -v go >/dev/null 2>&1 || { echo "deps: Go 1.26 or newer is missing: install it from your distribution or from go.dev" >&2; exit 1; }
look "${1:-}"
[ -n "$missing" ] || exit 0
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
  echo "deps: installing$missing"
  get="apt-get install -y -qq --no-install-recommends"
  # One by one when they do not come together: a distribution may lack one of them.
  $as_root env DEBIAN_FRONTEND=noninteractive sh -c \
    "apt-get update -qq; $get$missing || for p in$missing; do $get \$p; done" >/dev/null 2>&1 || true
  # Tests start their own: what a package started is stopped, for good.
  for service in mosquitto postgresql; do
    case "$missing " in *" $service "*)
      $as_root sh -c "systemctl disable --now $service || { service $service stop; update-rc.d $service disable; }" >/dev/null 2>&1 || true ;;
    esac
  done
  look "${1:-}"
  [ -n "$missing" ] || exit 0
fi
command -v gcc >/dev/null 2>&1 || { echo "deps: missing:$missing. Install with: apt-get install$missing" >&2; exit 1; }
echo "deps: some tests will be skipped; for all of them: apt-get install$missing"
