package soak

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"zelo/sat"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// till is a POS program with its library.
type till struct {
	w     *world
	name  string
	agent *agent
	r     *rand.Rand

	session int // last used
	sales   []*sale
	off     bool // lost its power since it last asked: it has forgotten its session
}

// sale is one fiscal act that a cashier wants once: a sale, or the cancellation
// of one.
type sale struct {
	till    *till
	mark    string // in the document
	cancels string // key
	session int    // of the last call
	key     string // of the document the till was given
	xml     []byte // the document itself
	refused bool   // the till was told that there is no document
	lives   int    // of the agent, when it was made
}

func newTill(w *world, i int) *till {
	return &till{w: w, name: fmt.Sprintf("%03d", i+1), agent: w.agents[i/tillsPerAgent], r: w.stream(uint64(i))}
}

// work sells all day.
func (t *till) work() {
	for i := range salesPerTill {
		time.Sleep(time.Duration(300+t.r.IntN(7000)) * time.Millisecond)
		<-t.agent.tokens
		t.w.begin(t.agent)
		t.act(&sale{till: t, mark: fmt.Sprintf("ITEM-%s-%02d", t.name, i)})
		done := t.sales[len(t.sales)-1]
		switch chance := t.r.IntN(12); {
		case done.key == "" || done.lives != t.agent.memory():
		case chance == 0:
			t.act(&sale{till: t, mark: done.key, cancels: done.key})
		case chance == 1:
			t.askAgain(done, sat.EnviarDadosVenda)
		case chance == 2:
			t.askAgain(done, sat.ConsultarNumeroSessao)
		case chance == 3:
			t.askAgain(done, sat.ConsultarUltimaSessaoFiscal)
		}
		t.agent.tokens <- struct{}{}
		t.agent.rest()
	}
}

// patience is how often a cashier tries before calling for help.
const patience = 80

// act makes a sale or cancellation, as POS programs do: until the device says
// yes, or no.
func (t *till) act(s *sale) {
	s.lives = t.agent.memory()
	t.sales = append(t.sales, s)
	t.session++
	s.session = t.session
	refusals := 0
	for i := range patience {
		if t.off {
			t.off = false // the program starts anew and knows no session
			t.session++
			s.session = t.session
		}
		reply, ok := t.try(s, i == 0)
		if ok && t.take(s, reply) {
			return
		}
		if ok && certainlyNot(reply) {
			s.refused = true
			if refusals++; refusals == 8 || s.cancels != "" {
				return
			}
			t.session++
			s.session = t.session
		}
		time.Sleep(time.Duration(1000+t.r.IntN(6000)) * time.Millisecond)
	}
	t.w.fail("till %s never learns what became of %s", t.name, s.mark)
}

// certainlyNot reports whether a reply says that nothing was issued.
func certainlyNot(r sat.Reply) bool {
	return r.Function.Fiscal() && !r.Code.Success() && !r.Code.Busy()
}

// try makes the call, or after the first time one of the ways in which programs
// find out.
func (t *till) try(s *sale, first bool) (sat.Reply, bool) {
	s.refused = false
	how := t.r.IntN(5)
	if first {
		how = -1
	}
	switch how {
	case 0:
		t.session++
		if r, ok := t.call(t.session, sat.ConsultarNumeroSessao, sim.DefaultCode, strconv.Itoa(s.session)); ok && r.Code.Success() {
			return r, true
		}
	case 1:
		t.session++
		s.session = t.session
	case 2: // whether the device is there at all
		t.session++
		t.call(t.session, sat.ConsultarStatusOperacional, sim.DefaultCode)
	}
	if s.cancels != "" {
		return t.call(s.session, sat.CancelarUltimaVenda, sim.DefaultCode, "CFe"+s.cancels, sattest.CancelXML(s.cancels))
	}
	return t.call(s.session, sat.EnviarDadosVenda, sim.DefaultCode, saleXML(s.mark))
}

func saleXML(mark string) string {
	return strings.Replace(sattest.SaleXML("10.00", ""), "Café em pó 500 g", mark, 1)
}

// take keeps a document that the till was given; false when the reply has none.
func (t *till) take(s *sale, r sat.Reply) bool {
	d, err := r.Document()
	if err != nil {
		return false
	}
	if !bytes.Contains(d.XML, []byte(s.mark)) {
		t.w.fail("till %s is given document %s for %s, which is another's", t.name, d.Key, s.mark)
		return false
	}
	s.key, s.xml = d.Key, d.XML
	return true
}

// askAgain asks for a reply that the till has already, one way or the other: it
// is the same (invariant 7).
func (t *till) askAgain(s *sale, f sat.Function) {
	session, args := s.session, []string{sim.DefaultCode, saleXML(s.mark)}
	switch f {
	case sat.ConsultarNumeroSessao:
		t.session++
		session, args = t.session, []string{sim.DefaultCode, strconv.Itoa(s.session)}
	case sat.ConsultarUltimaSessaoFiscal:
		t.session++
		session, args = t.session, []string{sim.DefaultCode}
	}
	r, ok := t.call(session, f, args...)
	if !ok || r.Code.Busy() || s.lives != t.agent.memory() {
		return
	}
	d, err := r.Document()
	if err != nil || !bytes.Equal(d.XML, s.xml) {
		t.w.fail("till %s asks again for %s by %s and hears %s %s (%s)", t.name, s.mark, f, r.Code, d.Key, r.Message)
	}
}

// call is what the till's library does: a call with the function's deadline, and
// word that the reply arrived. It is false when the till hears nothing.
func (t *till) call(session int, f sat.Function, args ...string) (sat.Reply, bool) {
	l := t.agent.current()
	if l == nil {
		return sat.Reply{}, false
	}
	if fault, ok := l.reach(before); ok {
		t.early(l, fault)
	}
	ctx, cancel := context.WithTimeout(background, f.Deadline())
	defer cancel()
	req := sat.Request{Till: t.name, Session: session, Function: f, Args: args}
	start := time.Now()
	type answered struct {
		sat.Reply
		error
	}
	done := make(chan answered, 1)
	go func() {
		r, err := l.router.Call(ctx, req)
		done <- answered{r, err}
	}()
	var got answered
	select {
	case <-l.dead:
		return t.cut()
	case got = <-done:
	}
	if l.doomed() {
		return t.cut()
	}
	if took := time.Since(start); took > f.Deadline() || got.error != nil {
		t.w.fail("till %s: %s answered after %s, %v", t.name, f, took, got.error)
	}
	for _, complaint := range sattest.Strict(f, session, string(got.Raw)) {
		t.w.fail("till %s: %s: %s: %.200s", t.name, f, complaint, got.Raw)
	}
	r, err := sat.ParseReply(f, got.Raw)
	if err != nil {
		t.w.fail("till %s cannot read %q: %v", t.name, got.Raw, err)
	}
	if f.Fiscal() {
		l.told(r)
		if fault, ok := l.reach(commit); ok && t.late(l, fault) {
			return t.cut()
		}
	}
	l.router.Delivered(req)
	return r, true
}

// cut is a connection that ends without a reply. With the power the program is
// gone, too.
func (t *till) cut() (sat.Reply, bool) {
	t.off = t.off || t.r.IntN(2) == 0
	return sat.Reply{}, false
}

// early is what happens before the agent has the call.
func (t *till) early(l *life, f fault) {
	switch f.kind {
	case killed, powerLoss:
		l.doom(f)
	case unplugged:
		for _, d := range l.devices {
			d.pull(f.span)
		}
	case clockJump:
		l.agent.jump(f)
	case diskFull:
		l.agent.fill(f)
	}
}

// late is what happens when the answer is on the disk and the till has not heard;
// true when it will not hear.
func (t *till) late(l *life, f fault) bool {
	switch f.kind {
	case killed, powerLoss:
		l.doom(f)
		<-l.dead
	case clockJump:
		l.agent.jump(f)
		return f.rng().IntN(2) == 0
	}
	return true
}
