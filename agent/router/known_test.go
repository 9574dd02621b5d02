package router

import (
	"runtime"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
)

// TestKnown: the documents of calls made here and over the direct bridge are told from
// those that others had the device make.
func TestKnown(t *testing.T) {
	inWorld(t, func(w *world) {
		number := func() int {
			all := w.sim.Issued()
			if len(all) == 0 {
				return 0
			}
			k, err := cfe.ParseKey(all[len(all)-1].Key)
			if err != nil {
				t.Fatal(err)
			}
			return k.Number()
		}
		w.sell(1, "um")
		first := number()
		w.sell(2, "dois")
		w.sell(2, "dois") // again: the same document
		w.outside("três")
		w.sellDirect(3, "quatro", true)
		w.restart()
		time.Sleep(time.Minute)
		if known, direct := w.Known("900000001", first, number()); known != 2 || direct != 1 || number()-first != 3 {
			t.Errorf("of %d documents %d are known, %d of the direct bridge", number()-first, known, direct)
		}
		if known, _ := w.Known("900000001", first-1, first); known != 1 {
			t.Errorf("%d known of the first alone", known)
		}
		if known, _ := w.Known("900000002", 0, number()); known != 0 {
			t.Errorf("%d documents of a device that is not here", known)
		}
	})
}

// TestKeysAloneAreKept: the journal knows a thousand calls of each till by the keys of
// their documents, which must not keep the documents in memory.
func TestKeysAloneAreKept(t *testing.T) {
	var raw []byte
	inWorld(t, func(w *world) { raw = w.sell(1, "um").Raw })
	const calls = 1000
	keys := make([]cfe.Key, calls)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range keys {
		reply, err := sat.ParseReply(sat.EnviarDadosVenda, raw)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = keyOf(reply)
	}
	if each := (heap() - before) / calls; keys[0] == "" || each > int64(len(raw))/4 {
		t.Errorf("a key of %d bytes keeps %d bytes in memory", len(keys[0]), each)
	}
	runtime.KeepAlive(keys)
}
