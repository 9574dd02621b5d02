#!/bin/sh
# Runs all tests, shows a line per package as it ends, every failure whole and
# every skip with its reason, and ends with the totals.
set -u
mkdir -p build
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
