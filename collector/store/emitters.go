package store

import "time"

// Emitter is a CNPJ for which coupons are issued (models 59 and 65), as agents and
// imports bring them.
type Emitter struct {
	CNPJ     string
	Name     string   // as its coupons have it
	Tills    []string // host names of the computers that bring them, as far as the reader sees these
	Since    time.Time
	Known    bool  // it is registered
	Reseller int64 // that enrolled one of these computers; 0 when imports alone bring them
}

// coupon tells whether a document is issued at a till, for the shop that stands
// there: other models may be of anybody, and a wrong signature says nothing.
func (d Document) coupon() bool {
	return !d.Invalid && (d.Model == 59 || d.Model == 65) && RootOf(d.Issuer) != ""
}

// bringer is an agent, "" for imports, that brought a coupon of an emitter.
type bringer struct{ agent, cnpj string }

// identifyBrought notes who brought whose coupons in this transaction, and identifies
// their tills by it when all is noted.
func (w *Writer) identifyBrought() error {
	for b, first := range w.brought {
		err := w.exec(`INSERT INTO emitters (agent, cnpj, name, first_at) VALUES ($1, $2, $3, $4) ON CONFLICT (agent, cnpj) DO NOTHING`,
			b.agent, b.cnpj, first.IssuerName, ms(first.ReceivedAt))
		if err != nil {
			return err
		}
	}
	for b := range w.brought {
		if err := w.identify(b.agent); err != nil {
			return err
		}
	}
	return nil
}

// evidence is whose the till of agent $1 may be: those whose coupons it brings, and
// those who have the devices it drives.
const evidence = `(SELECT m.cnpj FROM emitters m WHERE m.agent = $1
	UNION SELECT y.cnpj FROM devices y WHERE y.agent = $1 AND y.cnpj <> '') AS o`

// identify gives a till without an establishment the one that all it brought is of,
// when that belongs to the reseller that enrolled it. Where it speaks for several,
// or for one of nobody's or of somebody else's, a person decides.
func (w *Writer) identify(agent string) error {
	return w.exec(`UPDATE agents SET cnpj = e.cnpj FROM establishments e JOIN taxpayers t ON t.root = e.root
		WHERE agents.id = $1 AND agents.cnpj = '' AND agents.reseller_id = t.reseller_id AND e.cnpj IN (SELECT o.cnpj FROM `+evidence+`)
		AND (SELECT count(*) FROM `+evidence+`) = 1`, agent)
}

// identifyAll identifies what waits of a reseller's tills, after one of its clients
// was registered.
func (w *Writer) identifyAll(reseller int64) error {
	waiting, err := all(&w.Reader, value[string], `SELECT id FROM agents WHERE cnpj = '' AND reseller_id = $1`, reseller)
	for _, agent := range waiting {
		if err := w.identify(agent); err != nil {
			return err
		}
	}
	return err
}

// Unidentified is a till without an establishment.
type Unidentified struct {
	Agent
	May    []Emitter // whose it may be, among those that the reader may give it to or register
	Hidden int       // how many more it speaks for, which are not the reader's to see
}

// Unidentified lists the reader's own tills that wait for somebody to say whose they
// are, the newest first.
func (r *Reader) Unidentified() ([]Unidentified, error) {
	args := arguments{}
	agents, err := all(r, scanAgent, `SELECT `+agentColumns+` FROM agents WHERE cnpj = '' AND `+r.ofAgents("id", &args)+`
		ORDER BY first_seen DESC, id LIMIT 500`, args...)
	if err != nil {
		return nil, err
	}
	out := make([]Unidentified, len(agents))
	for i, a := range agents {
		if out[i], err = r.unidentified(a); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Reader) unidentified(a Agent) (Unidentified, error) {
	u, args := Unidentified{Agent: a}, arguments{a.ID}
	type candidate struct {
		Emitter
		shown bool
	}
	list, err := all(r, func(s scanner, c *candidate) error { return s.Scan(&c.CNPJ, &c.Name, at(&c.Since), &c.Known, &c.shown) },
		`SELECT o.cnpj, coalesce(e.name, m.name, ''), coalesce(m.first_at, 0), CASE WHEN e.cnpj IS NULL THEN 0 ELSE 1 END, CASE WHEN e.cnpj IS NULL OR `+r.owns("o.cnpj", &args)+` THEN 1 ELSE 0 END
		FROM `+evidence+` LEFT JOIN establishments e ON e.cnpj = o.cnpj LEFT JOIN emitters m ON m.cnpj = o.cnpj AND m.agent = $1 ORDER BY o.cnpj`, args...)
	for _, c := range list {
		if c.shown {
			u.May = append(u.May, c.Emitter)
		} else {
			u.Hidden++
		}
	}
	return u, err
}

// Emitters lists the emitters that nobody registered, the newest first: those whose
// coupons the reader's own tills bring, and to a reader of everything those of imports.
func (r *Reader) Emitters() ([]Emitter, error) {
	args := arguments{}
	list, err := all(r, func(s scanner, e *Emitter) error { return s.Scan(&e.CNPJ, &e.Name, at(&e.Since), &e.Reseller) },
		`SELECT m.cnpj, max(m.name), min(m.first_at), coalesce(max(a.reseller_id), 0) FROM emitters m LEFT JOIN agents a ON a.id = m.agent WHERE NOT EXISTS (SELECT 1 FROM establishments e WHERE e.cnpj = m.cnpj)
		AND `+r.ofAgents("m.agent", &args)+` GROUP BY m.cnpj ORDER BY 3 DESC, 1 LIMIT 500`, args...)
	for i := range list {
		args := arguments{list[i].CNPJ}
		list[i].Tills, err = all(r, value[string], `SELECT DISTINCT a.host FROM emitters m JOIN agents a ON a.id = m.agent
			WHERE m.cnpj = $1 AND `+r.ofAgents("m.agent", &args)+` ORDER BY a.host LIMIT 20`, args...)
		if err != nil {
			return nil, err
		}
	}
	return list, err
}
