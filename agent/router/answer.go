package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// turnWait is how long a sale waits until it is sent to a device while another may
// serve it.
const turnWait = 4 * time.Second

// fiscal answers a sale or cancellation.
func (r *Router) fiscal(ctx context.Context, req sat.Request) sat.Reply {
	e := entry{Till: req.Till, Session: req.Session, Function: req.Function, Payload: payloadOf(req)}
	v, old := r.journal.place(&e)
	if old != nil && old.Session != e.Session && r.settled(ctx, old) {
		v, old = r.journal.place(&e)
	}
	if v == isOpen {
		v, old = r.resolve(ctx, req, &e, old)
	}
	if v == isRepeat {
		if reply, ok := r.refuseStranger(ctx, req); !ok {
			return reply
		}
	}
	if v == isNew {
		e.Second = r.journal.aside(&e)
		res := r.sell(ctx, req, &e)
		v, old = res.verdict, res.entry
		switch {
		case e.Second != 0 && (old == nil || v == isVoid):
			v = isOpen // the first device may have issued it
		case v == isVoid && res.reply.Raw != nil:
			return forTill(res.reply, req.Session)
		case old == nil:
			return r.failed(req, res.err)
		}
	}
	switch v {
	case isDuplicate:
		return forTill(sat.NewReply(req.Function, 0, req.Function.Success()+97), req.Session)
	case isVoid:
		return r.note(req, req.Function.Failed(), r.voidText(req.Till))
	case isHeld:
		return r.note(req, req.Function.Busy(), heldText)
	case isRepeat:
		return r.repeat(req, old)
	}
	return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
}

const heldText = "Documento ja emitido, ainda nao recuperado. Nao repita a venda; chame o suporte."

// sell offers a new fiscal call to those that may serve it, in turn, until one has
// issued or refused it or its outcome is not known. The result is the last one that
// says something.
func (r *Router) sell(ctx context.Context, req sat.Request, e *entry) result {
	last := result{err: errNoneServes}
	candidates := r.candidates(req)
	for i, c := range candidates {
		more := i < len(candidates)-1
		res := r.offer(ctx, c, req, e, more)
		if i == 0 && wrongCode(res.err) || !res.nothing() || ctx.Err() != nil {
			return res
		}
		if i == 0 || res.reply.Raw != nil {
			last = res
		}
		if more {
			r.log.Warn("sale goes on", "till", req.Till, "session", req.Session, "code", res.reply.Code, "err", res.err)
		}
	}
	return last
}

// offer has one candidate serve a call.
func (r *Router) offer(ctx context.Context, c candidate, req sat.Request, e *entry, more bool) result {
	if c.neighbour != nil {
		return r.borrow(ctx, c.neighbour, req, e)
	}
	patience := time.Duration(0)
	if more {
		patience = turnWait
	}
	j := r.jobFor(c.device, req)
	j.entry, j.more = e, more
	return c.device.submit(ctx, j, patience)
}

// errNoneServes says that no device of this computer may be asked at all.
var errNoneServes = fmt.Errorf("no device serves this call: %w: %w", sat.ErrGone, sat.ErrNotSent)

// resolve has the one that holds an open case asked, and says what to do with the
// same call now. When nobody can tell and the store allows a second device, the case
// stands aside: it stays open, and the call is new.
func (r *Router) resolve(ctx context.Context, req sat.Request, e, old *entry) (verdict, *entry) {
	within, cancel := ctx, context.CancelFunc(func() {})
	if d, ok := ctx.Deadline(); ok && r.second {
		within, cancel = context.WithTimeout(ctx, time.Until(d)/2)
	}
	r.settleCase(within, old, req)
	cancel()
	v, old := r.journal.place(e)
	if v != isOpen || !r.second || old.Function != sat.EnviarDadosVenda || !r.elsewhere(req, old) {
		return v, old
	}
	if err := r.setAside(old); err != nil {
		r.log.Error("sale not made a second time", "till", old.Till, "session", old.Session, "err", err)
		return v, old
	}
	return r.journal.place(e)
}

// settleCase has whoever knows how a till's call ended asked: a neighbour, the
// device, or else the till's own, for a library that cannot tell its device may have
// found it again.
func (r *Router) settleCase(ctx context.Context, e *entry, req sat.Request) {
	if e.Peer != "" {
		r.askAbout(ctx, e)
		return
	}
	o := r.named(e.Serial)
	if o == nil {
		o, _, _ = r.home(e.Till)
	}
	if o != nil {
		j := r.jobFor(o, req)
		j.code, j.req = req.Arg(sat.CodeParam), sat.Request{}
		o.submit(ctx, j, 0)
	}
}

// repeat answers with what the device said to an earlier call. A call under
// another session is journaled under that one too.
func (r *Router) repeat(req sat.Request, e *entry) sat.Reply {
	full, reply, err := r.journal.said(e)
	if err != nil {
		r.log.Error("stored reply not readable", "till", e.Till, "session", e.Session, "err", err)
		return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
	}
	numbers := []uint64{e.N}
	if e.Session != req.Session {
		twin := *full
		twin.Session, twin.Twin, twin.Delivered, twin.Direct, twin.Evidence = req.Session, e.N, false, false, nil
		added, err := r.journal.record(twin, nil)
		if err != nil {
			r.log.Error("repeated sale not journaled", "till", e.Till, "session", req.Session, "err", err)
		} else {
			numbers = append(numbers, added.N)
		}
	}
	r.await(req, numbers)
	return forTill(reply, req.Session)
}

func (r *Router) await(req sat.Request, numbers []uint64) {
	r.mu.Lock()
	r.awaiting[call{req.Till, req.Session, req.Function}] = &flight{numbers, make(chan struct{})}
	r.mu.Unlock()
}

// bySession answers ConsultarNumeroSessao from the journal.
func (r *Router) bySession(ctx context.Context, req sat.Request) sat.Reply {
	asked, err := strconv.Atoi(req.Arg("cNumeroDeSessao"))
	if err != nil {
		return r.note(req, 11003, "Numero de sessao invalido")
	}
	asked = tillSession(asked)
	return r.stored(ctx, req, 11003, func(e *entry) bool { return e.Session == asked })
}

// lastFiscal answers ConsultarUltimaSessaoFiscal: the till's last, not the
// device's.
func (r *Router) lastFiscal(ctx context.Context, req sat.Request) sat.Reply {
	return r.stored(ctx, req, 19003, func(e *entry) bool { return e.Function.Fiscal() })
}

// stored answers with the newest entry that matches, under its own session
// number, as devices do (dossier 5.2).
func (r *Router) stored(ctx context.Context, req sat.Request, none sat.Code, match func(*entry) bool) sat.Reply {
	if reply, ok := r.refuseStranger(ctx, req); !ok {
		return reply
	}
	find := func() *entry {
		for _, e := range r.journal.latest(req.Till) {
			if !e.Void && match(e) {
				return e
			}
		}
		return nil
	}
	e := find()
	if e != nil && e.State == open {
		r.settleCase(ctx, e, req)
		e = find()
	}
	switch {
	case e == nil:
		return forTill(sat.NewReply(req.Function, 0, none), req.Session)
	case e.State == open:
		return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
	case e.State == missing:
		return r.note(req, req.Function.Busy(), heldText)
	}
	_, reply, err := r.journal.said(e)
	if err != nil {
		r.log.Error("stored reply not readable", "till", e.Till, "session", e.Session, "err", err)
		return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
	}
	numbers := []uint64{e.N}
	if e.Twin != 0 {
		numbers = append(numbers, e.Twin)
	}
	r.await(req, numbers)
	return forTill(reply, e.Session)
}

// refuseStranger lets a caller at stored replies only with the activation code of
// one of the devices, as they would. An unknown code is left to the till's own
// device to judge, once.
func (r *Router) refuseStranger(ctx context.Context, req sat.Request) (sat.Reply, bool) {
	home, _, mine := r.home(req.Till)
	switch {
	case home == nil || r.authorised(req) || mine && r.codes.get(home.state().Info.Serial) == "":
		return sat.Reply{}, true
	case !mine:
		return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session), false
	}
	res := home.submit(ctx, &job{req: sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{req.Arg(sat.CodeParam)}}}, 0)
	if res.err == nil && res.reply.Code.Success() {
		return sat.Reply{}, true
	}
	if res.err == nil && res.reply.Code.WrongActivationCode() {
		return forTill(sat.NewReply(req.Function, 0, req.Function.Success()+1), req.Session), false
	}
	return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session), false
}

// plain carries out a call that issues no document of fiscal value, on the till's
// own device. Replies of functions that change something are journaled for session
// queries; readings are not, they are asked anew.
func (r *Router) plain(ctx context.Context, req sat.Request) sat.Reply {
	res, serial := r.read(ctx, req)
	if res.err != nil {
		return r.failed(req, res.err)
	}
	switch req.Function {
	case sat.ConsultarSAT, sat.ConsultarStatusOperacional, sat.ExtrairLogs:
		return forTill(res.reply, req.Session)
	}
	e := entry{Till: req.Till, Session: req.Session, Function: req.Function, Payload: payloadOf(req),
		State: answered, Serial: serial, Reply: res.reply.Raw}
	b := &buffer.Batch{}
	if doc, err := res.reply.Document(); err == nil {
		if err := r.addDocument(b, &e, doc.XML); err != nil {
			r.log.Error("test document not queued", "err", err)
		}
	}
	if _, err := r.journal.record(e, b); err != nil {
		r.log.Error("reply not journaled", "till", req.Till, "session", req.Session, "function", req.Function, "err", err)
	}
	return forTill(res.reply, req.Session)
}

// read makes a call on the till's own device. The questions by which POS programs
// find out whether they can sell go to another one while that is away, and to a
// neighbour when there is none here.
func (r *Router) read(ctx context.Context, req sat.Request) (res result, serial string) {
	res = result{err: errNoneServes}
	var tried []*owner
	for o := r.reader(req); o != nil && !slices.Contains(tried, o); o = r.reader(req) {
		tried = append(tried, o)
		res, serial = o.submit(ctx, r.jobFor(o, req), 0), o.state().Info.Serial
		if !errors.Is(res.err, sat.ErrGone) {
			return res, serial
		}
	}
	if req.Function != sat.ConsultarSAT && (req.Function != sat.ConsultarStatusOperacional || len(tried) > 0 && !r.authorised(req)) {
		return res, serial
	}
	for _, n := range r.lan() {
		if ending, reply, err := n.Sell(ctx, "", r.without(req)); err == nil && ending == wire.EndingReplied {
			return result{reply: reply}, ""
		}
	}
	return res, serial
}

// reader is the device that a call without a document goes to: the till's own, or,
// for the questions by which POS programs find out whether they can sell, another
// one that answers while that is away. nil when there is none.
func (r *Router) reader(req sat.Request) *owner {
	home, _, mine := r.home(req.Till)
	if home == nil || mine && home.state().Answering {
		return home
	}
	asks := req.Function == sat.ConsultarSAT || req.Function == sat.ConsultarStatusOperacional && r.authorised(req)
	for _, o := range r.owners {
		if f := o.facts(); asks && f.answering && (f.code || req.Function == sat.ConsultarSAT) {
			return o
		}
	}
	if !mine {
		return nil
	}
	return home
}

// failed words an error for the till: "erro desconhecido" only when the call
// certainly reached no device, otherwise "em processamento".
func (r *Router) failed(req sat.Request, err error) sat.Reply {
	r.log.Warn("call not answered by the device", "till", req.Till, "session", req.Session, "function", req.Function, "err", err)
	home, _, _ := r.home(req.Till)
	switch {
	case wrongCode(err):
		return forTill(sat.NewReply(req.Function, 0, req.Function.Success()+1), req.Session)
	case errors.Is(err, errUnresolved):
		return r.note(req, req.Function.Busy(), "Verificando uma venda anterior no SAT. Tente novamente.")
	case errors.Is(err, buffer.ErrFull):
		return r.note(req, req.Function.Failed(), "Disco do caixa cheio: a venda nao foi enviada ao SAT. Chame o suporte.")
	case errors.Is(err, sat.ErrNotSent) && (home == nil || !home.state().Answering):
		return r.note(req, req.Function.Failed(), r.voidText(req.Till))
	}
	return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
}

// wrongCode reports whether a device refused an activation code.
func wrongCode(err error) bool {
	var device *sat.Error
	return errors.As(err, &device) && device.Code.WrongActivationCode()
}

// voidText says what to do after a sale that certainly was not made.
func (r *Router) voidText(till string) string {
	if home, _, _ := r.home(till); home == nil || !home.state().Answering {
		return "SAT nao encontrado. Verifique o cabo e a energia do equipamento."
	}
	return "O SAT nao emitiu este documento. Tente novamente."
}

func (r *Router) note(req sat.Request, code sat.Code, text string) sat.Reply {
	reply := sat.NewReply(req.Function, req.Session, code)
	reply.Message = text
	return forTill(reply, req.Session)
}

// complete reports whether the fields behind a document are the document's own.
func complete(d sat.Document) bool {
	has := func(before, text, after string) bool {
		return text != "" && bytes.Contains(d.XML, []byte(before+text+after))
	}
	return has(`Id="CFe`, d.Key, `"`) && has("<assinaturaQRCODE>", d.QRSignature, "</assinaturaQRCODE>") && !d.Time.IsZero()
}

// forTill writes a reply under the session number that the till expects. What a
// device left out or lost behind the document is filled in from the document.
func forTill(reply sat.Reply, session int) sat.Reply {
	reply.Session = session
	if d, err := reply.Document(); err == nil && reply.Function.Fiscal() && !complete(d) {
		if doc, err := cfe.Parse(d.XML); err == nil && (d.Key != string(doc.Key) || d.QRSignature != doc.QRSignature) {
			reply.Data = []string{reply.Data[0], doc.Issued.Format("20060102150405"), doc.Key.ID(), doc.Total, doc.Consumer, doc.QRSignature}
		}
	}
	reply.Raw = reply.Encode(session)
	return reply
}
