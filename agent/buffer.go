package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"zelo/agent/wire"
	"zelo/buffer"
)

const bufferUsage = "use zelo-agent buffer ls | check | export -para PASTA | repair"

// cmdBuffer shows, checks, saves and repairs what is kept on this till, or in any
// other buffer file. All but ls need the agent to be stopped.
func cmdBuffer(ctx context.Context, args []string) error {
	return bufferCommand(ctx, args, os.Stdout)
}

func bufferCommand(ctx context.Context, args []string, out io.Writer) error {
	fs, path := flags("buffer")
	file := fs.String("arquivo", "", "outro arquivo de cupons, por exemplo um posto de lado ou do disco de outro caixa")
	folder := fs.String("para", "", "pasta em que export grava os documentos")
	word, err := verb(fs, args)
	if err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	own := *file == ""
	if own {
		*file = bufferFile(c)
	}
	switch word {
	case "ls":
		err = listBuffer(ctx, c, *file, own, out)
	case "check":
		err = checkBuffer(*file, out)
	case "export":
		err = exportBuffer(*file, *folder, out)
	case "repair":
		err = repairBuffer(c, *file, own, out)
	default:
		return errors.New(bufferUsage)
	}
	return bufferProblem(*file, err)
}

func bufferFile(c Config) string { return filepath.Join(c.Folder, "cupons.db") }

// bufferProblem says in plain words why a buffer file cannot be used, and what to do.
func bufferProblem(file string, err error) error {
	switch {
	case errors.Is(err, buffer.ErrInUse):
		return fmt.Errorf("o agente está em execução e usa %s: pare-o com `zelo-agent service stop`, repita o comando e inicie-o de novo", file)
	case errors.Is(err, buffer.ErrTooLarge):
		return fmt.Errorf("%s foi criado por um agente de 64 bits e é grande demais para este, de 32 bits: use um agente de 64 bits, "+
			"ou salve os documentos com `zelo-agent buffer export` e tire o arquivo da pasta", file)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("falta permissão: execute como administrador (root): %w", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("não foi encontrado: %w", err)
	}
	return err
}

// listBuffer shows the streams, of the running agent or of the file itself.
func listBuffer(ctx context.Context, c Config, file string, own bool, out io.Writer) error {
	r, err := buffer.Check(file)
	if own && errors.Is(err, buffer.ErrInUse) {
		var s statusReply
		if err := ask(ctx, c, http.MethodGet, "/status", nil, &s); err != nil {
			return err
		}
		printBuffer(out, file, s.Buffer)
		return nil
	}
	if err != nil {
		return err
	}
	printReport(out, file, r)
	if n := len(r.Damage); n > 0 {
		return fmt.Errorf("o arquivo tem danos (%d): veja quais com `zelo-agent buffer check`", n)
	}
	return nil
}

// checkBuffer tells what is wrong with a file, what of it can still be read, and
// what to do.
func checkBuffer(file string, out io.Writer) error {
	r, err := buffer.Check(file)
	if err != nil {
		return err
	}
	printReport(out, file, r)
	if len(r.Damage) == 0 {
		fmt.Fprintln(out, "O arquivo está em ordem.")
		return nil
	}
	printLines(out, "DANO", r.Damage)
	scratch, err := os.MkdirTemp("", "zelo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	readable := map[[32]byte]bool{}
	lost, err := buffer.Read(file, wire.StreamDocuments, scratch, func(r buffer.Record) error {
		readable[r.SHA256] = true
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Documentos que, apesar do dano, podem ser lidos: %d\n", len(readable))
	printLines(out, "NÃO PODE SER LIDO", lost)
	return errors.New("o arquivo tem danos: salve os documentos com `zelo-agent buffer export` e conserte-o com `zelo-agent buffer repair`, ou inicie o agente, que faz o mesmo conserto; o original fica guardado ao lado")
}

// repairBuffer does what the agent does when it meets a damaged file, and tells the
// collector the same when the file is the agent's own.
func repairBuffer(c Config, file string, own bool, out io.Writer) (err error) {
	r, err := buffer.Check(file)
	if err != nil {
		return err
	}
	if len(r.Damage) == 0 {
		fmt.Fprintln(out, "O arquivo está em ordem: não há o que consertar.")
		return nil
	}
	b, found, err := buffer.Open(file, buffer.Options{Streams: []buffer.Stream{{Name: wire.StreamEvents}}, MaxBytes: c.Buffer << 20})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	printLines(out, "DANO", found.Damage)
	for _, name := range slices.Sorted(maps.Keys(found.Salvaged)) {
		fmt.Fprintf(out, "Salvos em %s: %d\n", name, found.Salvaged[name])
	}
	printLines(out, "PERDIDO", found.Lost)
	fmt.Fprintf(out, "Consertado. O arquivo danificado ficou em %s\n", found.SetAside)
	if !own {
		return nil
	}
	codec, err := wire.NewCodec()
	if err != nil {
		return err
	}
	defer codec.Close()
	return (&agent{buffer: b, codec: codec, log: slog.New(slog.DiscardHandler)}).tellDamage(found)
}

func printReport(out io.Writer, file string, r buffer.Report) {
	printBuffer(out, file, r.Streams)
	for _, name := range slices.Sorted(maps.Keys(r.Tables)) {
		fmt.Fprintf(out, "registros em %s: %d\n", name, r.Tables[name])
	}
}

// printLines prints the first of many lines.
func printLines(out io.Writer, what string, lines []string) {
	const most = 20
	for i, line := range lines {
		if i == most {
			fmt.Fprintf(out, "%s: e mais %d\n", what, len(lines)-most)
			return
		}
		fmt.Fprintf(out, "%s: %s\n", what, line)
	}
}

func printBuffer(out io.Writer, file string, streams []buffer.StreamStats) {
	fmt.Fprintln(out, file)
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "fila\tesperando\tbytes\tmais antigo\tcópias já salvas na nuvem\tem quarentena\t")
	for _, s := range streams {
		oldest := "-"
		if !s.Oldest.IsZero() {
			oldest = s.Oldest.Local().Format("02/01/2006 15:04:05")
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%d\t%d\t\n", s.Name, s.Waiting, s.Bytes, oldest, s.Copies, s.Quarantined)
	}
	tw.Flush()
}
