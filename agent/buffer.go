package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"zelo/buffer"
)

// cmdBuffer shows what is kept on this till: from the running agent, or from the
// file itself when the agent is stopped.
func cmdBuffer(ctx context.Context, args []string) error {
	fs, path := flags("buffer")
	switch word, err := verb(fs, args); {
	case err != nil:
		return err
	case word != "ls":
		return errors.New("use zelo-agent buffer ls")
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	file := bufferFile(c)
	r, err := buffer.Check(file)
	switch {
	case errors.Is(err, buffer.ErrInUse):
		var s statusReply
		if err := ask(ctx, c, http.MethodGet, "/status", nil, &s); err != nil {
			return err
		}
		printBuffer(os.Stdout, file, s.Buffer)
		return nil
	case err != nil:
		return fmt.Errorf("não foi possível ler %s: %w", file, err)
	}
	printBuffer(os.Stdout, file, r.Streams)
	for _, name := range slices.Sorted(maps.Keys(r.Tables)) {
		fmt.Printf("%d registros em %s\n", r.Tables[name], name)
	}
	for _, d := range r.Damage {
		fmt.Println("DANO:", d)
	}
	if len(r.Damage) > 0 {
		return errors.New("o arquivo tem danos: ao iniciar, o agente salva o que for legível e guarda o original ao lado")
	}
	return nil
}

func bufferFile(c Config) string { return filepath.Join(c.Folder, "cupons.db") }

func printBuffer(w io.Writer, file string, streams []buffer.StreamStats) {
	fmt.Fprintln(w, file)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "fila\tesperando\tbytes\tmais antigo\tcópias já salvas na nuvem\t")
	for _, s := range streams {
		oldest := "-"
		if !s.Oldest.IsZero() {
			oldest = s.Oldest.Local().Format("02/01/2006 15:04:05")
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%d\t\n", s.Name, s.Waiting, s.Bytes, oldest, s.Copies)
	}
	tw.Flush()
}
