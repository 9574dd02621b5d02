package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"zelo/collector/api"
	"zelo/collector/fleet"
	"zelo/collector/store"
	"zelo/sat"
)

// openFleet opens what sends commands, with the key in the collector's folder.
func openFleet(folder string, s *store.Store, log *slog.Logger) (*fleet.Fleet, error) {
	key, err := fleet.OpenKey(folder)
	if err != nil {
		return nil, fmt.Errorf("não foi possível abrir a chave dos comandos: %w", err)
	}
	return fleet.New(fleet.Options{Store: s, Key: key, Log: log, Now: time.Now})
}

// cmdCommand gives a command to one till or device, or takes one back. The running
// collector tells the till.
func cmdCommand(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "command")
	var n api.NewCommand
	fs.StringVar(&n.Till, "caixa", "", "identificação do caixa")
	fs.StringVar(&n.Device, "equipamento", "", "número de série, quando o comando é para um equipamento")
	fs.StringVar(&n.Confirm, "confirma", "", "o número do equipamento, ou o nome do caixa, quando o comando pede confirmação")
	fs.IntVar(&n.Hours, "horas", 24, "por quantas horas o comando pode começar")
	fs.BoolVar(&n.Anyway, "agora", false, "sem esperar que o caixa pare de vender")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if n.Till == "" && len(rest) == 2 && rest[0] == "cancel" {
		return with(ctx, con, *folder, func(c *collector) error { return c.cancelCommand(ctx, con, rest[1]) })
	}
	if n.Till == "" || len(rest) == 0 {
		return errors.New("escreva o caixa e o comando: zelo-collector command -caixa ID [-equipamento SERIE] NOME [DADO=VALOR ...]; os nomes estão em zelo-collector commands. Para cancelar um que não começou: zelo-collector command cancel IDENTIFICAÇÃO")
	}
	n.Name = rest[0]
	if n.Args, err = arguments(rest[1:]); err != nil {
		return err
	}
	return with(ctx, con, *folder, func(c *collector) error {
		id, err := c.api.SendCommand(ctx, api.CommandLine(), n)
		if errors.Is(err, api.ErrNotFound) {
			return fmt.Errorf("não há neste coletor o caixa %s com o equipamento %q", n.Till, n.Device)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(con.out, "Comando guardado. O coletor em funcionamento o envia; veja com zelo-collector commands %s\n%s\n", id, id)
		return err
	})
}

func (c *collector) cancelCommand(ctx context.Context, con console, id string) error {
	one, err := c.api.CancelCommand(ctx, api.CommandLine(), id)
	switch {
	case errors.Is(err, api.ErrNotFound):
		return fmt.Errorf("não há neste coletor o comando %s", id)
	case err != nil:
		return err
	case one.Ended:
		_, err = fmt.Fprintln(con.out, "Cancelado: o comando não começa.")
	default:
		_, err = fmt.Fprintf(con.out, "Pedido guardado. O coletor em funcionamento o leva ao caixa, que diz se o comando já tinha começado; veja com zelo-collector commands %s\n", id)
	}
	return err
}

// arguments reads DADO=VALOR. A value @ARQUIVO is read from that file, so that codes
// and passwords stand in no command line.
func arguments(list []string) (map[string]string, error) {
	args := map[string]string{}
	for _, one := range list {
		name, value, ok := strings.Cut(one, "=")
		if !ok {
			return nil, fmt.Errorf("%q não é DADO=VALOR", name)
		}
		if path, file := strings.CutPrefix(value, "@"); file {
			raw, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("não foi possível ler o dado %s: %w", name, err)
			}
			value = strings.TrimRight(string(raw), "\r\n")
		}
		args[name] = value
	}
	return args, nil
}

// cmdCommands lists the table of commands, what a till was given, or how one command
// stands.
func cmdCommands(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "commands")
	till := fs.String("caixa", "", "lista os comandos dados a este caixa")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	switch {
	case len(rest) > 0:
		return with(ctx, con, *folder, func(c *collector) error { return c.showCommand(ctx, con, rest[0]) })
	case *till != "":
		return with(ctx, con, *folder, func(c *collector) error {
			p, err := c.api.Commands(ctx, api.CommandLine(), *till)
			if err != nil {
				return fmt.Errorf("não foi possível ler os comandos do caixa %s: %w", *till, err)
			}
			for _, one := range p.Given {
				fmt.Fprintf(con.out, "%s %s %s: %s, %s\n", one.ID, brasilia(one.Order.CreatedAt), one.Where, uncapital(one.Spec.Title), strings.ToLower(one.Word))
			}
			return nil
		})
	}
	for _, s := range fleet.Table() {
		fmt.Fprintf(con.out, "%-16s %s.", s.Name, s.Title)
		for _, a := range s.Args {
			fmt.Fprintf(con.out, " %s=", a.Name)
		}
		fmt.Fprintln(con.out)
	}
	return nil
}

func (c *collector) showCommand(ctx context.Context, con console, id string) error {
	p, err := c.api.Command(ctx, api.CommandLine(), id)
	if err != nil {
		return fmt.Errorf("não foi possível ler o comando %s: %w", id, err)
	}
	fmt.Fprintf(con.out, "%s em %s: %s. %s\n", p.Spec.Title, p.Where, strings.ToLower(p.Word), p.Says)
	if p.Taken != "" {
		fmt.Fprintln(con.out, p.Taken)
	}
	for _, l := range p.Lines {
		fmt.Fprintf(con.out, "%s %s\n", brasilia(l.At), l.Text)
	}
	if p.Text != "" {
		fmt.Fprintln(con.out, p.Text)
	}
	return nil
}

func brasilia(t time.Time) string { return t.In(sat.Brasilia()).Format("02/01/2006 15:04:05") }
