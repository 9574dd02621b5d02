package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// flagSet is a flag.FlagSet that speaks Portuguese.
type flagSet struct {
	*flag.FlagSet
	out io.Writer // of the help
}

// flags makes a flag set that reads -pasta.
func flags(con console, name string) (*flagSet, *string) {
	f := &flagSet{flag.NewFlagSet(name, flag.ContinueOnError), con.err}
	f.SetOutput(io.Discard) // what the package itself says is English
	f.Usage = func() {}
	return f, f.String("pasta", defaultFolder, "pasta do coletor")
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
		": parse error", "", ": value out of range", "").Replace(err.Error()) + "; as opções estão em zelo-collector " + f.Name() + " -h")
}

func (f *flagSet) help() {
	for _, c := range commands() {
		if c.name == f.Name() {
			fmt.Fprintf(f.out, "Uso: zelo-collector %s %s\n%s\n", c.name, c.args, c.help)
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

// parse reads flags wherever they stand and returns what is none.
func parse(fs *flagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}
