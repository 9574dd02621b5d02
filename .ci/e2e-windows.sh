#!/bin/sh
# Tests what runs on Windows, in Wine, and ends with a line that says what held. A
# part is "ok" when tests of it ran in this run and all of them passed. Succeeds
# when every part is.
set -u
mkdir -p build
log=build/windows.log
parts="stdcall-x86 cdecl-x86 x64 mfe"

if ! why=$(sat/shim/testdata/wine.sh make 2>build/wine.log && sat/shim/testdata/wine.sh have); then
  echo "windows: skipped: $(echo "$why" | tail -n 1) (build/wine.log)"
  exit 1
fi
here='^(plain|address,undefined|thread)$' # what make test runs
ZELO_E2E_WINDOWS=1 go test -count=1 -timeout 15m -v ./sat/shim -run '^Test' -skip "Test/$here|Test/./$here" >"$log" 2>&1
code=$?
ZELO_E2E_WINDOWS=1 go test -count=1 -timeout 15m -v ./agent/e2e -run 'Test(Packages)?(On)?Windows$' >>"$log" 2>&1 || code=1
ZELO_E2E_WINDOWS=1 go test -count=1 -timeout 15m -v ./sat/maker -run OnWindows >>"$log" 2>&1 || code=1

# reason RESULTS: why the first skipped one of these tests was.
reason() {
  skipped=$(echo "$1" | sed -n 's/.*--- SKIP: \([^ ]*\) .*/\1/p' | head -n 1)
  awk -v test="$skipped" '/^=== /{at = $3} at == test && sub(/.*SKIP: /, "") {print; exit}' "$log"
}

# part NAME PATTERN...: each pattern names tests, by their whole path.
line=""
part() {
  name=$1 said=ok
  shift
  for pattern; do
    ran=$(grep -E "^ *--- (PASS|FAIL|SKIP): ($pattern) \(" "$log")
    case $ran in
    *"--- FAIL"*) said=FAILED ;;
    *"--- SKIP"*) [ "$said" != ok ] || said="skipped: $(reason "$ran")" ;;
    *"--- PASS"*) ;;
    *) said="FAILED: no test of it came to an end" ;;
    esac
  done
  [ "$said" = ok ] || code=1
  line="$line, $name $said"
}
any=$(echo $parts | tr ' ' '|')
for p in $parts; do
  [ $p = mfe ] && more='|TestAdditionsOfMFE' || more=''
  part $p "Test[^ ]*/$p(/[^ ]*)?$more" "TestWindows/$p"
done
part 'ponte direta' "TestBridge[^ ]*/($any)(/[^ ]*)?" 'TestWindows/ponte_direta' 'TestWindows/archive'
part 'load/free 1000' $(for p in $parts; do echo "TestLoadedAndFreedAThousandTimes/$p"; done)
part agent 'TestWindows/agent' 'TestWindows/archive'
part service 'TestWindows/service'
part maker TestOnWindows 'TestOnWindows/[^/]*/(calls|suite|sales|end_with_the_parent)'
for p in devices monitor; do
  part $p "TestPackagesOnWindows/$p/(386|amd64)"
done

grep -E '^ *--- FAIL' "$log" && echo "(all of it is in $log)"
grep -h '_test.go:[0-9]*: SKIP: ' "$log" | sed 's/^ *//' | sort -u
echo "windows: ${line#, }"
exit $code
