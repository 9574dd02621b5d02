package router

import (
	"errors"
	"fmt"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// Sale is a document made here; without a key there is none.
type Sale struct {
	At           time.Time // of the call
	Key          string
	Total        string // decimal with dot, as in the document
	Cancellation bool
}

// LastSale is the latest document of any till.
func (r *Router) LastSale() (Sale, error) {
	e := r.journal.lastIssued(func(*entry) bool { return true })
	if e == nil {
		return Sale{}, nil
	}
	full, err := r.journal.load(e)
	if err != nil {
		return Sale{}, err
	}
	reply, err := full.reply()
	if err != nil {
		return Sale{}, err
	}
	d, err := reply.Document()
	if err != nil {
		return Sale{}, err
	}
	doc, err := cfe.Parse(d.XML)
	if err != nil {
		return Sale{}, err
	}
	return Sale{At: e.time(), Key: string(doc.Key), Total: doc.Total, Cancellation: e.Function == sat.CancelarUltimaVenda}, nil
}

// LastDocument is the latest document of a device that a till's call here brought, byte
// for byte; nil when the journal has none.
func (r *Router) LastDocument(serial string) []byte {
	e := r.journal.lastIssued(func(e *entry) bool { return e.Serial == serial })
	if e == nil {
		return nil
	}
	_, reply, err := r.journal.said(e)
	if err != nil {
		return nil
	}
	d, err := reply.Document()
	if err != nil {
		return nil
	}
	return d.XML
}

// Case is a fiscal call whose outcome is not known.
type Case struct {
	ID       string // as the collector knows it
	Till     string
	Session  int // the till's
	Function sat.Function
	Serial   string // of the device
	Peer     string // the agent that lent it; "" for a device of this computer
	LastKey  string // the device's last document before the call
	At       time.Time
}

// Cases are the open ones, newest first.
func (r *Router) Cases() (all []Case) {
	for _, e := range r.journal.open() {
		all = append(all, Case{ID: r.caseID(e), Till: e.Till, Session: e.Session, Function: e.Function, Serial: e.Serial,
			Peer: e.Peer, LastKey: e.LastKey, At: e.time()})
	}
	return all
}

// unresolved tells the collector, once, of a case that stays open.
func (r *Router) unresolved(e *entry, cause error) {
	if e.Disputed {
		r.log.Debug("outcome of a sale still unknown", "till", e.Till, "session", e.Session, "err", cause)
		return
	}
	r.log.Warn("outcome of a sale still unknown", "till", e.Till, "session", e.Session, "err", cause)
	e.Disputed = true
	b := &buffer.Batch{}
	err := r.addEvent(b, wire.EventUnresolved, e)
	if err == nil {
		err = r.journal.update(e, b)
	}
	if err != nil {
		e.Disputed = false
		r.log.Error("event not queued", "code", wire.EventUnresolved, "err", err)
	}
}

// caseID names a case for the collector. Calls count from one again in a new
// buffer, hence its epoch.
func (r *Router) caseID(e *entry) string {
	epoch := r.journal.buf.Epoch()
	return fmt.Sprintf("%x/%s/%d", epoch[:4], e.Till, e.N)
}

// strayAfter is how long a device with an open case may be away before the collector
// hears of the case.
const strayAfter = time.Minute

// tellStray tells of open cases of devices that are at none of the addresses here:
// no owner asks about them.
func (r *Router) tellStray() {
	for _, e := range r.journal.open() {
		if e.Peer == "" && !e.Disputed && r.named(e.Serial) == nil && r.journal.steadyNow().Sub(e.steady()) > strayAfter {
			c := *e
			r.unresolved(&c, errElsewhere)
		}
	}
}

// setAside lets the call of an open case be made again by another device. The case
// stays open, and when its document turns up after all the collector hears of both.
func (r *Router) setAside(old *entry) error {
	full, err := r.journal.load(old)
	if err != nil || full.State != open {
		return err // settled meanwhile
	}
	full.Aside = true
	b := &buffer.Batch{}
	if err := r.addEvent(b, wire.EventSecondDevice, full); err != nil {
		return err
	}
	r.log.Warn("sale of unknown outcome goes to a second device", "till", old.Till, "session", old.Session, "first", old.Serial)
	return r.journal.update(full, b)
}

// addEnd tells the collector of the end of a case that it heard of.
func (r *Router) addEnd(b *buffer.Batch, e *entry) (err error) {
	if other := r.journal.twin(e); e.Issued && other != nil {
		err = r.addEvent(b, wire.EventIssuedTwice, e, "twin", other.Key)
	}
	if e.Disputed || e.Aside {
		err = errors.Join(err, r.addEvent(b, wire.EventResolved, e))
	}
	return err
}

// twin is the call with the document that another device made of the same sale; nil
// when there is none.
func (j *journal) twin(e *entry) *entry {
	for _, other := range j.latest(e.Till) {
		if other.first() == e.first() && !other.is(e) && other.Issued && other.Twin == 0 {
			return other
		}
	}
	return nil
}

// aside is the number of the call for which a new one is made, because nobody can
// tell what became of it; 0 for none.
func (j *journal) aside(e *entry) uint64 {
	for _, old := range j.latest(e.Till) {
		if old.standsAside() && old.Function == e.Function && old.Payload == e.Payload {
			return old.first()
		}
	}
	return 0
}

// addEvent queues an event about a case, with more details as name and value.
func (r *Router) addEvent(b *buffer.Batch, code string, e *entry, more ...string) error {
	detail := map[string]string{
		"case": r.caseID(e), "session": fmt.Sprintf("%06d", e.Session), "function": e.Function.String(),
		"key": e.Key, "last-key": e.LastKey, "called": e.time().UTC().Format("2006-01-02T15:04:05Z"),
	}
	for i := 0; i+1 < len(more); i += 2 {
		detail[more[i]] = more[i+1]
	}
	return r.append(b, wire.StreamEvents, wire.Item{Kind: wire.KindEvent, Serial: e.Serial, Till: e.Till,
		Code: code, At: r.now().UnixMilli(), Detail: detail})
}

func (r *Router) addDocument(b *buffer.Batch, e *entry, xml []byte) error {
	detail := map[string]string{"session": fmt.Sprintf("%06d", e.Session), "function": e.Function.String()}
	if e.Direct {
		detail["direct"] = "1"
	}
	return r.append(b, wire.StreamDocuments, wire.Item{Kind: wire.KindDocument, Serial: e.Serial, Till: e.Till,
		At: r.now().UnixMilli(), Body: xml, Detail: detail})
}

func (r *Router) append(b *buffer.Batch, stream string, item wire.Item) error {
	item.Version = wire.Version
	v, err := r.codec.Encode(item)
	if err != nil {
		return err
	}
	b.Append(stream, v)
	return nil
}

// Known counts the documents of a device, by number after one and up to another, whose
// call is in the journal, and those of them that a library made without the agent.
func (r *Router) Known(serial string, after, upto int) (known, direct int) {
	within := map[int]bool{}
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	for _, t := range r.journal.tills {
		for _, e := range t.list {
			n := e.number()
			if e.Serial != serial || n <= after || n > upto || within[n] {
				continue
			}
			within[n] = true
			known++
			if e.Direct {
				direct++
			}
		}
	}
	return known, direct
}

// number is that of the call's document; 0 when it has none. One that nobody can get
// any more came after the device's last one before the call.
func (e *entry) number() int {
	if k, err := cfe.ParseKey(e.Key); err == nil {
		return k.Number()
	}
	last, err := cfe.ParseKey(e.LastKey)
	if e.State != missing || err != nil {
		return 0
	}
	return last.Number() + 1
}
