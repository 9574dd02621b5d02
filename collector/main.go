// Command zelo-collector gathers fiscal documents from tills and keeps them: it
// takes what agents send and files bring, watches over devices, shows pages, and
// gives accountants their exports.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build.
var version = "dev"

// console is where a command writes: what others may read on out, the rest on
// err.
type console struct{ out, err io.Writer }

// command is one verb of the command line.
type command struct {
	name, args, help string
	run              func(ctx context.Context, con console, args []string) error
}

func commands() []command {
	return []command{
		{"init", "-email E-MAIL [-nome NOME]", "cria um coletor em uma pasta e mostra o primeiro link de acesso", cmdInit},
		{"serve", "", "põe o coletor em funcionamento", cmdServe},
		{"user", "E-MAIL", "gera um link de acesso às páginas, para uma pessoa nova ou conhecida", cmdUser},
		{"enrol", "[-caixas N] [-dias N]", "gera um código para ligar caixas", cmdEnrol},
		{"ca", "status | rotate | switch | retire", "mostra e troca a autoridade certificadora dos caixas", cmdCA},
		{"revoke", "AGENTE", "revoga a identidade de um computador", cmdRevoke},
		{"import", "[--verify-only] PASTA | ARQUIVO ...", "verifica e guarda arquivos XML", cmdImport},
		{"export", "-o ARQUIVO [-cnpj] [-serie] [-mes AAAAMM]", "grava os originais (.zip) ou uma tabela (.csv)", cmdExport},
		{"backup", "-o ARQUIVO [-para age1…]", "grava tudo o que o coletor tem em um arquivo cifrado", cmdBackup},
		{"restore", "[-chave ARQUIVO] [-conferir] ARQUIVO", "refaz um coletor de uma cópia de segurança, ou só a confere", cmdRestore},
		{"move", "-banco postgres://… | @ARQUIVO | arquivo", "muda o banco de dados para o PostgreSQL, ou de volta", cmdMove},
		{"quarantine", "list | reprocess [NÚMERO]", "lista o que não pôde ser lido, ou tenta de novo", cmdQuarantine},
		{"alarms", "", "lista os alarmes abertos", cmdAlarms},
		{"retention", "[-simular]", "apaga o que passou do prazo de guarda, ou só conta", cmdRetention},
		{"command", "-caixa ID [-equipamento SERIE] NOME [DADO=VALOR] | cancel COMANDO", "envia um comando a um caixa ou a um equipamento, ou cancela um que não começou", cmdCommand},
		{"commands", "[-caixa ID | COMANDO]", "lista os comandos, os dados a um caixa, ou mostra como um está", cmdCommands},
		{"audit", "[-quem] [-ato] [-de] [-ate]", "lista quem fez o quê", cmdAudit},
		{"config", "", "mostra a configuração e o que cada chave faz", func(_ context.Context, con console, _ []string) error {
			return describeConfig(con.out)
		}},
		{"version", "", "mostra a versão", func(_ context.Context, con console, _ []string) error {
			_, err := fmt.Fprintln(con.out, version)
			return err
		}},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := dispatch(ctx, console{os.Stdout, os.Stderr}, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "zelo-collector:", err)
		}
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, con console, args []string) error {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(ctx, con, args[1:])
			}
		}
		usage(con.err)
		return fmt.Errorf("não existe o comando %q", args[0])
	}
	usage(con.err)
	return flag.ErrHelp
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Uso: zelo-collector COMANDO [-pasta PASTA]")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-10s %-54s %s\n", c.name, c.args, c.help)
	}
}
