package router

import (
	"testing"
	"time"

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
