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
			arg = fmt.Sprint(35 + i)
		}
		req.Args = append(req.Args, arg)
		line += " " + arg
	}
	return line, req
}

// slack is what a busy machine may cost a deadline.
const slack = 5 * time.Second

func TestEveryFunction(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		var got sat.Request
		var left time.Duration
		delivered := make(chan sat.Request, 1)
		a := f.address(t)
		serve(t, a, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
			got = req
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return sat.NewReply(req.Function, req.Session, req.Function.Success()+1), nil
		}), ipc.Options{Delivered: func(r sat.Request) { delivered <- r }})
		h := newHost(t, f, "", a.env())
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

func TestWhatTheDeviceSeesOfOddArguments(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		var got sat.Request
		a := f.address(t)
		serve(t, a, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
			got = req
			return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
		}), ipc.Options{})
		h := newHost(t, f, "", a.env())
		for _, test := range []struct {
			name, line string
			session    int
			args       []string
		}{
			{"NULL", "EnviarDadosVenda 1 NULL NULL", 1, []string{"", ""}},
			{"a sale of 1.5 MB", "EnviarDadosVenda 1 12345678 fill:1500000", 1, []string{"12345678", strings.Repeat("x", 1_500_000)}},
			{"signs of all kinds", "EnviarDadosVenda 1 12345678 |%,\x01", 1, []string{"12345678", "|%,\x01"}},
			{"a session of seven", "EnviarDadosVenda 1234567 1 2", 234567, []string{"1", "2"}},
			{"a session below zero", "EnviarDadosVenda -5 1 2", 999995, []string{"1", "2"}},
			{"the lowest session", "EnviarDadosVenda -2147483648 1 2", 516352, []string{"1", "2"}},
			{"integers of either sign", "AtivarSAT 1 -2147483648 a b 2147483647", 1, []string{"-2147483648", "a", "b", "2147483647"}},
			{"a session asked for, odd", "ConsultarNumeroSessao 1 a -7", 1, []string{"a", "999993"}},
		} {
			h.does("call %s", test.line)
			if got.Session != test.session || !reflect.DeepEqual(got.Args, test.args) {
				t.Errorf("%s: session %d, arguments %.80q", test.name, got.Session, got.Args)
			}
		}
	})
}

// What is UTF-8 goes as it is, other XML is converted and the agent told so. Other
// arguments are the till's own.
func TestTextsThatAreNotUTF8(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		var got sat.Request
		log := &lines{}
		a := f.address(t)
		serve(t, a, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
			got = req
			return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
		}), ipc.Options{Log: log.logger()})
		for i, test := range []struct {
			name, line, want string
			converted        bool
		}{
			{"UTF-8", "EnviarDadosVenda 1 a hex:%x", "<xProd>pão</xProd>", false},
			{"UTF-8 with its mark", "EnviarDadosVenda 1 a hex:%x", "\xef\xbb\xbf<xProd>pão</xProd>", false},
			{"Windows-1252", "EnviarDadosVenda 1 a hex:3c783e70e36f203880993c2f783e", "<x>pão 8€™</x>", true},
			{"both", "EnviarDadosVenda 1 a hex:3c783e70c3a36f2070e36f3c2f783e", "<x>pão pão</x>", true},
			{"Windows-1252 behind the mark", "EnviarDadosVenda 1 a hex:efbbbf3c783e70e36f3c2f783e", "\xef\xbb\xbf<x>pão</x>", true},
			{"a test", "TesteFimAFim 1 a hex:e3", "ã", true},
			{"a cancellation", "CancelarUltimaVenda 1 a CFe35 hex:e3", "ã", true},
			{"the network", "ConfigurarInterfaceDeRede 1 a hex:e3", "ã", true},
			{"no XML", "ComunicarCertificadoICPBRASIL 1 a hex:e3", "\xe3", false},
			{"the code", "EnviarDadosVenda 1 hex:e3 <CFe/>", "<CFe/>", false},
		} {
			till := fmt.Sprint(100 + i)
			h := newHost(t, f, "caixa = "+till, a.env())
			line := test.line
			if strings.Contains(line, "%x") {
				line = fmt.Sprintf(line, test.want)
			}
			h.does("call %s", line)
			h.does("call %s", line)
			if last := got.Args[len(got.Args)-1]; last != test.want {
				t.Errorf("%s arrived as %q", test.name, last)
			}
			if noted := strings.Count(log.String(), "till="+till); noted != map[bool]int{true: 1}[test.converted] {
				t.Errorf("%s: noted %d times in\n%s", test.name, noted, log)
			}
			h.finish()
		}
	})
}

func TestWhatTheTillSeesOfOddReplies(t *testing.T) {
	huge := "000007|15000|Transferencia completa|||" + strings.Repeat("QUJD", 5<<18) // 5 MiB
	sevenBits := "000007|08000|" + strings.Repeat("x", 300) + "\xe3\x00\n\x7f||"
	each(t, everywhere(), func(t *testing.T, f flavour) {
		var reply []byte
		a := f.address(t)
		serve(t, a, device(func(context.Context, sat.Request) (sat.Reply, error) { return sat.Reply{Raw: reply}, nil }), ipc.Options{})
		h := newHost(t, f, "", a.env())
		for _, test := range []struct{ name, reply, want string }{
			{"huge", huge, huge},
			{"the longest small one", strings.Repeat("0", 246) + "|0|||...", strings.Repeat("0", 246) + "|0|||..."},
			{"the shortest large one", strings.Repeat("0", 247) + "|0|||...", strings.Repeat("0", 247) + "|0|||..."},
			{"not ASCII, NUL, line end", "000007|08000|S\xc3\xa3\x00\n||", "000007|08000|S??  ||"},
			{"the same in a large one", sevenBits, strings.NewReplacer("\xe3", "?", "\x00", " ", "\n", " ", "\x7f", "?").Replace(sevenBits)},
			{"fields missing", "000000|00000|Erro ao abrir USB.", "000000|00000|Erro ao abrir USB.||"},
			{"fields missing, small becomes large", "000000|00000|" + strings.Repeat("x", 241), "000000|00000|" + strings.Repeat("x", 241) + "||"},
			{"the least that parses", "7|8000|", "7|8000|||"},
			{"pipes in a text", "000007|15001|a|b|c|d|e|f", "000007|15001|a|b|c|d|e|f"},
			{"empty", "", unknown(sat.ExtrairLogs, 7)},
			{"without fields", "Error [2] openning serial COM3", unknown(sat.ExtrairLogs, 7)},
			{"without session", "|15000|x||", unknown(sat.ExtrairLogs, 7)},
			{"without code", "000007||x||", unknown(sat.ExtrairLogs, 7)},
			{"cut in the code", "000007|150", unknown(sat.ExtrairLogs, 7)},
			{"only a session", "000007", unknown(sat.ExtrairLogs, 7)},
		} {
			reply = []byte(test.reply)
			if got := h.raw("call ExtrairLogs 7 12345678"); got != test.want {
				t.Errorf("%s: %.300q, want %.300q", test.name, got, test.want)
			}
		}
		h.wants("8 kept", "kept 8")
	})
}

func TestErrorsOfTheDevice(t *testing.T) {
	each(t, []flavour{plain, stdcall}, func(t *testing.T, f flavour) {
		var fault error
		a := f.address(t)
		serve(t, a, device(func(context.Context, sat.Request) (sat.Reply, error) { return sat.Reply{}, fault }), ipc.Options{})
		h := newHost(t, f, "", a.env())
		for _, f := range sat.Functions() {
			line, _ := command(f, 7)
			fault = errors.New("cable on fire")
			h.wants(unknown(f, 7), "%s", line)
			fault = sat.ErrGone
			h.wants(unknown(f, 7), "%s", line)
			fault = fmt.Errorf("no room left: %w", sat.ErrNotSent)
			h.wants(unsent(f, 7), "%s", line)
		}
	})
}

// A session that no device has is printed modulo 1,000,000.
func TestSessionsInOwnReplies(t *testing.T) {
	each(t, everywhere(), func(t *testing.T, f flavour) {
		h := newHost(t, f, "", f.address(t).env())
		for session, printed := range map[int]int{
			0: 0, 999999: 999999, 1000000: 0, 1234567: 234567, 2147483647: 483647, -1: 999999, -1000000: 0, -2147483648: 516352,
		} {
			h.wants(unsent(sat.EnviarDadosVenda, printed), "call EnviarDadosVenda %d 1 2", session)
		}
	})
}

func TestRepliesStayValid(t *testing.T) {
	each(t, []flavour{memory, stdcall, x64}, func(t *testing.T, f flavour) {
		var size int
		a := f.address(t)
		serve(t, a, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
			if req.Function == sat.ConsultarSAT {
				return working(ctx, req)
			}
			return sat.Reply{Raw: fmt.Appendf(nil, "%06d|15000|ok|||%s", req.Session, bytes.Repeat([]byte("x"), size))}, nil
		}), ipc.Options{})
		h := newHost(t, f, "", a.env())
		ask := func(n int) {
			t.Helper()
			for i := range n {
				if got := h.does("call ExtrairLogs %d a", i); len(got) != size+len("000000|15000|ok|||") {
					t.Fatalf("reply of %d bytes", len(got))
				}
			}
		}
		for _, size = range []int{4, 1000, 5 << 20} { // small, large, together just under the bound
			ask(10)
			h.wants("8 kept", "kept 8")
		}
		size = 16<<20 - 100 // together over it: four have room
		ask(5)
		h.wants("3 kept", "kept 3")
		for _, size = range []int{4, 1000} {
			ask(8)
			h.wants("0 wrong", "threads 8 200") // whose calls touch nothing of this thread's
			h.wants("8 kept", "kept 8")
		}
	})
}
