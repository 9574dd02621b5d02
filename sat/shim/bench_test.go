//go:build linux

package shim_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"zelo/sat"
	"zelo/sat/ipc"
)

// One sale of 2 KB with a reply of 6 KB through the library, an instant device
// behind it: what a till waits for beyond the device and the disk.
func BenchmarkSale(b *testing.B) {
	raw := []byte("000007|06000|0000|Emitido com sucesso|||" + strings.Repeat("QUJD", 1500) + "|20261121102030|CFe35|1.00||QUJD")
	key := strings.Repeat("5a", ipc.KeySize)
	for _, way := range []struct {
		name string
		at   address
		opt  ipc.Options
		ini  string
	}{
		{"socket", socket(b), ipc.Options{}, ""},
		{"port", port(b), ipc.Options{}, ""},
		{"sealed", port(b), ipc.Options{Key: bytes.Repeat([]byte{0x5a}, ipc.KeySize)}, "chave = " + key},
	} {
		serve(b, way.at, device(func(context.Context, sat.Request) (sat.Reply, error) {
			return sat.Reply{Raw: raw}, nil
		}), way.opt)
		for _, threads := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d threads", way.name, threads), func(b *testing.B) {
				h := newHost(b, plain, way.ini, way.at.env())
				h.does("time 1 500 EnviarDadosVenda 7 12345678 fill:2000") // warm
				b.ResetTimer()
				var p50, p99, perSecond float64
				line := h.does("time %d %d EnviarDadosVenda 7 12345678 fill:2000", threads, max(b.N/threads, 100))
				if _, err := fmt.Sscan(line, &p50, &p99, &perSecond); err != nil {
					b.Fatalf("%q: %v", line, err)
				}
				b.ReportMetric(p50/1000, "p50-us")
				b.ReportMetric(p99/1000, "p99-us")
				b.ReportMetric(perSecond, "calls/s")
			})
		}
	}
}

// What the library adds to the memory of its host: loaded, and after a thousand
// sales with replies of 6 KB.
func BenchmarkMemory(b *testing.B) {
	raw := []byte("000007|06000|0000|Emitido com sucesso|||" + strings.Repeat("QUJD", 1500) + "|20261121102030|CFe35|1.00||QUJD")
	a := socket(b)
	serve(b, a, device(func(context.Context, sat.Request) (sat.Reply, error) { return sat.Reply{Raw: raw}, nil }), ipc.Options{})
	for range b.N {
		h := newHost(b, plain, "", a.env())
		var before, loaded, used float64
		line := h.does("without") + " " + h.does("memory")
		h.does("time 1 1000 EnviarDadosVenda 7 12345678 fill:2000")
		line += " " + h.does("memory")
		if _, err := fmt.Sscan(line, &before, &loaded, &used); err != nil {
			b.Fatalf("%q: %v", line, err)
		}
		b.ReportMetric(loaded-before, "KiB-loaded")
		b.ReportMetric(used-before, "KiB-after-1000-sales")
		h.finish()
	}
}
