package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Tills of one process: as many as its file descriptors allow, three for each.
const workerTills = 2400

// patience is how long to wait for anything.
const patience = 15 * time.Minute

// crew is all workers.
type crew struct {
	ctx     context.Context
	folder  string
	workers []*member
	best    float64 // most documents acknowledged a second, over bestSpan
	marks   []mark
}

// bestSpan is over how long the best rate is taken.
const bestSpan = 5 * time.Second

// mark is how many documents were acknowledged at a time.
type mark struct {
	at    time.Time
	acked int
}

// totals is what all workers report together.
type totals struct{ connected, sold, waiting int }

// member is one worker as its chief sees it.
type member struct {
	cmd    *exec.Cmd
	in     *json.Encoder
	closer io.Closer
	done   chan struct{} // closed when the process has ended and its words are read

	mu    sync.Mutex
	last  report
	trips []time.Duration
	told  []time.Duration
	facts []happened
}

// startCrew starts the processes and has their tills enrolled.
func startCrew(ctx context.Context, c *collector, folder string, tills int) (*crew, error) {
	crew := &crew{ctx: ctx, folder: folder}
	a, err := c.access(tills)
	if err != nil {
		return crew, err
	}
	for from := 0; from < tills; from += workerTills {
		m, err := startMember(folder, len(crew.workers))
		if err != nil {
			return crew, err
		}
		crew.workers = append(crew.workers, m)
		m.in.Encode(order{Begin: &brief{a, from, min(from+workerTills, tills)}})
	}
	ready := func() bool {
		return !slices.ContainsFunc(crew.workers, func(m *member) bool { return !m.report().Ready })
	}
	return crew, crew.until("the tills to be enrolled", func(totals) bool { return ready() })
}

// startMember starts a worker. One goroutine reads its reports and ends with it.
func startMember(folder string, number int) (*member, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &member{cmd: exec.Command(self, "-worker", strconv.Itoa(number), "-folder", folder), done: make(chan struct{})}
	m.cmd.Stderr = os.Stderr
	in, err := m.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	m.in, m.closer = json.NewEncoder(in), in
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start a process of tills: %w", err)
	}
	go m.listen(out)
	return m, nil
}

func (m *member) listen(out io.Reader) {
	defer close(m.done)
	for lines := json.NewDecoder(bufio.NewReader(out)); ; {
		var r report
		if lines.Decode(&r) != nil {
			m.cmd.Wait()
			return
		}
		m.mu.Lock()
		r.Ready, r.Stocked = r.Ready || m.last.Ready, r.Stocked || m.last.Stocked
		m.trips, m.told = append(m.trips, r.Trips...), append(m.told, r.Told...)
		m.facts = append(m.facts, r.Facts...)
		r.Trips, r.Told, r.Facts = nil, nil, nil
		m.last = r
		m.mu.Unlock()
	}
}

func (m *member) report() report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// ended reports whether the process is gone, which it is not before it was told.
func (m *member) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// order tells all workers. One that does not listen has ended, which until and pass
// notice.
func (c *crew) order(o order) {
	for _, m := range c.workers {
		m.in.Encode(o)
	}
}

func (c *crew) totals() (t totals) {
	for _, m := range c.workers {
		r := m.report()
		t.connected += r.Connected
		t.sold += r.Sold
		t.waiting += r.Waiting
	}
	return t
}

// until waits for something that the workers report.
func (c *crew) until(what string, reached func(totals) bool) error {
	return c.watch(patience, func() bool { return reached(c.totals()) }, func() error {
		return fmt.Errorf("waited %v for %s in vain: %+v %s", patience, what, c.totals(), c.trouble())
	})
}

// stock has documents issued ahead of their sales.
func (c *crew) stock(n int) error {
	c.order(order{Stock: 1 + n/len(c.workers)})
	return c.until("documents to be issued ahead", func(totals) bool {
		return !slices.ContainsFunc(c.workers, func(m *member) bool { return !m.report().Stocked })
	})
}

// pass lets time pass.
func (c *crew) pass(d time.Duration) error {
	return c.watch(d, func() bool { return false }, func() error { return nil })
}

// watch looks at the reports until something is true, or the time is over.
func (c *crew) watch(d time.Duration, reached func() bool, over func() error) error {
	tick := time.NewTicker(reportEvery / 5)
	defer tick.Stop()
	end := time.After(d)
	for !reached() {
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-end:
			return over()
		case now := <-tick.C:
			c.note(now)
		}
		if slices.ContainsFunc(c.workers, (*member).ended) {
			return fmt.Errorf("a process of tills has ended: %s", c.trouble())
		}
	}
	return nil
}

// note keeps the best rate of acknowledgement.
func (c *crew) note(now time.Time) {
	t := c.totals()
	c.marks = append(c.marks, mark{now, t.sold - t.waiting})
	for len(c.marks) > 1 && now.Sub(c.marks[1].at) >= bestSpan {
		c.marks = c.marks[1:]
	}
	if span := now.Sub(c.marks[0].at); span >= bestSpan {
		c.best = max(c.best, float64(t.sold-t.waiting-c.marks[0].acked)/span.Seconds())
	}
}

func (c *crew) trouble() (why string) {
	for _, m := range c.workers {
		if r := m.report(); r.Err != "" {
			why = r.Err
		}
	}
	return why
}

func (c *crew) forgetTrips() {
	for _, m := range c.workers {
		m.mu.Lock()
		m.trips = nil
		m.mu.Unlock()
	}
}

// trip is a percentile of the time from sale to acknowledgement, told of that from a fact
// to its.
func (c *crew) trip(percent int) time.Duration {
	return c.percentile(percent, func(m *member) []time.Duration { return m.trips })
}

func (c *crew) told(percent int) time.Duration {
	return c.percentile(percent, func(m *member) []time.Duration { return m.told })
}

func (c *crew) percentile(percent int, of func(*member) []time.Duration) time.Duration {
	var all []time.Duration
	for _, m := range c.workers {
		m.mu.Lock()
		all = append(all, of(m)...)
		m.mu.Unlock()
	}
	slices.Sort(all)
	return percentile(all, percent)
}

// facts are all that happened.
func (c *crew) facts() (all []happened) {
	for _, m := range c.workers {
		m.mu.Lock()
		all = append(all, m.facts...)
		m.mu.Unlock()
	}
	return all
}

// happen has a till write down a fact.
func (c *crew) happen(f fact) {
	at := f.Till / workerTills
	f.Till -= at * workerTills
	c.workers[at].in.Encode(order{Fact: &f})
}

// end has the workers write down what was sold, and waits for them.
func (c *crew) end() error {
	c.order(order{End: true})
	for _, m := range c.workers {
		select {
		case <-m.done:
		case <-time.After(patience):
		}
		if r := m.report(); !r.Ended {
			return fmt.Errorf("a process of tills did not end well: %s", r.Err)
		}
	}
	return nil
}

// sold reads what the workers wrote: SHA-256 in hexadecimal, by key.
func (c *crew) sold() (map[string]string, error) {
	all := map[string]string{}
	for i := range c.workers {
		f, err := os.Open(filepath.Join(c.folder, soldFile(i)))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var key, sum string
			if _, err := fmt.Sscan(lines.Text(), &key, &sum); err != nil {
				return nil, err
			}
			if _, twice := all[key]; twice {
				return nil, fmt.Errorf("two sales have the key %s", key)
			}
			all[key] = sum
		}
	}
	if n := c.totals().sold; len(all) != n {
		return nil, fmt.Errorf("the tills sold %d documents and wrote down %d", n, len(all))
	}
	return all, nil
}

func (c *crew) kill() {
	for _, m := range c.workers {
		m.closer.Close()
		m.cmd.Process.Kill()
		<-m.done
	}
}
