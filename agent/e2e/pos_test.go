//go:build linux

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/sattest"
)

// pos is a POS program: sat/shim/testdata/hosts/host.c with a library loaded.
type pos struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	code    string
	session int
	// check judges an answer as it came; nil judges none.
	check func(f sat.Function, session int, line string, took time.Duration) error
}

// startPOS starts a program; its sessions follow after the one given.
func (s *shop) startPOS(cmd *exec.Cmd, code string, session int) *pos {
	s.t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(cmd)
	return &pos{cmd: cmd, in: in, out: bufio.NewReader(out), code: code, session: session}
}

// hang is after how long a call that is not answered ends the program.
const hang = time.Minute

// call makes the program call a function; the reply must be one a till can read.
func (p *pos) call(f sat.Function, args ...string) (sat.Reply, error) {
	p.session++
	late := time.AfterFunc(hang, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	start := time.Now()
	fmt.Fprintf(p.in, "call %s %d %s\n", f, p.session, strings.Join(args, " "))
	line, err := p.out.ReadString('\n')
	if err != nil {
		return sat.Reply{}, fmt.Errorf("the POS program ended: %w", err)
	}
	line = strings.TrimSuffix(line, "\n")
	if p.check != nil {
		if err := p.check(f, p.session, line, time.Since(start)); err != nil {
			return sat.Reply{}, err
		}
	}
	return sat.ParseReply(f, []byte(line))
}

const noSuchSession sat.Code = 11003

// sell makes sale n.
func (p *pos) sell(n int) (key string, err error) {
	return makeSale(n, &p.session, func(f sat.Function, argument string) (sat.Reply, error) {
		if f == sat.EnviarDadosVenda {
			argument = fmt.Sprintf("hex:%x", argument)
		}
		return p.call(f, p.code, argument)
	})
}

// makeSale makes sale n, whose price says which it is, as a POS program does: what is
// not certain is asked about, and only what certainly never happened is tried again.
// The session is that of the latest call.
func makeSale(n int, session *int, call func(f sat.Function, argument string) (sat.Reply, error)) (key string, err error) {
	const pause = 200 * time.Millisecond
	uncertain := func(r sat.Reply) bool {
		return r.Code == sat.EnviarDadosVenda.Busy() || r.Function == sat.ConsultarNumeroSessao && r.Code != noSuchSession
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-time.After(pause) {
		reply, err := call(sat.EnviarDadosVenda, sattest.SaleXML(fmt.Sprintf("%d.00", n), ""))
		asked := *session
		for err == nil && uncertain(reply) && time.Now().Before(end) {
			<-time.After(pause)
			reply, err = call(sat.ConsultarNumeroSessao, fmt.Sprint(asked))
		}
		switch {
		case err != nil:
			return "", fmt.Errorf("sale %d: %w", n, err)
		case reply.Code == sat.EnviarDadosVenda.Success():
			doc, err := reply.Document()
			return doc.Key, err
		case reply.Code != sat.EnviarDadosVenda.Failed() && reply.Code != noSuchSession:
			return "", fmt.Errorf("sale %d refused: %s", n, reply.Raw)
		}
	}
	return "", fmt.Errorf("sale %d never succeeded", n)
}

// leave ends the program.
func (p *pos) leave() { p.in.Close() }

// sale is what came of one.
type sale struct {
	number int
	key    string
	err    error
}

// oneEach checks that every sale, numbered from 1, made one document: the one that
// the till was given, which is archived byte for byte, and no other is.
func oneEach(t *testing.T, sales []sale, issued, archived map[string][]byte) {
	t.Helper()
	given := map[string]int{}
	for _, s := range sales {
		given[s.key]++
	}
	of := map[string][]string{}
	for key, xml := range issued {
		if given[key] != 1 {
			t.Errorf("document %s was given to POS programs %d times", key, given[key])
		}
		if got, ok := archived["AD"+key+".xml"]; !ok || string(got) != string(xml) {
			t.Errorf("document %s is missing at the collector, or differs", key)
		}
		price, err := between(string(xml), "<vUnCom>", "</vUnCom>")
		if err != nil {
			t.Errorf("document %s: %v", key, err)
		}
		of[price] = append(of[price], key)
	}
	for _, s := range sales {
		if keys := of[fmt.Sprintf("%d.00", s.number)]; len(keys) != 1 || keys[0] != s.key {
			t.Errorf("sale %d, given %s, made %d documents: %v", s.number, s.key, len(keys), keys)
		}
	}
	if len(sales) != len(issued) || len(archived) != len(issued) {
		t.Errorf("%d sales, %d documents issued, %d archived", len(sales), len(issued), len(archived))
	}
}

func between(text, before, after string) (string, error) {
	_, rest, ok1 := strings.Cut(text, before)
	out, _, ok2 := strings.Cut(rest, after)
	if !ok1 || !ok2 {
		return "", errors.New("no " + before)
	}
	return out, nil
}
