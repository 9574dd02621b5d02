package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// DeviceState is what the agent knows of a device now.
type DeviceState struct {
	Address   string   // as configured
	Info      sat.Info // of the device that answered there last
	Answering bool
	Since     time.Time // of Answering
	Err       error     // why it does not answer
	OpenCases int       // fiscal calls whose outcome is not known
	CodeKnown bool
	Unfit     string // pt-BR, why it serves no sale of another till now; "" when it does

	DoubtSince time.Time // of the oldest of those calls
}

// view is what others may read of an owner.
type view struct {
	DeviceState
	status    sat.Status // the latest
	refusal   sat.Code   // by which it refused a sale for a reason of its own
	refusedAt time.Time
	selling   *entry
	soldAt    time.Time // when that began or ended last; at first, the agent's start
	tried     bool      // to open it, since the start
	told      bool      // the last gone or back event said that the device answers
	toldAny   bool
}

// Devices tells how the devices are, in the configured order, and after them those
// that are not here but have open cases. Cases of a sale borrowed from a neighbour
// stand under no address and no serial number.
func (r *Router) Devices() (all []DeviceState) {
	for _, o := range r.owners {
		s := o.state()
		s.CodeKnown = r.codes.get(s.Info.Serial) != ""
		s.Unfit = unfit(o.facts(), false, need{}, r.now())
		all = append(all, s)
	}
	for _, e := range r.journal.open() { // newest first
		if r.underWay(e) {
			continue
		}
		serial := e.Serial
		if e.Peer != "" {
			serial = ""
		}
		i := slices.IndexFunc(all, func(s DeviceState) bool {
			return s.Info.Serial == serial && (serial != "" || s.Address == "")
		})
		if i < 0 {
			i = len(all)
			all = append(all, DeviceState{Info: sat.Info{Serial: serial}, Unfit: "não está neste computador", Err: errElsewhere})
		}
		all[i].OpenCases++
		all[i].DoubtSince = e.time()
	}
	return all
}

// underWay reports whether an open case is a call being made now, of which nobody
// need be told.
func (r *Router) underWay(e *entry) bool {
	if e.Peer != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.away[e.Case]
	}
	o := r.named(e.Serial)
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.view.selling != nil && o.view.selling.is(e)
}

// selling notes the call that is being made; nil when it has ended.
func (o *owner) selling(e *entry) {
	o.mu.Lock()
	o.view.selling, o.view.soldAt = e, o.router.now()
	o.mu.Unlock()
}

// SinceSale is for how long no till of this computer has asked for a sale or a
// cancellation, and no device of it has made one, for whomever; after a start, since
// then.
func (r *Router) SinceSale() time.Duration {
	r.mu.Lock()
	last := r.lastSale
	r.mu.Unlock()
	for _, o := range r.owners {
		o.mu.Lock()
		v := o.view
		o.mu.Unlock()
		if v.selling != nil {
			return 0
		}
		if v.soldAt.After(last) {
			last = v.soldAt
		}
	}
	return r.now().Sub(last)
}

// errElsewhere is why a device with open cases that is at no configured address
// does not answer.
var errElsewhere = errors.New("the device is not on this computer")

// Code is the activation code of a device, by serial number or address and "" for
// the first one; "" when nobody knows it yet.
func (r *Router) Code(name string) (serial, code string) {
	o := r.named(name)
	if name == "" && len(r.owners) > 0 {
		o = r.owners[0]
	}
	if o == nil {
		return "", ""
	}
	serial = o.state().Info.Serial
	return serial, r.codes.get(serial)
}

func (o *owner) state() DeviceState {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.view.DeviceState
}

// refusalHolds is how long a device that refused a sale for a reason of its own is
// left out.
const refusalHolds = time.Minute

// facts are what a sale that looks for a device goes by.
func (o *owner) facts() facts {
	o.mu.Lock()
	v := o.view
	o.mu.Unlock()
	f := facts{serial: v.Info.Serial, answering: v.Answering, status: v.status, waiting: int(o.waiting.Load())}
	if o.router.now().Sub(v.refusedAt) < refusalHolds {
		f.refusal = v.refusal
	}
	f.code = o.router.codes.get(f.serial) != ""
	f.held = slices.ContainsFunc(o.router.journal.openCases(f.serial), func(e *entry) bool {
		return v.selling == nil || !v.selling.is(e)
	})
	f.cnpj = o.router.journal.cnpj(f.serial)
	return f
}

// seen notes whether the device answers. What was known of it stays while it is
// away.
func (o *owner) seen(info sat.Info, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if info.Serial != "" || info.Where != "" {
		if info.Serial != o.view.Info.Serial {
			o.view.status, o.view.refusal = sat.Status{}, 0
		}
		o.view.Info = info
	}
	o.view.Err, o.view.tried = err, true
	if now := err == nil; now != o.view.Answering {
		o.view.Answering, o.view.Since = now, o.router.now()
	}
}

// refused notes that the device refused a sale for a reason of its own.
func (o *owner) refused(c sat.Code) {
	o.mu.Lock()
	o.view.refusal, o.view.refusedAt = c, o.router.now()
	o.mu.Unlock()
}

// heard takes what a reply says of the device itself. The error means that another
// device answers here than before, and that the reply is no answer to what was
// asked of that one.
func (o *owner) heard(reply sat.Reply) error {
	switch c := reply.Code; {
	case reply.Function == sat.ConsultarSAT && !c.Success() && !c.Busy():
		// So says a library whose device is not there.
		o.seen(o.info, &sat.Error{Op: "reach", Device: cmp.Or(o.info.Serial, o.address), Code: c, Err: sat.ErrGone})
		return nil
	case c.Success():
		o.seen(o.info, nil)
	}
	if reply.Function != sat.ConsultarStatusOperacional {
		return nil
	}
	s, err := reply.Status()
	if err != nil {
		return nil // the caller reads it again and sees
	}
	if err := o.recognise(s.Serial); err != nil {
		return err
	}
	o.mu.Lock()
	o.view.status = s
	o.mu.Unlock()
	return nil
}

// recognise compares the serial number in a status with the one known so far.
func (o *owner) recognise(serial string) error {
	bare := func(s string) string { return strings.TrimLeft(s, "0") }
	if bare(serial) == "" || bare(serial) == bare(o.info.Serial) {
		o.sure = o.sure || bare(serial) != ""
		return nil
	}
	if err := o.alone(serial); err != nil {
		o.lost(err)
		return err
	}
	before := o.info.Serial
	o.info.Serial, o.met, o.sure = serial, false, true
	o.log = o.router.log.With("device", serial)
	o.seen(o.info, nil)
	if err := o.router.journal.putAt(o.address, serial); err != nil {
		o.log.Error("serial number not kept", "err", err)
	}
	if before == "" {
		o.log.Info("device told its serial number")
		return nil
	}
	return &sat.Error{Op: "go on", Device: before, Err: fmt.Errorf("device %s answers at %s now", serial, o.address)}
}

// identify asks a device whose driver cannot tell its serial number for it.
func (o *owner) identify(ctx context.Context, code string) error {
	o.met = false
	err := o.meet(ctx, code)
	switch {
	case o.sure && o.conn != nil:
		return nil // perhaps another device than was taken for granted
	case err == nil:
		return fmt.Errorf("the device at %s does not say its serial number", o.address)
	}
	return err
}

// learn keeps the activation code that the device accepted and forgets the one
// it refused.
func (o *owner) learn(code string, reply sat.Reply) {
	var err error
	switch {
	case o.info.Serial == "":
	case reply.Code.WrongActivationCode():
		err = o.router.codes.refused(o.info.Serial, code)
	case reply.Function == sat.ConsultarStatusOperacional && reply.Code.Success(),
		reply.Function.Fiscal() && reply.Code.Success():
		err = o.router.codes.put(o.info.Serial, code)
	}
	if err != nil {
		o.log.Error("activation code not kept", "err", err)
	}
}

// renewed keeps the activation code that a call has just given the device.
func (o *owner) renewed(req sat.Request, reply sat.Reply) {
	code := ""
	switch req.Function {
	case sat.AtivarSAT:
		code = req.Arg(sat.CodeParam)
	case sat.TrocarCodigoDeAtivacao:
		code = req.Arg("novoCodigo")
	}
	if code == "" || !reply.Code.Success() || o.info.Serial == "" {
		return
	}
	if err := o.router.codes.put(o.info.Serial, code); err != nil {
		o.log.Error("new activation code not kept", "err", err)
	}
}

// codeInEffect is the activation code of a call, with which its device may be asked
// other things first; "" when it carries none, or one that counts only afterwards.
func codeInEffect(req sat.Request) string {
	if req.Function == sat.AtivarSAT || req.Function == sat.TrocarCodigoDeAtivacao && req.Arg("opcao") != "1" {
		return ""
	}
	return req.Arg(sat.CodeParam)
}

// meet asks a device that was opened what it did last, before its first sale: it
// may have served another computer meanwhile. What it tells is archived, and its
// last key is where the next case begins.
func (o *owner) meet(ctx context.Context, code string) error {
	if o.met {
		return nil
	}
	last, err := o.asked(ctx, sat.ConsultarUltimaSessaoFiscal, code)
	switch {
	case errors.Is(err, sat.ErrGone), wrongCode(err):
		return err
	case err != nil:
		o.log.Warn("last session of the device not known", "err", err)
	default:
		if err := o.archive(last); err != nil {
			return err
		}
	}
	reply, err := o.asked(ctx, sat.ConsultarStatusOperacional, code)
	if err != nil {
		return err
	}
	s, err := reply.Status()
	known, any := o.router.journal.lastKey(o.info.Serial)
	switch {
	case err != nil && !any:
		return fmt.Errorf("cannot learn the device's last document: %w", err)
	case err == nil && (!any || s.LastKey != "" && s.LastKey != known): // some leave the field empty
		b := &buffer.Batch{}
		err := o.router.journal.putLastKey(b, o.info.Serial, s.LastKey)
		if err = errors.Join(err, o.router.journal.commit(b)); err != nil {
			return err
		}
	}
	o.met = true
	return nil
}

// asked puts a harmless question that needs the activation code.
func (o *owner) asked(ctx context.Context, f sat.Function, code string) (sat.Reply, error) {
	reply, err := o.call(ctx, sat.Request{Function: f, Args: []string{code}})
	if err != nil {
		return reply, err
	}
	o.learn(code, reply)
	if reply.Code.WrongActivationCode() {
		return reply, &sat.Error{Op: "ask", Request: f, Device: o.info.Serial, Code: reply.Code}
	}
	return reply, nil
}

// archive queues the document in a reply when no call here knows it, at once: the
// device may not say it again.
func (o *owner) archive(reply sat.Reply) error {
	doc, err := reply.Document()
	if err != nil {
		return nil
	}
	j, k := o.router.journal, keyOf(reply)
	if by := o.router.named(k.Serial()); by == nil || by == o {
		o.tell(&entry{Serial: k.Serial()}, evidence{Function: reply.Function, Asked: -1, Raw: reply.Raw}, reply)
	}
	last, _ := j.lastKey(k.Serial())
	if string(k) == last || slices.Contains(j.issued(k.Serial()), k) {
		return nil
	}
	b := &buffer.Batch{}
	err = o.router.addDocument(b, &entry{Serial: k.Serial(), Session: reply.Session, Function: reply.Function}, doc.XML)
	if last == "" || after(last, k) {
		err = errors.Join(err, j.putLastKey(b, k.Serial(), string(k)))
	}
	if err = errors.Join(err, j.commit(b)); err != nil {
		return errors.Join(err, j.putLastKey(b, k.Serial(), last)) // as on disk
	}
	return nil
}

// tellState queues an event when the device has gone or come back since the last
// one.
func (o *owner) tellState() {
	o.mu.Lock()
	s := o.view
	o.mu.Unlock()
	if s.Info.Serial == "" || !s.tried || s.toldAny && s.told == s.Answering || !s.toldAny && s.Answering {
		return
	}
	code := wire.EventDeviceGone
	if s.Answering {
		code = wire.EventDeviceBack
	}
	b := &buffer.Batch{}
	err := o.router.append(b, wire.StreamEvents, wire.Item{Kind: wire.KindEvent, Serial: s.Info.Serial, Code: code,
		At: s.Since.UnixMilli(), Detail: map[string]string{"name": s.Info.Name, "where": s.Info.Where, "driver": s.Info.Driver}})
	if err == nil {
		err = o.router.journal.commit(b)
	}
	if err != nil {
		o.router.log.Error("event not queued", "code", code, "err", err)
		return
	}
	o.mu.Lock()
	o.view.told, o.view.toldAny = s.Answering, true
	o.mu.Unlock()
}
