package sim

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/link"
)

// Sim is a simulated device. It is a [sat.Device], safe for concurrent use; like
// a real one it carries out one command at a time and answers "em processamento"
// meanwhile. It starts no goroutine except in Run.
type Sim struct {
	o Options

	mu      sync.Mutex
	st      state
	ledger  *ledger
	ca      *cfe.CA
	signer  *cfe.Signer
	script  []*scripted
	job     *job
	struck  int           // faults that have struck
	gone    chan struct{} // closed while unplugged
	back    chan struct{} // closed while plugged in
	crashed chan struct{} // closed by the first crash
}

// New makes a device, or takes up the one that Options.Dir holds.
func New(o Options) (*Sim, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("cannot simulate a device: %w", err)
	}
	s := &Sim{o: o, gone: make(chan struct{}), back: make(chan struct{}), crashed: make(chan struct{})}
	close(s.back)
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open loads what the folder keeps, or begins anew.
func (s *Sim) open() error {
	known := false
	if s.o.Dir != "" {
		if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
			return fmt.Errorf("cannot make the simulated device's folder: %w", err)
		}
		var err error
		if known, err = s.st.load(s.o.Dir); err != nil {
			return err
		}
	}
	if !known {
		s.st = state{Online: true, Software: s.o.Software, Network: factoryNetwork(), MemoryUsed: 8 << 20}
		if !s.o.Factory {
			s.st.Stage, s.st.Code, s.st.SignAC, s.st.LastContact = linked, s.o.Code, s.o.SignAC, s.now()
		}
	}
	if err := s.openCertificates(); err != nil {
		return err
	}
	ledger, err := openLedger(s.o.Dir)
	if err != nil {
		return err
	}
	s.ledger = ledger
	// A document booked after the state was last written: the process ended
	// between the two.
	for _, r := range ledger.records[min(s.st.Count, len(ledger.records)):] {
		s.st.book(r)
		f := sat.EnviarDadosVenda
		if r.Cancels != "" {
			f = sat.CancelarUltimaVenda
		}
		s.st.remember(stored{r.Session, f, r.Reply}, s.o.Memory)
	}
	return nil
}

// Close releases the folder. The device is as if switched off.
func (s *Sim) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unplug()
	return s.ledger.close()
}

// Hello is what the device says of itself on a line.
func (s *Sim) Hello() link.Hello {
	s.mu.Lock()
	defer s.mu.Unlock()
	return link.Hello{Model: "simulador " + string(s.o.Kind), Serial: s.o.Serial, Software: s.st.Software}
}

// Roots trusts the authority of this device's certificate.
func (s *Sim) Roots() *x509.CertPool { return s.ca.Pool() }

// Issued is all the device ever issued, in order. The caller must not change it.
func (s *Sim) Issued() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return slices.Clip(s.ledger.records)
}

// Struck counts the faults that have struck.
func (s *Sim) Struck() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.struck
}

// now is the device's clock: seconds, in the state's zone.
func (s *Sim) now() time.Time {
	return s.o.Clock().Add(s.st.ClockOffset).In(sat.Brasilia()).Truncate(time.Second)
}

// Call implements [sat.Device]. Without a deadline of ctx it waits as long as the
// function's own.
func (s *Sim) Call(ctx context.Context, req sat.Request) (sat.Reply, error) {
	err := req.Check()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return sat.Reply{}, s.failed("call", req, fmt.Errorf("%w: %w", sat.ErrNotSent, err))
	}
	ctx, cancel := context.WithTimeout(ctx, req.Function.Deadline())
	defer cancel()
	raw, err := s.command(ctx, req)
	if err != nil {
		return sat.Reply{}, s.failed("call", req, err)
	}
	r, err := sat.ParseReply(req.Function, raw)
	if err != nil {
		return r, s.failed("read the reply to", req, err)
	}
	return r, nil
}

func (s *Sim) failed(op string, req sat.Request, err error) error {
	return &sat.Error{Op: op, Device: s.o.Serial, Request: req.Function, Session: req.Session, Err: err}
}

// execute carries out a command and keeps its reply. A session number used among
// the last hundred is refused and leaves no trace.
func (s *Sim) execute(req sat.Request) []byte {
	if slices.Contains(s.st.Sessions, req.Session) {
		code := req.Function.Success() + 97
		if s.o.OldDuplicates {
			code = req.Function.Failed()
		}
		r := sat.NewReply(req.Function, req.Session, code)
		r.Message = "Número de sessão inválido"
		return r.Encode(req.Session)
	}
	now := s.now()
	s.contact(now)
	s.log("AC-SAT", "info", fmt.Sprintf("%s sessao %06d", req.Function, req.Session))
	raw := s.handle(req, now)
	s.log("SAT-AC", "info", string(raw[:min(len(raw), 12)]))
	s.st.remember(stored{req.Session, req.Function, raw}, s.o.Memory)
	s.save()
	return raw
}

// save writes the state; a simulator that cannot is of no use as a witness, which
// its log says.
func (s *Sim) save() {
	if s.o.Dir == "" {
		return
	}
	if err := s.st.save(s.o.Dir); err != nil {
		s.o.Log.Error("simulated device cannot keep its state", "error", err)
	}
}

// handle gives the function's reply.
func (s *Sim) handle(req sat.Request, now time.Time) []byte {
	if code := s.admit(req, now); code != 0 {
		return s.say(req, code)
	}
	switch req.Function {
	case sat.AtivarSAT:
		return s.ativar(req, now)
	case sat.ComunicarCertificadoICPBRASIL:
		return s.certificado(req, now)
	case sat.EnviarDadosVenda:
		return s.vender(req, now)
	case sat.CancelarUltimaVenda:
		return s.cancelar(req, now)
	case sat.ConsultarSAT:
		return s.say(req, 8000)
	case sat.TesteFimAFim:
		return s.testar(req, now)
	case sat.ConsultarStatusOperacional:
		return sat.NewStatusReply(req.Session, s.status(now)).Raw
	case sat.ConsultarNumeroSessao:
		return s.numeroSessao(req)
	case sat.ConfigurarInterfaceDeRede:
		return s.configurarRede(req)
	case sat.AssociarAssinatura:
		return s.associar(req)
	case sat.AtualizarSoftwareSAT:
		return s.atualizar(req)
	case sat.ExtrairLogs:
		return s.extrairLogs(req)
	case sat.BloquearSAT:
		return s.bloquear(req)
	case sat.DesbloquearSAT:
		return s.desbloquear(req, now)
	case sat.TrocarCodigoDeAtivacao:
		return s.trocarCodigo(req, now)
	default: // ConsultarUltimaSessaoFiscal, the sixteenth
		return s.ultimaSessao(req)
	}
}

// admit checks what comes before any command: lock-out, activation, activation
// code. It returns the code of the refusal, 0 for none.
func (s *Sim) admit(req sat.Request, now time.Time) sat.Code {
	f := req.Function
	switch {
	case f == sat.TrocarCodigoDeAtivacao: // judges its two codes itself
		return 0
	case s.locked(now):
		return s.lockedCode(f)
	case f == sat.AtivarSAT, f == sat.ConsultarSAT:
		return 0
	case s.st.Stage == inactive && inactiveCode(f) != 0:
		return s.refusal(f, inactiveCode(f))
	case !s.codeRight(req.Arg(sat.CodeParam), now):
		return f.Success() + 1
	}
	return 0
}

// lockedCode is the answer during a lock-out, in which a device ignores every
// function (dossier 5.6).
func (s *Sim) lockedCode(f sat.Function) sat.Code {
	switch f {
	case sat.EnviarDadosVenda, sat.CancelarUltimaVenda:
		return s.refusal(f, 6009)
	case sat.AtivarSAT:
		return f.Failed()
	case sat.ConsultarSAT:
		return f.Busy()
	}
	return f.Success() + 1
}

// inactiveCode is the answer of a device that was never activated; 0 for the
// functions it has from the factory.
func inactiveCode(f sat.Function) sat.Code {
	switch f {
	case sat.EnviarDadosVenda, sat.CancelarUltimaVenda:
		return 6002
	case sat.TesteFimAFim, sat.ConsultarNumeroSessao, sat.ConsultarUltimaSessaoFiscal:
		return f.Success() + 2
	case sat.ComunicarCertificadoICPBRASIL, sat.AssociarAssinatura, sat.BloquearSAT, sat.DesbloquearSAT:
		return f.Failed()
	}
	return 0
}

// say writes the reply with this code and data.
func (s *Sim) say(req sat.Request, code sat.Code, data ...string) []byte {
	r := sat.NewReply(req.Function, req.Session, code)
	r.Data = data
	return r.Encode(req.Session)
}

func (s *Sim) busy(req sat.Request) []byte { return s.say(req, req.Function.Busy()) }

// number reads a decimal number without sign; -1 when it is none.
func number(s string) int {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return -1
	}
	return int(n)
}
