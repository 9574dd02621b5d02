package router

import (
	"fmt"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// State is what the agent knows of its device now.
func (r *Router) State() DeviceState {
	r.mu.Lock()
	s := r.device
	r.mu.Unlock()
	if cases := r.journal.openCases(s.Info.Serial); len(cases) > 0 { // newest first
		s.OpenCases, s.DoubtSince = len(cases), cases[len(cases)-1].time()
	}
	s.CodeKnown = r.codes.get(s.Info.Serial) != ""
	return s
}

// Sale is a document made here; without a key there is none.
type Sale struct {
	At           time.Time // of the call
	Key          string
	Total        string // decimal with dot, as in the document
	Cancellation bool
}

// LastSale is the latest document of any till.
func (r *Router) LastSale() (Sale, error) {
	e := r.journal.lastIssued()
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

// Code gives the device's serial number and activation code; "" when nobody
// knows it yet.
func (r *Router) Code() (serial, code string) {
	serial = r.State().Info.Serial
	return serial, r.codes.get(serial)
}

// seen notes whether the device answers. What was known of it stays while it is
// away.
func (r *Router) seen(info sat.Info, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if info.Serial != "" {
		r.device.Info = info
	}
	r.device.Err = err
	if now := err == nil; now != r.device.Answering {
		r.device.Answering, r.device.Since = now, r.now()
	}
}

// tellDevice queues an event when the device has gone or come back since the
// last one.
func (r *Router) tellDevice() {
	r.mu.Lock()
	s, told, any := r.device, r.told, r.toldAny
	r.mu.Unlock()
	if s.Info.Serial == "" || any && told == s.Answering || !any && s.Answering {
		return
	}
	code := wire.EventDeviceGone
	if s.Answering {
		code = wire.EventDeviceBack
	}
	b := &buffer.Batch{}
	err := r.append(b, wire.StreamEvents, wire.Item{Kind: wire.KindEvent, Serial: s.Info.Serial, Code: code,
		At: s.Since.UnixMilli(), Detail: map[string]string{"name": s.Info.Name, "where": s.Info.Where}})
	if err == nil {
		err = r.journal.commit(b)
	}
	if err != nil {
		r.log.Error("event not queued", "code", code, "err", err)
		return
	}
	r.mu.Lock()
	r.told, r.toldAny = s.Answering, true
	r.mu.Unlock()
}

// unresolved tells the collector, once, of a case that stays open.
func (r *Router) unresolved(e *entry, cause error) {
	r.log.Warn("outcome of a sale still unknown", "till", e.Till, "session", e.Session, "err", cause)
	if e.Disputed {
		return
	}
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

func (r *Router) addEvent(b *buffer.Batch, code string, e *entry) error {
	return r.append(b, wire.StreamEvents, wire.Item{Kind: wire.KindEvent, Serial: e.Serial, Till: e.Till,
		Code: code, At: r.now().UnixMilli(), Detail: map[string]string{
			"case": r.caseID(e), "session": fmt.Sprintf("%06d", e.Session), "function": e.Function.String(),
			"key": e.Key, "last-key": e.LastKey, "called": e.time().UTC().Format("2006-01-02T15:04:05Z"),
		}})
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
