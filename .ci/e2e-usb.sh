#!/bin/sh
# Tests devices on USB behind a real kernel, in QEMU, and ends with a line that says
# what held: a part is "ok" when tests of it ran in this run and all of them passed.
# Fetches QEMU and a kernel first when they are missing and it may. Succeeds when
# every part is ok.
set -u
mkdir -p build
log=build/usb.log
fetched=build/usb-fetch.log

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
install_qemu() {
  $as_root env DEBIAN_FRONTEND=noninteractive sh -c \
    "apt-get update -qq; apt-get install -y -qq --no-install-recommends qemu-system-x86"
}

# fetch_kernel unpacks what the guest needs of Debian's kernel into build/kernel. It
# is only read, nothing is installed.
fetch_kernel() (
  new=$(mktemp -d) || exit 1
  trap 'rm -rf "$new"' EXIT
  named() { apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -n 1; }
  name=$(named)
  [ -n "$name" ] || { $as_root apt-get update -qq; name=$(named); }
  [ -n "$name" ] && (cd "$new" && apt-get download -qq "$name") || exit 1
  dpkg-deb --fsys-tarfile "$new"/*.deb | tar -x -C "$new" --wildcards './boot/vmlinuz-*' './lib/modules/*/kernel/drivers/usb/*' &&
    rm -rf build/kernel && mkdir build/kernel && cp -r "$new/boot" "$new/lib" build/kernel/
)

{
  command -v qemu-system-x86_64 || install_qemu
  ls build/kernel/boot/vmlinuz-* || fetch_kernel
} >"$fetched" 2>&1

ZELO_E2E_USB=1 go test -count=1 -timeout 5m -v ./sat/guest >"$log" 2>&1
code=$?

# part NAME PATTERN: the pattern names tests, by their whole path.
line=""
part() {
  said=ok
  ran=$(grep -E "^ *--- (PASS|FAIL|SKIP): $2 \(" "$log")
  case $ran in
  *"--- FAIL"*) said=FAILED ;;
  *"--- SKIP"*) said=skipped ;;
  *"--- PASS"*) ;;
  *) said="FAILED: no test of it came to an end" ;;
  esac
  [ "$said" = ok ] || code=1
  line="$line, $1 $said"
}
part cdc-acm 'TestUSB/(cdc-acm/.*|[^/]*/cdc-acm|driver/[^/]*/cdc-acm)'
part bulk 'TestUSB/(bulk/.*|[^/]*/bulk|(32-bit/)?driver/([^/]*/)?bulk.*)'
part ftdi 'TestUSB/(ftdi/.*|[^/]*/ftdi|driver/[^/]*/ftdi)'
part unplug/replug 'TestUSB/([^/]*/unplugged.*|hot-plug/.*)'

[ $code = 0 ] || { grep -vE '^(===| *--- PASS)' "$log" | tail -n 40; echo "(all of it is in $log, what was fetched in $fetched)"; }
echo "usb: ${line#, }"
exit $code
