package main

import (
	"errors"
	"flag"
	"strings"
	"testing"
)

func TestHelpOfACommand(t *testing.T) {
	fs, _ := flags("enrol")
	fs.Int("tentativas", 3, "quantas vezes tenta")
	fs.Bool("calado", false, "não diz nada")
	var help strings.Builder
	fs.out = &help
	if err := fs.Parse([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	for _, want := range []string{"Uso: zelo-agent enrol -coletor https://ENDEREÇO CÓDIGO\n", "-tentativas\n    \tquantas vezes tenta (se não for dito: 3)\n", "\tnão diz nada\n", "-config\n"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("no %q in\n%s", want, help.String())
		}
	}
	for _, try := range []struct{ args, want string }{
		{"-x", "não existe a opção -x; as opções estão em zelo-agent enrol -h"},
		{"-tentativas", "falta o valor da opção -tentativas;"},
		{"-tentativas=a", `não serve o valor "a" da opção -tentativas;`},
		{"-calado=a", `não serve o valor "a" da opção -calado;`},
		{"---", "não se entende a opção ---;"},
	} {
		if err := fs.Parse([]string{try.args}); err == nil || !strings.HasPrefix(err.Error(), try.want) {
			t.Errorf("%s: %v", try.args, err)
		}
	}
}
