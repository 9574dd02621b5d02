package store

import (
	"iter"

	"zelo/collector/sequence"
)

// NumbersOfDevice yields the numbers of the documents shown of one device, sales and
// cancellations, as they were issued. Their line is the taxpayer: a device that goes
// to another begins anew. Nothing else may be read meanwhile; it may be ranged over
// again.
func (r *Reader) NumbersOfDevice(serial string) iter.Seq2[sequence.Item, error] {
	args := arguments{serial}
	return r.numbers(func(s scanner, item *sequence.Item) error {
		return s.Scan(&item.ID, &item.Line, &item.Number, at(&item.At), &item.Kind)
	}, `SELECT id, issuer, number, issued, `+numberedAs+` FROM documents WHERE serial = $1 AND serial <> '' AND best = 1
		AND part = '' AND `+r.owns("issuer", &args)+` ORDER BY issued, number, id`, args...)
}

// Kinds of documents, as sat/cfe names them, that their line treats apart.
const (
	kindCancellation = "cancelamento"
	kindVoid         = "inutilizacao"
	kindEvent        = "evento"
)

// numberedAs is a sequence.Kind in SQL.
const numberedAs = `CASE WHEN test = 1 THEN 2 WHEN kind = '` + kindCancellation + `' THEN 1 WHEN kind = '` + kindVoid + `' THEN 3 ELSE 0 END`

// Series is what NFC-e are numbered by.
type Series struct {
	Issuer string // CNPJ or CPF
	Series string
}

// NumbersOfSeries yields the numbers of the NFC-e shown of one series, and what void
// ranges hold, as they were issued. Tests have numbers of their own and come with
// number 0. voided reads the stored bytes of a void range; what it does not accept is
// left out. Nothing else may be read meanwhile; it may be ranged over again.
func (r *Reader) NumbersOfSeries(of Series, voided func(raw []byte) (first, last int, ok bool)) iter.Seq2[sequence.Item, error] {
	args := arguments{of.Issuer, of.Series}
	return r.numbers(func(s scanner, item *sequence.Item) error {
		var zip, sum []byte
		if err := s.Scan(&item.ID, &item.Number, at(&item.At), &item.Kind, &sum, &zip); err != nil {
			return err
		}
		item.Line = of.Series
		switch item.Kind {
		case sequence.Test:
			item.Number = 0
		case sequence.Void:
			raw, err := r.s.unpack(zip, sum)
			if err != nil {
				return err
			}
			item.Number, item.To, _ = voided(raw)
		}
		return nil
	}, `SELECT id, number, issued, `+numberedAs+`, sha256, CASE WHEN kind = '`+kindVoid+`' THEN body END FROM documents
		WHERE issuer = $1 AND series = $2 AND model = 65 AND kind <> '`+kindEvent+`' AND best = 1 AND `+r.owns("issuer", &args)+`
		ORDER BY issued, number, id`, args...)
}

// numbers yields the rows of a query one by one.
func (r *Reader) numbers(scan func(scanner, *sequence.Item) error, query string, args ...any) iter.Seq2[sequence.Item, error] {
	return func(yield func(sequence.Item, error) bool) {
		rows, err := r.tx.query(r.ctx, query, args)
		if err != nil {
			yield(sequence.Item{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var item sequence.Item
			err := scan(rows, &item)
			if !yield(item, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(sequence.Item{}, err)
		}
	}
}

// LastNumber is the number the device itself named last, and the taxpayer it was
// issued for; nothing when its last status names no document of its own.
func (d Device) LastNumber() (issuer string, last sequence.Last) {
	key := d.Status.LastKey
	if n := numberOf(key); n > 0 && key[22:31] == d.Serial {
		return key[6:20], sequence.Last{Number: n, At: d.StatusAt}
	}
	return "", sequence.Last{}
}
