package main

import (
	"context"
	"fmt"
	"time"

	"zelo/collector/store"
	"zelo/sat"
)

// retention is what the configuration says of how long everything is kept.
func (c Config) retention() store.Retention {
	return store.Retention{Coupons: c.KeepCoupons, Notes: c.KeepNotes, Events: c.KeepEvents, Alarms: c.KeepAlarms, Quarantine: c.KeepQuarantine,
		Access: c.KeepAccess, Audit: c.KeepAudit, Shorter: c.KeepShorter}
}

// retain gives up what is past its time, unless the clock went ahead.
func (c *collector) retain(ctx context.Context) error {
	expired, doubted, err := c.store.RetainAlone(ctx, c.config.retention(), time.Now())
	if doubted > 0 {
		c.log.Error("the clock went ahead since rows were last given up: none are for two weeks; if the date is right, run zelo-collector retention", "now", time.Now(), "runs", doubted)
	}
	for _, e := range expired {
		if e.Rows > 0 {
			c.log.Info("rows past their time given up", "kind", e.Kind, "before", e.Before, "rows", e.Rows)
		}
	}
	return err
}

// cmdRetention gives up what is past its time, or only says what would be.
func cmdRetention(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "retention")
	try := fs.Bool("simular", false, "só conta: não apaga nada")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return with(ctx, con, *folder, func(c *collector) error {
		expired, err := c.store.Retain(ctx, c.config.retention(), time.Now(), *try)
		what := "apagados"
		if *try {
			what = "a apagar"
		}
		for _, e := range expired {
			fmt.Fprintf(con.out, "%s anteriores a %s: %d %s\n", e.Kind, e.Before.In(sat.Brasilia()).Format("02/01/2006"), e.Rows, what)
		}
		if err != nil {
			return fmt.Errorf("não foi possível aplicar os prazos de guarda: %w", err)
		}
		return nil
	})
}
