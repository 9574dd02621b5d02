package router

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A clock that is set, forth or back, by the network or by hand, makes no sale old
// that the till never heard of, and none of them twice, also over a restart.
func TestClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{16 * 365 * 24 * time.Hour, -24 * time.Hour} {
		for _, restart := range []bool{false, true} {
			t.Run(by.String(), func(t *testing.T) {
				inWorld(t, func(w *world) {
					var set time.Duration
					w.change = func(o *Options) { o.Now = func() time.Time { return time.Now().Add(set) } }
					w.restart()
					code(t, "sale nobody heard of", w.sell(1, "PAO"), 6000)
					set = by
					code(t, "another", w.sell(2, "CHA"), 6000)
					if restart {
						w.restart()
					}
					code(t, "the first again, same session", w.sell(1, "PAO"), 6000)
					code(t, "the first again, new session", w.sell(3, "PAO"), 6000)
					w.check(2)
					time.Sleep(31 * time.Minute)
					code(t, "half an hour later it is another sale", w.sell(4, "PAO"), 6000)
					w.check(3)
				})
			})
		}
	}
}

// An older copy of the file put back: the device remembers sessions that the copy
// does not, and must not be called with them.
func TestOlderFilePutBack(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale", w.sell(1, "PAO"), 6000)
		w.stop()
		copied := w.copyFile()
		w.start()
		for s := range 20 {
			code(t, "sale", w.sell(10+s, fmt.Sprint("CAFE ", s)), 6000)
		}
		w.stop()
		w.putBack(copied)
		w.start()
		for s := range 20 {
			code(t, "sale after", w.sell(40+s, fmt.Sprint("LEITE ", s)), 6000)
		}
		if n := len(w.sim.Issued()); n != 1+20+20 {
			t.Errorf("%d documents", n)
		}
	})
}

func (w *world) copyFile() []byte {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "cupons.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

func (w *world) putBack(raw []byte) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "cupons.db"), raw, 0o600); err != nil {
		w.t.Fatal(err)
	}
}
