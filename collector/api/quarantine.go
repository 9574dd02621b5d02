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
	err = a.view(ctx, c, OpQuarantine, func(r *store.Reader) error {
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

// QuarantinedBytes returns a record as it came. It may hold personal data, so that it is
// nothing for a technician.
func (a *API) QuarantinedBytes(ctx context.Context, c Caller, id int64) (raw []byte, err error) {
	err = a.view(ctx, c, OpQuarantineBytes, func(r *store.Reader) error {
		raw, err = r.QuarantinedBody(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return raw, a.record(ctx, c, OpQuarantineBytes, "download da quarentena", fmt.Sprintf("registro %d", id), "")
}

// Again counts what reading quarantined records once more came to.
type Again struct {
	Understood int `json:"understood" doc:"Registros que agora foram lidos, guardados como o que são, e saíram da quarentena."`
	Left       int `json:"left" doc:"Registros que continuam sem poder ser lidos."`
}

// quarantine are the operations that read quarantined records once more.
func quarantine() []Operation {
	return []Operation{
		{opAgain, "POST", "/quarantine/{record}/again", staff(), "", par("record", "record"), Again{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return a.ReadAgain(ctx, c, in.number("record"))
			}},
		{opAllAgain, "POST", "/quarantine/again", staff(), "", nil, Again{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return a.ReadAllAgain(ctx, c)
			}},
	}
}

const (
	opAgain    Op = "quarantine.again"
	opAllAgain Op = "quarantine.again.all"
)

// ReadAgain reads a quarantined record once more, for a collector that knows more than
// when it came.
func (a *API) ReadAgain(ctx context.Context, c Caller, id int64) (done Again, err error) {
	err = a.view(ctx, c, opAgain, func(r *store.Reader) error {
		_, err := r.QuarantinedRecord(id)
		return err
	})
	if err == nil {
		err = a.record(ctx, c, opAgain, "quarentena lida de novo", fmt.Sprintf("registro %d", id), "")
	}
	if err == nil {
		err = a.again(ctx, &done, id)
	}
	return done, err
}

// readAtOnce bounds how many numbers of records are taken from the store at a time.
const readAtOnce = 500

// ReadAllAgain reads all that the caller sees and that was never understood once more.
func (a *API) ReadAllAgain(ctx context.Context, c Caller) (done Again, err error) {
	if err := a.record(ctx, c, opAllAgain, "quarentena lida de novo", "todos os registros", ""); err != nil {
		return done, err
	}
	for after := int64(0); ; {
		var ids []int64
		err := a.view(ctx, c, opAllAgain, func(r *store.Reader) (err error) {
			ids, err = r.NotUnderstood(after, readAtOnce)
			return err
		})
		if err != nil || len(ids) == 0 {
			return done, err
		}
		if err := a.again(ctx, &done, ids...); err != nil {
			return done, err
		}
		after = ids[len(ids)-1]
	}
}

func (a *API) again(ctx context.Context, done *Again, ids ...int64) error {
	for _, id := range ids {
		understood, err := a.o.Ingest.Again(ctx, id)
		if err != nil {
			return err
		}
		if understood {
			done.Understood++
		} else {
			done.Left++
		}
	}
	return a.o.Ingest.Judge(ctx)
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
