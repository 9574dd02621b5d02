//go:build linux

package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
)

// command is a call of f with arguments that tell each other apart, as a line
// for the host and as the request that the device must see.
func command(f sat.Function, session int) (string, sat.Request) {
	req := sat.Request{Till: "001", Session: session, Function: f}
	line := fmt.Sprintf("call %s %d", f, session)
	for i, p := range f.Params() {
		arg := fmt.Sprintf("%s-%d", p.Name, i)
		if p.Int {
			arg = fmt.Sprint(-35 + i)
		}
		req.Args = append(req.Args, arg)
		line += " " + arg
	}
	return line, req
}

// slack is what a busy machine may cost a deadline.
const slack = 5 * time.Second

func TestEveryFunction(t *testing.T) {
	for _, f := range []flavour{plain, memory} {
		t.Run(f.String(), func(t *testing.T) {
			var got sat.Request
			var left time.Duration
			delivered := make(chan sat.Request, 1)
			path := socketPath(t)
			serve(t, path, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
				got = req
				deadline, _ := ctx.Deadline()
				left = time.Until(deadline)
				return sat.NewReply(req.Function, req.Session, req.Function.Success()+1), nil
			}), ipc.Options{Delivered: func(r sat.Request) { delivered <- r }})
			h := newHost(t, f, "", "ZELO_SOCKET="+path)
			for i, f := range sat.Functions() {
				line, req := command(f, 1000*i)
				h.wants(string(sat.NewReply(f, 1000*i, f.Success()+1).Raw), "%s", line)
				if !reflect.DeepEqual(got, req) {
					t.Errorf("%s arrived as %+v, want %+v", f, got, req)
				}
				if lost := f.Deadline() - left; lost < 0 || lost > slack {
					t.Errorf("%s: the device had %s of %s", f, left, f.Deadline())
				}
				select {
				case r := <-delivered:
					if !reflect.DeepEqual(r, req) {
						t.Errorf("delivered %+v", r)
					}
				case <-time.After(10 * time.Second):
					t.Errorf("%s: the library did not confirm the reply", f)
				}
			}
			h.wants("8 kept", "kept 8")
		})
	}
}

func TestWhatTheDeviceSeesOfOddArguments(t *testing.T) {
	var got sat.Request
	path := socketPath(t)
	serve(t, path, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
		got = req
		return sat.Reply{Raw: []byte("000001|06010|1999|Erro||")}, nil
	}), ipc.Options{})
	h := newHost(t, memory, "", "ZELO_SOCKET="+path)
	for name, test := range map[string]struct {
		line    string
		session int
		args    []string
	}{
		"NULL":                     {"call EnviarDadosVenda 1 NULL NULL", 1, []string{"", ""}},
		"a sale of 1.5 MB":         {"call EnviarDadosVenda 1 12345678 fill:1500000", 1, []string{"12345678", strings.Repeat("x", 1_500_000)}},
		"other alphabets":          {"call EnviarDadosVenda 1 12345678 p\xe3o|%,\x01", 1, []string{"12345678", "p\xe3o|%,\x01"}},
		"a session of seven":       {"call EnviarDadosVenda 1234567 1 2", 1234567, []string{"1", "2"}},
		"a session below zero":     {"call EnviarDadosVenda -5 1 2", -5, []string{"1", "2"}},
		"the lowest session":       {"call EnviarDadosVenda -2147483648 1 2", -2147483648, []string{"1", "2"}},
		"integers of either sign":  {"call AtivarSAT 1 -2147483648 a b 2147483647", 1, []string{"-2147483648", "a", "b", "2147483647"}},
		"a session asked for, odd": {"call ConsultarNumeroSessao 1 a -7", 1, []string{"a", "-7"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.wants("000001|06010|1999|Erro||", "%s", test.line)
			if got.Session != test.session || !reflect.DeepEqual(got.Args, test.args) {
				t.Errorf("session %d, arguments %.80q", got.Session, got.Args)
			}
		})
	}
}

func TestWhatTheTillSeesOfOddReplies(t *testing.T) {
	var reply []byte
	path := socketPath(t)
	serve(t, path, device(func(context.Context, sat.Request) (sat.Reply, error) { return sat.Reply{Raw: reply}, nil }), ipc.Options{})
	h := newHost(t, memory, "", "ZELO_SOCKET="+path)
	huge := "000007|15000|Transferencia completa|||" + strings.Repeat("QUJD", 5<<18) // 5 MiB
	sevenBits := "000007|08000|" + strings.Repeat("x", 300) + "\xe3\x00\n\x7f||"
	for _, test := range []struct{ name, reply, want string }{
		{"huge", huge, huge},
		{"the longest small one", strings.Repeat("0", 249) + "|0|...", strings.Repeat("0", 249) + "|0|..."},
		{"the shortest large one", strings.Repeat("0", 250) + "|0|...", strings.Repeat("0", 250) + "|0|..."},
		{"not ASCII, NUL, line end", "000007|08000|S\xc3\xa3\x00\n||", "000007|08000|S??  ||"},
		{"the same in a large one", sevenBits, strings.NewReplacer("\xe3", "?", "\x00", " ", "\n", " ", "\x7f", "?").Replace(sevenBits)},
		{"the least that parses", "7|8000|", "7|8000|"},
		{"empty", "", unknown(sat.ExtrairLogs, 7)},
		{"without fields", "Error [2] openning serial COM3", unknown(sat.ExtrairLogs, 7)},
		{"without session", "|15000|x||", unknown(sat.ExtrairLogs, 7)},
		{"without code", "000007||x||", unknown(sat.ExtrairLogs, 7)},
		{"cut in the code", "000007|150", unknown(sat.ExtrairLogs, 7)},
		{"only a session", "000007", unknown(sat.ExtrairLogs, 7)},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply = []byte(test.reply)
			h.wants(test.want, "call ExtrairLogs 7 12345678")
		})
	}
	h.wants("8 kept", "kept 8")
}

func TestErrorsOfTheDevice(t *testing.T) {
	var fault error
	path := socketPath(t)
	serve(t, path, device(func(context.Context, sat.Request) (sat.Reply, error) { return sat.Reply{}, fault }), ipc.Options{})
	h := newHost(t, plain, "", "ZELO_SOCKET="+path)
	for _, f := range sat.Functions() {
		line, _ := command(f, 7)
		fault = errors.New("cable on fire")
		h.wants(unknown(f, 7), "%s", line)
		fault = sat.ErrGone
		h.wants(unknown(f, 7), "%s", line)
		fault = fmt.Errorf("no room left: %w", sat.ErrNotSent)
		h.wants(unsent(f, 7), "%s", line)
	}
}

// A session that no device has is printed modulo 1,000,000.
func TestSessionsInOwnReplies(t *testing.T) {
	h := newHost(t, plain, "", "ZELO_SOCKET=/nonexistent/socket")
	for session, printed := range map[int]int{
		0: 0, 999999: 999999, 1000000: 0, 1234567: 234567, 2147483647: 483647, -1: 999999, -1000000: 0, -2147483648: 516352,
	} {
		h.wants(unsent(sat.EnviarDadosVenda, printed), "call EnviarDadosVenda %d 1 2", session)
	}
}

func TestRepliesStayValid(t *testing.T) {
	var size int
	path := socketPath(t)
	serve(t, path, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
		return sat.Reply{Raw: fmt.Appendf(nil, "%06d|08000|ok|||%s", req.Session, bytes.Repeat([]byte("x"), size))}, nil
	}), ipc.Options{})
	h := newHost(t, memory, "", "ZELO_SOCKET="+path)
	ask := func(n int) {
		t.Helper()
		for i := range n {
			if got := h.does("call ExtrairLogs %d a", i); len(got) != size+len("000000|08000|ok|||") {
				t.Fatalf("reply of %d bytes", len(got))
			}
		}
	}
	for _, size = range []int{0, 1000, 5 << 20} { // small, large, together just under the bound
		ask(20)
		h.wants("8 kept", "kept 8")
	}
	size = 16<<20 - 100 // together over it: four have room
	ask(10)
	h.wants("3 kept", "kept 3")
	for _, size = range []int{0, 1000} {
		ask(8)
		h.wants("0 wrong", "threads 8 200") // whose calls touch nothing of this thread's
		h.wants("8 kept", "kept 8")
	}
}

func TestSettings(t *testing.T) {
	type seen struct {
		till string
		left time.Duration
	}
	got := make(chan seen, 1)
	path := socketPath(t)
	serve(t, path, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		deadline, _ := ctx.Deadline()
		got <- seen{req.Till, time.Until(deadline)}
		return working(ctx, req)
	}), ipc.Options{})
	long := strings.Repeat("9", 65)
	for _, test := range []struct {
		name, ini string
		env       []string
		till      string
		left      time.Duration
	}{
		{"file", "socket = " + path + "\ncaixa = 7\nprazo.ConsultarSAT = 33\n", nil, "7", 33 * time.Second},
		{"file from Windows", "\xef\xbb\xbfsocket=" + path + "\r\n\tCAIXA\t=  loja 1 \r\n", nil, "loja 1", 10 * time.Second},
		{"comments and titles", "[sat]\n;socket=/x\n#caixa=9\nother\n=\nsocket=" + path + "\n", nil, "001", 10 * time.Second},
		{"environment wins", "socket=/x\ncaixa=7\n", []string{"ZELO_SOCKET=" + path, "ZELO_CAIXA=008"}, "008", 10 * time.Second},
		{"empty environment", "socket=" + path + "\ncaixa=7\n", []string{"ZELO_SOCKET=", "ZELO_CAIXA="}, "7", 10 * time.Second},
		{"values too long", "caixa=" + long + "\n", []string{"ZELO_SOCKET=" + path, "ZELO_CAIXA=" + long}, "001", 10 * time.Second},
		{"deadline of no sense", "prazo.ConsultarSAT=soon\nprazo.ConsultarSAT=0\nprazo.ConsultarSAT=7201\nprazo.ConsultarSAT=5s\nprazo.X=3\n",
			[]string{"ZELO_SOCKET=" + path}, "001", 10 * time.Second},
		{"line without end", "caixa=" + strings.Repeat("z", 5000), []string{"ZELO_SOCKET=" + path}, "001", 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, memory, test.ini, test.env...)
			h.wants("000005|08000|SAT em operacao||", "call ConsultarSAT 5")
			if s := <-got; s.till != test.till || s.left > test.left || s.left < test.left-slack {
				t.Errorf("till %q, %s left", s.till, s.left)
			}
		})
	}
	t.Run("a socket path too long", func(t *testing.T) {
		h := newHost(t, memory, "", "ZELO_SOCKET=/"+strings.Repeat("s", 107), "ZELO_INI=/nonexistent")
		h.wants(unsent(sat.ConsultarSAT, 5), "call ConsultarSAT 5") // the default path, where nobody is
	})
}
