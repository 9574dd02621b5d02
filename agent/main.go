// Command zelo-agent runs on a till: it stands between the POS program and the
// fiscal device, keeps every document until the collector has it, and lets a
// technician look and act.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"zelo/sat/ipc"
)

// version is set by the build.
var version = "dev"

// command is one verb of the command line.
type command struct {
	name, args, help string
	run              func(ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"run", "[-config ARQUIVO]", "executa o agente em primeiro plano", cmdRun},
		{"enrol", "-coletor https://ENDEREÇO CÓDIGO", "liga este caixa a um coletor", cmdEnrol},
		{"status", "", "mostra o SAT, a conexão e o que espera neste caixa", cmdStatus},
		{"code", "", "informa o código de ativação do SAT", cmdCode},
		{"call", "FUNÇÃO [ARGUMENTO | @ARQUIVO ...]", "executa uma função do SAT", cmdCall},
		{"sim", "[opções]", "simula um SAT ou MFE (-h mostra as opções)", cmdSim},
		{"devices", "[-json | -udev]", "mostra os equipamentos ligados e o que falta a cada um", cmdDevices},
		{"buffer", "ls | check | export | repair", "mostra, confere, salva e conserta o que está guardado neste caixa", cmdBuffer},
		{"service", "install | uninstall | start | stop", "cuida do serviço do sistema", cmdService},
		{"config", "", "mostra a configuração e o que cada chave faz", func(context.Context, []string) error {
			return describeConfig(os.Stdout)
		}},
		{"key", "", "cria uma chave para PDVs de outros computadores", func(context.Context, []string) error {
			key := make([]byte, ipc.KeySize)
			rand.Read(key)
			_, err := fmt.Printf("%x\n", key)
			return err
		}},
		{"version", "", "mostra a versão", func(context.Context, []string) error {
			_, err := fmt.Println(version)
			return err
		}},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := dispatch(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "zelo-agent:", err)
		}
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(ctx, args[1:])
			}
		}
		usage(os.Stderr)
		return fmt.Errorf("não existe o comando %q", args[0])
	}
	usage(os.Stderr)
	return flag.ErrHelp
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Uso: zelo-agent COMANDO")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s %-36s %s\n", c.name, c.args, c.help)
	}
}

func cmdRun(ctx context.Context, args []string) error {
	fs, path := flags("run")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c, err := startConfig(*path)
	if err != nil {
		return err
	}
	if err := run(ctx, c, os.Stderr); !errors.Is(err, errRestart) {
		return err
	}
	return startAgain()
}

func cmdEnrol(ctx context.Context, args []string) error {
	fs, path := flags("enrol")
	address := fs.String("coletor", "", "endereço do coletor, https://endereço:porta")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return errors.New("falta o código de ligação, que a página do coletor mostra")
	}
	id, err := enrolTo(ctx, c.Folder, *address, fs.Arg(0), c.proxy())
	if err != nil {
		return err
	}
	fmt.Printf("Caixa ligado ao coletor. Identidade deste agente: %s\nReinicie o agente para usá-la.\n", id.Agent)
	return nil
}
