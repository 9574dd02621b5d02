package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"zelo/collector/store"
)

// TestRetentionCommand: counting takes nothing away, and what was taken away is told.
func TestRetentionCommand(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "coletor")
	run := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := dispatch(t.Context(), console{&out, &out}, args); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out.String()
	}
	run("init", "-pasta", folder, "-email", "ana@example.com")
	err := with(t.Context(), console{&bytes.Buffer{}, &bytes.Buffer{}}, folder, func(c *collector) error {
		err := c.store.Update(t.Context(), func(w *store.Writer) error { return w.AddToken("x", store.Token{Label: "velho"}) })
		return errors.Join(err, c.retain(t.Context())) // the first run by itself only notes the time
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args []string
		want string
	}{{[]string{"-simular"}, ": 1 a apagar"}, {nil, ": 1 apagados"}, {[]string{"-simular"}, ": 0 a apagar"}} {
		out := run(append([]string{"retention", "-pasta", folder}, step.args...)...)
		found := false
		for _, line := range strings.Split(out, "\n") {
			found = found || strings.HasPrefix(line, "códigos de ligação vencidos anteriores a ") && strings.HasSuffix(line, step.want)
		}
		if !found {
			t.Errorf("%v says\n%s", step.args, out)
		}
	}
}
