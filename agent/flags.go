package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// flagSet is a flag.FlagSet that speaks Portuguese.
type flagSet struct {
	*flag.FlagSet
	out io.Writer // of the help
}

func newFlagSet(name string) *flagSet {
	f := &flagSet{flag.NewFlagSet(name, flag.ContinueOnError), os.Stderr}
	f.SetOutput(io.Discard) // what the package itself says is English
	f.Usage = func() {}
	return f
}

// flags makes a flag set that reads -config.
func flags(name string) (*flagSet, *string) {
	fs := newFlagSet(name)
	return fs, fs.String("config", "", "arquivo de configuração (normalmente "+defaultPaths().config+")")
}

// Parse shows the help where it is asked for, as flag.ErrHelp; other errors are pt-BR.
func (f *flagSet) Parse(args []string) error {
	err := f.FlagSet.Parse(args)
	if err == nil {
		return nil
	}
	if errors.Is(err, flag.ErrHelp) {
		f.help()
		return err
	}
	return errors.New(strings.NewReplacer("flag provided but not defined: ", "não existe a opção ",
		"flag needs an argument: ", "falta o valor da opção ", "bad flag syntax: ", "não se entende a opção ",
		"invalid boolean value ", "não serve o valor ", "invalid value ", "não serve o valor ", " for flag ", " da opção ", " for ", " da opção ",
		": parse error", "", ": value out of range", "").Replace(err.Error()) + "; as opções estão em zelo-agent " + f.Name() + " -h")
}

func (f *flagSet) help() {
	for _, c := range commands() {
		if c.name == f.Name() {
			fmt.Fprintf(f.out, "Uso: zelo-agent %s %s\n%s\n", c.name, c.args, c.help)
		}
	}
	f.VisitAll(func(o *flag.Flag) {
		fmt.Fprintf(f.out, "  -%s\n    \t%s", o.Name, o.Usage)
		if o.DefValue != "" && o.DefValue != "false" {
			fmt.Fprintf(f.out, " (se não for dito: %s)", o.DefValue)
		}
		fmt.Fprintln(f.out)
	})
}

// verb parses flags before and after the one word that says what to do.
func verb(fs *flagSet, args []string) (string, error) {
	if err := fs.Parse(args); err != nil || fs.NArg() == 0 {
		return "", err
	}
	word := fs.Arg(0)
	if err := fs.Parse(fs.Args()[1:]); err != nil {
		return "", err
	}
	if fs.NArg() > 0 {
		return "", fmt.Errorf("não se espera %q depois de %q", fs.Arg(0), word)
	}
	return word, nil
}
