package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"zelo/collector/ingest"
	"zelo/collector/store"
)

// figures are what the collector counts, for Prometheus. They name no tenant, no
// till and no document.
type figures struct {
	set          *metrics.Set
	batches      *metrics.Counter
	acknowledged *metrics.Counter
	quarantined  *metrics.Counter
	refused      *metrics.Counter
	stored       *metrics.Histogram
	waited       *metrics.Histogram
}

func newFigures() *figures {
	s := metrics.NewSet()
	return &figures{set: s,
		batches:      s.NewCounter("zelo_batches_total"),
		acknowledged: s.NewCounter("zelo_records_acknowledged_total"),
		quarantined:  s.NewCounter("zelo_records_quarantined_total"),
		refused:      s.NewCounter("zelo_connections_refused_total"),
		stored:       s.NewHistogram("zelo_store_update_seconds"),
		waited:       s.NewHistogram("zelo_acknowledge_seconds"),
	}
}

// batch counts one transaction of documents and what else agents send.
func (f *figures) batch(b ingest.Batch) {
	f.batches.Inc()
	f.acknowledged.Add(b.Acknowledged)
	f.quarantined.Add(b.Quarantined)
	f.stored.Update(b.Stored.Seconds())
	f.waited.Update(b.Waited.Seconds())
}

// connected tells how many agents are connected to this collector's own broker.
func (f *figures) connected(count func() int) {
	f.set.NewGauge("zelo_agents_connected", func() float64 { return float64(count()) })
}

// probeTime is how long the store may take to answer a question about its health.
const probeTime = 5 * time.Second

// watched is the handler for those who watch over this process: /healthz says that
// it lives, /readyz that it can take documents, /metrics its figures.
func (c *collector) watched(brokerUp func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTime)
		defer cancel()
		if err := c.store.Probe(ctx, time.Now()); err != nil {
			c.log.Error("not ready", "err", err)
			http.Error(w, "o banco de dados não grava", http.StatusServiceUnavailable)
			return
		}
		if !brokerUp() {
			http.Error(w, "o broker não atende", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTime)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		c.figures.set.WritePrometheus(w)
		if err := c.writeStanding(ctx, w); err != nil {
			c.log.Error("figures of the store not told", "err", err)
		}
		metrics.WriteProcessMetrics(w)
	})
	return mux
}

// writeStanding tells what the store holds that somebody has to look after.
func (c *collector) writeStanding(ctx context.Context, w io.Writer) error {
	var s store.Standing
	err := c.store.View(ctx, store.All(), func(r *store.Reader) (err error) {
		s, err = r.Standing(time.Now().Add(-heardLately))
		return err
	})
	if err != nil {
		return err
	}
	metrics.WriteGaugeUint64(w, "zelo_agents", uint64(s.Agents))
	metrics.WriteGaugeUint64(w, "zelo_agents_heard", uint64(s.Heard))
	metrics.WriteGaugeUint64(w, "zelo_quarantine", uint64(s.Quarantined))
	for severity, name := range map[int]string{1: "notice", 2: "warning", 3: "critical"} {
		metrics.WriteGaugeUint64(w, fmt.Sprintf("zelo_alarms_open{severity=%q}", name), uint64(s.Alarms[severity]))
	}
	return nil
}

// heardLately is how recently an agent was heard that counts as heard: agents give a
// sign of life each minute.
const heardLately = 5 * time.Minute
