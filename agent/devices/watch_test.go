package devices

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatchTellsOnceWhatBelongsTogether counts calls of changed, in seconds of a
// clock that the test holds.
func TestWatchTellsOnceWhatBelongsTogether(t *testing.T) {
	type moment struct {
		at   time.Duration
		tell bool   // the system tells something
		list string // otherwise: what is there from now on
	}
	for name, c := range map[string]struct {
		moments []moment
		want    []time.Duration // when changed is called
	}{
		"nothing happens": {nil, nil},
		"one event":       {[]moment{{at: 500 * time.Millisecond, tell: true}}, []time.Duration{700 * time.Millisecond}},
		"a dozen events of one device": {[]moment{{at: 100 * time.Millisecond, tell: true}, {at: 200 * time.Millisecond, tell: true},
			{at: 300 * time.Millisecond, tell: true}}, []time.Duration{500 * time.Millisecond}},
		"unplugged and plugged in again": {[]moment{{at: 0, tell: true}, {at: time.Second, tell: true}},
			[]time.Duration{200 * time.Millisecond, 1200 * time.Millisecond}},
		"no event, seen by looking": {[]moment{{at: 500 * time.Millisecond, list: "other"}}, []time.Duration{2 * time.Second}},
		"event, then udev is done": {[]moment{{at: 0, tell: true}, {at: 500 * time.Millisecond, list: "with names"}},
			[]time.Duration{200 * time.Millisecond, 2 * time.Second}},
		"event, udev was quick": {[]moment{{at: 0, tell: true}, {at: 100 * time.Millisecond, list: "with names"}},
			[]time.Duration{200 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var list atomic.Value
				list.Store("at first")
				told := make(chan struct{}, 1)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				for _, m := range c.moments {
					time.AfterFunc(m.at, func() {
						if m.tell {
							tell(told)
						} else {
							list.Store(m.list)
						}
					})
				}
				var got []time.Duration
				watch(ctx, told, func() string { synctest.Wait(); return list.Load().(string) }, func() { got = append(got, time.Since(start)) })
				if len(got) != len(c.want) {
					t.Fatalf("told at %v, want %v", got, c.want)
				}
				for i, at := range got {
					if at != c.want[i] {
						t.Errorf("told at %v, want %v", got, c.want)
					}
				}
				if ended := time.Since(start); ended != 5*time.Second {
					t.Errorf("the watch ended after %v, its context after 5 s", ended)
				}
			})
		})
	}
}

// TestWatchThatNeverFallsQuiet must tell all the same.
func TestWatchThatNeverFallsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan struct{}, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var noise func()
		noise = func() {
			tell(told)
			time.AfterFunc(50*time.Millisecond, noise)
		}
		noise()
		calls := 0
		watch(ctx, told, func() string { return "" }, func() { calls++ })
		if calls < 4 {
			t.Errorf("told %d times in 5 s", calls)
		}
	})
}
