package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"zelo/collector/api"
	"zelo/sat"
)

// cmdQuarantine lists what could not be read, or reads it once more.
func cmdQuarantine(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "quarantine")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	switch {
	case len(rest) == 1 && rest[0] == "list":
		return with(ctx, con, *folder, func(c *collector) error { return c.listQuarantine(ctx, con) })
	case len(rest) == 1 && rest[0] == "reprocess":
		return with(ctx, con, *folder, func(c *collector) error {
			return tellAgain(con)(c.api.ReadAllAgain(ctx, api.CommandLine()))
		})
	case len(rest) == 2 && rest[0] == "reprocess":
		id, err := strconv.ParseInt(rest[1], 10, 64)
		if err != nil {
			return fmt.Errorf("%q não é o número de um registro: veja-os com `zelo-collector quarantine list`", rest[1])
		}
		return with(ctx, con, *folder, func(c *collector) error {
			return tellAgain(con)(c.api.ReadAgain(ctx, api.CommandLine(), id))
		})
	}
	return errors.New("escreva list, ou reprocess com o número de um registro ou sem, para todos")
}

// listQuarantine prints a line for each record nobody has dealt with.
func (c *collector) listQuarantine(ctx context.Context, con console) error {
	list, total, err := c.api.Quarantine(ctx, api.CommandLine())
	if err != nil {
		return fmt.Errorf("não foi possível ler a quarentena: %w", err)
	}
	for _, q := range list {
		from := q.Agent
		if from == "" {
			from = q.File
		}
		fmt.Fprintf(con.out, "%d  %s  %d bytes  %s  %s\n", q.ID, q.LastAt.In(sat.Brasilia()).Format("02/01/2006 15:04"), q.Size, from, q.Reason)
	}
	_, err = fmt.Fprintf(con.out, "%d em quarentena\n", total)
	return err
}

// tellAgain prints what reading again came to.
func tellAgain(con console) func(api.Again, error) error {
	return func(done api.Again, err error) error {
		if err != nil {
			return fmt.Errorf("não foi possível ler a quarentena de novo: %w", err)
		}
		_, err = fmt.Fprintf(con.out, "lidos: %d, continuam em quarentena: %d\n", done.Understood, done.Left)
		return err
	}
}
