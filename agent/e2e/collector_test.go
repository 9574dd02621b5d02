//go:build linux

package e2e

import (
	"archive/zip"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zelo/agent/wire"
)

// The collector of a shop.

// must runs a command of this system to its end.
func (s *shop) must(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// collector runs a command of the collector.
func (s *shop) collector(verb string, args ...string) string {
	s.t.Helper()
	return s.must(exec.Command(filepath.Join(s.bin, "zelo-collector"), append([]string{verb, "-pasta", s.path("coletor")}, args...)...))
}

// openCollector makes a collector and starts its service.
func (s *shop) openCollector() {
	s.t.Helper()
	s.collector("init", "-paginas", freePort(s.t), "-cadastro", freePort(s.t), "-mqtt", freePort(s.t), "-email", "loja@exemplo.com.br")
	s.startCollector()
}

func (s *shop) startCollector() {
	s.t.Helper()
	s.cloud = exec.Command(filepath.Join(s.bin, "zelo-collector"), "serve", "-pasta", s.path("coletor"))
	s.start(s.cloud)
}

// enrol has the agent enrol at the collector; ask runs a command of the agent.
func (s *shop) enrol(ask func(args ...string) (string, error)) {
	s.t.Helper()
	s.until("the agent to be enrolled", func() bool {
		words := strings.Fields(s.collector("enrol"))
		i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "https://") })
		if i < 0 {
			s.t.Fatalf("no address in %q", words)
		}
		out, err := ask("enrol", "-coletor", words[i], words[len(words)-1])
		return err == nil && strings.Contains(out, "Caixa ligado")
	})
}

// export is the collector's export, by file name.
func (s *shop) export() map[string][]byte {
	t := s.t
	t.Helper()
	s.collector("export", "-o", s.path("tudo.zip"))
	zipped, err := zip.OpenReader(s.path("tudo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer zipped.Close()
	files := map[string][]byte{}
	for _, f := range zipped.File {
		name := filepath.Base(f.Name)
		if filepath.Ext(name) != ".xml" {
			continue
		}
		if files[name] != nil {
			t.Errorf("%s is in the export twice", name)
		}
		files[name] = unzip(t, f)
	}
	return files
}

func unzip(t *testing.T, f *zip.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// agentStatus is what `zelo-agent status -json` says.
type agentStatus struct {
	Answering, Connected bool
	OpenCases            int
	Buffer               []struct {
		Name    string
		Waiting int
	}
}

// settled reports that no document nor event waits on the till. Readings of the
// device's status do not count: there is a new one at any moment.
func (st agentStatus) settled() bool {
	for _, b := range st.Buffer {
		if b.Waiting > 0 && b.Name != wire.StreamStatus {
			return false
		}
	}
	return st.Connected && st.OpenCases == 0
}
