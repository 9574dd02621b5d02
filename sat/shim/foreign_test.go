//go:build linux

package shim_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"zelo/sat"
	"zelo/sat/ipc"
	"zelo/sat/sattest"
)

// Programs of other makers in other languages: each makes the same three calls,
// prints what it got, and the library's version.
func TestForeignHosts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		f       flavour
		prepare func(t *testing.T, library string) *exec.Cmd
	}{
		{"python", plain, python},
		{"pascal", plain, pascal},
		{"pascal on Windows", stdcall, pascal32},
		{"java", plain, java},
	} {
		if test.f.onWindows() && !windowsWanted() {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			library := compiled(t, test.f).library
			cmd := test.prepare(t, library)
			var calls []string
			a := test.f.address(t)
			serve(t, a, device(func(_ context.Context, req sat.Request) (sat.Reply, error) {
				calls = append(calls, fmt.Sprintf("%s %06d %s", req.Function, req.Session, strings.Join(req.Args, "|")))
				return sat.NewReply(req.Function, req.Session, req.Function.Busy()), nil
			}), ipc.Options{})
			cmd.Env = append(os.Environ(), "ZELO_INI=/nonexistent", a.env())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want := ""
			for _, c := range []struct {
				f       sat.Function
				session int
			}{{sat.ConsultarSAT, 101341}, {sat.EnviarDadosVenda, 123456}, {sat.TrocarCodigoDeAtivacao, 7}} {
				reply := string(sat.NewReply(c.f, c.session, c.f.Busy()).Raw)
				sattest.CheckStrict(t, c.f, six(c.session), []byte(reply))
				want += reply + "\n"
			}
			want += "Zelo libsat 1\n"
			if got := strings.ReplaceAll(string(out), "\r", ""); got != want {
				t.Errorf("it got\n%swant\n%s", got, want)
			}
			seen := "ConsultarSAT 101341 \nEnviarDadosVenda 123456 12345678|<CFe>pão</CFe>\nTrocarCodigoDeAtivacao 000007 12345678|1|87654321|"
			if got := strings.Join(calls, "\n"); got != seen {
				t.Errorf("the device saw\n%s\nwant\n%s", got, seen)
			}
		})
	}
}

// tool skips a test that needs a program which this machine does not have.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIP: no %s on this machine", name)
	}
	return path
}

func python(t *testing.T, library string) *exec.Cmd {
	return exec.Command(tool(t, "python3"), "testdata/hosts/ctypes_host.py", library)
}

func pascal(t *testing.T, library string) *exec.Cmd {
	dir := workplace(t)
	if out, err := exec.Command(tool(t, "fpc"), "-FU"+dir, "-o"+dir+"/caixa", "testdata/hosts/caixa.pas").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exec.Command(dir+"/caixa", library)
}

func pascal32(t *testing.T, library string) *exec.Cmd {
	program := filepath.Join(workplace(t), "caixa.exe")
	cmd := exec.Command(tool(t, "fpc"), "-Pi386", "-Twin32", "-FU"+filepath.Dir(program), "-o"+program, "testdata/hosts/caixa.pas")
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Skipf("SKIP: fpc makes no programs for Windows on this machine: %s", lines[len(lines)-1])
	}
	return run(stdcall, program, stdcall.path(library))
}

func java(t *testing.T, library string) *exec.Cmd {
	const jna = "/usr/share/java/jna.jar"
	if _, err := os.Stat(jna); err != nil {
		t.Skip("SKIP: no JNA on this machine (package libjna-java)")
	}
	return exec.Command(tool(t, "java"), "-cp", jna, "testdata/hosts/Caixa.java", library)
}
