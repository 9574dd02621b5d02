package lan

import (
	"crypto/tls"
	"testing"
	"time"
)

// While one authority follows another, whoever has the certificates of both goes with
// every neighbour, old and new.
func TestNeighboursDuringARotation(t *testing.T) {
	before, after := newAuthority(t), newAuthority(t)
	l, err := New(before.options(t, "caixa001"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.listener.Close() })
	old, renewed := before.options(t, "caixa002"), after.options(t, "caixa003")
	renewed.Roots = pool(before, after)
	goes := func(theirs Options) bool {
		t.Helper()
		they, err := newTrust(theirs)
		if err != nil {
			t.Fatal(err)
		}
		near, far := joined(t)
		done := make(chan error, 1)
		go func() { done <- tls.Client(far, they.client()).HandshakeContext(deadline(t, 5*time.Second)) }()
		own := tls.Server(near, l.trust.Load().server()).HandshakeContext(deadline(t, 5*time.Second))
		near.Close()
		return own == nil && <-done == nil
	}
	if !goes(old) || goes(renewed) {
		t.Error("before: only neighbours of the first authority go")
	}
	if err := l.Renew(before.agent("caixa001", shop, still), pool(before, after)); err != nil {
		t.Fatal(err)
	}
	if !goes(old) || !goes(renewed) {
		t.Error("with both authorities: all go")
	}
	old.Roots = pool(before, after) // it was told of the next one, and is not renewed by it yet
	if err := l.Renew(after.agent("caixa001", shop, still), pool(before, after)); err != nil {
		t.Fatal(err)
	}
	if !goes(old) || !goes(renewed) {
		t.Error("renewed by the next one: all go that know it")
	}
}
