//go:build linux

package shim_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
)

// seen is what an agent learns of a till's settings.
type seen struct {
	till string
	left time.Duration
}

// watch serves at a and tells of each call.
func watch(t *testing.T, a address) chan seen {
	got := make(chan seen, 1)
	serve(t, a, device(func(ctx context.Context, req sat.Request) (sat.Reply, error) {
		deadline, _ := ctx.Deadline()
		got <- seen{req.Till, time.Until(deadline)}
		return working(ctx, req)
	}), ipc.Options{})
	return got
}

func TestSettings(t *testing.T) {
	s, p := socket(t), port(t)
	got := map[address]chan seen{s: watch(t, s), p: watch(t, p)}
	long := strings.Repeat("9", 65)
	for _, test := range []struct {
		name, ini string
		env       []string
		till      string
		left      time.Duration
		by        address
	}{
		{"file", "socket = " + s.at + "\ncaixa = 7\nprazo.ConsultarSAT = 33\n", nil, "7", 33 * time.Second, s},
		{"file from Windows", "\xef\xbb\xbfsocket=" + s.at + "\r\n\tCAIXA\t=  loja 1 \r\n", nil, "loja 1", 10 * time.Second, s},
		{"comments and titles", "[sat]\n;socket=/x\n#caixa=9\nother\n=\nsocket=" + s.at + "\n", nil, "001", 10 * time.Second, s},
		{"environment wins", "socket=/x\ncaixa=7\n", []string{s.env(), "ZELO_CAIXA=008"}, "008", 10 * time.Second, s},
		{"empty environment", "socket=" + s.at + "\ncaixa=7\n", []string{"ZELO_SOCKET=", "ZELO_CAIXA="}, "7", 10 * time.Second, s},
		{"values too long", "caixa=" + long + "\n", []string{s.env(), "ZELO_CAIXA=" + long}, "001", 10 * time.Second, s},
		{"deadline of no sense", "prazo.ConsultarSAT=soon\nprazo.ConsultarSAT=0\nprazo.ConsultarSAT=7201\nprazo.ConsultarSAT=5s\nprazo.X=3\n",
			[]string{s.env()}, "001", 10 * time.Second, s},
		{"a long line", "caixa=" + strings.Repeat("z", 5000) + "\ncaixa=5", []string{s.env()}, "5", 10 * time.Second, s},
		{"a large file", strings.Repeat("; nothing here\n", 10_000) + "caixa=5", []string{s.env()}, "001", 10 * time.Second, s},
		{"a maker's file", "[SISTEMA]\nDISCOVER=1\nNO_POPUP=1\nT_ENVIARDADOSVENDA=30\n[ZELO]\ncaixa=5\n", []string{s.env()}, "5", 10 * time.Second, s},
		{"a port", "agente = " + p.at, nil, "001", 10 * time.Second, p},
		{"a port wins", "socket=/x\nagente = " + p.at, nil, "001", 10 * time.Second, p},
		{"a socket wins", "agente = " + p.at + "\nsocket=" + s.at, nil, "001", 10 * time.Second, s},
		{"addresses of no sense", "socket=" + s.at + "\nagente=1.2.3\nagente=1.2.3.256\nagente=1.2.3.4:\nagente=1.2.3.4:65536\nagente=1.2.3.4:5x\n" +
			"agente=+1.2.3.4\nagente=0.0.0.0\nagente=1.2.3.4:0\nagente=localhost\nagente=\nagente=1..2.3", nil, "001", 10 * time.Second, s},
		{"keys of no sense", "agente=" + p.at + "\nchave=12\nchave=" + strings.Repeat("g0", 32) + "\nchave=" + strings.Repeat("00", 33), nil, "001", 10 * time.Second, p},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, memory, test.ini, test.env...)
			h.wants("000005|08000|SAT em operacao||", "call ConsultarSAT 5")
			select {
			case s := <-got[test.by]:
				if s.till != test.till || s.left > test.left || s.left < test.left-slack {
					t.Errorf("till %q, %s left", s.till, s.left)
				}
			default:
				t.Error("another agent was asked")
			}
		})
	}
	t.Run("a socket path too long", func(t *testing.T) {
		h := newHost(t, memory, "", "ZELO_SOCKET=/"+strings.Repeat("s", 107), "ZELO_INI=/nonexistent")
		h.wants(unsent(sat.ConsultarSAT, 5), "call ConsultarSAT 5") // the default path, where nobody is
	})
}

// On Windows: for all programs in the data of all users, for one beside its library.
func TestFilesOfSettingsOnWindows(t *testing.T) {
	each(t, []flavour{stdcall, x64}, func(t *testing.T, f flavour) {
		a := f.address(t)
		got := watch(t, a)
		data, beside := filepath.Join(folder, "prefix/drive_c/ProgramData/Zelo"), workplace(t)
		library := filepath.Join(beside, "SAT.dll")
		if err := os.Link(compiled(t, f).library, library); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(data, 0o755); err != nil {
			t.Fatal(err)
		}
		write := func(dir, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "sat.ini"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		asks := func(till string) {
			t.Helper()
			h := loads(t, f, library, "", "ZELO_INI=")
			h.wants("000005|08000|SAT em operacao||", "call ConsultarSAT 5")
			select {
			case s := <-got:
				if s.till != till || s.left < 15*time.Second {
					t.Errorf("%+v, want till %s", s, till)
				}
			default:
				t.Error("another agent was asked")
			}
		}
		write(data, "agente="+a.at+"\r\ncaixa=1\r\nprazo.ConsultarSAT=20\r\n")
		asks("1")
		write(beside, "[ZELO]\r\ncaixa=2\r\n")
		asks("2")
	})
}
