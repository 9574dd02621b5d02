package monitor

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/maker"
)

const makersSource = "../../sat/shim/testdata/maker.c"

// makersLibrary builds a maker's library, and gives its path.
func makersLibrary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "libdllsat.so")
	compile(t, path, makersSource)
	return path
}

// ourLibrary builds ours.
func ourLibrary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "libsat.so")
	must(t, exec.Command("../../sat/shim/build.sh", path))
	return path
}

func must(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("SKIP: no gcc on this machine")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

func compile(t *testing.T, out, source string) {
	t.Helper()
	must(t, exec.Command("gcc", "-shared", "-fPIC", "-o", out, source))
}

// startPOS starts a program of a till, in Python, that loads libraries by their paths and
// waits. It returns its number and what ends it.
func startPOS(t *testing.T, libraries ...string) (pid int, end func()) {
	t.Helper()
	const pos = "import ctypes, sys\nheld = [ctypes.CDLL(path) for path in sys.argv[1:]]\nprint('loaded', flush=True)\nsys.stdin.read()"
	cmd := exec.Command("python3", append([]string{"-c", pos}, libraries...)...)
	if cmd.Err != nil {
		t.Skip("SKIP: no Python on this machine")
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		in.Close()
		cmd.Wait()
	}
	t.Cleanup(end)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "loaded\n" {
		t.Fatalf("the program says %q, %v", line, err)
	}
	return cmd.Process.Pid, end
}

// TestProgramsAndTheirLibraries: what real programs have loaded, told by what it offers.
func TestProgramsAndTheirLibraries(t *testing.T) {
	ours, makers := ourLibrary(t), makersLibrary(t)
	dir := t.TempDir()
	renamed := filepath.Join(dir, "Fiscal-Sat.so.2")
	oursThere := filepath.Join(dir, "libdllsat.so")
	for to, from := range map[string]string{renamed: makers, oursThere: ours} {
		must(t, exec.Command("cp", from, to))
	}
	wrapper := filepath.Join(dir, "libacbrsat64.so")
	source := filepath.Join(dir, "wrapper.c")
	text := "const char *name = \"EnviarDadosVenda\";\nextern char *EnviarDadosVenda(int, char *, char *) __attribute__((weak));\n" +
		"char *SAT_Enviar(char *s) { return EnviarDadosVenda ? EnviarDadosVenda(1, s, s) : 0; }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	compile(t, wrapper, source)
	for name, c := range map[string]struct {
		loads []string
		ours  bool
		makes string
	}{
		"none":                           {nil, false, ""},
		"ours":                           {[]string{ours}, true, ""},
		"a maker's":                      {[]string{makers}, false, makers},
		"a maker's by another name":      {[]string{renamed}, false, renamed},
		"ours by a maker's name":         {[]string{oursThere}, true, ""},
		"both: the direct bridge":        {[]string{ours, makers}, true, makers},
		"a wrapper that calls a library": {[]string{wrapper}, false, ""},
		"a maker's that was replaced":    {[]string{makers}, false, makers},
	} {
		t.Run(name, func(t *testing.T) {
			pid, _ := startPOS(t, c.loads...)
			if strings.Contains(name, "replaced") {
				must(t, exec.Command("cp", "--remove-destination", ours, makers))
				defer compile(t, makers, makersSource)
			}
			p, err := readProgram(fmt.Sprintf("/proc/%d", pid))
			if err != nil || p.ours != c.ours || p.makers != c.makes {
				t.Errorf("%+v, %v", p, err)
			}
			if p.bypasses() != (c.makes != "" && !c.ours) || p.bypasses() && !strings.HasPrefix(p.name, "python3") {
				t.Errorf("%+v", p)
			}
		})
	}
}

// TestOwnHostIsNoReturn: the program in which the agent itself loads a maker's library is
// none of a till's, while another by its name is.
func TestOwnHostIsNoReturn(t *testing.T) {
	makers := makersLibrary(t)
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, libraryHost+"-amd64"), "../../sat/host")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	must(t, build)
	c, _, err := maker.Open(t.Context(), maker.Options{Library: makers, Folder: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Call(t.Context(), sat.Request{Session: 1, Function: sat.ConsultarSAT}); err != nil {
		t.Fatal(err)
	}
	hosts := 0
	files, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		exe, _ := os.Readlink(file)
		if strings.HasPrefix(exe, dir) {
			hosts++
			if maps, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "maps")); !strings.Contains(string(maps), makers) {
				t.Error("the host has not loaded the library")
			}
			if !isOwnHost(filepath.Dir(file), libraryHost+"-amd64") {
				t.Error("the host is not known as the agent's own")
			}
		}
	}
	if hosts != 1 {
		t.Errorf("%d hosts run", hosts)
	}
	if all, _ := readPrograms(); len(using(all, makers)) != 0 {
		t.Errorf("%+v", all)
	}
	if isOwnHost("/proc/self", libraryHost+"-amd64") {
		t.Error("another's child is taken for the agent's")
	}
}

// using are the programs that use a library.
func using(all []program, library string) (some []program) {
	for _, p := range all {
		if p.makers == library {
			some = append(some, p)
		}
	}
	return some
}

// asOthers has the test's own program say what it sees as a user without rights.
const asOthers = "ZELO_TEST_AS_OTHERS"

// TestWhoMayNotLookSaysSo: an agent that may not look at others' programs does not pass
// for one that found nothing.
func TestWhoMayNotLookSaysSo(t *testing.T) {
	if os.Getenv(asOthers) == "1" {
		_, unseen := readPrograms()
		fmt.Println("unseen:", unseen)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("SKIP: only root can be another user")
	}
	if _, unseen := readPrograms(); unseen != "" {
		t.Errorf("root does not see all: %s", unseen)
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run=^TestWhoMayNotLookSaysSo$") // its folder is closed to others
	cmd.ExtraFiles, cmd.Dir = []*os.File{self}, "/"
	cmd.Env = append(os.Environ(), asOthers+"=1", "TMPDIR=/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "unseen: "+wire.UnseenDenied+"\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestBackToTheMakersLibrary: a program that uses a maker's library, where tills sold
// through ours, is told until it does so no more.
func TestBackToTheMakersLibrary(t *testing.T) {
	ours, makers := ourLibrary(t), makersLibrary(t)
	x := newBench(t)
	now := time.Now()
	x.o.Now = func() time.Time { return now }
	look := func(after time.Duration) (told []wire.Inventory) {
		now = now.Add(after)
		x.lookAround(t.Context())
		for _, in := range x.things()[wire.InventoryLibrary] {
			if in.Gone || !in.Library.Makers || in.Library.Path == makers {
				told = append(told, in)
			}
		}
		return told
	}
	_, end := startPOS(t, makers)
	if told := look(0); len(told) != 0 {
		t.Errorf("no till ever used ours: %+v", told)
	}
	x.sales.add("001", now, time.Second, sat.Issued, sat.Reply{})
	began := now.Add(lookEvery).UnixMilli()
	told := look(lookEvery)
	slices.SortFunc(told, func(a, b wire.Inventory) int { return strings.Compare(b.Key, a.Key) })
	if len(told) != 2 || !strings.HasPrefix(told[0].Key, "python3") || *told[0].Library != (wire.Library{Makers: true, Path: makers, Since: began}) ||
		told[1].Key != "" || *told[1].Library != (wire.Library{}) {
		t.Fatalf("%+v, %+v", told, told[0].Library)
	}
	if told := look(lookEvery); len(told) != 0 {
		t.Errorf("told again: %+v", told)
	}
	end()
	startPOS(t, ours)
	if told := look(lookEvery); len(told) != 1 || !told[0].Gone || !strings.HasPrefix(told[0].Key, "python3") {
		t.Errorf("%+v", told)
	}
}

// BenchmarkReadPrograms is what one look at all that run costs.
func BenchmarkReadPrograms(b *testing.B) {
	for b.Loop() {
		readPrograms()
	}
}
