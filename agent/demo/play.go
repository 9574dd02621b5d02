package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// play is the story: two tills sell, and things go wrong on the way.
func (s *stage) play() error {
	for _, act := range []func() error{s.sellTogether, s.agentDies, s.cablePulled, s.collectorAway, s.cancelled, s.deviceBlocked} {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// act begins a part of the story.
func (s *stage) act(format string, args ...any) {
	fmt.Println()
	s.say(format, args...)
}

func (s *stage) sellTogether() error {
	s.act("Os dois caixas vendem ao mesmo tempo, cada um no seu SAT")
	return s.together(4)
}

// together has each till make some sales, at the same time.
func (s *stage) together(times int) error {
	return both(func() error { return s.tills[0].sell(times) }, func() error { return s.tills[1].sell(times) })
}

func (s *stage) agentDies() error {
	s.act("O agente é morto três vezes, nos piores momentos de uma venda; o sistema o inicia de novo")
	for _, at := range []struct {
		line   *proxy
		moment func(bool, []byte) bool
		when   string
	}{
		{s.b.line, saleOnTheWay, "antes de a venda chegar ao SAT B"},
		{s.b.line, saleIssued, "depois de o SAT B emitir, antes de o agente saber disso"},
		{s.tillLine, answerOnTheWay, "depois de gravar o cupom, antes de responder ao caixa"},
	} {
		if err := s.killedDuring(at.line, at.moment, at.when); err != nil {
			return err
		}
	}
	return nil
}

// killedDuring lets the agent die at an exact moment of a sale and starts it
// again, as the system's service manager would.
func (s *stage) killedDuring(line *proxy, moment func(bool, []byte) bool, when string) error {
	restarted := make(chan error, 1)
	line.set(&trap{matches: moment, sprung: func() {
		s.agent.end(syscall.SIGKILL)
		s.say("Agente morto com kill -9 %s", when)
		go func() { restarted <- s.startAgent() }()
	}})
	if err := s.together(1); err != nil {
		return err
	}
	select {
	case err := <-restarted:
		return err
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-time.After(time.Minute):
		return fmt.Errorf("the sales went through, but the moment to strike never came: %s", when)
	}
}

// cablePulled takes SAT A away in the middle of a sale of till 001.
func (s *stage) cablePulled() error {
	s.act("Alguém puxa o cabo do SAT A no meio de uma venda do caixa 001")
	if err := s.a.tell(`{"script":{"function":"EnviarDadosVenda","do":"unplug"}}`); err != nil {
		return err
	}
	one, other := s.tills[0], s.tills[1]
	open, err := one.begin()
	if err != nil {
		return err
	}
	one.say("venda %2d  SAT A  em dúvida: ninguém sabe se saiu. Espera-se pelo cabo, nada é vendido de novo", open)
	s.say("O caixa 001 atende o próximo cliente pelo SAT B, com o código de ativação do SAT B")
	if err := both(func() error { return one.sell(3) }, func() error { return other.sell(3) }); err != nil {
		return err
	}
	if by := s.of(one.last()); by != "B" || s.status().OpenCases != 1 {
		return fmt.Errorf("without its cable SAT A cannot have sold: document by %s, %d sales in doubt", by, s.status().OpenCases)
	}
	if err := s.a.tell(`{"plug":true}`); err != nil {
		return err
	}
	s.say("O cabo volta, e antes de qualquer outra coisa o agente pergunta ao SAT A o que houve")
	if err := s.until("the sale in doubt to be settled", func() bool {
		st := s.status()
		return st.Answering && st.OpenCases == 0
	}); err != nil {
		return err
	}
	if err := one.finish(open); err != nil {
		return err
	}
	s.say("A venda %d tinha saído: o caixa recebe aquele mesmo cupom, e volta ao seu SAT", open)
	return one.sell(1)
}

func (s *stage) collectorAway() error {
	s.act("O coletor e o seu broker saem do ar (kill -9); os caixas continuam vendendo")
	s.collector.end(syscall.SIGKILL)
	if err := s.together(2); err != nil {
		return err
	}
	s.say("%d cupons guardados só neste computador; o coletor volta", s.status().waiting())
	if err := s.serveCollector(); err != nil {
		return err
	}
	return s.together(1)
}

// cancelled cancels the latest sale of till 002.
func (s *stage) cancelled() error {
	t := s.tills[1]
	words, err := t.ask("cancel " + t.last())
	if err != nil {
		return err
	}
	t.keys = append(t.keys, words[2])
	t.say("cancela   SAT %s  %s", s.of(words[2]), words[2])
	return nil
}

// deviceBlocked changes SAT A so that somebody must look after it.
func (s *stage) deviceBlocked() error {
	expires := time.Now().AddDate(0, 0, 20).Format(time.DateOnly)
	if err := s.a.tell(fmt.Sprintf(`{"set":{"cert_expires":%q}}`, expires)); err != nil {
		return err
	}
	if err := s.a.tell(`{"set":{"state":3}}`); err != nil {
		return err
	}
	s.act("O SAT A entra em bloqueio autônomo, e o seu certificado vence em 20 dias; o caixa 001 vende pelo SAT B")
	if err := s.tills[0].sell(1); err != nil {
		return err
	}
	if err := s.until("the alarms", func() bool {
		list := strings.Join(s.alarms(), "\n")
		return strings.Contains(list, "certificado") && strings.Contains(list, "bloqueio") && strings.Contains(list, "SEFAZ")
	}); err != nil {
		return err
	}
	for _, a := range s.alarms() {
		s.say("Alarme  %s", a)
	}
	s.act("O que ficou no fim")
	if err := s.until("the collector to confirm everything", func() bool {
		st := s.status()
		return st.Connected && st.waiting() == 0 && st.OpenCases == 0
	}); err != nil {
		return err
	}
	s.say("Tudo confirmado pelo coletor: nada espera no computador dos caixas")
	return nil
}
