package router

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/ipc"
)

// The "ponte direta": calls that a till's library made without the agent lie as
// files in a folder (sat/ipc, "calls made without the agent"). They are journaled
// in the order they were made, under the device's lock and before anything else
// happens to the device.
//
// The other way round, the agent leaves there what it does not know itself: the
// marks of its open cases. A library that finds its sale among them does not make
// it again, and one that is about to make another sale first asks the device for
// its last session, so that the open one's document is not overwritten.

// MarksFile is the name of the file of marks, readable by every user.
const MarksFile = "em-aberto"

const (
	marksSize   = 1024 // bytes: 32 marks, each the hash of a call (payloadOf), zero when free
	maxSpooled  = 32 << 20
	tableBridge = "ponte" // file name -> nothing: journaled, to be removed
)

// bridge is the folder shared with the libraries.
type bridge struct {
	folder string // "" for none

	collecting sync.Mutex // held while files are journaled
	marking    sync.Mutex // guards the file of marks, and coming
	coming     [][32]byte // calls about to become open cases
}

// errNoDevice says that a call cannot be journaled before its device is known.
var errNoDevice = errors.New("no device is known yet")

// errNotOurs says that a call was made on another device.
var errNotOurs = errors.New("another device's call")

// collect journals the calls that libraries made without the agent and that are
// this device's. What cannot be read stays or is set aside, and is told; it never
// keeps a sale waiting.
func (o *owner) collect() {
	folder := o.router.bridge.folder
	if folder == "" {
		return
	}
	o.router.bridge.collecting.Lock()
	defer o.router.bridge.collecting.Unlock()
	files, err := os.ReadDir(folder) // sorted by name, hence by time
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			o.log.Error("calls made without the agent not collected", "err", err)
		}
		return
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ipc.SpoolSuffix) {
			continue
		}
		switch err := o.collectFile(f.Name()); {
		case errors.Is(err, errNoDevice):
			return // this one first
		case err != nil && !errors.Is(err, errNotOurs):
			o.log.Error("call made without the agent not collected", "file", f.Name(), "err", err)
		}
	}
}

func (o *owner) collectFile(name string) error {
	path := filepath.Join(o.router.bridge.folder, name)
	if v, err := o.router.journal.buf.Get(tableBridge, []byte(name)); err != nil || v != nil {
		if err == nil {
			err = o.collected(name) // journaled by an agent that died before it removed the file
		}
		return err
	}
	s, err := readSpooled(path)
	switch {
	case errors.Is(err, sat.ErrNotSent):
		return o.collected(name)
	case err != nil:
		// Nobody writes to it any more: the lock is ours.
		return errors.Join(err, os.Rename(path, path+".ilegivel"))
	}
	b := &buffer.Batch{}
	b.Put(tableBridge, []byte(name), []byte{1})
	if err := o.journalSpooled(name, s, b); err != nil {
		return err
	}
	return o.collected(name)
}

// collected removes a file whose call is in the journal.
func (o *owner) collected(name string) error {
	if err := os.Remove(filepath.Join(o.router.bridge.folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b := &buffer.Batch{}
	b.Delete(tableBridge, []byte(name))
	return o.router.journal.commit(b)
}

// readSpooled reads a file that any user of the machine may have made.
func readSpooled(path string) (ipc.Spooled, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return ipc.Spooled{}, err
	}
	if !before.Mode().IsRegular() || before.Size() > maxSpooled {
		return ipc.Spooled{}, fmt.Errorf("%s is no call: %s of %d bytes", path, before.Mode(), before.Size())
	}
	f, err := os.Open(path)
	if err != nil {
		return ipc.Spooled{}, err
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(before, now) {
		return ipc.Spooled{}, fmt.Errorf("%s changed while it was opened: %w", path, err)
	}
	return ipc.ReadSpool(f)
}

// journalSpooled enters one call, in the commit of batch b.
func (o *owner) journalSpooled(name string, s ipc.Spooled, b *buffer.Batch) error {
	req := s.Request
	e := entry{Till: req.Till, Session: tillSession(req.Session), Function: req.Function, Payload: payloadOf(req),
		At: spooledAt(name), Direct: true, Delivered: true, State: answered,
		DeviceSession: tillSession(req.Session)}
	req.Session = e.DeviceSession
	var reply sat.Reply
	err := errors.New("no reply")
	if s.Answered {
		reply, err = sat.ParseReply(req.Function, s.Reply)
	}
	if err == nil {
		e.Reply = reply.Raw
		if k := keyOf(reply); k != "" {
			e.Serial = k.Serial()
		}
	}
	var cerr error
	if e.Serial, cerr = o.claim(e); cerr != nil {
		return cerr
	}
	switch {
	case req.Function.Fiscal():
		return o.journalSale(e, req, reply, err, b)
	case req.Function.AsksSession():
		return o.hear(e, reply, err, b)
	}
	if err == nil {
		return o.recordSpooled(e, reply, b)
	}
	o.log.Warn("a call made without the agent has no reply", "till", e.Till, "function", e.Function, "session", e.Session)
	return o.router.journal.commit(b)
}

// claim is the device that a call was made on: the one in the key of its document,
// else the till's own. The error says that another owner takes it, or that nobody
// knows the device yet.
func (o *owner) claim(e entry) (serial string, err error) {
	home, own, _ := o.router.home(e.Till)
	nobodys := e.Serial == "" && !own // whoever comes first asks all devices about it
	switch by := o.router.named(e.Serial); {
	case by != nil && by != o, by == nil && home != o && !nobodys:
		return "", errNotOurs
	case e.Serial != "":
		return e.Serial, nil
	}
	if serial = o.info.Serial; serial == "" {
		serial = o.router.journal.lastAt(o.address)
	}
	if serial == "" {
		return "", errNoDevice
	}
	return serial, nil
}

// journalSale enters a fiscal call: answered, or as an open case that is settled
// before the device does anything else.
func (o *owner) journalSale(e entry, req sat.Request, reply sat.Reply, err error, b *buffer.Batch) error {
	o.log.Warn("a sale was made without the agent", "till", e.Till, "function", e.Function, "session", e.Session, "code", reply.Code)
	if sat.OutcomeOf(req, reply, err) != sat.Unknown {
		return o.recordSpooled(e, reply, b)
	}
	e.State, e.Reply, e.Delivered = open, nil, false
	var cases []entry
	for _, serial := range o.suspects(e) {
		e.Serial = serial
		e.LastKey, _ = o.router.journal.lastKey(serial)
		cases = append(cases, e)
	}
	return o.router.journal.recordAll(cases, b)
}

// suspects are the devices that a sale without a reply may have been made on: the
// till's own, or else any that was ever here. Each is asked; at most one issued it.
func (o *owner) suspects(e entry) []string {
	all := []string{e.Serial}
	if _, own, _ := o.router.home(e.Till); own {
		return all
	}
	for _, other := range o.router.owners {
		if serial := other.state().Info.Serial; serial != "" && !slices.Contains(all, serial) {
			all = append(all, serial)
		}
	}
	return all
}

// recordSpooled enters an answered call with its document.
func (o *owner) recordSpooled(e entry, reply sat.Reply, b *buffer.Batch) error {
	if doc, err := reply.Document(); err == nil {
		if e.Function.Fiscal() {
			e.Issued, e.Key = true, string(keyOf(reply))
			if err := o.router.journal.putLastKey(b, e.Serial, e.Key); err != nil {
				return err
			}
		}
		if err := o.router.addDocument(b, &e, doc.XML); err != nil {
			return err
		}
	}
	_, err := o.router.journal.record(e, b)
	return err
}

// hear takes what the device said to a till's question for a session. Devices say
// it once: it may be the answer to an open case, or hold a document that nobody
// else has.
func (o *owner) hear(e entry, reply sat.Reply, err error, b *buffer.Batch) error {
	if err != nil {
		return o.router.journal.commit(b)
	}
	o.tell(&e, evidence{e.Function, e.DeviceSession, reply.Raw}, reply)
	doc, err := reply.Document()
	if err == nil && !slices.Contains(o.router.journal.issued(e.Serial), keyOf(reply)) {
		if err := o.router.addDocument(b, &entry{Serial: e.Serial, Session: reply.Session, Function: reply.Function}, doc.XML); err != nil {
			return err
		}
	}
	return o.router.journal.commit(b)
}

// spooledAt is when the call was made, from the name of its file; 0 when the name
// does not say.
func spooledAt(name string) int64 {
	ms, _, _ := strings.Cut(name, "-")
	at, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || at < 0 {
		return 0
	}
	return at
}

// mark leaves the hashes of open cases, and of a call about to become one, for the
// libraries. It waits for the disk only for the latter: a mark that is too many
// keeps one repeated sale from the bridge, one too few may double it. The caller
// ends with marked.
func (r *Router) mark(next ...[32]byte) error {
	if r.bridge.folder == "" {
		return nil
	}
	r.bridge.marking.Lock()
	defer r.bridge.marking.Unlock()
	r.bridge.coming = append(r.bridge.coming, next...)
	marks := slices.Clone(r.bridge.coming)
	for _, e := range r.journal.open() {
		marks = append(marks, e.Payload)
	}
	room := make([]byte, marksSize)
	for i, m := range marks {
		if i*len(m) < marksSize {
			copy(room[i*len(m):], m[:])
		}
	}
	f, err := os.OpenFile(filepath.Join(r.bridge.folder, MarksFile), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("cannot mark a sale as open: %w", err)
	}
	_, err = f.WriteAt(room, 0)
	if err == nil && len(next) > 0 {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// marked says that a call that was about to become an open case is one now, or
// never will be.
func (r *Router) marked(payload [32]byte) {
	r.bridge.marking.Lock()
	defer r.bridge.marking.Unlock()
	if i := slices.Index(r.bridge.coming, payload); i >= 0 {
		r.bridge.coming = slices.Delete(r.bridge.coming, i, i+1)
	}
}

// unmark takes the marks of closed cases away.
func (r *Router) unmark() {
	if err := r.mark(); err != nil {
		r.log.Warn("marks of open sales not renewed", "err", err)
	}
}
