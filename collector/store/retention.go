package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Retention says for how long rows of each kind are kept. Documents and the audit are
// never kept for less than Least, unless Shorter says that this was decided.
type Retention struct {
	Coupons    int // models 59: whole years after that of issue
	Notes      int // other models: months from issue
	Events     int // what agents told, lines of devices' logs, commands that ended with what they brought: months
	Alarms     int // that are over: months from their end
	Quarantine int // what a person dealt with: months from then
	Access     int // links, sessions and tokens that are over: months from their end
	Audit      int // months; the database lets go of nothing before five years
	Shorter    bool
}

// Least is what documents are kept for at least (dossier on CF-e documents, section on
// what remains of the obligations: five years are usual, and nobody has read the text
// that asks for them; dossier on NFC-e, on retention: 132 months, which some take to bind
// the tax office alone), and what is usual of the rest: what agents told is evidence
// about documents, and Marco Civil da Internet, article 15, has providers keep records of
// access for six months.
func Least() Retention {
	return Retention{Coupons: 5, Notes: 132, Events: 72, Alarms: 24, Quarantine: 24, Access: 6, Audit: 60}
}

// ErrTooShort reports rows that would be given up before their time.
var ErrTooShort = errors.New("documents and the audit are to be kept for longer")

// Check fails with ErrTooShort, or when a time is none.
func (p Retention) Check() error {
	least := Least()
	switch {
	case min(p.Coupons, p.Notes, p.Events, p.Alarms, p.Quarantine, p.Access, p.Audit) < 1:
		return errors.New("every kind is kept for at least one year or month")
	case p.Audit < least.Audit, !p.Shorter && (p.Coupons < least.Coupons || p.Notes < least.Notes):
		return ErrTooShort
	}
	return nil
}

// Expired is how many rows of a kind are past their time.
type Expired struct {
	Kind   string // pt-BR
	Before time.Time
	Rows   int
}

// kind is one kind of row that is given up after its time.
type kind struct {
	name   string // pt-BR
	before time.Time
	table  string
	id     string
	due    string   // condition on before, as $1
	first  []string // what goes along, of the rows with an id in (%s)
}

// kinds are all but documents, with the time before which theirs are over.
func (p Retention) kinds(now time.Time) []kind {
	ago := func(months int) time.Time { return monthsBefore(now, months) }
	return []kind{
		{"eventos dos agentes", ago(p.Events), "events", "id", "received_at < $1", nil},
		{"logs dos equipamentos", ago(p.Events), "device_logs", "id", "received_at < $1", nil},
		{"comandos terminados", ago(p.Events), "commands", "id", "ended_at > 0 AND ended_at < $1",
			[]string{`DELETE FROM command_lines WHERE command_id IN (%s)`, `DELETE FROM command_parts WHERE command_id IN (%s)`}},
		{"ordens sem comandos", ago(p.Events), "orders", "id", "created_at < $1 AND NOT EXISTS (SELECT 1 FROM commands c WHERE c.order_id = orders.id)", nil},
		{"alarmes encerrados", ago(p.Alarms), "alarms", "id", "cleared_at > 0 AND cleared_at < $1", []string{`DELETE FROM alarm_changes WHERE alarm_id IN (%s)`}},
		{"quarentena já vista", ago(p.Quarantine), "quarantine", "id", "settled_at > 0 AND settled_at < $1", nil},
		{"links de acesso vencidos", ago(p.Access), "links", "hash", "expires_at < $1", nil},
		{"sessões encerradas", ago(p.Access), "sessions", "hash", "expires_at < $1", nil},
		{"códigos de API vencidos", ago(p.Access), "api_tokens", "id", "(expires_at < $1 OR revoked_at > 0 AND revoked_at < $1)", nil},
		{"códigos de ligação vencidos", ago(p.Access), "tokens", "id", "(expires_at < $1 OR ended_at > 0 AND ended_at < $1)", nil},
		{"auditoria", ago(p.Audit), "audit", "id", "at < $1", nil},
	}
}

// brasilia is the zone of the tax offices, whose days and years count.
func brasilia() *time.Location { return time.FixedZone("-03", -3*60*60) }

// monthsBefore is when the day began that is so many months before now. A day that its
// month has not, as the 31st of February, is that month's last: nothing goes early.
func monthsBefore(now time.Time, months int) time.Time {
	year, month, day := now.In(brasilia()).Date()
	last := time.Date(year, month-time.Month(months)+1, 0, 0, 0, 0, 0, brasilia())
	return last.AddDate(0, 0, min(day, last.Day())-last.Day())
}

// Retain gives up the rows that are past their time, few at a time, each time with a
// line of the audit, and returns how many those were; with try it only counts. What
// devices said of themselves is thinned along, without a line. Only
// one process of a database should run it at a time. What it did stays done when it
// fails in the middle.
func (s *Store) Retain(ctx context.Context, p Retention, now time.Time, try bool) (out []Expired, err error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("cannot apply these times of retention: %w", err)
	}
	for _, d := range p.documents(now) {
		if try {
			err = s.View(ctx, All(), func(r *Reader) (err error) { d.Rows, err = r.dueDocuments(d); return err })
		} else {
			d.Rows, err = s.dropDocuments(ctx, d, now)
		}
		if err != nil {
			return out, fmt.Errorf("cannot give up %s: %w", d.Kind, err)
		}
		out = append(out, d.Expired)
	}
	for _, k := range p.kinds(now) {
		e := Expired{Kind: k.name, Before: k.before}
		if try {
			err = s.View(ctx, All(), func(r *Reader) (err error) {
				e.Rows, err = one(r, value[int], `SELECT count(*) FROM `+k.table+` WHERE `+k.due, ms(k.before))
				return err
			})
		} else {
			e.Rows, err = s.drop(ctx, k, now)
		}
		if err != nil {
			return out, fmt.Errorf("cannot give up %s: %w", k.name, err)
		}
		out = append(out, e)
	}
	if !try {
		if err := s.thinReadings(ctx, now); err != nil {
			return out, fmt.Errorf("cannot thin what devices said: %w", err)
		}
	}
	return out, nil
}

// dropAtOnce bounds one transaction.
const dropAtOnce = 1000

// drop gives up the rows of a kind.
func (s *Store) drop(ctx context.Context, k kind, now time.Time) (rows int, err error) {
	for n := int64(dropAtOnce); n == dropAtOnce; rows += int(n) {
		err := s.Update(ctx, func(w *Writer) (err error) {
			some := fmt.Sprintf(`SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d`, k.id, k.table, k.due, k.id, dropAtOnce)
			for _, first := range k.first {
				if err := w.exec(fmt.Sprintf(first, some), ms(k.before)); err != nil {
					return err
				}
			}
			if n, err = w.count(fmt.Sprintf(`DELETE FROM %s WHERE %s IN (%s)`, k.table, k.id, some), ms(k.before)); err != nil || n == 0 {
				return err
			}
			return w.gaveUp(k.name, k.before, int(n), now)
		})
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// gaveUp notes in the audit what is given up with this transaction.
func (w *Writer) gaveUp(kind string, before time.Time, rows int, now time.Time) error {
	return w.AddAudit(Audit{At: now, Who: "coletor", Act: "prazo de guarda vencido", Object: kind, Detail: fmt.Sprintf("%d registros anteriores a %s", rows, before.Format(time.DateOnly))})
}

// documentsDue are the documents of some models that were issued before a time.
type documentsDue struct {
	Expired
	models string // condition
}

// documents are the two kinds of documents. A coupon of any day of a year is kept to
// the end of the same year later, in the zone of the tax offices, three hours behind.
func (p Retention) documents(now time.Time) []documentsDue {
	year := time.Date(now.In(brasilia()).Year()-p.Coupons, 1, 1, 0, 0, 0, 0, brasilia())
	return []documentsDue{
		{Expired{Kind: "CF-e", Before: year}, "model = 59"},
		{Expired{Kind: "NFC-e, NF-e e outros", Before: monthsBefore(now, p.Notes)}, "model <> 59"},
	}
}

// pastTime are documents that are shown and past their time, $1. One that came over a
// year after it says it was issued is kept from when it came: it is of an archive that
// somebody brought here to keep, or of a device whose clock was wrong.
const pastTime = `best = 1 AND issued < $1 AND (received_at < $1 OR received_at - issued < 31536000000) AND `

// dueDocuments counts documents with all their versions; a document is as old as the
// version that is shown.
func (r *Reader) dueDocuments(d documentsDue) (int, error) {
	return one(r, value[int], `SELECT count(*) FROM documents o WHERE EXISTS (SELECT 1 FROM documents WHERE `+pastTime+d.models+`
		AND key = o.key AND part = o.part AND issuer = o.issuer)`, ms(d.Before))
}

func (s *Store) dropDocuments(ctx context.Context, d documentsDue, now time.Time) (rows int, err error) {
	var after Document
	for {
		var list []Document
		n := 0
		err := s.Update(ctx, func(w *Writer) (err error) {
			list, err = all(&w.Reader, scanDocument, fmt.Sprintf(`SELECT `+documentColumns+` FROM documents WHERE `+pastTime+d.models+`
				AND (issued > $2 OR issued = $2 AND id > $3) ORDER BY issued, id LIMIT %d`, dropAtOnce), ms(d.Before), ms(after.Issued), after.ID)
			if err != nil || len(list) == 0 {
				return err
			}
			n = 0
			for _, o := range list {
				versions, err := w.dropDocument(o)
				if err != nil {
					return err
				}
				n += versions
			}
			return w.gaveUp(d.Kind, d.Before, n, now)
		})
		if err != nil || len(list) == 0 {
			return rows, err
		}
		after, rows = list[len(list)-1], rows+n
	}
}

// dropDocument takes away a document with its versions and how they came, and counts
// it off its device and the sums.
func (w *Writer) dropDocument(o Document) (versions int, err error) {
	ids, err := all(&w.Reader, value[int64], `SELECT id FROM documents WHERE key = $1 AND part = $2 AND issuer = $3 AND `+w.tx.about(o.Key), o.Key, o.Part, o.Issuer)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := errors.Join(w.exec(`DELETE FROM arrivals WHERE document_id = $1 AND document_id <> 0`, id), w.exec(`DELETE FROM documents WHERE id = $1`, id)); err != nil {
			return 0, err
		}
	}
	w.sums.show(o, -1)
	w.sums.hold(o.Issuer, 0, -len(ids))
	if o.Serial != "" && o.Part == "" {
		err = w.exec(`UPDATE devices SET documents = documents - 1 WHERE serial = $1 AND documents > 0`, o.Serial)
	}
	return len(ids), err
}
