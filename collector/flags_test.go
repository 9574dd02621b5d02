package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
)

// The command line speaks Portuguese, also where the flag package would not.
func TestHelpOfEachCommand(t *testing.T) {
	for _, c := range commands() {
		if c.name == "config" || c.name == "version" {
			continue // they take no options
		}
		var out, problem bytes.Buffer
		err := dispatch(t.Context(), console{&out, &problem}, []string{c.name, "-h"})
		help := problem.String()
		if !errors.Is(err, flag.ErrHelp) || !strings.HasPrefix(help, "Uso: zelo-collector "+c.name+" ") ||
			!strings.Contains(help, "  -pasta\n    \tpasta do coletor (se não for dito: "+defaultFolder+")\n") || strings.Contains(help, "default") {
			t.Errorf("%s: %v\n%s", c.name, err, help)
		}
		err = dispatch(t.Context(), console{&out, &problem}, []string{c.name, "-x"})
		if want := "não existe a opção -x; as opções estão em zelo-collector " + c.name + " -h"; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", c.name, err, want)
		}
	}
	for arg, want := range map[string]string{"-dias": "falta o valor da opção -dias;", "-dias=a": `não serve o valor "a" da opção -dias;`} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), console{&out, &out}, []string{"enrol", arg}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}
