#!/bin/sh
# Measures the figures to reach, each beside its floor or peer in the same run, and
# ends with a table: "ok" when a figure is reached, "short" when not, "SKIP: why" when
# something is absent. Ratios are what counts: times depend on the machine. A figure
# that is short is no failure, a benchmark that fails is. All of it takes about 15
# minutes, half of them to fill two archives with a million documents.
set -u
mkdir -p build
log=build/bench.log

# The rows, the one place that says what is to be reached:
# what | package benchmark | metric of the floor | ours | the one judged | reach
rows() {
  cat <<'END'
sale, library to answer (2 commits, 1 trip)|./agent/router BenchmarkSale|floor-ms|ms/sale|of-floor|<= 1.5
durable append, 1 writer (raw log, records/s)|./buffer BenchmarkAppend/1-writer|raw/s|ours/s|of-raw|>= 0.50
durable append, 32 writers (raw log, records/s)|./buffer BenchmarkAppend/32-writers|raw/s|ours/s|of-raw|>= 0.60
commit after a drained 200k backlog, compacted (new)|./buffer BenchmarkDrained|new-us|drained-us|x-new|<= 1.2
bytes on the wire, CF-e of 1 item (gzip -6)|./agent/wire BenchmarkBytes/1-item|gzip-B|wire-B|wire-of-gzip|<= 0.23
bytes on the wire, CF-e of 3 items (gzip -6)|./agent/wire BenchmarkBytes/3-item|gzip-B|wire-B|wire-of-gzip|<= 0.26
bytes on the wire, CF-e of 10 items (gzip -6)|./agent/wire BenchmarkBytes/10-item|gzip-B|wire-B|wire-of-gzip|<= 0.33
bytes in the archive, CF-e of 1 item (gzip -6)|./agent/wire BenchmarkBytes/1-item|gzip-B|archive-B|archive-of-gzip|<= 0.23
bytes in the archive, CF-e of 3 items (gzip -6)|./agent/wire BenchmarkBytes/3-item|gzip-B|archive-B|archive-of-gzip|<= 0.26
bytes in the archive, CF-e of 10 items (gzip -6)|./agent/wire BenchmarkBytes/10-item|gzip-B|archive-B|archive-of-gzip|<= 0.33
coupons/s, agent to acknowledged, TLS (2 RSA, insert)|./agent/e2e BenchmarkCoupons|floor/s|coupons/s|of-floor|>= 0.5
agent memory after 1,000 coupons (zabbix-agent2, MiB)|./agent/e2e BenchmarkFootprint|peer-rss-MiB|rss-MiB|rss-of-peer|<= 1.0
agent program (zabbix-agent2, MB)|./agent/e2e BenchmarkFootprint|peer-binary-MB|binary-MB|binary-of-peer|<= 1.0
agent idle, % of a core (zabbix-agent2)|./agent/e2e BenchmarkFootprint|peer-cpu-percent|cpu-percent|cpu-percent|<= 0.1
export as ZIP, documents/s (plain archive/zip)|./agent/e2e BenchmarkExport|floor/s|documents/s|of-floor|>= 0.5
us per document stored at 1 M, SQLite (at 100 k)|./collector/store BenchmarkArchive/sqlite|insert-us-100k|insert-us-1M|insert-us-ratio|<= 1.5
the same, PostgreSQL|./collector/store BenchmarkArchive/postgres|insert-us-100k|insert-us-1M|insert-us-ratio|<= 1.5
search by key at 1 M, p95 ms, SQLite|./collector/store BenchmarkArchive/sqlite|-|key-ms|key-ms|<= 5
search by device and day at 1 M, p95 ms, SQLite|./collector/store BenchmarkArchive/sqlite|-|device-day-ms|device-day-ms|<= 5
search by CPF at 1 M, p95 ms, SQLite|./collector/store BenchmarkArchive/sqlite|-|CPF-ms|CPF-ms|<= 5
search by key at 1 M, p95 ms, PostgreSQL|./collector/store BenchmarkArchive/postgres|-|key-ms|key-ms|<= 5
search by device and day at 1 M, p95 ms, PostgreSQL|./collector/store BenchmarkArchive/postgres|-|device-day-ms|device-day-ms|<= 5
search by CPF at 1 M, p95 ms, PostgreSQL|./collector/store BenchmarkArchive/postgres|-|CPF-ms|CPF-ms|<= 5
memory of the store at 1 M, SQLite (at 100 k, MiB)|./collector/store BenchmarkArchive/sqlite|memory-MiB-100k|memory-MiB-1M|memory-MiB-ratio|<= 1.2
the same, PostgreSQL|./collector/store BenchmarkArchive/postgres|memory-MiB-100k|memory-MiB-1M|memory-MiB-ratio|<= 1.2
disk per document but its bytes, at 1 M, SQLite (100 k)|./collector/store BenchmarkArchive/sqlite|disk-B-100k|disk-B-1M|disk-B-ratio|<= 1.1
the same, PostgreSQL|./collector/store BenchmarkArchive/postgres|disk-B-100k|disk-B-1M|disk-B-ratio|<= 1.1
END
}

code=0
: >"$log"
for pair in $(rows | cut -d'|' -f2 | sed 's|/[0-9a-z-]*$||; s/ /:/' | awk '!seen[$0]++'); do
  package=${pair%:*} benchmark=${pair#*:}
  echo "bench: $package $benchmark"
  go test -v -run '^$' -bench "^$benchmark\$" -benchtime 1x -timeout 20m "$package" >"$log.part" 2>&1 ||
    { code=1; echo "FAILED $benchmark" >>"$log"; cat "$log.part"; }
  cat "$log.part" >>"$log"
done
rm -f "$log.part"

rows | awk -F'|' -v log_file="$log" '
  function number(v) { return v == "" ? "-" : sprintf(v >= 100 ? "%.0f" : v >= 10 ? "%.1f" : "%.3g", v) }
  BEGIN {
    while ((getline line < log_file) > 0) {
      n = split(line, f, " ")
      if (f[1] == "FAILED") { why[f[2]] = "FAILED: build/bench.log says why" }
      else if (f[1] ~ /^Benchmark/) {
        name = f[1]; sub(/-[0-9]+$/, "", name)
        for (i = 3; i < n; i += 2) value[name, f[i + 1]] = f[i]
      }
      else if (f[2] == "SKIP:" && f[1] != "---") { why[name] = substr(line, index(line, "SKIP:")) }
    }
    form = "%-54s %9s %9s %7s  %-8s %s\n"
    printf "\n" form, "what (floor or peer, measured in the same run)", "floor", "ours", "ratio", "reach", ""
  }
  {
    split($2, at, " "); name = at[2]; top = name; sub(/\/.*/, "", top)
    floor = value[name, $3]; ours = value[name, $4]; judged = value[name, $5]
    split($6, reach, " ")
    if (top in why) said = why[top]
    else if (name in why) said = why[name]
    else if (judged == "") said = "FAILED: not measured"
    else said = (reach[1] == "<=" ? judged + 0 <= reach[2] + 0 : judged + 0 >= reach[2] + 0) ? "ok" : "short"
    if (said ~ /^FAILED/) bad = 1
    ratio = $5 == $4 ? (floor > 0 ? ours / floor : "") : judged
    printf form, $1, number(floor), number(ours), number(ratio), $6, said
  }
  END { exit bad }' || code=1
exit $code
