//go:build linux

package shim_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"zelo/sat"
	"zelo/sat/ipc"
)

// One sale of 2 KB with a reply of 6 KB through the library, an instant device
// behind the socket: what a till waits for beyond the device and the disk.
func BenchmarkSale(b *testing.B) {
	raw := []byte("000007|06000|0000|Emitido com sucesso|||" + strings.Repeat("QUJD", 1500) + "|20261121102030|CFe35|1.00||QUJD")
	path := socketPath(b)
	serve(b, path, device(func(context.Context, sat.Request) (sat.Reply, error) {
		return sat.Reply{Raw: raw}, nil
	}), ipc.Options{})
	h := newHost(b, plain, "", "ZELO_SOCKET="+path)
	h.does("time 500 EnviarDadosVenda 7 12345678 fill:2000") // warm
	b.ResetTimer()
	var p50, p99 int64
	line := h.does("time %d EnviarDadosVenda 7 12345678 fill:2000", max(b.N, 100))
	if _, err := fmt.Sscan(line, &p50, &p99); err != nil {
		b.Fatalf("%q: %v", line, err)
	}
	b.ReportMetric(float64(p50)/1000, "p50-us")
	b.ReportMetric(float64(p99)/1000, "p99-us")
}
