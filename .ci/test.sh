#!/bin/sh
# Runs all tests, shows a line per package as it ends, every failure whole and
# every skip with its reason, and ends with the totals.
set -u
mkdir -p build
# Where there is room for it, what tests write goes to memory: they kill processes, not
# the machine, and a disk that others use too is what most of them would wait for.
if [ -z "${TMPDIR:-}" ] && [ "$(df --output=avail -B1G /dev/shm 2>/dev/null | tail -1)" -ge 4 ] 2>/dev/null; then
  try=$(mktemp /dev/shm/zelo-XXXXXX) && printf '#!/bin/sh\n' >"$try" && chmod +x "$try"
  if "$try" 2>/dev/null; then # programs may be run from there
    export GOTMPDIR="${GOTMPDIR:-/tmp}" TMPDIR=/dev/shm
  fi
  rm -f "$try"
fi
log=build/test.log
: >"$log"
start=$(date +%s)
{ go test -timeout 20m -v "$@" ./... 2>&1; echo "exit $?"; } | tee "$log" | awk '
  /^(ok|FAIL|---|panic:|\?)/ || /^exit/ { }
  /^ok / { print; fflush(); next }
  /^FAIL/ { print; fflush(); next }
  /^panic:/ { print; fflush(); next }
'
code=$(sed -n 's/^exit //p' "$log" | tail -1)
if [ "$code" != 0 ]; then
  echo
  echo "---- what failed"
  awk '/^=== RUN/ { block = ""; next }
       { block = block "\n" $0 }
       /^ *--- FAIL/ { print block; block = ""; next }
       /^ *--- (PASS|SKIP)/ { block = ""; next }
       /^(panic:|# |[^ ]+\.go:[0-9]+:[0-9]+:)/ { hold = 60 }
       hold > 0 { print; hold-- }' "$log" | head -300
fi
echo
echo "---- skipped"
grep -h 'SKIP: ' "$log" | sed 's/^ *//' | sort | uniq -c || true
passed=$(grep -c -- '--- PASS' "$log" || true)
failed=$(grep -c -- '--- FAIL' "$log" || true)
skipped=$(grep -c -- '--- SKIP' "$log" || true)
echo
echo "total: $passed passed, $failed failed, $skipped skipped, $(($(date +%s) - start)) s"
exit "$code"
