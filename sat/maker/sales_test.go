//go:build linux

package maker_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sold is one sale, by its session, and what the caller says of it.
type sold struct{ name, session, says string }

// soldBy are the sales through testdata/odd.c, by their session, and what the
// caller in testdata/caller must say of each: after every library that is gone
// another one is there.
func soldBy() []sold {
	return []sold{
		{"issued", "16", "issued there Emitido com sucesso"},
		{"slow", "25", "issued there Emitido com atraso"},
		{"Latin-1", "9", "issued there Emitido: operação"},
		{"refused, in Latin-1", "19", "not issued there Erro de validação"},
		{"busy with six fields", "7", "unknown there SAT em processamento..."},
		{"code of four digits", "20", "unknown there SAT Desconectado"},
		{"code of four digits, another session", "8", "unknown there SAT Desconectado"},
		{"NULL", "2", "unknown gone"},
		{"segmentation fault", "3", "unknown gone"},
		{"exit", "4", "unknown gone"},
		{"abort", "5", "unknown gone"},
		{"hang", "6", "unknown gone"},
		{"text without an end", "10", "unknown gone"},
		{"text up to the end of its memory", "18", "unknown gone"},
		{"no reply", "11", "unknown gone"},
		{"empty text", "12", "unknown gone"},
		{"issued again", "17", "issued there Emitido com sucesso"},
	}
}

// popUp is one more, of Windows.
func popUp() sold { return sold{"pop-up", "21", "unknown gone"} }

// checkSales runs the caller, whose command comes before its arguments, for the
// library as it calls it.
func checkSales(t *testing.T, cases []sold, command ...string) {
	t.Helper()
	for _, one := range cases {
		command = append(command, one.session)
	}
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != len(cases) {
		t.Fatalf("%v, %d sales\n%s", err, len(lines), out)
	}
	for i, one := range cases {
		if got := strings.TrimSpace(lines[i]); got != one.session+" "+one.says {
			t.Errorf("%s: %q, want %q", one.name, got, one.says)
		}
	}
}

func TestSales(t *testing.T) {
	if err := host(); err != nil {
		t.Fatal(err)
	}
	checkSales(t, soldBy(), caller(t), "sales", odd(t))
}

// A library of 32 bits, driven by a program of 64.
func TestSalesOf32Bits(t *testing.T) {
	dir, err := os.MkdirTemp(folder, "library")
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("gcc", "-m32", "-shared", "-fPIC", "-DCOMPANION", "-o", filepath.Join(dir, "32"), "testdata/odd.c").Run(); err != nil {
		t.Skip("SKIP: gcc makes no libraries of 32 bits on this machine (Debian: gcc-multilib)")
	}
	if err := buildGo("satlib-host-386", "../host", "linux", "386"); err != nil {
		t.Fatal(err)
	}
	checkSales(t, soldBy(), caller(t), "sales", oddTo(t, dir, "gcc", ".so", "-fPIC", "-m32"))
}

// caller builds testdata/caller for this computer.
func caller(t *testing.T) string {
	t.Helper()
	if err := buildGo("caller", "./testdata/caller", "linux", "amd64"); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "caller")
}
