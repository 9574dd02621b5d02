package api

import (
	"context"
	"fmt"

	"zelo/collector/store"
)

// quarantineShown is how many quarantined records are listed.
const quarantineShown = 500

// Quarantined is a record in quarantine with the till it came from.
type Quarantined struct {
	store.Quarantined
	Till *Till // nil for an import
}

// Quarantine lists the records nobody has dealt with, newest first, and says how
// many there are in all.
func (a *API) Quarantine(ctx context.Context, c Caller) (list []Quarantined, total int, err error) {
	err = a.view(ctx, c, func(r *store.Reader) error {
		found, err := r.Quarantined(quarantineShown)
		if err != nil {
			return err
		}
		tills, err := readTills(r)
		if err != nil {
			return err
		}
		for _, q := range found {
			one := Quarantined{Quarantined: q}
			for i, t := range tills {
				if q.Agent != "" && t.Agent.ID == q.Agent {
					one.Till = &tills[i]
				}
			}
			list = append(list, one)
		}
		counts, err := r.Counts()
		total = counts.Quarantined
		return err
	})
	return list, total, err
}

// QuarantinedBytes returns a record as it came. It may hold personal data.
func (a *API) QuarantinedBytes(ctx context.Context, c Caller, id int64) (raw []byte, err error) {
	if err := a.record(ctx, c, "download da quarentena", fmt.Sprintf("registro %d", id), ""); err != nil {
		return nil, err
	}
	err = a.view(ctx, c, func(r *store.Reader) error {
		raw, err = r.QuarantinedBody(id)
		return err
	})
	return raw, err
}

// Settle notes that the caller has dealt with a quarantined record, which stays
// in the store.
func (a *API) Settle(ctx context.Context, c Caller, id int64) error {
	if err := a.allow(c); err != nil {
		return err
	}
	now := a.o.Now()
	err := a.o.Store.Update(ctx, func(w *store.Writer) error {
		if err := w.Settle(id, c.who, now); err != nil {
			return err
		}
		return w.AddAudit(store.Audit{At: now, Who: c.who, Act: "quarentena vista", Object: fmt.Sprintf("registro %d", id)})
	})
	if err != nil {
		return err
	}
	return a.o.Ingest.Judge(ctx)
}
