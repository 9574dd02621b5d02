package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// play makes the sales, and things go wrong on the way.
func (s *stage) play() error {
	s.say("O caixa começa a vender")
	for n := 1; n <= sales; n++ {
		var err error
		switch n {
		case 5:
			err = s.killedDuring(n, s.deviceLine, saleOnTheWay, "antes de a venda chegar ao SAT")
		case 8:
			err = s.killedDuring(n, s.deviceLine, saleIssued, "depois de o SAT emitir, antes de saber disso")
		case 11:
			err = s.killedDuring(n, s.tillLine, answerOnTheWay, "depois de gravar o cupom, antes de responder ao PDV")
		case 13:
			s.say("O coletor e o seu broker saem do ar (kill -9); o caixa continua vendendo")
			s.collector.end(syscall.SIGKILL)
			err = s.sell(n)
		case 17:
			s.say("%d cupons guardados só neste caixa; o coletor volta", s.status().waiting())
			if err = s.serveCollector(); err == nil {
				err = s.sell(n)
			}
		default:
			err = s.sell(n)
		}
		if err != nil {
			return err
		}
	}
	words, err := s.ask("cancel " + s.keys[len(s.keys)-1])
	if err != nil {
		return err
	}
	s.keys = append(s.keys, words[2])
	s.say("Última venda cancelada: %s", words[2])
	if err := s.until("the collector to confirm everything", func() bool {
		st := s.status()
		return st.Connected && st.waiting() == 0 && st.OpenCases == 0
	}); err != nil {
		return err
	}
	s.say("Tudo confirmado pelo coletor: nada espera no caixa")
	return s.raiseAlarms()
}

func (s *stage) sell(n int) error {
	words, err := s.ask(fmt.Sprintf("sale %d", n))
	if err != nil {
		return err
	}
	s.keys = append(s.keys, words[2])
	tries := ""
	if words[3] != "1" {
		tries = " (o SAT não tinha emitido; vendida de novo, " + words[3] + " tentativas)"
	}
	s.say("Venda %2d  %s%s", n, words[2], tries)
	return nil
}

// killedDuring lets the agent die at an exact moment of a sale and starts it
// again, as the system's service manager would.
func (s *stage) killedDuring(n int, line *proxy, moment func(bool, []byte) bool, when string) error {
	restarted := make(chan error, 1)
	line.set(&trap{matches: moment, sprung: func() {
		s.agent.end(syscall.SIGKILL)
		s.say("Agente morto com kill -9 %s", when)
		go func() { restarted <- s.startAgent() }()
	}})
	if err := s.sell(n); err != nil {
		return err
	}
	select {
	case err := <-restarted:
		return err
	default:
		return fmt.Errorf("sale %d went through, but the moment to strike never came", n)
	}
}

// raiseAlarms changes the device so that somebody must look after it.
func (s *stage) raiseAlarms() error {
	expires := time.Now().AddDate(0, 0, 20).Format(time.DateOnly)
	if err := s.tell(fmt.Sprintf(`{"set":{"cert_expires":%q}}`, expires)); err != nil {
		return err
	}
	s.say("O certificado do SAT passa a vencer em 20 dias")
	if err := s.tell(`{"set":{"state":3}}`); err != nil {
		return err
	}
	s.say("O SAT entra em bloqueio autônomo")
	return s.until("the alarms", func() bool {
		list := strings.Join(s.alarms(), "\n")
		return strings.Contains(list, "certificado") && strings.Contains(list, "bloqueio")
	})
}

// alarms are the open alarms, one line each.
func (s *stage) alarms() []string {
	out, err := s.run("zelo-collector", "alarms", "-pasta", s.path("coletor"))
	if err != nil || strings.TrimSpace(out) == "" {
		return nil
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// record is a line of the simulated device's own list of what it issued.
type record struct {
	Key     string `json:"key"`
	Cancels string `json:"cancels"`
	XML     string `json:"xml"` // base64
}

func (s *stage) issued() (out []record, err error) {
	f, err := os.Open(s.path("sat", "issued.jsonl"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return out, nil
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
}

// judge compares the export with the device's list and words the result.
func (s *stage) judge() (result string, ok bool, err error) {
	for _, a := range s.alarms() {
		s.say("Alarme: %s", a)
	}
	path := s.path("exportacao.zip")
	if _, err := s.run("zelo-collector", "export", "-pasta", s.path("coletor"), "-o", path); err != nil {
		return "", false, err
	}
	exported, err := archive(path)
	if err != nil {
		return "", false, fmt.Errorf("cannot read the export: %w", err)
	}
	issued, err := s.issued()
	if err != nil {
		return "", false, fmt.Errorf("cannot read the device's list: %w", err)
	}
	archived, sold := 0, map[string]int{}
	for _, r := range issued {
		xml, err := base64.StdEncoding.DecodeString(r.XML)
		if err != nil {
			return "", false, err
		}
		name := "AD" + r.Key + ".xml"
		if r.Cancels != "" {
			name = "ADC" + r.Key + ".xml"
		}
		if bytes.Equal(exported[name], xml) {
			archived++
		} else {
			s.say("Falta ou difere no arquivo: %s", name)
		}
		sold[product(xml)+r.Cancels]++
	}
	doubled := 0
	for _, n := range sold {
		doubled += n - 1
	}
	lost := len(issued) - archived
	alarms := len(s.alarms())
	s.say("Exportação para o contador: %d XML em %s", len(exported), path)
	ok = len(issued) == sales+1 && archived == len(issued) && doubled == 0 && len(exported) == len(issued) &&
		alarms >= 2 && sameKeys(s.keys, issued)
	return fmt.Sprintf("demo: %d documents, %d archived, %d lost, %d doubled, %d alarms, export %d",
		len(issued), archived, lost, doubled, alarms, len(exported)), ok, nil
}

// product is what a sale sold: each of the till's sales has its own.
func product(xml []byte) string {
	_, rest, _ := bytes.Cut(xml, []byte("<cProd>"))
	code, _, _ := bytes.Cut(rest, []byte("</cProd>"))
	return strconv.Quote(string(code))
}

// sameKeys reports whether the till holds exactly the documents that exist.
func sameKeys(till []string, issued []record) bool {
	have := map[string]bool{}
	for _, k := range till {
		have[k] = true
	}
	for _, r := range issued {
		if !have[r.Key] {
			return false
		}
	}
	return len(have) == len(issued)
}
