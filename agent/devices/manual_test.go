package devices

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// manualRow is the line of a model in the table of its maker.
func manualRow(m Model) string {
	var ids []string
	for _, id := range m.USB {
		text := id.String()
		if id.Generic {
			text += " genérica"
		}
		if id.Link != LinkUnknown {
			text += ", " + string(id.Link)
		}
		ids = append(ids, fmt.Sprintf("%s (%s)", text, id.Grade))
	}
	if len(ids) == 0 {
		ids = []string{"não é pública"}
	}
	return fmt.Sprintf("| %s | %s | %s |", m, strings.Join(ids, "; "), m.Grade)
}

// TestManualAgreesWithTheTable compares docs/dispositivos.md with Models, both ways.
func TestManualAgreesWithTheTable(t *testing.T) {
	manual, err := os.ReadFile("../../docs/dispositivos.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(manual), "\n## ") {
		title, text, _ := strings.Cut(s, "\n")
		sections[title] = text
	}
	wanted := map[string]bool{}
	for _, m := range Models() {
		wanted[manualRow(m)] = true
		if !strings.Contains(sections[m.Maker], manualRow(m)+"\n") {
			t.Errorf("section %q lacks the line\n%s", m.Maker, manualRow(m))
		}
		section := sections[m.Maker]
		if m.Name == "MFE" {
			section = sections["MFE do Ceará"]
		}
		words := append([]string{string(m.Convention), m.Free}, slices.Concat(m.Companions, m.Sometimes)...)
		for _, l := range m.Libraries {
			words = append(words, l.Name)
		}
		for _, w := range words {
			if w != "" && !strings.Contains(section, "`"+w+"`") {
				t.Errorf("what the manual says of %s lacks `%s`", m, w)
			}
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| .* \| [ABC] \|$`).FindAllString(string(manual), -1) {
		if !wanted[row] {
			t.Errorf("the table has no such model: %s", row)
		}
	}
}
