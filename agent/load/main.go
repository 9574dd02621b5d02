// Command load puts thousands of simulated tills on one collector and says what
// that costs: the agent's own uplink and buffer, MQTT over mutual TLS, one real
// collector process with its embedded broker and SQLite. What each till sold is at
// the end compared, byte for byte by SHA-256, with the collector's own export.
//
// Simulated are the sale (a document signed here, put straight into the buffer as
// the router does) and the cut of the network (sessions end and none begins). The
// tills live in a few processes of this same program, started with -worker; the
// programs talk by lines of JSON (order and report).
//
// Files: main.go the phases, crew.go the workers together, collector.go the
// collector's process, worker.go one process of tills, till.go one till, enrol.go
// their certificates, sale.go their documents, watch.go who looks at alarms.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// mostTills is what one address can be reached from by one machine's free ports.
const mostTills = 25_000

func main() {
	tills := flag.Int("tills", 500, "how many tills")
	phase := flag.Duration("phase", time.Minute, "how long each phase with sales lasts")
	bin := flag.String("bin", "bin", "folder of the built programs")
	folder := flag.String("folder", "build/load", "folder for everything; 8 MiB of disk for each till while it runs")
	number := flag.Int("worker", -1, "internal: this is the process of tills with this number")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *number >= 0 {
		err = work(ctx, *folder, *number)
	} else {
		err = load(ctx, *tills, *phase, *bin, *folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// load runs all phases and prints the result as the last line.
func load(ctx context.Context, tills int, phase time.Duration, bin, folder string) (err error) {
	if tills < 1 || tills > mostTills {
		return fmt.Errorf("cannot simulate %d tills: from 1 to %d, more take more machines", tills, mostTills)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if folder, err = os.MkdirTemp(folder, "run-"); err != nil {
		return err
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	s := &stage{ctx: ctx, tills: tills, phase: phase, folder: folder}
	defer s.cleanUp()
	if s.collector, err = newCollector(ctx, bin, folder); err != nil {
		return err
	}
	for _, step := range []func() error{s.enrol, s.stock, s.connect, s.watch, s.sell, s.alarms, s.restart, s.outage, s.finish} {
		if err := step(); err != nil {
			return errors.Join(err, s.collector.lastWords())
		}
	}
	fmt.Printf("load: %d tills, %.1f KiB/till, %.0f docs/s, reconnect all in %.1f s, %d lost, alarm p99 %d ms\n",
		tills, s.perTill, s.crew.best, s.reconnect.Seconds(), s.lost, s.alarm.Milliseconds())
	if s.lost > 0 {
		return fmt.Errorf("%d documents of tills are not at the collector as they were sold", s.lost)
	}
	return nil
}

// stage is one run and what it has measured.
type stage struct {
	ctx       context.Context
	tills     int
	phase     time.Duration
	folder    string
	collector *collector
	crew      *crew

	before    int64   // bytes of the collector's memory without tills
	perTill   float64 // KiB
	reconnect time.Duration
	lost      int

	watcher *watcher
	raised  int           // facts
	lunch   time.Time     // when the last phase of sales began
	open    []int         // tills with a fact that is not over, the oldest first
	alarm   time.Duration // p99 of both the page and the channel, from the fact on
}

func (s *stage) say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

func (s *stage) cleanUp() {
	if s.watcher != nil {
		s.watcher.close()
	}
	if s.crew != nil {
		s.crew.kill()
	}
	if s.collector != nil {
		s.collector.kill()
	}
	os.RemoveAll(s.folder)
}

// enrol gives every till a certificate, then starts the collector anew: its
// memory shall not begin with what enrolment left behind.
func (s *stage) enrol() error {
	if err := s.collector.start(); err != nil {
		return err
	}
	began := time.Now()
	var err error
	if s.crew, err = startCrew(s.ctx, s.collector, s.folder, s.tills); err != nil {
		return err
	}
	took := time.Since(began)
	s.say("%d caixas cadastrados em %.1f s (%.0f por segundo), em %d processos", s.tills, took.Seconds(),
		float64(s.tills)/took.Seconds(), len(s.crew.workers))
	if err := s.collector.stop(); err != nil {
		return err
	}
	if err := s.collector.start(); err != nil {
		return err
	}
	s.before, err = s.collector.memory()
	return err
}

// stock has what ordinary days sell issued before it is sold.
func (s *stage) stock() error {
	began := time.Now()
	n := int((steadyRate + lunchRate) * float64(s.tills) * s.phase.Seconds())
	err := s.crew.stock(n)
	s.say("%d cupons emitidos antes das vendas em %.1f s", n, time.Since(began).Seconds())
	return err
}

// connect lets all tills connect at once and measures when they have settled.
func (s *stage) connect() error {
	cpu := s.collector.cpu()
	began := time.Now()
	s.crew.order(order{Connect: true})
	if err := s.crew.until("all tills to be connected", s.allConnected); err != nil {
		return err
	}
	s.say("todos conectados em %.1f s; CPU do coletor por conexão: %.2f ms", time.Since(began).Seconds(),
		(s.collector.cpu()-cpu).Seconds()*1000/float64(s.tills))
	if err := s.sayMemory("logo depois de conectar"); err != nil {
		return err
	}
	cpu = s.collector.cpu()
	if err := s.crew.pass(s.phase); err != nil {
		return err
	}
	s.say("sem vendas: CPU do coletor %.1f %% de um núcleo", 100*(s.collector.cpu()-cpu).Seconds()/s.phase.Seconds())
	if err := s.sayMemory("em repouso"); err != nil {
		return err
	}
	now, err := s.collector.memory()
	s.perTill = float64(now-s.before) / 1024 / float64(s.tills)
	return err
}

func (s *stage) allConnected(t totals) bool { return t.connected == s.tills }

func (s *stage) sayMemory(when string) error {
	now, err := s.collector.memory()
	s.say("memória do coletor %s: %.1f MiB, %.1f KiB por caixa", when, float64(now)/(1<<20), float64(now-s.before)/1024/float64(s.tills))
	return err
}

// Sales of one till: one a minute is a busy shop, and at lunch there are four
// times as many.
const (
	steadyRate = 1.0 / 60 // a second
	lunchRate  = 4 * steadyRate
)

// sell is an ordinary day and its lunch.
func (s *stage) sell() error {
	for _, p := range []struct {
		name string
		rate float64
	}{{"vendas normais", steadyRate}, {"pico do almoço", lunchRate}} {
		sold, cpu := s.crew.totals().sold, s.collector.cpu()
		s.lunch = time.Now()
		s.crew.order(order{Rate: p.rate})
		s.crew.forgetTrips()
		if err := s.raise(s.phase); err != nil {
			return err
		}
		s.say("%s: %.0f documentos por segundo, do buffer até a confirmação p50 %v, p99 %v; CPU do coletor %.0f %% de um núcleo", p.name,
			float64(s.crew.totals().sold-sold)/s.phase.Seconds(), s.crew.trip(50), s.crew.trip(99), 100*(s.collector.cpu()-cpu).Seconds()/s.phase.Seconds())
		if err := s.sayMemory("depois"); err != nil {
			return err
		}
	}
	s.crew.order(order{Rate: steadyRate})
	return nil
}

// watch opens the page and the channel that facts are looked for on.
func (s *stage) watch() (err error) {
	s.watcher, err = newWatcher(s.ctx, s.collector.pages, s.collector.secret)
	return err
}

// Facts come one by one, so far apart that each is news of its own, and each is over
// once it was seen.
const factEvery = time.Second

// raise lets facts happen for a time, each at another till.
func (s *stage) raise(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if s.raised < s.tills {
			till := s.raised * 7919 % s.tills // far apart
			s.crew.happen(fact{Till: till})
			s.raised++
			s.open = append(s.open, till)
		}
		if err := s.crew.pass(factEvery / 2); err != nil {
			return err
		}
		s.settle()
		if err := s.crew.pass(factEvery / 2); err != nil {
			return err
		}
	}
	return nil
}

// settle ends the oldest fact if it was seen.
func (s *stage) settle() {
	if len(s.open) > 0 && s.watcher.saw(seenKey{serialOf(s.open[0]), false}) {
		s.crew.happen(fact{Till: s.open[0], Over: true})
		s.open = s.open[1:]
	}
}

// seenWithin is how long the last facts may take to be seen.
const seenWithin = 30 * time.Second

// alarms looks how long facts took to the page and to the channel.
func (s *stage) alarms() error {
	seen := func() bool { s.settle(); return s.watcher.complete(2 * s.raised) }
	if err := s.crew.watch(seenWithin, seen, func() error { return nil }); err != nil {
		return err
	}
	facts := s.crew.facts()
	slices.SortFunc(facts, func(a, b happened) int { return a.At.Compare(b.At) })
	lunch, _ := slices.BinarySearchFunc(facts, s.lunch, func(f happened, at time.Time) int { return f.At.Compare(at) })
	for _, p := range []struct {
		name  string
		facts []happened
	}{{"nas vendas normais", facts[:lunch]}, {"no pico do almoço", facts[lunch:]}, {"ao todo", facts}} {
		page, channel, err := s.watcher.delays(p.facts)
		if err != nil {
			return fmt.Errorf("not every fact was seen: %w", err)
		}
		s.say("%d fatos %s: na página p50 %v, p99 %v; no webhook p50 %v, p99 %v", len(page), p.name,
			percentile(page, 50), percentile(page, 99), percentile(channel, 50), percentile(channel, 99))
		s.alarm = max(percentile(page, 99), percentile(channel, 99))
	}
	s.say("dos fatos, até a confirmação no caixa p50 %v, p99 %v; uma leitura da lista de alarmes p50 %v",
		s.crew.told(50), s.crew.told(99), s.watcher.reading())
	s.watcher.close()
	s.watcher = nil
	return nil
}

// downTime is how long the collector is away at its restart: the attempts of tills
// have spread by then.
const downTime = 10 * time.Second

// restart kills the collector as a power cut does; sales go on. All tills come
// back, and what they sold meanwhile is taken in.
func (s *stage) restart() error {
	s.collector.kill()
	if err := s.crew.pass(downTime); err != nil {
		return err
	}
	if err := s.crew.until("all tills to notice", func(t totals) bool { return t.connected == 0 }); err != nil {
		return err
	}
	if err := s.collector.start(); err != nil {
		return err
	}
	began := time.Now()
	if err := s.crew.until("most tills to be back", func(t totals) bool { return t.connected*100 >= s.tills*99 }); err != nil {
		return err
	}
	most := time.Since(began)
	if err := s.crew.until("all tills to be back", s.allConnected); err != nil {
		return err
	}
	s.reconnect = time.Since(began)
	s.say("coletor morto e reiniciado depois de %v: 99 %% de volta em %.1f s, todos em %.1f s", downTime, most.Seconds(), s.reconnect.Seconds())
	err := s.crew.until("what was sold meanwhile to be confirmed", func(t totals) bool { return t.waiting < s.tills/20+5 })
	s.say("o que se vendeu enquanto isso confirmado em %.1f s", time.Since(began).Seconds())
	return errors.Join(err, s.sayMemory("depois"))
}

// outage cuts 40 % of the tills off, which sell on.
func (s *stage) outage() error {
	s.crew.order(order{Cut: 40})
	if err := s.crew.pass(s.phase); err != nil {
		return err
	}
	t := s.crew.totals()
	s.say("40 %% sem rede por %v: %d conectados, %d documentos guardados nos caixas", s.phase, t.connected, t.waiting)
	began := time.Now()
	s.crew.order(order{Mend: true})
	if err := s.crew.until("the tills cut off to be back", s.allConnected); err != nil {
		return err
	}
	s.say("a rede voltou: todos conectados em %.1f s", time.Since(began).Seconds())
	return nil
}

// finish ends the sales, waits until everything is acknowledged, and compares.
func (s *stage) finish() error {
	s.crew.order(order{Rate: -1})
	began := time.Now()
	if err := s.crew.until("everything to be confirmed", func(t totals) bool { return t.waiting == 0 }); err != nil {
		return err
	}
	s.say("tudo confirmado em %.1f s depois da última venda", time.Since(began).Seconds())
	if err := s.crew.end(); err != nil {
		return err
	}
	sold, err := s.crew.sold()
	if err != nil {
		return err
	}
	missing, differing, strange, err := s.collector.compare(sold)
	if err != nil {
		return err
	}
	s.say("comparados %d documentos: %d faltam, %d diferem, %d a mais", len(sold), missing, differing, strange)
	s.lost = missing + differing
	if strange > 0 {
		return fmt.Errorf("the collector has %d documents that no till sold", strange)
	}
	return nil
}
