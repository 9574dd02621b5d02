#!/bin/sh
# Windows programs on this computer, for tests: Wine in a folder of its own, not on
# the host, whose packages stay as they are. Needs root.
#
#   wine.sh have                         can it be used? says why not
#   wine.sh make                         makes the folder when it is missing
#   wine.sh prefix FOLDER                makes FOLDER/prefix, a fresh Windows, and
#                                        starts it
#   wine.sh run FOLDER PROGRAM [ARG...]  runs a Windows program there; FOLDER is
#                                        Z:\zelo and where it starts, the network
#                                        is this computer's, so is the environment
#   wine.sh path FOLDER FILE             how a Windows program there calls a file in
#                                        FOLDER
#   wine.sh stop FOLDER                  ends all that still runs there
#
# ZELO_WINE names the folder; it is ~/.cache/zelo/wine otherwise.
set -e
root=${ZELO_WINE:-$HOME/.cache/zelo/wine}

have() {
  [ "$(id -u)" = 0 ] || { echo "Wine needs root here"; return 1; }
  chroot "$root" test -x /usr/bin/wine 2>/dev/null || { echo "no Wine in $root: make it with sat/shim/testdata/wine.sh make"; return 1; }
}

# The mirror is the one this computer has for the same release.
make_root() {
  command -v debootstrap >/dev/null || { echo "debootstrap is not installed"; return 1; }
  . /etc/os-release
  mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$VERSION_CODENAME" '$1 == release && $2 == "main" { print $3; exit }')
  [ -n "$mirror" ] || { echo "no mirror of $VERSION_CODENAME in the sources of apt"; return 1; }
  mkdir -p "$root.new"
  debootstrap --variant=minbase "$VERSION_CODENAME" "$root.new" "$mirror"
  chroot "$root.new" sh -ec 'export DEBIAN_FRONTEND=noninteractive
    dpkg --add-architecture i386
    apt-get update -q
    apt-get install -qy --no-install-recommends wine wine64 wine32:i386 libwine libwine:i386
    apt-get clean'
  mv "$root.new" "$root"
}

# inside FOLDER COMMAND...: in a space of mounts that ends with the command.
inside() {
  folder=$(realpath "$1")
  shift
  root=$root folder=$folder exec unshare --mount sh -ec '
    mkdir -p "$root/zelo"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --bind "$folder" "$root/zelo"
    exec chroot "$root" /usr/bin/env --chdir=/zelo PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root WINEPREFIX=/zelo/prefix \
      WINEARCH=win64 WINEDEBUG="${WINEDEBUG:--all}" WINEDLLOVERRIDES=mscoree,mshtml= "$@"' sh "$@"
}

# Programs made with Go look for ProcessPrng, which this Wine does not have yet.
random_stub() {
  echo '#include <windows.h>
    BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG size);
    __declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T size) { return SystemFunction036(bytes, (ULONG)size); }' |
    "$1-w64-mingw32-gcc" -shared -s -Wl,--kill-at -x c -o "$2/bcryptprimitives.dll" - -ladvapi32
}

# A fresh Windows takes 20 s to make. It is made once and then copied, its programs
# by links, what Windows writes in place whole.
make_prefix() {
  template=$root/template
  if [ ! -d "$template/prefix" ]; then
    rm -rf "$template.$$"
    mkdir "$template.$$"
    (inside "$template.$$" wineboot -i) >/dev/null 2>&1
    (inside "$template.$$" wineserver -w)
    random_stub x86_64 "$template.$$/prefix/drive_c/windows/system32"
    random_stub i686 "$template.$$/prefix/drive_c/windows/syswow64"
    mv "$template.$$" "$template"
  fi
  mkdir "$1/prefix"
  for part in "$template/prefix"/* "$template/prefix/.update-timestamp"; do
    case $part in
    */drive_c) cp -al "$part" "$1/prefix" 2>/dev/null || cp -a "$part" "$1/prefix" ;; # no links to another disk
    *) cp -a "$part" "$1/prefix" ;;
    esac
  done
  # Windows runs on for ten minutes, so that no program has to start it, and its
  # own processes hold nobody's output open.
  (inside "$1" wineserver -p600) >/dev/null 2>&1 </dev/null
  (inside "$1" wine cmd /c exit) >/dev/null 2>&1 </dev/null
}

command=${1:-help}
[ $# = 0 ] || shift
case $command in
have) have ;;
make) have >/dev/null || make_root ;;
prefix) have && make_prefix "$1" ;;
run) folder=$1; shift; inside "$folder" wine "$@" ;;
path) printf 'Z:\\zelo\\%s\n' "$(realpath -m --relative-to="$1" "$2" | tr / '\\')" ;;
stop) inside "$1" wineserver -k ;;
*) sed -n '2,/^set -e/p' "$0" | grep '^#'; exit 2 ;;
esac
