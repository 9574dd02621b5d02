package store

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Document is one stored version of a fiscal document of any model, or of an
// event or void range about one. Texts are as the document gives them.
type Document struct {
	ID          int64
	Key         string // access key; "" for a void range
	Part        string // "" for a document; its hash in hex for an event or a void range
	SHA256      [32]byte
	Best        bool // the version that is shown, among those of the same Key and Part
	Rank        int  // orders versions: higher is better verified
	Kind        string
	Cancels     string // the key it cancels, or ""
	Layout      string
	Model       int
	Environment int // tpAmb; 0 when the document does not say
	Test        bool
	Issued      time.Time // in the zone it was issued in
	Issuer      string    // CNPJ or CPF
	IssuerName  string
	City        string // of the issuer, told to its establishment and kept with it alone; "" when the document is not to be believed
	Serial      string // of the device; "" for models without one
	Series      string
	Number      int
	Till        string // as printed in the document
	Consumer    string // CPF or CNPJ: personal data
	Total       string // decimal with a dot
	Verdict     string // "verified", "recovered", "rejected", "unsigned" or "kept"
	Reason      string // why, in pt-BR; "" when verified
	Checks      []Check
	Forbidden   bool // production, dated after emission was prohibited
	Invalid     bool // its signature is wrong or missing
	ReceivedAt  time.Time
	Size        int  // bytes
	Twice       bool // another device issued the same sale, and this one is not cancelled; told by Export alone
}

// Check is the outcome of one check of a document, for people.
type Check struct {
	Name    string `json:"name"` // pt-BR
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"` // pt-BR
}

// Month is the month of the local date of issue, AAAAMM.
func (d Document) Month() string { return d.Issued.Format("200601") }

const documentColumns = `id, key, part, sha256, best, rank, kind, cancels, layout, model, environment, test,
	issued, zone, issuer, issuer_name, serial, series, number, till, consumer, total,
	verdict, reason, checks, forbidden, invalid, received_at, size`

func scanDocument(s scanner, d *Document) error { return scanDocumentAnd(s, d) }

func scanDocumentAnd(s scanner, d *Document, more ...any) error {
	var zone int
	err := s.Scan(append([]any{&d.ID, &d.Key, &d.Part, hash(&d.SHA256), &d.Best, &d.Rank, &d.Kind, &d.Cancels, &d.Layout, &d.Model,
		&d.Environment, &d.Test, at(&d.Issued), &zone, &d.Issuer, &d.IssuerName, &d.Serial, &d.Series, &d.Number,
		&d.Till, &d.Consumer, &d.Total, &d.Verdict, &d.Reason, fromJSON(&d.Checks), &d.Forbidden, &d.Invalid,
		at(&d.ReceivedAt), &d.Size}, more...)...)
	if !d.Issued.IsZero() {
		d.Issued = d.Issued.In(time.FixedZone("", zone*60))
	}
	return err
}

// NewDocument is a version to store, with its bytes.
type NewDocument struct {
	Document
	Body Packed
}

// Added says what became of a version: its id, and whether it is new to the store.
type Added struct {
	ID  int64
	New bool

	only bool // no other version of its document is there
}

// AddDocument stores one version with its bytes.
func (w *Writer) AddDocument(d Document, body Packed) (id int64, added bool, err error) {
	out, err := w.AddDocuments(NewDocument{d, body})
	if err != nil {
		return 0, false, err
	}
	return out[0].ID, out[0].New, nil
}

// AddDocuments stores versions with their bytes, at best in the order of their keys,
// which touches few pages. A version already there is left as it is. The version
// with the highest rank becomes the best; among equals the first stored stays. Issuers do
// not compete: whatever key one writes into a document, it hides nobody else's.
func (w *Writer) AddDocuments(list ...NewDocument) ([]Added, error) {
	out, err := w.tx.addDocuments(w, list)
	if err != nil {
		return nil, fmt.Errorf("cannot store documents: %w", err)
	}
	for i, a := range out {
		d := list[i].Document
		if a.New {
			w.issuers[d.Issuer] = w.issuers[d.Issuer].and(d)
		}
		if d.coupon() {
			w.coupons[a.ID] = d
		}
		if a.New {
			w.numbered(d)
			w.sums.hold(d.Issuer, 0, 1)
		}
		switch {
		case a.only:
			w.shown(list[i].Document, 1)
		case a.New:
			if err := w.compete(a.ID, list[i].Document); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// newColumns are the columns of a new version but for id and best, and row their
// values.
const newColumns = `key, part, sha256, rank, kind, cancels, layout, model, environment, test,
	issued, zone, month, issuer, issuer_name, serial, series, number, till, consumer, total,
	verdict, reason, checks, forbidden, invalid, received_at, size, body`

func (d NewDocument) row() ([]any, error) {
	checks, err := asJSON(d.Checks)
	_, offset := d.Issued.Zone()
	return []any{d.Key, d.Part, d.Body.SHA256[:], d.Rank, d.Kind, d.Cancels, d.Layout, d.Model, d.Environment, d.Test,
		ms(d.Issued), offset / 60, d.Month(), d.Issuer, d.IssuerName, d.Serial, d.Series, d.Number, d.Till, d.Consumer, d.Total,
		d.Verdict, d.Reason, checks, d.Forbidden, d.Invalid, ms(d.ReceivedAt), d.Body.Size, d.Body.zip}, err
}

// compete makes a new version the best one when it ranks above the one that is.
func (w *Writer) compete(id int64, d Document) error {
	best, err := one(&w.Reader, scanDocument, `SELECT `+documentColumns+` FROM documents
		WHERE key = $1 AND part = $2 AND issuer = $3 AND best = 1 AND `+w.tx.about(d.Key), d.Key, d.Part, d.Issuer)
	if err != nil || best.Rank >= d.Rank {
		return err
	}
	if err := w.exec(`UPDATE documents SET best = CASE WHEN id = $1 THEN 1 ELSE 0 END WHERE id IN ($1, $2)`, id, best.ID); err != nil {
		return err
	}
	w.shown(best, -1)
	w.shown(d, 1)
	return nil
}

// Body returns the exact bytes of a stored version.
func (r *Reader) Body(id int64) ([]byte, error) {
	var zip, sum []byte
	args := arguments{id}
	if err := r.get(into{&zip, &sum}, `SELECT body, sha256 FROM documents WHERE id = $1 AND `+r.ownsThis("documents.issuer", &args), args...); err != nil {
		return nil, err
	}
	return r.s.unpack(zip, sum)
}

// Versions returns all that is stored under a key, the best version first, then
// its other versions, then events about it.
func (r *Reader) Versions(key string) ([]Document, error) {
	args := arguments{key}
	return all(r, scanDocument, `SELECT `+documentColumns+` FROM documents WHERE key = $1 AND `+r.tx.about(key)+` AND `+r.ownsThis("documents.issuer", &args)+`
		ORDER BY part, best DESC, rank DESC, id`, args...)
}

// CancelledBy returns the documents and events that cancel the document of key.
func (r *Reader) CancelledBy(key string) ([]Document, error) {
	args := arguments{key}
	return all(r, scanDocument, `SELECT `+documentColumns+` FROM documents
		WHERE cancels = $1 AND cancels <> '' AND best = 1 AND `+r.ownsThis("documents.issuer", &args)+` ORDER BY issued, id`, args...)
}

// Search says which documents to find; empty fields do not narrow. From and To
// bound the instant of issue: From <= issued < To.
type Search struct {
	Key, CNPJ, Serial, Consumer string
	From, To                    time.Time
	After                       string // continue after a page, by the mark that came with it
	Limit                       int    // rows of a page; at most and by default 100
}

// Search returns the best versions that match, newest first, and the mark of the
// next page, "" when there is none.
func (r *Reader) Search(q Search) (found []Document, next string, err error) {
	if q.Limit <= 0 || q.Limit > 100 {
		q.Limit = 100
	}
	args := arguments{}
	where, err := r.conditions(q, &args)
	if err != nil {
		return nil, "", err
	}
	found, err = r.searched(q, where, args)
	if err != nil || len(found) <= q.Limit {
		return found, "", err
	}
	found = found[:q.Limit]
	last := found[q.Limit-1]
	return found, fmt.Sprintf("%d.%d", ms(last.Issued), last.ID), nil
}

const newestFirst = ` ORDER BY issued DESC, id DESC LIMIT `

// conditions are those of a search, whoever searches.
func (r *Reader) conditions(q Search, args *arguments) (string, error) {
	where := "best = 1"
	narrow := func(condition string, values ...any) {
		for _, v := range values {
			condition = strings.Replace(condition, "?", args.add(v), 1)
		}
		where += " AND " + condition
	}
	if q.Key != "" {
		narrow("key = ? AND "+r.tx.about(q.Key), q.Key)
	}
	if q.CNPJ != "" {
		narrow("issuer = ?", q.CNPJ)
	}
	if q.Serial != "" {
		narrow("serial = ? AND serial <> ''", q.Serial)
	}
	if q.Consumer != "" {
		narrow("consumer = ? AND consumer <> ''", q.Consumer)
	}
	if !q.From.IsZero() {
		narrow("issued >= ?", ms(q.From))
	}
	if !q.To.IsZero() {
		narrow("issued < ?", ms(q.To))
	}
	if q.After != "" {
		issued, id, err := parseMark(q.After)
		if err != nil {
			return "", err
		}
		narrow("issued <= ? AND (issued < ? OR id < ?)", issued, issued, id)
	}
	return where, nil
}

// Up to fewPlaces establishments are searched one by one, and up to manyPlaces as a
// list, when nothing but who searches narrows a search.
const (
	fewPlaces  = 16
	manyPlaces = 1000
)

// searched reads a page of a search, and one document more when there are. What a
// search names is found by its index, and each row then looked up. Without that it is
// the newest documents of each of few establishments, or of some, or of many the newest
// of everybody that are theirs.
func (r *Reader) searched(q Search, where string, args arguments) ([]Document, error) {
	page := newestFirst + strconv.Itoa(q.Limit+1)
	if q.Key != "" { // few rows, which a planner without statistics may not believe: it shall not walk all by time
		page = strings.Replace(page, "issued", "issued + 0", 1)
	}
	rows := "SELECT " + documentColumns + " FROM documents WHERE " + where + " AND "
	looked := func() ([]Document, error) {
		return all(r, scanDocument, rows+r.ownsThis("documents.issuer", &args)+page, args...)
	}
	if r.scope.Everything() || q.Key+q.CNPJ+q.Serial+q.Consumer != "" {
		return looked()
	}
	of := arguments{}
	places, err := all(r, value[string], "SELECT e.cnpj"+r.places(&of)+" ORDER BY t.name, t.root, e.cnpj LIMIT "+strconv.Itoa(manyPlaces+1), of...)
	switch {
	case err != nil || len(places) == 0:
		return nil, err
	case len(places) > manyPlaces:
		return looked()
	case len(places) > fewPlaces:
		return r.newestOf(places, where, args, q.Limit+1)
	}
	parts := make([]string, len(places))
	for i, cnpj := range places {
		parts[i] = "SELECT * FROM (" + rows + "issuer = " + args.add(cnpj) + page + ") AS d" + strconv.Itoa(i)
	}
	return all(r, scanDocument, "SELECT "+documentColumns+" FROM ("+strings.Join(parts, " UNION ALL ")+") AS d"+page, args...)
}

// newestOf returns the newest documents of some establishments. Where documents lie in
// several tables it asks each of these for the newest of each establishment, until no
// other can have a newer one.
func (r *Reader) newestOf(places []string, where string, args arguments, limit int) (found []Document, err error) {
	page := newestFirst + strconv.Itoa(limit)
	parts, err := r.tx.parts(r.ctx)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return all(r, scanDocument, "SELECT "+documentColumns+" FROM documents WHERE "+where+" AND "+r.owns("issuer", &args)+page, args...)
	}
	list := args.add(strings.Join(places, ","))
	for _, p := range parts {
		if len(found) == limit && p.newest < ms(found[limit-1].Issued) {
			break
		}
		more, err := all(r, scanDocument, "SELECT d.* FROM unnest(string_to_array("+list+", ',')) AS e(cnpj) CROSS JOIN LATERAL (SELECT "+documentColumns+
			" FROM "+p.table+" WHERE "+where+" AND issuer = e.cnpj"+page+") AS d"+page, args...)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
		slices.SortFunc(found, func(a, b Document) int { return cmp.Or(b.Issued.Compare(a.Issued), cmp.Compare(b.ID, a.ID)) })
		found = found[:min(len(found), limit)]
	}
	return found, nil
}

func parseMark(mark string) (issued, id int64, err error) {
	a, b, _ := strings.Cut(mark, ".")
	if issued, err = strconv.ParseInt(a, 10, 64); err == nil {
		id, err = strconv.ParseInt(b, 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("cannot continue a search after %q: that is not a page mark", mark)
	}
	return issued, id, nil
}

// Period narrows an export: months AAAAMM, both included, and one issuer when
// CNPJ is not empty.
type Period struct {
	From, To string
	CNPJ     string
}

// Exported is one document of an export. Err ends the sequence.
type Exported struct {
	Document
	Body []byte
	Err  error
}

// Export yields the best version of every document, event and void range of a
// period, ordered by issuer, device, number and key. It holds the ids of one
// issuer at a time and one body.
func (r *Reader) Export(p Period) iter.Seq[Exported] {
	return func(yield func(Exported) bool) {
		if err := r.export(p, yield); err != nil {
			yield(Exported{Err: fmt.Errorf("cannot read documents of %s to %s: %w", p.From, p.To, err)})
		}
	}
}

func (r *Reader) export(p Period, yield func(Exported) bool) error {
	from, to, err := p.bounds()
	if err != nil {
		return err
	}
	for issuer, more := p.CNPJ, true; more; {
		args := arguments{issuer, ms(from), ms(to), p.From, p.To}
		ids, err := all(r, value[int64], `SELECT id FROM documents WHERE issuer = $1 AND issued >= $2 AND issued < $3
			AND month >= $4 AND month <= $5 AND best = 1 AND `+r.ownsThis("documents.issuer", &args)+` ORDER BY serial, number, key, id`, args...)
		if err != nil {
			return err
		}
		for _, id := range ids {
			var zip []byte
			d, err := one(r, func(s scanner, d *Document) error { return scanDocumentAnd(s, d, &zip, &d.Twice) },
				`SELECT `+documentColumns+`, body, EXISTS (SELECT 1 FROM events e WHERE e.serial = documents.serial
					AND e.serial <> '' AND e.code = '`+eventTwice+`' AND e.ref = documents.key) FROM documents WHERE id = $1`, id)
			if err == nil && d.Twice {
				var cancelled []Document
				cancelled, err = r.CancelledBy(d.Key)
				d.Twice = len(cancelled) == 0
			}
			if err != nil {
				return err
			}
			e := Exported{Document: d}
			if e.Body, err = r.s.unpack(zip, d.SHA256[:]); err != nil {
				return err
			}
			if !yield(e) {
				return nil
			}
		}
		if p.CNPJ != "" {
			return nil
		}
		issuer, err = r.nextIssuer(issuer)
		if more = !errors.Is(err, ErrNotFound); more && err != nil {
			return err
		}
	}
	return nil
}

// nextIssuer is the first after another whose documents the reader may see.
func (r *Reader) nextIssuer(after string) (string, error) {
	if r.scope.Everything() {
		return one(r, value[string], `SELECT issuer FROM documents WHERE issuer > $1 AND best = 1 ORDER BY issuer LIMIT 1`, after)
	}
	args := arguments{after}
	return one(r, value[string], `SELECT e.cnpj`+r.places(&args)+` AND e.cnpj > $1 ORDER BY e.cnpj LIMIT 1`, args...)
}

// bounds are instants that certainly enclose the period, whatever the zone.
func (p Period) bounds() (from, to time.Time, err error) {
	if from, err = time.Parse("200601", p.From); err == nil {
		to, err = time.Parse("200601", p.To)
	}
	if err != nil || p.To < p.From {
		return from, to, fmt.Errorf("the period must be two months AAAAMM in order")
	}
	return from.AddDate(0, 0, -1), to.AddDate(0, 1, 1), nil
}

// Document returns one stored version.
func (r *Reader) Document(id int64) (Document, error) {
	args := arguments{id}
	return one(r, scanDocument, `SELECT `+documentColumns+` FROM documents WHERE id = $1 AND `+r.ownsThis("documents.issuer", &args), args...)
}

// Counts are the totals of the archive.
type Counts struct {
	Documents, Versions, Quarantined int
}

// Counts reads the totals: documents shown, versions kept, records in quarantine
// that nobody settled.
func (r *Reader) Counts() (c Counts, err error) {
	args := arguments{}
	err = r.get(into{&c.Documents, &c.Versions, &c.Quarantined}, `SELECT coalesce(sum(documents), 0), coalesce(sum(versions), 0),
		(SELECT count(*) FROM quarantine WHERE settled_at = 0 AND `+r.ofAgents("agent", &args)+`) FROM archived WHERE `+r.owns("issuer", &args), args...)
	return c, err
}
