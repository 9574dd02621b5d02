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
	err = a.view(ctx, c, opQuarantine, func(r *store.Reader) error {
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
	err = a.view(ctx, c, opQuarantineBytes, func(r *store.Reader) error {
		raw, err = r.QuarantinedBody(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return raw, a.record(ctx, c, opQuarantineBytes, "download da quarentena", fmt.Sprintf("registro %d", id), "")
}

// Settle notes that the caller has dealt with a quarantined record, which stays
// in the store.
func (a *API) Settle(ctx context.Context, c Caller, id int64) error {
	err := a.update(ctx, c, opSettle, func(w *store.Writer, seen *store.Reader) error {
		if _, err := seen.QuarantinedRecord(id); err != nil {
			return err
		}
		if err := w.Settle(id, c.Who(), a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "quarentena vista", fmt.Sprintf("registro %d", id), "")
	})
	if err != nil {
		return err
	}
	return a.o.Ingest.Judge(ctx)
}
