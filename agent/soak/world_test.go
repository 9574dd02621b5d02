package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
)

// world is one seed: a shop with its tills, devices and agents, and the
// collector.
type world struct {
	t       *testing.T
	shop    *shop
	seed    uint64
	codec   *wire.Codec
	devices []*device
	agents  []*agent
	tills   []*till
	net     *network
	lan     *lan
	central *collector

	// tasks are carried out one after the other, by a goroutine that nothing else
	// waits for: what ends a process waits until the whole world stands still.
	tasks chan func()
	lone  chan struct{} // held by who has all tills at rest

	mu      sync.Mutex
	ended   bool // no fault strikes any more
	waiting []fault
	struck  [kinds][phases]int
	outages int // things that are away and will come back
}

// run plays one seed and checks it.
func run(t *testing.T, s *shop, seed uint64, sum *totals) {
	w := &world{t: t, shop: s, seed: seed, tasks: make(chan func(), 1000), waiting: plan(seed)}
	var err error
	if w.codec, err = wire.NewCodec(); err != nil {
		t.Fatal(err)
	}
	defer w.codec.Close()
	w.net, w.lan = newNetwork(w), &lan{w: w}
	w.lone = make(chan struct{}, 1)
	w.central = newCollector(w, filepath.Join(t.TempDir(), "collector"))
	for i := range devices {
		w.devices = append(w.devices, newDevice(w, i))
	}
	for i := range agents {
		w.agents = append(w.agents, newAgent(w, i))
	}
	for i := range agents * tillsPerAgent {
		w.tills = append(w.tills, newTill(w, i))
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for task := range w.tasks {
			task()
		}
	}()
	w.central.start()
	for _, a := range w.agents {
		a.start(nil)
	}
	var tills sync.WaitGroup
	for _, t := range w.tills {
		tills.Go(t.work)
	}
	tills.Wait()
	w.settle()
	w.check(sum)
	for _, a := range w.agents {
		a.life.stop()
	}
	w.central.stop()
	close(w.tasks)
	<-finished
}

// devicesOf are the devices of an agent's computer: the first has two.
func (w *world) devicesOf(agent int) []*device {
	if agent == 0 {
		return w.devices[:2]
	}
	return w.devices[2:]
}

// stream is a source of chance for one actor.
func (w *world) stream(actor uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, 1000+actor)) }

// clock is the true time: a year in which there are CF-e.
func (w *world) clock() time.Time { return time.Now().AddDate(25, 0, 0) }

// fail notes that something does not hold.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d, %s: %s", w.seed, time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

func (w *world) log(format string, args ...any) {
	w.t.Logf("%s %s", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// reach says that an agent has come into a phase, and takes the fault of a fitting
// kind that waited for it, if one did.
func (w *world) reach(a *agent, p phase, fits func(kind) bool) (fault, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return fault{}, false
	}
	for i, f := range w.waiting {
		if f.agent == a.number && f.phase == p && a.begun >= f.at && fits(f.kind) {
			w.waiting = slices.Delete(w.waiting, i, i+1)
			w.struck[f.kind][p]++
			w.log("agent %d: %s in phase %s", a.number, f.kind, p)
			return f, true
		}
	}
	return fault{}, false
}

// begin counts a till's call. Copies that a later fault puts back are made when
// half of the way to it has gone.
func (w *world) begin(a *agent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.begun++
	if a.number == borrower && a.begun == a.out {
		go w.devices[devices-1].pull(outage)
	}
	for _, f := range w.waiting {
		if f.agent != a.number || f.at/2 != a.begun {
			continue
		}
		switch f.kind {
		case restoredAgent:
			a.wanted = true
		case restoredCollector:
			w.tasks <- w.central.backUp
		}
	}
}

// hold counts what is away and will come back.
func (w *world) hold(n int) {
	w.mu.Lock()
	w.outages += n
	w.mu.Unlock()
}

// later does something after a while.
func (w *world) later(d time.Duration, do func()) {
	w.hold(1)
	time.AfterFunc(d, func() {
		do()
		w.hold(-1)
	})
}

// settle lets everything come back and be drained.
func (w *world) settle() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	const patience = 2 * time.Hour
	for start := time.Now(); time.Since(start) < patience; time.Sleep(time.Second) {
		w.mu.Lock()
		busy := w.outages > 0 || len(w.tasks) > 0
		w.mu.Unlock()
		for _, a := range w.agents {
			busy = busy || !a.quiet()
		}
		if !busy {
			break
		}
	}
	time.Sleep(3 * time.Minute) // whatever is still under way
	synctest.Wait()
}

var background = context.Background()
