package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"zelo/agent/wire"
	"zelo/sat/cfe"
)

// order is what a worker is told; a field that is zero changes nothing.
type order struct {
	Begin   *brief  `json:",omitempty"` // first: enrol
	Stock   int     `json:",omitempty"` // documents to issue ahead of their sales
	Connect bool    `json:",omitempty"`
	Rate    float64 `json:",omitempty"` // sales a second of each till; negative is none
	Cut     int     `json:",omitempty"` // per cent of the tills to cut off
	Mend    bool    `json:",omitempty"` // connect them again
	Fact    *fact   `json:",omitempty"` // of the till with that number in this process
	End     bool    `json:",omitempty"` // write down what was sold, and end
}

// brief says which tills are a worker's.
type brief struct {
	Access   access
	From, To int
}

// report is what a worker says four times a second.
type report struct {
	Ready, Ended             bool
	Connected, Sold, Waiting int
	Stocked                  bool
	Trips                    []time.Duration // of the documents acknowledged since the last
	Told                     []time.Duration // of the events acknowledged since the last
	Facts                    []happened      // since the last
	Err                      string          // why a till is not connected, or why the worker ends
}

const (
	reportEvery = 250 * time.Millisecond
	sellers     = 4   // sales at the same time in one process
	workerGC    = 400 // per cent: what the tills leave behind is not measured, the collector is
	drainTime   = time.Minute
)

// worker is one process with some thousands of tills.
type worker struct {
	folder string
	number int
	codec  *wire.Codec
	press  *press
	tills  []*till
	stock  chan stocked // documents issued ahead
	facts  []happened   // not yet reported
	rate   atomic.Int64 // sales in 1,000 seconds, of all tills
	out    *json.Encoder
}

// work is the main of a worker: orders come in by standard input, reports go out by
// standard output, and it ends with its input.
func work(ctx context.Context, folder string, number int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	codec, err := wire.NewCodec()
	if err != nil {
		return err
	}
	defer codec.Close()
	w := &worker{folder: folder, number: number, codec: codec, out: json.NewEncoder(os.Stdout)}
	orders := make(chan order)
	go func() { // ends with the process
		defer cancel()
		for in := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
			var o order
			if in.Decode(&o) != nil {
				return
			}
			orders <- o
		}
	}()
	if err := w.run(ctx, orders); err != nil {
		return errors.Join(err, w.out.Encode(report{Err: err.Error()}))
	}
	return nil
}

func (w *worker) run(ctx context.Context, orders <-chan order) error {
	var parts sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer parts.Wait()
	defer cancel()
	selling, stopSelling := context.WithCancel(ctx)
	defer stopSelling()
	var sales sync.WaitGroup
	failed := make(chan error, sellers)
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case <-tick.C:
			if err := w.out.Encode(w.report()); err != nil {
				return err
			}
		case o := <-orders:
			switch {
			case o.Begin != nil:
				if err := w.begin(ctx, *o.Begin); err != nil {
					return err
				}
				w.sellOn(selling, &sales, failed)
			case o.Stock > 0:
				if err := w.stockUp(o.Stock); err != nil {
					return err
				}
			case o.Connect:
				for _, t := range w.tills {
					parts.Go(func() { t.uplink.Run(ctx) })
				}
			case o.Fact != nil:
				h, err := w.tills[o.Fact.Till].happen(*o.Fact)
				if err != nil {
					return err
				}
				w.facts = append(w.facts, h)
			case o.End:
				stopSelling()
				sales.Wait()
				return w.end()
			}
			w.change(o)
		}
	}
}

// begin enrols the tills and opens their buffers.
func (w *worker) begin(ctx context.Context, b brief) error {
	ids, err := b.Access.enrol(ctx, b.From, b.To)
	if err != nil {
		return err
	}
	if w.press, err = newPress(); err != nil {
		return err
	}
	debug.SetGCPercent(workerGC)
	for i, id := range ids {
		t, err := newTill(w.folder, b.From+i, w.codec, b.Access.Broker, id)
		if err != nil {
			return err
		}
		w.tills = append(w.tills, t)
	}
	return w.out.Encode(report{Ready: true})
}

// stocked is a document that its till has issued and not yet sold.
type stocked struct {
	till *till
	doc  cfe.Issued
}

// stockUp issues documents ahead, of whichever tills: devices sign with processors of their
// own, not with those that the collector is measured on.
func (w *worker) stockUp(n int) error {
	w.stock = make(chan stocked, n)
	var parts sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	failed := make(chan error, sellers)
	for range sellers {
		parts.Go(func() {
			for left.Add(-1) >= 0 {
				t := w.tills[rand.IntN(len(w.tills))]
				doc, err := t.issue(w.press)
				if err != nil {
					failed <- err
					return
				}
				w.stock <- stocked{t, doc}
			}
		})
	}
	parts.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return w.out.Encode(report{Ready: true, Stocked: true})
	}
}

// sell has a till sell: what was issued ahead, or else what it issues now.
func (w *worker) sell() error {
	select {
	case s := <-w.stock:
		return s.till.sell(s.doc)
	default:
	}
	t := w.tills[rand.IntN(len(w.tills))]
	doc, err := t.issue(w.press)
	if err != nil {
		return err
	}
	return t.sell(doc)
}

// change takes what an order says of sales and lines.
func (w *worker) change(o order) {
	if o.Rate != 0 {
		w.rate.Store(int64(max(0, o.Rate) * float64(len(w.tills)) * 1000))
	}
	for i, t := range w.tills {
		if o.Mend {
			t.line.set(false)
		}
		if i%100 < o.Cut {
			t.line.set(true)
		}
	}
}

// sellOn lets tills sell at the rate that is ordered, whichever they are, until ctx
// ends. A process that cannot keep up sells less, which its reports show.
func (w *worker) sellOn(ctx context.Context, sales *sync.WaitGroup, failed chan<- error) {
	next := make(chan struct{})
	for range sellers {
		sales.Go(func() {
			for range next {
				if err := w.sell(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	sales.Go(func() {
		defer close(next)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for last, owed := time.Now(), 0.0; ; {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				owed = min(owed+now.Sub(last).Seconds()*float64(w.rate.Load())/1000, 100)
				last = now
			}
			for ; owed >= 1; owed-- {
				select {
				case next <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
		}
	})
}

func (w *worker) report() (r report) {
	r.Facts, w.facts = w.facts, nil
	for _, t := range w.tills {
		if st := t.uplink.State(); st.Connected {
			r.Connected++
		} else if st.Err != nil {
			r.Err = st.Err.Error()
		}
		t.mu.Lock()
		r.Sold += len(t.sold)
		r.Waiting += len(t.waiting)
		r.Trips, r.Told = append(r.Trips, t.trips...), append(r.Told, t.told...)
		t.trips, t.told = nil, nil
		t.mu.Unlock()
	}
	return r
}

// end waits until the buffers themselves say that nothing waits, and writes down
// what was sold.
func (w *worker) end() error {
	for deadline := time.Now().Add(drainTime); !w.empty(); time.Sleep(reportEvery) {
		if time.Now().After(deadline) {
			return fmt.Errorf("documents still wait in the buffers of worker %d", w.number)
		}
	}
	f, err := os.Create(filepath.Join(w.folder, soldFile(w.number)))
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	for _, t := range w.tills {
		for _, d := range t.documents() {
			fmt.Fprintf(out, "%s %x\n", d.key, d.sha256)
		}
	}
	last := w.report()
	last.Ended = true
	return errors.Join(out.Flush(), w.out.Encode(last))
}

func (w *worker) empty() bool {
	for _, t := range w.tills {
		if !t.empty() {
			return false
		}
	}
	return true
}

// soldFile is where a worker writes what its tills sold: key and SHA-256, one line
// each.
func soldFile(number int) string { return fmt.Sprintf("vendidos-%d", number) }
