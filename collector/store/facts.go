package store

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"zelo/collector/alarm"
)

// Facts gathers what the rules judge now about a subject. ErrNotFound: nothing of
// that name is known, or the reader does not see everything.
func (r *Reader) Facts(s alarm.Subject, now time.Time) (f alarm.Facts, err error) {
	if err := r.system(); err != nil {
		return f, err
	}
	f = alarm.Facts{Subject: s}
	switch s.Kind {
	case alarm.OfDevice:
		err = r.deviceFacts(&f)
	case alarm.OfAgent:
		err = r.agentFacts(&f, now)
	case alarm.OfCertificate:
		err = r.certificateFacts(&f, now)
	case alarm.OfShop:
		if f.Policy, err = r.policyOf(s.ID, 0); err == nil {
			err = r.shopFacts(&f)
		}
	case alarm.OfImports:
		f.Quarantined, err = r.quarantined("")
	default:
		err = ErrNotFound
	}
	if err == nil {
		f.Open, err = r.openSteps(s)
	}
	if err != nil {
		return f, fmt.Errorf("cannot gather facts of %s %s: %w", s.Kind, s.ID, err)
	}
	return f, nil
}

func (r *Reader) deviceFacts(f *alarm.Facts) error {
	d, err := r.Device(f.Subject.ID)
	if err != nil {
		return err
	}
	f.Device = &alarm.Device{
		FirstSeen: d.FirstSeen, Silent: d.SilentSince, StatusAt: d.StatusAt, Block: d.Status.Block, BlockSince: d.BlockSince,
		Memory: d.Status.Memory, LastContact: d.Status.LastContact, CertExpires: d.Status.CertExpires,
		ClockOff: d.Status.ClockOff, ClockKnown: d.Status.ClockKnown, LastIssued: d.LastIssued, LastSent: d.Status.LastSent,
		Software: d.Status.Software, Pending: d.Status.pending(),
	}
	agent := Agent{}
	if d.Agent != "" {
		if agent, err = r.Agent(d.Agent); err == nil {
			f.Agent = &alarm.Agent{Heard: agent.heard(), BeatAt: agent.BeatAt, Oldest: agent.OldestAt}
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if f.Policy, err = r.policyOf(d.CNPJ, agent.Reseller); err != nil {
		return err
	}
	for _, read := range []func() error{
		func() error { return r.partFacts(d, f.Device) },
		func() error { return r.dayFacts(d.Serial, f.Device) },
		func() error { return r.outsideFacts(d.Serial, d.Agent, f.Device) },
		func() error { return r.lineFacts(d, f.Device) },
		func() error { return r.aheadFacts(d, f.Device) },
	} {
		if err := read(); err != nil {
			return err
		}
	}
	if f.Device.PendingSince, err = r.PendingOldest(d); err != nil {
		return err
	}
	if f.Device.Forbidden, err = r.flagged("forbidden", d.Serial); err != nil {
		return err
	}
	if f.Device.Invalid, err = r.flagged("invalid", d.Serial); err != nil {
		return err
	}
	if f.Missing, err = r.missing("serial = $1 AND serial <> ''", d.Serial); err != nil {
		return err
	}
	if f.Unresolved, err = r.unresolved("serial = $1 AND serial <> ''", d.Serial); err != nil {
		return err
	}
	f.IssuedTwice, err = r.issuedTwice("serial = $1 AND serial <> ''", d.Serial)
	return err
}

// heard is when the agent was last heard; one that never spoke counts from its
// enrolment.
func (a Agent) heard() time.Time {
	if a.HeardAt.IsZero() {
		return a.FirstSeen
	}
	return a.HeardAt
}

func (r *Reader) agentFacts(f *alarm.Facts, now time.Time) error {
	a, err := r.Agent(f.Subject.ID)
	if err != nil {
		return err
	}
	f.Agent = &alarm.Agent{Heard: a.heard(), BeatAt: a.BeatAt, Used: a.Used, Bound: a.Bound, Software: a.Software, ClockOff: a.ClockOff}
	if f.Policy, err = r.policyOf(a.CNPJ, a.Reseller); err != nil {
		return err
	}
	if a.Software != "" {
		if f.Agent.Newest, f.Agent.NewestSince, err = r.newest("", `agents v WHERE v.software = n.version`); err != nil {
			return err
		}
	}
	if err := r.computerFacts(f.Agent, a.ID, now); err != nil {
		return err
	}
	told, err := r.events(a.ID, eventSetAside, eventEvicted, eventDamaged)
	if err != nil {
		return err
	}
	f.Agent.SetAside, f.Agent.Evicted, f.Agent.Damaged = told[eventSetAside], told[eventEvicted], told[eventDamaged]
	if f.Agent.Collided, err = r.collisions(a.ID); err != nil {
		return err
	}
	if f.Missing, err = r.missing("agent = $1 AND serial = ''", a.ID); err != nil {
		return err
	}
	if f.Unresolved, err = r.unresolved("agent = $1 AND serial = ''", a.ID); err != nil {
		return err
	}
	if f.IssuedTwice, err = r.issuedTwice("agent = $1 AND serial = ''", a.ID); err != nil {
		return err
	}
	if err := r.endFacts(f); err != nil {
		return err
	}
	f.Quarantined, err = r.quarantined(a.ID)
	return err
}

func scanHappening(s scanner, h *alarm.Happening) error {
	return s.Scan(&h.Count, at(&h.First), at(&h.Last), &h.Example)
}

// happening counts the rows that a condition picks of a table, and names the
// newest of them.
func (r *Reader) happening(table, time, example, where string, args ...any) (alarm.Happening, error) {
	return one(r, scanHappening, `SELECT count(*), coalesce(min(`+time+`), 0), coalesce(max(`+time+`), 0),
		coalesce((SELECT `+example+` FROM `+table+` WHERE `+where+` ORDER BY `+time+` DESC, id DESC LIMIT 1), '')
		FROM `+table+` WHERE `+where, args...)
}

func (r *Reader) flagged(flag, serial string) (alarm.Happening, error) {
	return r.happening("documents", "issued", "key", flag+" = 1 AND serial = $1 AND best = 1", serial)
}

// gather makes a happening of events, the newest last.
func gather(events []Event, example func(Event) string) (h alarm.Happening) {
	for _, e := range events {
		if h.Count == 0 || e.At.Before(h.First) {
			h.First = e.At
		}
		if e.At.After(h.Last) {
			h.Last = e.At
		}
		h.Count, h.Example = h.Count+1, example(e)
	}
	return h
}

// missing are documents reported missing that have not come since, from wherever.
func (r *Reader) missing(whose, id string) (h alarm.Happening, err error) {
	events, err := all(r, scanEvent, `SELECT `+eventColumns+` FROM events e WHERE code = '`+eventMissing+`' AND `+whose+` AND NOT EXISTS
		(SELECT 1 FROM documents d WHERE d.key = e.ref AND d.key <> '' AND d.part = '') ORDER BY at, id`, id)
	var left []Event
	for _, e := range events {
		came, err := r.cameWithoutKey(e)
		if err != nil {
			return h, err
		}
		if !came {
			left = append(left, e)
		}
	}
	return gather(left, func(e Event) string { return e.Ref }), err
}

// aroundMissing is how long before it was reported missing a document may have been
// issued.
const aroundMissing = 62 * 24 * time.Hour

// cameWithoutKey reports whether a document missing without its key is here: the
// numbers of its device have no gap from the first that may be its own to the newest
// that is known.
func (r *Reader) cameWithoutKey(e Event) (bool, error) {
	serial, from, ok := strings.Cut(e.Ref, fromNumber)
	first, err := strconv.Atoi(from)
	if !ok || err != nil {
		return false, nil
	}
	var held, newest int
	err = r.get(into{&held, &newest}, `SELECT count(DISTINCT number), coalesce(max(number), 0) FROM documents WHERE serial = $1
		AND serial <> '' AND best = 1 AND part = '' AND issued >= $2 AND number >= $3`, serial, ms(e.At.Add(-aroundMissing)), first)
	if err != nil || held == 0 {
		return false, err
	}
	d, err := r.Device(serial)
	if err != nil {
		return false, err
	}
	newest = max(newest, numberOf(d.Status.LastKey))
	return newest-first+1 == held, nil
}

// numberOf is the number in an access key, its characters 32 to 37 (dossier on
// documents, access key); 0 when it is none.
func numberOf(key string) int {
	if len(key) != 44 {
		return 0
	}
	n, err := strconv.Atoi(key[31:37])
	if err != nil {
		return 0
	}
	return n
}

// issuedTwice are sales that two devices issued, of which neither document is
// cancelled. They count from when the collector
// heard: a till with a wrong clock hides none.
func (r *Reader) issuedTwice(whose, id string) (h alarm.Happening, err error) {
	told, err := all(r, scanEvent, `SELECT `+eventColumns+` FROM events e WHERE code = '`+eventTwice+`' AND `+whose+` ORDER BY id`, id)
	var events []Event
	for _, e := range told {
		cancelled := false
		if err == nil {
			err = r.get(into{&cancelled}, `SELECT EXISTS (SELECT 1 FROM documents WHERE cancels IN ($1, $2) AND cancels <> '' AND best = 1)`,
				e.Ref, strings.TrimPrefix(e.Detail["twin"], "CFe"))
		}
		if !cancelled {
			events = append(events, e)
		}
	}
	h = gather(events, func(e Event) string {
		words := []string{"caso " + e.Detail["case"]}
		if e.Serial != "" {
			words = append([]string{"equipamento " + e.Serial}, words...)
		}
		if e.Ref != "" {
			words = append(words, "cupom "+e.Ref)
		}
		return strings.Join(words, ", ")
	})
	if h.Count > 0 {
		h.Last = events[len(events)-1].ReceivedAt
	}
	return h, err
}

// unresolved are cases without a later "resolved" of the same case.
func (r *Reader) unresolved(whose, id string) (alarm.Happening, error) {
	return r.happening("events e", "at", "ref", `code = '`+eventUnresolved+`' AND `+whose+` AND NOT EXISTS
		(SELECT 1 FROM events o WHERE o.agent = e.agent AND o.code = '`+eventResolved+`' AND o.ref = e.ref
			AND (o.stream_id > e.stream_id OR o.stream_id = e.stream_id AND o.seq > e.seq))`, id)
}

// events are an agent's of some codes.
func (r *Reader) events(agent string, codes ...string) (map[string]alarm.Happening, error) {
	told := map[string]alarm.Happening{}
	_, err := all(r, func(s scanner, _ *struct{}) error {
		var code string
		var h alarm.Happening
		err := s.Scan(&code, &h.Count, at(&h.First), at(&h.Last), &h.Example)
		told[code] = h
		return err
	}, `SELECT code, count(*), min(at), max(at), (SELECT ref FROM events l WHERE l.code = e.code AND l.agent = $1 ORDER BY at DESC, id DESC LIMIT 1)
		FROM events e WHERE agent = $1 AND code IN ('`+strings.Join(codes, "', '")+`') GROUP BY code`, agent)
	return told, err
}

func (r *Reader) collisions(agent string) (alarm.Happening, error) {
	return one(r, scanHappening, `SELECT coalesce(sum(collisions), 0), coalesce(min(first_collided), 0),
		coalesce(max(last_collided), 0), coalesce(min(stream), '') FROM streams WHERE agent = $1 AND collisions > 0`, agent)
}

func (r *Reader) quarantined(agent string) (alarm.Happening, error) {
	return r.happening("quarantine", "last_at", "reason", "agent = $1 AND settled_at = 0", agent)
}

// Subjects lists everything that rules judge.
func (r *Reader) Subjects() ([]alarm.Subject, error) {
	if err := r.system(); err != nil {
		return nil, err
	}
	return all(r, scanSubject, `SELECT 'agent', id FROM agents UNION ALL SELECT 'device', serial FROM devices
		UNION ALL SELECT 'imports', '' UNION ALL SELECT DISTINCT 'shop', issuer FROM number_lines WHERE serial = ''
		UNION ALL SELECT DISTINCT 'certificate', key FROM inventory WHERE what = '`+WhatCertificate+`'`)
}

func scanSubject(s scanner, v *alarm.Subject) error { return s.Scan(&v.Kind, &v.ID) }

// Mark says that the facts of subjects changed and rules must judge them. It
// commits with the facts; Evaluated takes it away. No two marks of a subject have
// the same version, also when one was taken away in between.
func (w *Writer) Mark(subjects ...alarm.Subject) error {
	for _, s := range subjects {
		err := w.exec(`INSERT INTO marks (kind, subject, version) VALUES ($1, $2, $3)
			ON CONFLICT (kind, subject) DO UPDATE SET version = excluded.version`, s.Kind, s.ID, 1+rand.Int64N(math.MaxInt64))
		if err != nil {
			return err
		}
	}
	return nil
}

// MarkOpen marks those subjects about which an alarm is open. It is for facts that raise
// nothing by themselves, but may end what was raised: they are many, and what time alone
// makes of them is judged with everything else.
func (w *Writer) MarkOpen(subjects ...alarm.Subject) error {
	for _, s := range subjects {
		err := w.exec(`INSERT INTO marks (kind, subject, version) SELECT kind, subject, $3 FROM alarms
			WHERE kind = $1 AND subject = $2 AND cleared_at = 0 LIMIT 1
			ON CONFLICT (kind, subject) DO UPDATE SET version = excluded.version`, s.Kind, s.ID, 1+rand.Int64N(math.MaxInt64))
		if err != nil {
			return err
		}
	}
	return nil
}

// Marked is a subject to judge, as of a version of its mark, which is above 0.
type Marked struct {
	alarm.Subject
	Version int64
}

// Marks returns at most limit marks after one subject, in order.
func (r *Reader) Marks(after alarm.Subject, limit int) ([]Marked, error) {
	if err := r.system(); err != nil {
		return nil, err
	}
	return all(r, func(s scanner, m *Marked) error { return s.Scan(&m.Kind, &m.ID, &m.Version) },
		`SELECT kind, subject, version FROM marks WHERE kind > $1 OR kind = $1 AND subject > $2
		ORDER BY kind, subject LIMIT $3`, after.Kind, after.ID, limit)
}

// Evaluated takes a mark away unless it was set again meanwhile.
func (w *Writer) Evaluated(m Marked) error {
	return w.exec(`DELETE FROM marks WHERE kind = $1 AND subject = $2 AND version = $3`, m.Kind, m.ID, m.Version)
}
