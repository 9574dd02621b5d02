package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zelo/collector/store"
)

// bankHere names, as a database, the file in the collector's folder.
const bankHere = "arquivo"

func bankFlag(fs *flagSet) *string {
	return fs.String("banco", "", "banco de dados: postgres://usuario:senha@servidor/zelo, @ARQUIVO que tem essa linha (a senha não aparece na lista de processos), ou "+
		bankHere+" para o "+databaseFile+" da pasta")
}

// readBank is the database that a person named.
func readBank(text string) (string, error) {
	if path, is := strings.CutPrefix(text, "@"); is {
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("não foi possível ler o endereço do banco: %w", err)
		}
		line, _, _ := strings.Cut(string(raw), "\n")
		text = strings.TrimSpace(line)
	}
	if text == "" || text == bankHere {
		return text, nil
	}
	c := defaultConfig()
	c.Database = text
	return text, c.check()
}

// withoutSecret is a database as it may be shown.
func withoutSecret(bank string) string {
	u, err := url.Parse(bank)
	if err != nil || u.Host+u.Path == "" {
		return "banco = ''"
	}
	return "banco = 'postgres://USUARIO:SENHA@" + u.Host + u.Path + "'"
}

// cmdMove takes a collector's database to another engine.
func cmdMove(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "move")
	bank := bankFlag(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	to, err := readBank(*bank)
	if err != nil {
		return err
	}
	if to == "" {
		return errors.New("falta -banco, o banco de dados para onde mudar")
	}
	config, err := loadConfig(*folder)
	if err != nil {
		return err
	}
	if err := move(ctx, con, *folder, config, to); err != nil {
		return fmt.Errorf("não foi possível mudar o banco de dados: %w", err)
	}
	return nil
}

// move copies every row, compares, and lets the configuration name the new database.
// The new one gets the epoch, because nothing was lost: agents have nothing to send
// again. But first the old one loses it, so that they do should either be used after a
// move that was cut off.
func move(ctx context.Context, con console, folder string, config Config, to string) error {
	began := time.Now()
	path := filepath.Join(folder, configFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text, err = withBank(text, to); err != nil {
		return err
	}
	from, next := config.database(folder), config
	if next.Database = to; to == bankHere {
		next.Database = ""
	}
	if next.database(folder) == from {
		return errors.New("o coletor já usa este banco")
	}
	var moved store.Tallies
	epoch, err := store.Retire(ctx, from, func(d *store.Dump) (err error) {
		stage, err := store.NewStage(ctx, next.database(folder), d.Schema)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stage.Discard(ctx)) }()
		p := newProgress(ctx, con, "Mudando")
		err = stage.Fill(ctx, func(to store.Sink) (_ store.Tallies, err error) {
			moved, err = d.Write(p.watch(to, d.About))
			return moved, err
		})
		p.end()
		if err != nil {
			return err
		}
		return stage.Publish(ctx)
	})
	if err != nil {
		return err
	}
	if err := store.Inherit(ctx, next.database(folder), epoch); err != nil {
		fmt.Fprintf(con.err, "Os caixas vão mandar de novo o que ainda guardam, o que só custa tempo: %v\n", err)
	}
	if err := replaceConfig(path, text); err != nil {
		return fmt.Errorf("os dados já estão no banco novo, mas o %s ainda diz o antigo; escreva nele %s: %w", configFile, withoutSecret(next.Database), err)
	}
	_, err = fmt.Fprintf(con.out, "Banco de dados mudado: %s de %d tabelas, conferidas, em %s. O %s já diz o banco novo.\n"+
		"Os dados continuam também no banco antigo; apague-o depois de conferir o coletor e de fazer uma cópia de segurança.\n",
		rows(moved.Total()), len(moved), seconds(time.Since(began)), configFile)
	return err
}
