package main

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

//go:embed testdata/till.c
var tillSource []byte

// till is a POS program in C, a process of its own, with the device that is its own.
type till struct {
	*process
	s      *stage
	number string
	home   *device
	keys   []string // of its documents, in order
}

// startTills builds the C program and has two of it load the library. Their line to
// the agent goes through a proxy too.
func (s *stage) startTills() error {
	l, err := net.Listen("unix", s.path("pdv.sock"))
	if err != nil {
		return err
	}
	s.tillLine = newProxy(l, func() (net.Conn, error) { return net.Dial("unix", s.path("sat.sock")) })
	if err := os.WriteFile(s.path("till.c"), tillSource, 0o600); err != nil {
		return err
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	if out, err := exec.Command(cc, "-o", s.path("till"), s.path("till.c"), "-ldl").CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the till: %w: %s", err, out)
	}
	for _, t := range []*till{{s: s, number: "001", home: s.a}, {s: s, number: "002", home: s.b}} {
		t.process, err = s.start("pdv-"+t.number, true, []string{"ZELO_SOCKET=" + s.path("pdv.sock"), "ZELO_CAIXA=" + t.number},
			s.path("till"), filepath.Join(s.bin, "libsat.so"), t.home.code)
		if err != nil {
			return err
		}
		s.tills = append(s.tills, t)
	}
	s.say("Caixas 001 e 002: dois PDV em C que carregaram libsat.so, como carregariam a biblioteca do fabricante")
	return nil
}

// ask gives the till a command and returns the words of its answer.
func (t *till) ask(command string) ([]string, error) {
	if _, err := fmt.Fprintln(t.in, command); err != nil {
		return nil, err
	}
	answer := make(chan string, 1)
	go func() { // ends with the till at the latest
		line, _ := t.out.ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "error" {
			return nil, fmt.Errorf("till %s gave up: %s\n%s", t.number, strings.TrimSpace(line), t.s.tails())
		}
		return words, nil
	case <-time.After(3 * time.Minute):
		return nil, fmt.Errorf("till %s hangs:\n%s", t.number, t.s.tails())
	case <-t.s.ctx.Done():
		return nil, t.s.ctx.Err()
	}
}

// sell makes the next sales, each of a product of its own.
func (t *till) sell(times int) error {
	for range times {
		if err := t.finish(int(t.s.sales.Add(1))); err != nil {
			return err
		}
	}
	return nil
}

// begin makes a sale and returns at the till's first answer; it fails when that is
// certain.
func (t *till) begin() (sale int, err error) {
	sale = int(t.s.sales.Add(1))
	words, err := t.ask(fmt.Sprintf("begin %d", sale))
	if err == nil && words[0] != "open" {
		err = fmt.Errorf("till %s: the outcome of sale %d should be unknown: %s", t.number, sale, strings.Join(words, " "))
	}
	return sale, err
}

// finish makes a sale, or has one that was begun go on, to its document.
func (t *till) finish(sale int) error {
	words, err := t.ask(fmt.Sprintf("sale %d", sale))
	if err != nil {
		return err
	}
	t.keys = append(t.keys, words[2])
	tries := ""
	if words[3] != "1" {
		tries = " (na " + words[3] + "ª tentativa: antes nada tinha saído)"
	}
	t.say("venda %2d  SAT %s  %s%s", sale, t.s.of(words[2]), words[2], tries)
	return nil
}

// last is the till's latest document.
func (t *till) last() string { return t.keys[len(t.keys)-1] }

func (t *till) say(format string, args ...any) {
	t.s.say("Caixa "+t.number+"  "+format, args...)
}

// both makes two things happen at the same time.
func both(one, other func() error) error {
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { errs[0] = one() })
	wg.Go(func() { errs[1] = other() })
	wg.Wait()
	return errors.Join(errs[:]...)
}
