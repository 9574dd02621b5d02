package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// commit writes prepared messages in one transaction.
func (g *Ingest) commit(ctx context.Context, group []message) (results []Result, err error) {
	err = g.o.Store.Update(ctx, func(w *store.Writer) error {
		t := &transaction{w: w, heard: map[string]bool{}, marked: map[alarm.Subject]bool{}, results: make([]Result, len(group))}
		results = t.results
		return t.put(group)
	})
	if err != nil {
		return nil, err
	}
	now := g.o.Now()
	for i, m := range group {
		results[i].Acks = m.acks(wire.Epoch(g.o.Store.Epoch()), now)
		results[i].Replies = m.replies(wire.Epoch(g.o.Store.Epoch()), now, g.o.Renew)
	}
	return results, nil
}

// commitApart finds what made a transaction fail: it commits message by message,
// and the records of a failing message one by one. A record that the store
// refuses alone, while it takes others, goes into quarantine; an error means that the
// store takes nothing.
func (g *Ingest) commitApart(ctx context.Context, group []message) ([]Result, error) {
	var all []Result
	for i := range group {
		results, err := g.commit(ctx, group[i:i+1])
		if err != nil {
			results, err = g.commitRecords(ctx, group[i])
		}
		if err != nil {
			return nil, err
		}
		all = append(all, results...)
	}
	return all, nil
}

func (g *Ingest) commitRecords(ctx context.Context, m message) ([]Result, error) {
	if len(m.records) == 0 {
		results, err := g.commitOnce(ctx, m)
		if errors.Is(err, errRefused) {
			g.refuseMessage(&m, reasonStore)
			results, err = g.commit(ctx, []message{m})
		}
		return results, err
	}
	sum := Result{}
	for _, r := range m.records {
		alone := m
		alone.records = []*record{r}
		results, err := g.commitOnce(ctx, alone)
		if errors.Is(err, errRefused) {
			g.refuse(r, reasonStore)
			results, err = g.commit(ctx, []message{alone})
		}
		if err != nil {
			return nil, err
		}
		sum.Stored += results[0].Stored
		sum.Duplicates += results[0].Duplicates
		sum.Quarantined += results[0].Quarantined
		sum.Acks = append(sum.Acks, results[0].Acks...)
	}
	return []Result{sum}, nil
}

// errRefused reports something that the store refuses while it takes other things.
var errRefused = errors.New("the store refuses it")

// commitOnce commits what failed among others. What fails with the store is no fault of
// it: only when the store is written to in between, and it fails again, it is refused.
func (g *Ingest) commitOnce(ctx context.Context, m message) ([]Result, error) {
	results, err := g.commit(ctx, []message{m})
	if err == nil {
		return results, nil
	}
	if down := g.o.Store.Probe(ctx, g.o.Now()); down != nil {
		return nil, down
	}
	if results, err = g.commit(ctx, []message{m}); err != nil {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return results, err
}

// acks name every record of a message, which all are stored now.
func (m message) acks(storeEpoch wire.Epoch, now time.Time) (out []wire.Ack) {
	for part := range slices.Chunk(m.records, maxAckRecords) {
		a := wire.Ack{Version: wire.Version, Epoch: m.epoch, StoreEpoch: storeEpoch, Time: now.UnixMilli(), Stream: m.Stream}
		for _, r := range part {
			a.Records = append(a.Records, wire.AckRecord{Seq: r.Seq, SHA256: r.SHA256})
		}
		out = append(out, a)
	}
	return out
}

// transaction puts one group into the store.
type transaction struct {
	w       *store.Writer
	heard   map[string]bool        // agents
	marked  map[alarm.Subject]bool // to be judged: true at once, false if an alarm about it is open
	results []Result
}

// mark has a subject judged soon.
func (t *transaction) mark(kind alarm.Kind, id string) {
	if id != "" {
		t.marked[alarm.Subject{Kind: kind, ID: id}] = true
	}
}

// markOpen has a subject judged soon if that may end an alarm. It is for what comes all
// the time and raises nothing by itself: what it lets be raised later, because time
// passes, the next Tick sees.
func (t *transaction) markOpen(kind alarm.Kind, id string) {
	if s := (alarm.Subject{Kind: kind, ID: id}); id != "" && !t.marked[s] {
		t.marked[s] = false
	}
}

// place is a record with the index of its message's result.
type place struct {
	*record
	result int
}

func (t *transaction) put(group []message) error {
	var places []place
	for i, m := range group {
		if err := t.putMessage(m, &t.results[i]); err != nil {
			return err
		}
		for _, r := range m.records {
			places = append(places, place{r, i})
		}
	}
	// Documents in the order of their keys touch few index pages.
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.key(), b.key()) })
	fresh, err := t.archive(places)
	if err != nil {
		return err
	}
	for i, p := range places {
		if err := t.putRecord(p.record, fresh[i], &t.results[p.result]); err != nil {
			return err
		}
	}
	for s, now := range t.marked {
		mark := t.w.MarkOpen
		if now {
			mark = t.w.Mark
		}
		if err := mark(s); err != nil {
			return err
		}
	}
	return nil
}

// archive stores the documents of all records and where they came from, and reports
// which records are new.
func (t *transaction) archive(places []place) ([]bool, error) {
	var documents []store.NewDocument
	for _, p := range places {
		if p.document != nil {
			documents = append(documents, store.NewDocument{Document: *p.document, Body: p.body})
		}
	}
	added, err := t.w.AddDocuments(documents...)
	if err != nil {
		return nil, err
	}
	var arrivals []store.Arrival
	for _, p := range places {
		a := store.Arrival{Record: p.Record}
		switch {
		case p.latest():
			continue
		case p.document != nil:
			a.Document, added = added[0].ID, added[1:]
		}
		arrivals = append(arrivals, a)
	}
	news, err := t.w.AddArrivals(arrivals...)
	if err != nil {
		return nil, err
	}
	fresh := make([]bool, len(places))
	for i, p := range places {
		if !p.latest() {
			fresh[i], news = news[0], news[1:]
		}
	}
	return fresh, nil
}

func (r *record) key() string {
	if r.document == nil {
		return ""
	}
	return r.document.Key
}

// putMessage notes that the agent was heard, and stores a beat or a payload that
// was not understood.
func (t *transaction) putMessage(m message, result *Result) error {
	if m.Agent != "" && !t.heard[m.Agent] {
		t.heard[m.Agent] = true
		if err := t.w.Heard(m.Agent, m.At); err != nil {
			return err
		}
	}
	switch {
	case m.unfinished:
		result.Unfinished = true
	case m.refused != "":
		result.Quarantined++
		t.marked[store.QuarantineOf(m.Agent)] = true
		return t.w.Quarantine(store.Quarantined{Agent: m.Agent, Stream: m.Stream, Reason: m.refused, ReceivedAt: m.At}, m.body)
	case m.beat != nil:
		result.Stored++
		return t.putBeat(m)
	case m.dictionary.Size > 0:
		result.Stored++
		held, err := t.w.AddDictionary(m.Agent, uint32(m.answer.Number), m.dictionary, m.At)
		m.answer.Held = held
		return err
	}
	return nil
}

func (t *transaction) putBeat(m message) error {
	b := store.Beat{Agent: store.Agent{
		ID: m.Agent, Host: short(m.beat.Host), System: short(m.beat.System), Software: short(m.beat.Software), BeatAt: m.At,
		StartedAt: moment(m.beat.Started), ClockOff: time.UnixMilli(m.beat.Clock).Sub(m.At), Waiting: m.beat.Waiting,
		OldestAt: moment(m.beat.Oldest), Used: m.beat.Used, Bound: m.beat.Bound,
	}}
	b.Machine, b.Run, b.Terms = short(m.beat.Machine), short(m.beat.Run), short(m.beat.Terms)
	for _, d := range m.beat.Devices {
		b.Devices = append(b.Devices, store.BeatDevice{Serial: short(d.Serial), Name: short(d.Name), Answering: d.Answering, OpenCases: d.OpenCases})
	}
	if err := t.markBeat(b); err != nil {
		return err
	}
	if err := t.w.SetBeat(b); err != nil {
		return err
	}
	if len(m.beat.SealKey) > 0 {
		if err := t.w.SetSealKey(m.Agent, m.beat.SealKey, m.beat.Epoch.String()); err != nil {
			return err
		}
	}
	return nil
}

// markBeat marks what a beat is about, before it is stored. Beats come as often as
// everything is judged: only what is new in one is judged at once.
func (t *transaction) markBeat(b store.Beat) error {
	old, err := t.w.Agent(b.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	t.markOpen(alarm.OfAgent, b.ID)
	if old.BeatAt.IsZero() || old.Software != b.Software {
		t.mark(alarm.OfAgent, b.ID)
	}
	answers := map[string]bool{}
	for _, d := range b.Devices {
		answers[d.Serial] = d.Answering
	}
	known, err := t.w.DevicesOf(b.ID)
	for _, d := range known {
		t.markOpen(alarm.OfDevice, d.Serial)
		if answers[d.Serial] != d.SilentSince.IsZero() {
			t.mark(alarm.OfDevice, d.Serial)
		}
		delete(answers, d.Serial)
	}
	for serial := range answers { // seen for the first time
		t.mark(alarm.OfDevice, serial)
	}
	return err
}

// moment is a wire's Unix milliseconds; 0 is no time.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// putRecord stores what a record says beside its document.
func (t *transaction) putRecord(r *record, fresh bool, result *Result) error {
	switch {
	case r.status != nil:
		result.Stored++
		return t.putStatus(r)
	case r.told != nil:
		result.Stored++
		return t.putTold(r)
	case !fresh:
		result.Duplicates++
	case r.refused != "":
		return t.quarantine(r, r.refused, result)
	case r.news != nil:
		return t.putCommand(r, result)
	case r.log != nil:
		return t.putLog(r, result)
	case r.document != nil:
		result.Stored++
		t.markDocument(r)
		if r.outside && r.document.Serial != "" {
			return t.w.IssuedOutside(r.document.Serial, r.document.Key, r.document.Issued)
		}
	case r.event != nil:
		result.Stored++
		t.mark(alarm.OfDevice, r.event.Serial)
		t.mark(alarm.OfAgent, r.Agent)
		return t.w.AddEvent(*r.event, r.Record)
	}
	return nil
}

// quarantine keeps a record as it came.
func (t *transaction) quarantine(r *record, reason string, result *Result) error {
	result.Quarantined++
	t.marked[store.QuarantineOf(r.Agent)] = true
	return t.w.Quarantine(store.Quarantined{Agent: r.Agent, Stream: r.Stream, File: r.File, Reason: reason, ReceivedAt: r.At}, r.body)
}

// putStatus stores a status, its clock measured against ours through the
// agent's.
func (t *transaction) putStatus(r *record) error {
	agent, err := t.w.Agent(r.Agent)
	if err != nil {
		return err
	}
	st := *r.status
	st.ClockOff += agent.ClockOff
	st.ClockKnown = st.ClockKnown && !agent.BeatAt.IsZero()
	t.mark(alarm.OfDevice, r.serial)
	return t.w.SetStatus(r.serial, st, r.Record)
}

// markDocument marks the device of a document: at once if the document says something
// of it by itself.
func (t *transaction) markDocument(r *record) {
	if d := r.document; d.Forbidden || d.Invalid || d.Cancels != "" || r.outside {
		t.mark(alarm.OfDevice, d.Serial)
	} else {
		t.markOpen(alarm.OfDevice, d.Serial)
	}
}
