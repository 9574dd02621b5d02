package main

import (
	"context"
	"fmt"
	"strings"

	"zelo/collector/api"
)

// cmdAudit lists who did what, newest first.
func cmdAudit(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "audit")
	var q api.AuditQuery
	fs.StringVar(&q.Who, "quem", "", "só de quem tem isto no e-mail, ou no nome do código de API")
	fs.StringVar(&q.Act, "ato", "", "só o que tem isto no nome, como exportação")
	fs.StringVar(&q.From, "de", "", "a partir deste dia, como 21/11/2026")
	fs.StringVar(&q.To, "ate", "", "até este dia, inclusive")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return with(ctx, con, *folder, func(c *collector) error {
		page, err := c.api.Audit(ctx, api.CommandLine(), q)
		if err != nil {
			return err
		}
		for _, l := range page.Lines {
			if l.Token != "" {
				l.Who += " (código " + l.Token + ")"
			}
			fmt.Fprintln(con.out, strings.TrimRight(fmt.Sprintf("%s  %-30s  %s  %s  %s", l.At.Local().Format("02/01/2006 15:04:05"), l.Who, l.Act, l.Object, l.Detail), " "))
		}
		if page.Next != "" {
			fmt.Fprintln(con.err, "Há mais antigas: escolha os dias com -de e -ate.")
		}
		return nil
	})
}
