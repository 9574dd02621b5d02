package router

import (
	"slices"
	"strings"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
)

// How far back a till's calls matter (DESIGN.md, decision 5).
const (
	repeatCalls  = 100 // the same session within so many calls is a repeat or a duplicate
	repeatWindow = 30 * time.Minute
	queryCalls   = 1000 // a session query looks back so far
)

// verdict says what to do with a till's fiscal call.
type verdict uint8

const (
	isNew       verdict = iota // send it to a device
	isRepeat                   // answer as the entry was answered
	isDuplicate                // refuse: the session was used for something else
	isVoid                     // certainly not issued, and the device gave no answer
	isHeld                     // its document exists but cannot be had: never sell it again unasked
	isOpen                     // the entry's case must be resolved before anything else
	isFenced                   // a neighbour was told that this will never be carried out
)

// place decides about a fiscal call from the till's latest entries, newest
// first. The entry is the one the verdict speaks of; nil for isNew.
//
// The same session and content returns what was answered; the same session with
// other content is refused; the same content under a new session while its
// earlier case is open, or its document was never delivered, is that sale. Now is
// the journal's steady time. The content of a time to come is a repeat too: the
// clock was put back while the agent was off.
func place(latest []*entry, session int, f sat.Function, payload [32]byte, now time.Time) (verdict, *entry) {
	recent := func(e *entry) bool { return now.Sub(e.steady()) < repeatWindow }
	for i, e := range latest {
		if i >= repeatCalls {
			break
		}
		if e.Session != session || !recent(e) || e.Void || e.standsAside() {
			continue
		}
		switch {
		case e.Function == f && e.Payload == payload:
			return known(e), e
		case now.Sub(e.steady()) > -repeatWindow:
			return isDuplicate, e
		}
	}
	for i, e := range latest {
		if i >= repeatCalls {
			break
		}
		if e.Function != f || e.Payload != payload || e.standsAside() {
			continue
		}
		switch {
		case e.State == open:
			return isOpen, e
		case recent(e) && e.Issued && !e.Delivered:
			return known(e), e
		case e.Issued:
			return isNew, nil // delivered: an equal sale is another sale
		}
	}
	return isNew, nil
}

// fence decides about a neighbour's call from the latest entries of its till, newest
// first (DESIGN.md, decision 6). A case is carried out once; one that was asked about
// before it was seen never is.
func fence(latest []*entry, id string, forbidden bool) (verdict, *entry) {
	for _, e := range latest {
		if e.Case == id && !e.Void {
			return known(e), e
		}
	}
	if forbidden {
		return isFenced, nil
	}
	return isNew, nil
}

func known(e *entry) verdict {
	switch e.State {
	case open:
		return isOpen
	case missing:
		return isHeld
	}
	if e.Void {
		return isVoid
	}
	return isRepeat
}

// step is the next thing to do about an open case.
type step struct {
	ask   sat.Function // a question to the device; zero when the case closes or waits
	again bool         // the device was busy: ask the same again in a moment
	close state        // answered or missing; zero while the case stays open
	reply []byte       // the call's own reply, when the device gave it; nil: certainly not issued
	key   string       // of the document a missing case made; "" when not known
	last  string       // the device's last key now; "" when it did not say
}

// next is the pure rule of recovery (DESIGN.md, decision 4): from the intent and
// what the device has said since, either the next question or the end of the
// case. Questions come in the order session, last fiscal session, status. Only
// an answer for this very session, or an unchanged last key, settles a case as
// not issued; "session does not exist", busy and another session's reply do not.
// Others are the documents of the device that are known to belong to other calls.
// A zero step means that the device said all it can and nothing is proved.
func next(e *entry, others []cfe.Key) step {
	var session, fiscal, status *sat.Reply
	for _, ev := range e.Evidence {
		r, err := sat.ParseReply(ev.Function, ev.Raw)
		if err != nil {
			r = sat.Reply{Function: ev.Function} // asked, no usable answer
		}
		if r.Code.Busy() {
			return step{again: true, ask: ev.Function}
		}
		switch ev.Function {
		case sat.ConsultarStatusOperacional:
			status = &r
			continue
		case sat.ConsultarNumeroSessao:
			session = &r
		case sat.ConsultarUltimaSessaoFiscal:
			fiscal = &r
		}
		if s, ok := settle(e, r, ev); ok {
			return s
		}
		if k := keyOf(r); k != "" {
			others = append(others[:len(others):len(others)], k)
		}
	}
	switch {
	case session == nil:
		return step{ask: sat.ConsultarNumeroSessao}
	case fiscal == nil:
		return step{ask: sat.ConsultarUltimaSessaoFiscal}
	case status == nil:
		return step{ask: sat.ConsultarStatusOperacional}
	}
	return compare(e, *fiscal, *status, others)
}

// settle closes the case when the reply is the one to this very call.
func settle(e *entry, r sat.Reply, ev evidence) (step, bool) {
	if r.Function != e.Function {
		return step{}, false
	}
	mine := r.Session == e.DeviceSession
	// Some devices put the question's own number before the stored reply. For
	// the query by session that is still this call's reply; for the last fiscal
	// session only when its document is the one that follows the last key.
	if r.Session == ev.Asked {
		mine = ev.Function == sat.ConsultarNumeroSessao || follows(e.LastKey, keyOf(r))
	}
	if !mine {
		return step{}, false
	}
	r.Session = e.DeviceSession
	switch sat.OutcomeOf(e.request(), r, nil) {
	case sat.Issued:
		if k := keyOf(r); k == "" || e.LastKey == "" || after(e.LastKey, k) {
			return step{close: answered, reply: r.Raw}, true
		}
	case sat.NotIssued:
		return step{close: answered, reply: r.Raw}, true
	}
	return step{}, false
}

// compare judges by the device's last key.
func compare(e *entry, fiscal, status sat.Reply, others []cfe.Key) step {
	s, err := status.Status()
	switch {
	case err != nil:
		return step{}
	case s.LastKey == "" && e.LastKey == "":
		// An empty field alone proves nothing: some devices never fill it.
		if fiscal.Code == 19003 {
			return step{close: answered}
		}
		return step{}
	case s.LastKey == "":
		return step{}
	case s.LastKey == e.LastKey:
		return step{close: answered, last: s.LastKey}
	}
	unknown, ok := between(e.LastKey, s.LastKey, others)
	switch {
	case ok && len(unknown) == 0:
		return step{close: answered, last: s.LastKey} // all documents since belong to other calls
	case ok && len(unknown) == 1 && unknown[0] == cfe.Key(s.LastKey).Number():
		return step{close: missing, key: s.LastKey, last: s.LastKey}
	}
	return step{close: missing, last: s.LastKey}
}

// lastNumber is the largest nCFe; 1 comes after it.
const lastNumber = 999999

// between are the numbers after the one of key a, up to the one of key b, that
// none of the known documents has. It is false when that cannot be told: a key
// that is none, or more numbers than an agent can have missed.
func between(a, b string, known []cfe.Key) (numbers []int, ok bool) {
	last, err := cfe.ParseKey(b)
	if err != nil {
		return nil, false
	}
	n := 0 // a device that has issued nothing
	if a != "" {
		first, err := cfe.ParseKey(a)
		if err != nil || first.Serial() != last.Serial() {
			return nil, false
		}
		n = first.Number()
	}
	for range 1000 {
		if n++; n > lastNumber {
			n = 1
		}
		if !slices.ContainsFunc(known, func(k cfe.Key) bool { return k.Serial() == last.Serial() && k.Number() == n }) {
			numbers = append(numbers, n)
		}
		if n == last.Number() {
			return numbers, true
		}
	}
	return nil, false
}

// after reports whether b is a document that the device made after a, and not one
// of long ago that it keeps under the same session number.
func after(a string, b cfe.Key) bool {
	_, ok := between(a, string(b), nil)
	return ok
}

// follows reports whether b is the very next document after a on one device.
func follows(a string, b cfe.Key) bool {
	if a == "" || b == "" {
		return false
	}
	numbers, ok := between(a, string(b), nil)
	return ok && len(numbers) == 1
}

// keyOf is the access key of the document in a reply; "" when there is none. It is a
// copy: the journal's index, which keeps thousands, would keep the whole reply with it.
func keyOf(r sat.Reply) cfe.Key {
	d, err := r.Document()
	if err != nil {
		return ""
	}
	if k, err := cfe.ParseKey(strings.Clone(d.Key)); err == nil {
		return k
	}
	doc, err := cfe.Parse(d.XML)
	if err != nil {
		return ""
	}
	return doc.Key
}
