// Package router stands between the tills and the device. It journals every
// fiscal call before it is sent, asks the device about calls whose outcome is
// not known, answers repeated calls and session queries from the journal, and
// hands each document to the outgoing stream in the commit that closes its call.
//
// The rules are DESIGN.md, decisions 3 to 7; the pure part of them is in
// session.go.
package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// Conn is an open device. Gone is closed when it went away by itself.
type Conn interface {
	sat.Device
	Gone() <-chan struct{}
	Close() error
}

// Options are what a router needs.
type Options struct {
	Buffer *buffer.Buffer
	Codec  *wire.Codec
	// Open opens the device; it is called again whenever the device has gone.
	Open  func(context.Context) (Conn, sat.Info, error)
	Codes string // file of the sealed activation codes
	// Bridge is the folder where libraries leave the calls they made without the
	// agent; "" when they make none.
	Bridge string
	// Reserve keeps other programs of this machine off the device until released;
	// nil when there are none. An error says that one of them has it.
	Reserve func(context.Context) (release func(), err error)
	// DeviceTable and TillTable are the refusal codes of CancelarUltimaVenda that
	// the device uses and that the POS programs understand.
	DeviceTable, TillTable sat.CancelTable
	Log                    *slog.Logger
	Now                    func() time.Time
}

// Router serves many tills with one device. It is a sat.Device whose replies
// are ready for the till: its own session number, strict layout.
type Router struct {
	journal *journal
	codes   *codes
	codec   *wire.Codec
	owner   *owner
	convert func(sat.Code) sat.Code // to the tills' table
	log     *slog.Logger
	now     func() time.Time

	mu       sync.Mutex
	device   DeviceState
	told     bool // the last gone or back event said that the device answers
	toldAny  bool
	awaiting map[call][]uint64 // replies on their way to a till
	unsaved  []unsaved

	lastCall, lastCompact time.Time
}

// call names a reply on its way.
type call struct {
	till     string
	session  int
	function sat.Function
}

type unsaved struct {
	entry *entry
	batch *buffer.Batch
}

// DeviceState is what the agent knows of its device now.
type DeviceState struct {
	Info      sat.Info
	Answering bool
	Since     time.Time // of Answering
	Err       error     // why it does not answer
	OpenCases int       // fiscal calls whose outcome is not known
	CodeKnown bool

	DoubtSince time.Time // of the oldest of those calls
}

// New makes a router over an open buffer. Run must be called for it to serve.
func New(o Options) (*Router, error) {
	first := firstSession + rand.IntN(sat.MaxSession-firstSession)
	j, err := openJournal(o.Buffer, o.Codec, o.Now, first)
	if err != nil {
		return nil, err
	}
	c, err := openCodes(o.Codes)
	if err != nil {
		o.Log.Error("activation codes not available", "err", err)
	}
	r := &Router{journal: j, codes: c, codec: o.Codec, log: o.Log, now: o.Now,
		awaiting: map[call][]uint64{},
		convert:  func(c sat.Code) sat.Code { return o.DeviceTable.Convert(c, o.TillTable) }}
	r.device.Since = o.Now()
	r.owner = &owner{router: r, open: o.Open, reserve: o.Reserve, bridge: o.Bridge, queue: make(chan *job), log: o.Log}
	if o.Reserve == nil {
		r.owner.reserve = func(context.Context) (func(), error) { return func() {}, nil }
	}
	return r, nil
}

// Run serves until ctx ends, or until the buffer breaks: then it returns
// buffer.ErrDamaged, and only opening the buffer anew helps. One goroutine owns
// the device, this one keeps house.
func (r *Router) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.owner.run(ctx) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var err error
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			err = r.house()
		}
	}
	cancel()
	wg.Wait()
	return errors.Join(err, r.house())
}

// house writes what waits to be written. Its error is a broken buffer.
func (r *Router) house() error {
	r.mu.Lock()
	waiting := r.unsaved
	r.unsaved = nil
	r.mu.Unlock()
	for _, u := range waiting {
		if err := r.journal.update(u.entry, u.batch); err != nil {
			r.keep(u.entry, u.batch)
		}
	}
	if err := r.journal.flush(); err != nil {
		r.log.Error("deliveries not noted", "err", err)
	}
	r.tellDevice()
	r.compact()
	return r.journal.broken()
}

// Compaction waits for a till that does nothing, and is not tried all the time.
const (
	idleBefore   = time.Minute
	compactEvery = 10 * time.Minute
)

// compact gives the buffer's free pages back after a long outage was drained.
func (r *Router) compact() {
	r.mu.Lock()
	now := r.now()
	due := now.Sub(r.lastCall) > idleBefore && now.Sub(r.lastCompact) > compactEvery
	if due {
		r.lastCompact = now
	}
	r.mu.Unlock()
	if !due {
		return
	}
	if done, err := r.journal.buf.Compact(); err != nil && !errors.Is(err, buffer.ErrBusy) {
		r.log.Error("buffer not compacted", "err", err)
	} else if done {
		r.log.Info("buffer compacted")
	}
}

// keep holds an answer whose commit failed.
func (r *Router) keep(e *entry, b *buffer.Batch) {
	r.mu.Lock()
	r.unsaved = append(r.unsaved, unsaved{e, b})
	r.mu.Unlock()
}

// Call answers a till. The reply is always one that the till can read: when
// nothing certain can be said in time it is "em processamento". An error means
// that the request itself makes no sense and reached no device.
func (r *Router) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	req.Session = tillSession(req.Session)
	if err := req.Check(); err != nil {
		return sat.Reply{}, fmt.Errorf("%w: %w", sat.ErrNotSent, err)
	}
	r.mu.Lock()
	r.lastCall = r.now()
	r.mu.Unlock()
	ctx, cancel := answerInTime(ctx, req.Function)
	defer cancel()
	reply := r.answer(ctx, req)
	if c := r.convert(reply.Code); c != reply.Code {
		reply.Code = c
		reply.Raw = reply.Encode(reply.Session)
	}
	return reply, nil
}

func (r *Router) answer(ctx context.Context, req sat.Request) sat.Reply {
	switch {
	case req.Function.Fiscal():
		return r.fiscal(ctx, req)
	case req.Function == sat.ConsultarNumeroSessao:
		return r.bySession(ctx, req)
	case req.Function == sat.ConsultarUltimaSessaoFiscal:
		return r.lastFiscal(ctx, req)
	}
	return r.plain(ctx, req)
}

// tillSession brings any C int into the range that devices use: as Gertec's
// library does, modulo one million (dossier 5.1).
func tillSession(s int) int {
	const n = sat.MaxSession + 1
	return (s%n + n) % n
}

// answerInTime leaves a tenth of the till's remaining time, at most half a
// second, for the way back.
func answerInTime(ctx context.Context, f sat.Function) (context.Context, context.CancelFunc) {
	left := f.Deadline()
	if d, ok := ctx.Deadline(); ok {
		left = time.Until(d)
	}
	return context.WithTimeout(ctx, left-min(left/10, 500*time.Millisecond))
}

// Delivered says that the reply to this call reached the till's library. The
// server calls it after each reply it could hand over.
func (r *Router) Delivered(req sat.Request) {
	k := call{req.Till, tillSession(req.Session), req.Function}
	r.mu.Lock()
	numbers := r.awaiting[k]
	delete(r.awaiting, k)
	r.mu.Unlock()
	if len(numbers) > 0 {
		r.journal.delivered(req.Till, numbers)
	}
}

// Device gives the agent's own parts access to the device, behind the tills'
// queue and behind open cases.
func (r *Router) Device() sat.Device { return own{r} }

type own struct{ r *Router }

func (d own) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	res := d.r.submit(ctx, &job{req: req})
	return res.reply, res.err
}

// submit queues a job for the owner and waits for its result or for ctx.
func (r *Router) submit(ctx context.Context, j *job) result {
	j.ctx, j.done = ctx, make(chan result, 1)
	if j.code == "" {
		j.code = j.req.Arg(sat.CodeParam)
	}
	select {
	case r.owner.queue <- j:
	case <-ctx.Done():
		return result{err: fmt.Errorf("the device is busy: %w", sat.ErrNotSent)}
	}
	select {
	case res := <-j.done:
		return res
	case <-ctx.Done():
		return result{err: ctx.Err()}
	}
}

// fiscal answers a sale or cancellation.
func (r *Router) fiscal(ctx context.Context, req sat.Request) sat.Reply {
	e := entry{Till: req.Till, Session: req.Session, Function: req.Function, Payload: payloadOf(req)}
	v, old := place(r.journal.latest(req.Till), e.Session, e.Function, e.Payload, r.now())
	if v == isOpen {
		r.submit(ctx, &job{code: req.Arg(sat.CodeParam)})
		v, old = place(r.journal.latest(req.Till), e.Session, e.Function, e.Payload, r.now())
	}
	if v == isRepeat {
		if reply, ok := r.refuseStranger(ctx, req); !ok {
			return reply
		}
	}
	if v == isNew {
		res := r.submit(ctx, &job{req: req, entry: &e})
		if res.entry == nil {
			return r.failed(req, res.err)
		}
		v, old = res.verdict, res.entry
	}
	switch v {
	case isDuplicate:
		return forTill(sat.NewReply(req.Function, 0, req.Function.Success()+97), req.Session)
	case isVoid:
		return r.note(req, req.Function.Failed(), r.voidText())
	case isHeld:
		return r.note(req, req.Function.Busy(), "Documento ja emitido, ainda nao recuperado. Nao repita a venda; chame o suporte.")
	case isRepeat:
		return r.repeat(req, old)
	}
	return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
}

// repeat answers with what the device said to an earlier call. A call under
// another session is journaled under that one too.
func (r *Router) repeat(req sat.Request, e *entry) sat.Reply {
	full := e
	var err error
	if full.Reply == nil {
		full, err = r.journal.load(e)
	}
	var reply sat.Reply
	if err == nil && full.Reply != nil {
		reply, err = full.reply()
	}
	if err != nil || full.Reply == nil {
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
	r.awaiting[call{req.Till, req.Session, req.Function}] = numbers
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
		r.submit(ctx, &job{code: req.Arg(sat.CodeParam)})
		e = find()
	}
	switch {
	case e == nil:
		return forTill(sat.NewReply(req.Function, 0, none), req.Session)
	case e.State == open:
		return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
	case e.State == missing:
		return r.note(req, req.Function.Busy(), "Documento ja emitido, ainda nao recuperado. Nao repita a venda; chame o suporte.")
	}
	full, err := r.journal.load(e)
	if err != nil {
		r.log.Error("stored reply not readable", "till", e.Till, "session", e.Session, "err", err)
		return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
	}
	reply, err := full.reply()
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

// refuseStranger lets a caller at stored replies only with the activation code,
// as the device would. An unknown code is left to the device to judge, once.
func (r *Router) refuseStranger(ctx context.Context, req sat.Request) (sat.Reply, bool) {
	code := req.Arg(sat.CodeParam)
	known := r.codes.get(r.State().Info.Serial)
	if known == "" || known == code {
		return sat.Reply{}, true
	}
	res := r.submit(ctx, &job{req: sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{code}}})
	if res.err == nil && res.reply.Code.Success() {
		return sat.Reply{}, true
	}
	if res.err == nil && res.reply.Code.WrongActivationCode() {
		return forTill(sat.NewReply(req.Function, 0, req.Function.Success()+1), req.Session), false
	}
	return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session), false
}

// plain carries out a call that issues no document of fiscal value. Replies of
// functions that change something are journaled for session queries; readings
// are not, they are asked anew.
func (r *Router) plain(ctx context.Context, req sat.Request) sat.Reply {
	res := r.submit(ctx, &job{req: req})
	if res.err != nil {
		return r.failed(req, res.err)
	}
	switch req.Function {
	case sat.ConsultarSAT, sat.ConsultarStatusOperacional, sat.ExtrairLogs:
		return forTill(res.reply, req.Session)
	}
	e := entry{Till: req.Till, Session: req.Session, Function: req.Function, Payload: payloadOf(req),
		State: answered, Serial: r.State().Info.Serial, Reply: res.reply.Raw}
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

// failed words an error for the till: "erro desconhecido" only when the call
// certainly reached no device, otherwise "em processamento".
func (r *Router) failed(req sat.Request, err error) sat.Reply {
	r.log.Warn("call not answered by the device", "till", req.Till, "session", req.Session, "function", req.Function, "err", err)
	var device *sat.Error
	switch {
	case errors.As(err, &device) && device.Code.WrongActivationCode():
		return forTill(sat.NewReply(req.Function, 0, req.Function.Success()+1), req.Session)
	case errors.Is(err, errUnresolved):
		return r.note(req, req.Function.Busy(), "Verificando uma venda anterior no SAT. Tente novamente.")
	case errors.Is(err, buffer.ErrFull):
		return r.note(req, req.Function.Failed(), "Disco do caixa cheio: a venda nao foi enviada ao SAT. Chame o suporte.")
	case errors.Is(err, sat.ErrNotSent) && !r.State().Answering:
		return r.note(req, req.Function.Failed(), r.voidText())
	}
	return forTill(sat.NewReply(req.Function, 0, req.Function.Busy()), req.Session)
}

// voidText says what to do after a sale that certainly was not made.
func (r *Router) voidText() string {
	if !r.State().Answering {
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
