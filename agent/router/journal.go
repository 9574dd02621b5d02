package router

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// Tables of the buffer that the router owns.
const (
	tableCalls     = "calls"     // journalKey -> entry
	tableDelivered = "delivered" // journalKey -> nothing: the reply reached the till
	tableDevices   = "devices"   // serial -> deviceState
	tableFences    = "fences"    // case of a neighbour -> Unix milliseconds: never to be carried out
	tableLent      = "lent"      // case of a neighbour -> Unix milliseconds: issued, and no longer among the calls
	tablePlaces    = "places"    // address -> serial of the device that was there last, when its driver cannot tell
	tableClock     = "clock"     // "offset" -> nanoseconds by which the clock was set
	tableSessions  = "sessions"  // "next" -> first device session not yet reserved
)

// deviceState is what the journal remembers of a device.
type deviceState struct {
	LastKey string `cbor:"1,keyasint"` // of its latest document; "" when it has none
}

// journal is the router's memory: the calls of every till, durable in the
// buffer, with an index in memory. Entries in the index are never changed, only
// replaced, and leave Reply out: it is read back when needed.
type journal struct {
	buf   *buffer.Buffer
	codec *wire.Codec
	now   func() time.Time
	*steady

	mu      sync.Mutex
	tills   map[string]*calls
	devices map[string]deviceState
	marks   [][]byte        // delivered, not yet on disk
	fenced  map[string]bool // cases of neighbours that must never be carried out
	lent    map[string]bool // cases of neighbours that were issued and are no longer among the calls
	session int             // next device session
	limit   int             // first session not reserved on disk
	damage  error           // what broke the buffer
}

// calls are a till's latest entries, oldest first.
type calls struct {
	list []*entry
	next uint64
}

func openJournal(buf *buffer.Buffer, codec *wire.Codec, now func() time.Time, first int) (*journal, error) {
	j := &journal{buf: buf, codec: codec, now: now,
		steady: openSteady(buf, now), tills: map[string]*calls{}, devices: map[string]deviceState{}, fenced: map[string]bool{}, lent: map[string]bool{}}
	err := buf.Scan(tableCalls, nil, func(k, v []byte) error {
		var e entry
		if err := codec.Decode(v, &e); err != nil {
			return fmt.Errorf("journal entry %x: %w", k, err)
		}
		e.Reply = nil
		j.till(e.Till).list = append(j.till(e.Till).list, &e)
		j.till(e.Till).next = e.N + 1
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal of calls: %w", err)
	}
	err = errors.Join(
		j.scanCases(tableFences, j.fenced),
		j.scanCases(tableLent, j.lent),
		buf.Scan(tableDelivered, nil, func(k, _ []byte) error {
			n := len(k) - 9
			if n >= 0 {
				j.replace(string(k[:n]), binary.BigEndian.Uint64(k[n+1:]), func(e *entry) { e.Delivered = true })
			}
			return nil
		}),
		buf.Scan(tableDevices, nil, func(k, v []byte) error {
			var d deviceState
			if err := codec.Decode(v, &d); err != nil {
				return fmt.Errorf("device %s: %w", k, err)
			}
			j.devices[string(k)] = d
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal: %w", err)
	}
	// Far from where the last life ended: the file may be an older copy put back, and
	// the device remembers the numbers it was called with since.
	j.session = first
	if v, err := buf.Get(tableSessions, []byte("next")); err == nil && len(v) == 4 {
		j.session = wrapSession(int(binary.BigEndian.Uint32(v)) + sessionBlock + first/2)
	}
	j.limit = j.session
	return j, nil
}

func (j *journal) till(name string) *calls {
	t := j.tills[name]
	if t == nil {
		t = &calls{next: 1}
		j.tills[name] = t
	}
	return t
}

// latest are a till's entries, newest first.
func (j *journal) latest(till string) []*entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return newestFirst(j.till(till).list)
}

func newestFirst(list []*entry) []*entry {
	out := make([]*entry, len(list))
	for i, e := range list {
		out[len(list)-1-i] = e
	}
	return out
}

// open are the fiscal calls whose outcome is not known, newest first: a device
// that remembers one session knows the last.
func (j *journal) open() []*entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []*entry
	for _, t := range j.tills {
		for _, e := range t.list {
			if e.State == open {
				out = append(out, e)
			}
		}
	}
	slices.SortFunc(out, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Till, b.Till), cmp.Compare(b.N, a.N))
	})
	return out
}

// openCases are those of one device.
func (j *journal) openCases(serial string) []*entry {
	return slices.DeleteFunc(j.open(), func(e *entry) bool { return e.Serial != serial || e.Peer != "" })
}

// lastIssued is the latest call of any till with a document that the journal has.
func (j *journal) lastIssued(of func(*entry) bool) (last *entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range j.tills {
		for _, e := range t.list {
			if e.State == answered && e.Issued && of(e) && (last == nil || e.At >= last.At) {
				last = e
			}
		}
	}
	return last
}

// issued are the documents of a device that are certain and that the journal has.
// One whose case closed as missing is not among them: whose it is was concluded,
// not seen.
func (j *journal) issued(serial string) (keys []cfe.Key) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range j.tills {
		for _, e := range t.list {
			if e.Serial == serial && e.State == answered && e.Key != "" {
				keys = append(keys, cfe.Key(e.Key))
			}
		}
	}
	return keys
}

// load returns the entry with its reply.
func (j *journal) load(e *entry) (*entry, error) {
	v, err := j.buf.Get(tableCalls, journalKey(e.Till, e.N))
	if err != nil {
		return nil, fmt.Errorf("cannot read call %d of till %q: %w", e.N, e.Till, err)
	}
	var full entry
	if v == nil {
		return nil, fmt.Errorf("call %d of till %q is not in the journal", e.N, e.Till)
	}
	return &full, j.codec.Decode(v, &full)
}

// said is the whole entry of a call, and what the device said to it.
func (j *journal) said(e *entry) (full *entry, reply sat.Reply, err error) {
	full = e
	if full.Reply == nil {
		if full, err = j.load(e); err != nil {
			return e, reply, err
		}
	}
	if full.Reply == nil {
		return full, reply, fmt.Errorf("call %d of till %q has no reply in the journal", e.N, e.Till)
	}
	reply, err = full.reply()
	return full, reply, err
}

// place says what a till's call is, by those it made before.
func (j *journal) place(e *entry) (verdict, *entry) {
	return place(j.latest(e.Till), e.Session, e.Function, e.Payload, j.steadyNow())
}

// admit decides about a fiscal call once more, now that its turn has come, and
// when it is new makes it durable as an open case. After a nil error with isNew
// the call may be sent, and must be closed or resolved.
func (j *journal) admit(e entry) (verdict, *entry, error) {
	j.mu.Lock()
	v, old := isNew, (*entry)(nil)
	if e.lent() {
		v, old = fence(newestFirst(j.till(e.Till).list), e.Case, j.fenced[e.Case] || j.lent[e.Case])
	} else {
		v, old = place(newestFirst(j.till(e.Till).list), e.Session, e.Function, e.Payload, j.steadyNow())
	}
	if v != isNew {
		j.mu.Unlock()
		return v, old, nil
	}
	added := j.add(e)
	j.mu.Unlock()
	if err := j.save(added, nil); err != nil {
		j.remove(added)
		return isNew, nil, fmt.Errorf("cannot journal the sale before sending it: %w", err)
	}
	return isNew, added, nil
}

// record makes an answered call durable, with more writes in the same commit.
func (j *journal) record(e entry, more *buffer.Batch) (*entry, error) {
	reply := e.Reply
	j.mu.Lock()
	added := j.add(e)
	j.mu.Unlock()
	full := *added
	full.Reply = reply
	if err := j.save(&full, more); err != nil {
		j.remove(added)
		return nil, err
	}
	return &full, nil
}

// recordAll makes open cases durable, all or none, with more writes in the same
// commit.
func (j *journal) recordAll(cases []entry, b *buffer.Batch) error {
	var added []*entry
	j.mu.Lock()
	for _, e := range cases {
		added = append(added, j.add(e))
	}
	j.mu.Unlock()
	err := error(nil)
	for _, e := range added {
		v, cerr := j.codec.Encode(e)
		err = errors.Join(err, cerr)
		b.Put(tableCalls, journalKey(e.Till, e.N), v)
	}
	if err == nil {
		err = j.commit(b)
	}
	if err != nil {
		for _, e := range added {
			j.remove(e)
		}
	}
	return err
}

// update replaces an entry, with more writes in the same commit. The index has
// the new state even when the commit fails, so that this process goes on
// knowing it. What others noted of the call meanwhile stays, above all its end.
func (j *journal) update(e *entry, more *buffer.Batch) error {
	j.mu.Lock()
	ended := false
	j.replace(e.Till, e.N, func(old *entry) {
		if ended = old.State != open && e.State == open; ended {
			return
		}
		e.Delivered, e.Disputed, e.Aside = e.Delivered || old.Delivered, e.Disputed || old.Disputed, e.Aside || old.Aside
		*old = *e
		old.Reply = nil
	})
	j.mu.Unlock()
	if ended {
		return fmt.Errorf("call %d of till %q has ended meanwhile", e.N, e.Till)
	}
	return j.save(e, more)
}

// add puts a new entry at the end of its till's list; j.mu is held.
func (j *journal) add(e entry) *entry {
	t := j.till(e.Till)
	e.N = t.next
	if !e.Direct || e.At == 0 {
		e.At = j.now().UnixMilli()
	}
	e.Steady = j.steadyNow().UnixMilli()
	light := e
	light.Reply = nil
	t.next++
	t.list = append(t.list, &light)
	return &light
}

func (j *journal) remove(e *entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.till(e.Till)
	for i := range t.list {
		if t.list[i].N == e.N {
			t.list = append(t.list[:i:i], t.list[i+1:]...)
			return
		}
	}
}

// replace changes a copy of an indexed entry and puts it in its place; j.mu is
// held, or the journal is not shared yet.
func (j *journal) replace(till string, n uint64, change func(*entry)) {
	t := j.till(till)
	for i := len(t.list) - 1; i >= 0; i-- {
		if t.list[i].N == n {
			e := *t.list[i]
			change(&e)
			t.list[i] = &e
			return
		}
	}
}

// save commits an entry with the pending marks, and forgets calls that are too
// old to be asked about.
func (j *journal) save(e *entry, more *buffer.Batch) error {
	b := &buffer.Batch{}
	if more != nil {
		*b = *more // the caller's stays as it is: it may come again
	}
	v, err := j.codec.Encode(e)
	if err != nil {
		return err
	}
	b.Put(tableCalls, journalKey(e.Till, e.N), v)
	j.mu.Lock()
	t := j.till(e.Till)
	for i := 0; i < len(t.list) && len(t.list) > queryCalls; {
		if t.list[i].State == open {
			i++ // until it is settled
			continue
		}
		k := journalKey(e.Till, t.list[i].N)
		b.Delete(tableCalls, k)
		b.Delete(tableDelivered, k)
		if old := t.list[i]; old.lent() && old.Issued {
			j.lent[old.Case] = true
			b.Put(tableLent, []byte(old.Case), fmt.Append(nil, j.now().UnixMilli()))
		}
		t.list = slices.Delete(t.list, i, i+1)
	}
	j.mu.Unlock()
	return j.commit(b)
}

// commit writes a batch together with the marks that wait.
func (j *journal) commit(b *buffer.Batch) error {
	j.mu.Lock()
	marks := j.marks
	j.marks = nil
	j.mu.Unlock()
	for _, k := range marks {
		b.Put(tableDelivered, k, nil)
	}
	j.keepOffset(b, j.now())
	_, err := j.buf.Commit(b)
	if err != nil {
		j.mu.Lock()
		j.marks = append(j.marks, marks...)
		if errors.Is(err, buffer.ErrDamaged) {
			j.damage = err
		}
		j.mu.Unlock()
	}
	return err
}

// broken is the error after which the buffer takes nothing any more; nil while
// it works.
func (j *journal) broken() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.damage
}

// delivered notes that the replies of these calls reached the till. The note is
// written with the next commit, or by flush.
func (j *journal) delivered(till string, numbers []uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, n := range numbers {
		j.replace(till, n, func(e *entry) { e.Delivered = true })
		j.marks = append(j.marks, journalKey(till, n))
	}
}

// flush writes the notes that no commit has taken along yet.
func (j *journal) flush() error {
	j.mu.Lock()
	waiting := len(j.marks)
	j.mu.Unlock()
	if waiting == 0 {
		return nil
	}
	return j.commit(&buffer.Batch{})
}

// lastKey is a device's latest access key as far as the journal knows.
func (j *journal) lastKey(serial string) (string, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d, ok := j.devices[serial]
	return d.LastKey, ok
}

// cnpj is whom a device emits for, as far as its documents tell; "" before the
// first.
func (j *journal) cnpj(serial string) string {
	last, _ := j.lastKey(serial)
	k, err := cfe.ParseKey(last)
	if err != nil {
		return ""
	}
	return k.CNPJ()
}

// lastAt is the device that was last at an address whose driver cannot tell; ""
// when none was.
func (j *journal) lastAt(address string) string {
	v, err := j.buf.Get(tablePlaces, []byte(address))
	if err != nil {
		return ""
	}
	return string(v)
}

func (j *journal) putAt(address, serial string) error {
	b := &buffer.Batch{}
	b.Put(tablePlaces, []byte(address), []byte(serial))
	return j.commit(b)
}

// putLastKey adds a device's latest key to a batch.
func (j *journal) putLastKey(b *buffer.Batch, serial, key string) error {
	d := deviceState{LastKey: key}
	v, err := j.codec.Encode(d)
	if err != nil {
		return err
	}
	b.Put(tableDevices, []byte(serial), v)
	j.mu.Lock()
	j.devices[serial] = d
	j.mu.Unlock()
	return nil
}

// Device sessions: real libraries refuse numbers outside 100000 to 999999 and
// numbers used within the last 100 calls (dossier 5.1).
const (
	firstSession = 100000
	sessionBlock = 1000 // reserved on disk at a time
)

// deviceSession allots the next number. It never gives one twice within a full
// turn, also across crashes: blocks are reserved on disk before use.
func (j *journal) deviceSession() (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.session == j.limit {
		limit := wrapSession(j.limit + sessionBlock)
		b := &buffer.Batch{}
		b.Put(tableSessions, []byte("next"), binary.BigEndian.AppendUint32(nil, uint32(limit)))
		if _, err := j.buf.Commit(b); err != nil {
			return 0, fmt.Errorf("cannot reserve device sessions: %w", err)
		}
		j.limit = limit
	}
	s := j.session
	j.session = wrapSession(j.session + 1)
	return s, nil
}

func wrapSession(s int) int {
	if s > sat.MaxSession || s < firstSession {
		return firstSession + (s-firstSession+900000)%900000
	}
	return s
}
