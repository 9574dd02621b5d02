package api

import (
	"context"
	"strconv"

	"zelo/collector/export"
	"zelo/collector/store"
)

// Listed is a document in a list: its consumer is masked.
type Listed struct {
	store.Document
	State     State
	Word      string // what the state means for this document, pt-BR
	Cancelled bool
	Trusted   bool // the certificate in it comes from a known authority
}

// checkChain is the name of the check of a device's certificate.
const checkChain = "Certificado do equipamento"

// listed masks a document for a list.
func listed(r *store.Reader, d store.Document) (Listed, error) {
	cancelled, err := isCancelled(r, d.Key)
	if err != nil {
		return Listed{}, err
	}
	l := Listed{Document: d, Cancelled: cancelled && d.Part == ""}
	l.Consumer = MaskConsumer(d.Consumer)
	forged := false
	for _, check := range d.Checks {
		if check.Name == checkChain {
			l.Trusted, forged = check.Verdict == "verified", check.Verdict == "rejected"
		}
	}
	switch {
	case d.Verdict == "rejected":
		l.State, l.Word = Critical, "Não confere"
	case d.Verdict == "unsigned":
		l.State, l.Word = Critical, "Sem assinatura"
	case d.Forbidden:
		l.State, l.Word = Critical, "Após a proibição"
	case forged:
		l.State, l.Word = Warning, "Certificado não reconhecido"
	case d.Verdict == "recovered":
		l.State, l.Word = Warning, "Confere, reformatado"
	case d.Verdict == "verified":
		l.State, l.Word = Fine, "Confere"
	default:
		l.State, l.Word = Notice, "Guardado"
	}
	return l, nil
}

// isCancelled tells whether a document that is not itself refuted cancels key.
func isCancelled(r *store.Reader, key string) (bool, error) {
	list, err := r.CancelledBy(key)
	for _, d := range list {
		if !d.Invalid {
			return true, err
		}
	}
	return false, err
}

func listAll(r *store.Reader, found []store.Document) (out []Listed, err error) {
	for _, d := range found {
		l, err := listed(r, d)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// Found is one page of a search.
type Found struct {
	Documents []Listed // newest first
	Next      string   // mark of the next page, "" on the last
}

// Search finds documents. A search for a consumer is recorded.
func (a *API) Search(ctx context.Context, c Caller, q Query) (f Found, err error) {
	op := opSearch
	if q.Personal() {
		op = opConsumer
	}
	s, err := q.parse()
	if _, denied := a.allow(c, op); denied != nil {
		return f, denied
	}
	if err != nil {
		return f, err
	}
	if s.Consumer != "" {
		if err := a.record(ctx, c, op, "busca por consumidor", MaskConsumer(s.Consumer), ""); err != nil {
			return f, err
		}
	}
	err = a.view(ctx, c, op, func(r *store.Reader) error {
		found, next, err := r.Search(s)
		if err != nil {
			return err
		}
		f.Next = next
		f.Documents, err = listAll(r, found)
		return err
	})
	return f, err
}

// Coupon is one document with all that is known about it.
type Coupon struct {
	Listed               // the version that is shown
	Versions    []Listed // its other versions, better ones first
	Events      []Listed // about it; models 65 and 55
	CancelledBy []Listed
	Arrivals    []Arrival
	Receipt     export.Receipt
	Revealed    bool // the consumer is shown in full
}

// Arrival is one way a document came here.
type Arrival struct {
	store.Record
	Host string // name of the computer, "" for an imported file
}

// Ref names a document in addresses: its key, or its number in the store when it
// has none.
func (l Listed) Ref() string {
	if l.Key != "" {
		return l.Key
	}
	return strconv.FormatInt(l.ID, 10)
}

// Document returns one document by its Ref, the consumer masked.
func (a *API) Document(ctx context.Context, c Caller, ref string) (Coupon, error) {
	return a.document(ctx, c, opDocument, ref, false)
}

// RevealDocument is Document with the consumer in full, which is recorded.
func (a *API) RevealDocument(ctx context.Context, c Caller, ref string) (Coupon, error) {
	p, err := a.document(ctx, c, opReveal, ref, true)
	if err != nil {
		return Coupon{}, err
	}
	return p, a.record(ctx, c, opReveal, "consumidor mostrado", ref, "")
}

func (a *API) document(ctx context.Context, c Caller, op Op, ref string, reveal bool) (p Coupon, err error) {
	err = a.view(ctx, c, op, func(r *store.Reader) error {
		versions, err := versionsOf(r, ref)
		if err != nil {
			return err
		}
		all, err := listAll(r, versions)
		if err != nil {
			return err
		}
		p.Listed = all[0]
		for _, l := range all[1:] {
			if l.Part == p.Part {
				p.Versions = append(p.Versions, l)
			} else {
				p.Events = append(p.Events, l)
			}
		}
		if reveal {
			p.Revealed, p.Consumer = true, Register(versions[0].Consumer)
		}
		return readCoupon(r, &p)
	})
	return p, err
}

// versionsOf returns the version to show first.
func versionsOf(r *store.Reader, ref string) ([]store.Document, error) {
	if len(ref) != 44 {
		id, err := strconv.ParseInt(ref, 10, 64)
		if err != nil {
			return nil, ErrNotFound
		}
		d, err := r.Document(id)
		return []store.Document{d}, err
	}
	versions, err := r.Versions(ref)
	if err == nil && len(versions) == 0 {
		err = ErrNotFound
	}
	return versions, err
}

// readCoupon adds what is known beside the versions.
func readCoupon(r *store.Reader, p *Coupon) error {
	by, err := r.CancelledBy(p.Key)
	if err != nil {
		return err
	}
	if p.CancelledBy, err = listAll(r, by); err != nil {
		return err
	}
	arrivals, err := r.Arrivals(p.ID)
	if err != nil {
		return err
	}
	agents, err := r.Agents()
	if err != nil {
		return err
	}
	for _, rec := range arrivals {
		one := Arrival{Record: rec}
		for _, agent := range agents {
			if agent.ID == rec.Agent {
				one.Host = agent.Host
			}
		}
		p.Arrivals = append(p.Arrivals, one)
	}
	raw, err := r.Body(p.ID)
	if err != nil {
		return err
	}
	// A document whose receipt cannot be read shows its head and its checks.
	p.Receipt, _ = export.ReadReceipt(raw)
	return nil
}

// DocumentBytes returns the exact bytes of a stored version and the name of the
// file. They may hold personal data: it is recorded.
func (a *API) DocumentBytes(ctx context.Context, c Caller, id int64) (raw []byte, name string, err error) {
	var d store.Document
	err = a.view(ctx, c, OpDocumentBytes, func(r *store.Reader) error {
		if d, err = r.Document(id); err == nil {
			raw, err = r.Body(id)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if err := a.record(ctx, c, OpDocumentBytes, "download do original", d.Key, ""); err != nil {
		return nil, "", err
	}
	return raw, export.FileName(d), nil
}
