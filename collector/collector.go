package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"zelo/collector/api"
	"zelo/collector/enrol"
	"zelo/collector/export"
	"zelo/collector/fleet"
	"zelo/collector/ingest"
	"zelo/collector/notify"
	"zelo/collector/store"
)

// collector holds what every command works with, opened from one folder.
type collector struct {
	folder   string
	config   Config
	log      *slog.Logger
	store    *store.Store
	ca       *enrol.CA
	registry *enrol.Registry
	ingest   *ingest.Ingest
	fleet    *fleet.Fleet
	notifier *notify.Notifier
	api      *api.API
	figures  *figures
	told     enrol.HandlerOptions // to agents; set before any is heard
}

// open opens the collector of a folder.
func open(ctx context.Context, folder string, config Config, log *slog.Logger) (_ *collector, err error) {
	c := &collector{folder: folder, config: config, log: log, figures: newFigures()}
	if c.ca, err = enrol.OpenCA(folder); err != nil {
		return nil, fmt.Errorf("não foi possível abrir a autoridade certificadora do coletor: %w", err)
	}
	roots, err := authorities(config.Authorities)
	if err != nil {
		return nil, err
	}
	if c.store, err = store.Open(ctx, config.database(folder)); err != nil {
		return nil, fmt.Errorf("não foi possível abrir o banco de dados: %w", err)
	}
	if c.fleet, err = openFleet(folder, c.store, c.log); err == nil {
		err = c.checkAuthorities(ctx)
	}
	if err == nil {
		c.registry = enrol.New(c.ca, c.store, time.Now)
		c.ingest, err = ingest.New(ingest.Options{Store: c.store, Roots: roots, Log: c.log, Now: time.Now, Read: store.Contents{Voided: export.Voided, Sold: export.Sold}, Batch: c.figures.batch,
			CommandKey: c.fleet.CommandKey(), Renew: func(terms string) string { return c.registry.RenewAt(c.told, terms) }})
	}
	if err != nil {
		c.store.Close()
		return nil, err
	}
	accounts, err := c.openAccounts(ctx)
	if err != nil {
		c.store.Close()
		return nil, err
	}
	if c.notifier, err = c.openNotifier(); err != nil {
		c.store.Close()
		return nil, err
	}
	c.api = api.New(api.Options{Store: c.store, Accounts: accounts, Registry: c.registry, Ingest: c.ingest, Fleet: c.fleet, Notify: c.notifier,
		Enrolment: "https://" + config.reached(config.Enrolment), Now: time.Now})
	return c, nil
}

func (c *collector) close() {
	if err := c.store.Close(); err != nil {
		c.log.Error("database not closed cleanly", "err", err)
	}
}

func newLog(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	l.UnmarshalText([]byte(level))
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

// authorities reads the certificates that devices' certificates are checked
// against; without a file nothing is.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("não foi possível ler as autoridades dos equipamentos: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("o arquivo de autoridades %s não contém certificados PEM", path)
	}
	return pool, nil
}

// with runs fn with the collector of a folder, for commands that end by
// themselves and say themselves what happened: only errors are logged.
func with(ctx context.Context, con console, folder string, fn func(*collector) error) error {
	config, err := loadConfig(folder)
	if err != nil {
		return err
	}
	c, err := open(ctx, folder, config, newLog(con.err, "error", config.LogFormat))
	if err != nil {
		return err
	}
	defer c.close()
	return fn(c)
}
