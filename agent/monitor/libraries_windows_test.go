package monitor

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"zelo/agent/wire"
)

// TestProgramsOfThisWindows: what programs of tills, of every kind, have loaded. The test
// of agent/e2e puts them, our libraries and makers' beside this one.
func TestProgramsOfThisWindows(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("x64.exe"); err != nil {
		t.Skip("SKIP: programs of tills are there with make e2e-windows")
	}
	for kind, ours := range map[string]string{"stdcall-x86": `stdcall\SAT.dll`, "cdecl-x86": `cdecl\SAT.dll`, "mfe": `mfe\mfe.dll`, "x64": `x64\SAT.dll`} {
		ours := filepath.Join(dir, ours)
		makers := filepath.Join(dir, kind+"-dllsat.dll")
		ini := filepath.Join(dir, kind+"-monitor.ini")
		copyFile(t, kind+"-fabricante.dll", makers)
		text := fmt.Sprintf("agente = 127.0.0.1:9\nbiblioteca = %s\nponte = %s\n", makers, filepath.Join(dir, kind+"-monitor"))
		if err := os.WriteFile(ini, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		narrow := kind == "x64" && runtime.GOARCH == "386"
		for name, c := range map[string]struct {
			library string
			want    program
		}{
			"ours with the direct bridge": {ours, program{ours: true, makers: makers}},
			"a maker's":                   {makers, program{makers: makers}},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				pid := startPOS(t, kind+".exe", ini, c.library)
				wide := seesWide()
				p, err := readProgram(pid, wide)
				if narrow && err != errWide || !narrow && (err != nil || p != c.want) {
					t.Errorf("%+v, %v", p, err)
				}
				all, unseen := readPrograms()
				if n := named(all, kind+".exe"); n != 1 && !narrow || n != 0 && narrow {
					t.Errorf("%+v", all)
				}
				if want := map[bool]string{true: "", false: wire.UnseenWide}[wide]; unseen != want {
					t.Errorf("unseen: %q, want %q", unseen, want)
				}
			})
		}
	}
	t.Run("the agent's own host", func(t *testing.T) {
		copyFile(t, "stdcall-x86.exe", libraryHost+"-386.exe")
		startPOS(t, libraryHost+"-386.exe", "", filepath.Join(dir, "stdcall-x86-dllsat.dll"))
		if all, _ := readPrograms(); named(all, libraryHost+"-386.exe") != 0 {
			t.Errorf("%+v", all)
		}
	})
}

func named(all []program, name string) (n int) {
	for _, p := range all {
		if p.name == name {
			n++
		}
	}
	return n
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startPOS starts a program of a till that has loaded a library and made a call.
func startPOS(t *testing.T, name, ini, library string) (pid uint32) {
	t.Helper()
	cmd := exec.Command(`.\`+name, library)
	cmd.Env = append(os.Environ(), "ZELO_INI="+ini)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	fmt.Fprintln(in, "call ConsultarSAT 1")
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the program says %q, %v", line, err)
	}
	return uint32(cmd.Process.Pid)
}
