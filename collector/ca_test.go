package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zelo/collector/enrol"
	"zelo/collector/store"
)

// The steps of a rotation on the command line: each waits for tills, and can be
// repeated when it was cut off before the store heard of it.
func TestRotationByCommand(t *testing.T) {
	folder := fresh(t)
	if out := runs(t, "ca", "status", "-pasta", folder); !strings.Contains(out, "emite os certificados") || !strings.Contains(out, "em dia com isso: 0. Faltam: 0") {
		t.Error(out)
	}
	s, err := store.Open(t.Context(), filepath.Join(folder, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	holds := func(terms string) {
		t.Helper()
		err := s.Update(t.Context(), func(w *store.Writer) error {
			return w.SetBeat(store.Beat{Agent: store.Agent{ID: "agent001", Host: "caixa-1"}, Terms: terms})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	generation := func() string {
		ca, err := enrol.OpenCA(folder)
		if err != nil {
			t.Fatal(err)
		}
		return ca.Generation()
	}
	holds(generation() + ".1")
	first := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(first, os.DirFS(filepath.Join(folder, enrol.CAFolder))); err != nil {
		t.Fatal(err)
	}
	fails(t, []string{"não é o próximo passo"}, "ca", "switch", "-pasta", folder)
	runs(t, "ca", "rotate", "-pasta", folder)
	if out := runs(t, "ca", "status", "-pasta", folder); !strings.Contains(out, "é a próxima") || !strings.Contains(out, "Faltam: 1") || !strings.Contains(out, "caixa-1") {
		t.Error(out)
	}
	fails(t, []string{"1 caixa ainda não em dia", "-force"}, "ca", "switch", "-pasta", folder)
	holds(generation() + ".1")
	runs(t, "ca", "switch", "-pasta", folder)
	fails(t, []string{"1 caixa"}, "ca", "retire", "-pasta", folder)

	if _, err := enrol.Retire(folder); err != nil { // cut off here
		t.Fatal(err)
	}
	fails(t, []string{"não é a que os caixas deste banco de dados conhecem", "repita-o"}, "user", "ana@exemplo.com.br", "-pasta", folder)
	if out := runs(t, "ca", "retire", "-pasta", folder); !strings.Contains(out, "não vale mais") {
		t.Error(out)
	}
	runs(t, "user", "ana@exemplo.com.br", "-pasta", folder)

	in := filepath.Join(folder, enrol.CAFolder)
	if err := errors.Join(os.RemoveAll(in), os.CopyFS(in, os.DirFS(first))); err != nil {
		t.Fatal(err)
	}
	fails(t, []string{"não é a que os caixas"}, "ca", "rotate", "-pasta", folder)
}

func TestRevokeByCommand(t *testing.T) {
	folder := fresh(t)
	s, err := store.Open(t.Context(), filepath.Join(folder, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	err = s.Update(t.Context(), func(w *store.Writer) error {
		return w.SetBeat(store.Beat{Agent: store.Agent{ID: "agent001", Host: "caixa-1"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	fails(t, []string{"não foi possível revogar"}, "revoke", "agent002", "-pasta", folder)
	runs(t, "revoke", "agent001", "-pasta", folder)
	err = s.View(t.Context(), store.All(), func(r *store.Reader) error { _, err := r.Revocation("agent001"); return err })
	if err != nil {
		t.Error(err)
	}
}
