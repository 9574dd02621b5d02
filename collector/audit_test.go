package main

import (
	"strings"
	"testing"
)

// The command line lists who did what, its own acts too.
func TestAuditCommand(t *testing.T) {
	folder := fresh(t)
	runs(t, "user", "-pasta", folder, "ana@exemplo.com.br")
	if out := runs(t, "audit", "-pasta", folder); strings.Count(out, "\n") != 2 || !strings.Contains(out, "coletor") || !strings.Contains(out, "nova pessoa  ana@exemplo.com.br  plataforma") {
		t.Errorf("%q", out)
	}
	if out := runs(t, "audit", "-pasta", folder, "-ato", "link"); strings.Count(out, "\n") != 1 || !strings.Contains(out, "novo link de acesso") {
		t.Errorf("%q", out)
	}
}
