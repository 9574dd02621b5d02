package web

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/api"
	"zelo/collector/store"
)

// whileAnswering runs a program while the market's till carries out what its device is
// told to, step by step.
func (c *city) whileAnswering(cmd *exec.Cmd) ([]byte, error) {
	c.t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return out.Bytes(), err
		case <-look.C:
			p, err := c.api.Commands(c.t.Context(), api.CommandLine(), market)
			if err != nil {
				c.t.Error(err)
			}
			for _, one := range p.Given {
				if !one.Ended && one.Serial != "" {
					c.answer(market, one.ID, wire.Report{State: wire.CommandRunning, Lines: lines("Chama " + one.Spec.Title + ".")},
						wire.Report{State: wire.CommandDone, Text: "Pronto.", Lines: lines("Pronto.")})
				}
			}
		}
	}
}

// TestManual runs the examples of docs/api.md as they stand there, one after the
// other.
func TestManual(t *testing.T) {
	for _, program := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIP: %s is not installed (apt-get install %s)", program, program)
		}
	}
	manual, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	c := newCity(t)
	c.takesCommands(market)
	a := c.person(t).post("/conta", url.Values{"acao": {"codigo"}, "nome": {"manual"}, "dias": {"1"}, "direito": {"alarms", "commands"}})
	token := regexp.MustCompile(`zelo_[\w-]{43}`).FindString(a.body)
	if token == "" {
		t.Fatalf("no token on the page: %d %s", a.status, a.body)
	}
	examples := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(manual, -1)
	folder := t.TempDir()
	for _, example := range examples[1:] { // the first sets the variables
		cmd := exec.CommandContext(t.Context(), "bash", "-eo", "pipefail", "-c", string(example[1]))
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "ZELO="+c.server.URL, "TOKEN="+token)
		out, err := c.whileAnswering(cmd)
		if err != nil {
			t.Errorf("%s\n%v\n%s", example[1], err, out)
		}
		for _, empty := range []string{`"documents":[]`, `"tills":[]`, `"open":[]`, `"lines":[]`} {
			if strings.Contains(string(out), empty) {
				t.Errorf("%s\nfinds nothing: %s", example[1], out)
			}
		}
	}
	if audit := strings.Join(c.audit(), "\n"); !strings.Contains(audit, "alarme: resolved") || strings.Count(audit, "br comando SAT") != 2 || !strings.Contains(audit, "comando cancelado") {
		t.Errorf("what was done:\n%s", audit)
	}
	original, err := os.ReadFile(filepath.Join(folder, "original.xml"))
	if err != nil {
		t.Fatal(err)
	}
	sum := c.store.Pack(original).SHA256
	err = c.store.View(t.Context(), store.All(), func(r *store.Reader) error {
		found, _, err := r.Search(store.Search{Serial: "900000001", Limit: 1})
		if err == nil && found[0].SHA256 != sum {
			t.Error("the original is not what is stored")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if zip, err := os.ReadFile(filepath.Join(folder, "originais.zip")); err != nil || !bytes.HasPrefix(zip, []byte("PK")) {
		t.Errorf("no export: %v", err)
	}
}
