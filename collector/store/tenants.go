package store

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Plan is what an establishment pays for. What no plan ever stops is in package
// account's table of entitlements.
type Plan string

// The plans.
const (
	PlanLite Plan = "LITE"
	PlanPro  Plan = "PRO"
)

// DefaultReseller is the one that is there from the beginning, "padrão".
const DefaultReseller = 1

// Reseller is a software house or revenda with its taxpayers.
type Reseller struct {
	ID        int64
	Name      string
	CreatedAt time.Time
}

// Taxpayer is a company, by the first 8 characters of its CNPJ.
type Taxpayer struct {
	Root           string
	Name           string
	Reseller       int64
	CreatedAt      time.Time
	Establishments []Establishment // by CNPJ
}

// Establishment is one place of a taxpayer.
type Establishment struct {
	CNPJ string // 14 digits or letters
	Root string
	Name string
	City string // as people wrote it, else as its documents tell; "" when neither
	Plan Plan
}

// RootOf is the part of a CNPJ that names the taxpayer; "" when it is no CNPJ.
func RootOf(cnpj string) string {
	if len(cnpj) != 14 {
		return ""
	}
	return cnpj[:8]
}

func scanReseller(s scanner, v *Reseller) error { return s.Scan(&v.ID, &v.Name, at(&v.CreatedAt)) }

// Resellers lists the resellers that the reader sees, by name: all of them, or its
// own.
func (r *Reader) Resellers() ([]Reseller, error) {
	args := arguments{}
	return all(r, scanReseller, `SELECT id, name, created_at FROM resellers WHERE `+r.ofReseller("id", &args)+` ORDER BY name`, args...)
}

// Reseller returns one reseller.
func (r *Reader) Reseller(id int64) (Reseller, error) {
	args := arguments{id}
	return one(r, scanReseller, `SELECT id, name, created_at FROM resellers WHERE id = $1 AND `+r.ofReseller("id", &args), args...)
}

// AddReseller stores a new reseller. The name must not be there yet.
func (w *Writer) AddReseller(name string, now time.Time) (id int64, err error) {
	err = w.get(into{&id}, `INSERT INTO resellers (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING id`, name, ms(now))
	return id, err
}

const (
	taxpayerQuery      = `SELECT t.root, t.name, t.reseller_id, t.created_at FROM taxpayers t WHERE `
	establishmentQuery = `SELECT cnpj, root, name, CASE WHEN city <> '' THEN city ELSE told_city END, plan FROM establishments WHERE `

	// cityOf is the city of establishment e for finding those of one city: documents tell
	// it better than people.
	cityOf = `CASE WHEN e.told_city <> '' THEN e.told_city ELSE e.city END`
)

func scanTaxpayer(s scanner, t *Taxpayer) error {
	return s.Scan(&t.Root, &t.Name, &t.Reseller, at(&t.CreatedAt))
}

func scanEstablishment(s scanner, e *Establishment) error {
	return s.Scan(&e.CNPJ, &e.Root, &e.Name, &e.City, &e.Plan)
}

// Taxpayers lists all taxpayers that the reader sees with their establishments, by
// name.
func (r *Reader) Taxpayers() ([]Taxpayer, error) {
	args := arguments{}
	list, err := all(r, scanTaxpayer, taxpayerQuery+r.scope.taxpayers(&args)+` ORDER BY t.name, t.root`, args...)
	if err != nil {
		return nil, err
	}
	args = arguments{}
	places, err := all(r, scanEstablishment, establishmentQuery+r.owns("cnpj", &args)+` ORDER BY cnpj`, args...)
	byRoot := map[string]int{}
	for i, t := range list {
		byRoot[t.Root] = i
	}
	for _, e := range places {
		if i, seen := byRoot[e.Root]; seen {
			list[i].Establishments = append(list[i].Establishments, e)
		}
	}
	return list, err
}

// Clients is a page of a search for taxpayers; empty fields do not narrow.
type Clients struct {
	Text  string // part of a CNPJ, or of a name or a town, whatever its capitals and accents
	After string // root of the last one of the page before
	Limit int    // of a page
}

// SearchTaxpayers finds taxpayers that the reader sees, with their establishments, by
// name, and tells whether there are more.
func (r *Reader) SearchTaxpayers(q Clients) (list []Taxpayer, more bool, err error) {
	args := arguments{}
	where := []string{r.scope.taxpayers(&args)}
	if q.Text != "" {
		part := args.add("%" + fold(q.Text) + "%")
		cnpj := args.add(compact(q.Text) + "%")
		where = append(where, `(t.look LIKE `+part+` OR EXISTS (SELECT 1 FROM establishments e WHERE e.root = t.root
			AND (e.look LIKE `+part+` OR `+cnpj+` <> '%' AND e.cnpj LIKE `+cnpj+`)))`)
	}
	if q.After != "" {
		last := args.add(q.After)
		where = append(where, `(t.name, t.root) > (SELECT t.name, t.root FROM taxpayers t WHERE t.root = `+last+` AND `+r.scope.taxpayers(&args)+`)`)
	}
	list, err = all(r, scanTaxpayer, taxpayerQuery+strings.Join(where, " AND ")+` ORDER BY t.name, t.root LIMIT `+strconv.Itoa(q.Limit+1), args...)
	if len(list) > q.Limit {
		list, more = list[:q.Limit], true
	}
	for i, t := range list {
		if list[i].Establishments, err = r.Establishments(t.Root); err != nil {
			return nil, false, err
		}
	}
	return list, more, err
}

// fold is a text as people look for it: small letters without accents, and no sign that
// means something to LIKE.
func fold(s string) string {
	const accented, plain = "áàâãäéèêëíìîïóòôõöúùûüçñ", "aaaaaeeeeiiiiooooouuuucn"
	letters := []rune(accented)
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if at := slices.Index(letters, r); at >= 0 {
			return rune(plain[at])
		}
		if r == '%' || r == '_' || r == '\\' {
			return ' '
		}
		return r
	}, strings.ToLower(s))), " ")
}

// longestCity is for how many bytes a name is taken for that of a city: documents have at
// most 60 letters.
const longestCity = 120

// spelled is the name of a city in the one spelling that all of them have here, whether
// people wrote it or documents, in capitals and without accents.
func spelled(city string) string {
	if len(city) > longestCity {
		return ""
	}
	words := strings.Fields(strings.ReplaceAll(fold(city), "/", " "))
	for i, w := range words {
		if !slices.Contains([]string{"de", "da", "do", "das", "dos", "e"}, w) || i == 0 {
			_, first := utf8.DecodeRuneInString(w)
			words[i] = strings.ToUpper(w[:first]) + w[first:]
		}
	}
	return strings.Join(words, " ")
}

// compact keeps the letters and digits of a CNPJ as it is typed, when all of it may be
// of one; "" otherwise.
func compact(s string) string {
	s = strings.NewReplacer(".", "", "/", "", "-", "", " ", "").Replace(strings.ToUpper(s))
	if len(s) < 4 || len(s) > 14 || strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') }) {
		return ""
	}
	return s
}

// Taxpayer returns one taxpayer, without its establishments.
func (r *Reader) Taxpayer(root string) (Taxpayer, error) {
	args := arguments{root}
	return one(r, scanTaxpayer, taxpayerQuery+`t.root = $1 AND `+r.scope.taxpayers(&args), args...)
}

// Establishments lists those of one taxpayer, by CNPJ.
func (r *Reader) Establishments(root string) ([]Establishment, error) {
	args := arguments{root}
	return all(r, scanEstablishment, establishmentQuery+`root = $1 AND `+r.ownsThis("establishments.cnpj", &args)+` ORDER BY cnpj`, args...)
}

// CountTills is how many agents the establishments of a taxpayer have.
func (r *Reader) CountTills(root string) (int, error) {
	args := arguments{root + firstBranch, root + lastBranch}
	return one(r, value[int], `SELECT count(*) FROM agents WHERE cnpj >= $1 AND cnpj <= $2 AND `+r.ownsThis("agents.cnpj", &args), args...)
}

// Establishment returns one establishment.
func (r *Reader) Establishment(cnpj string) (Establishment, error) {
	args := arguments{cnpj}
	return one(r, scanEstablishment, establishmentQuery+`cnpj = $1 AND `+r.ownsThis("establishments.cnpj", &args), args...)
}

// AddTaxpayer stores a new taxpayer of a reseller and gives it the establishments
// of which documents are here. ErrNotFound: it is somebody's already.
func (w *Writer) AddTaxpayer(t Taxpayer) error {
	var root string
	err := w.get(into{&root}, `INSERT INTO taxpayers (root, name, look, reseller_id, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (root) DO NOTHING RETURNING root`, t.Root, t.Name, fold(t.Name), t.Reseller, ms(t.CreatedAt))
	if err != nil {
		return err
	}
	err = w.exec(`INSERT INTO establishments (cnpj, root, name, look) SELECT issuer, $1, max(issuer_name), lower(max(issuer_name)) FROM documents
		WHERE issuer >= $2 AND issuer <= $3 AND length(issuer) = 14 AND best = 1 GROUP BY issuer ON CONFLICT (cnpj) DO NOTHING`,
		t.Root, t.Root+firstBranch, t.Root+lastBranch)
	if err != nil {
		return err
	}
	if err := w.exec(`UPDATE devices SET cnpj = issuer WHERE cnpj = '' AND EXISTS (SELECT 1 FROM establishments e
		WHERE e.cnpj = devices.issuer AND e.root = $1) AND `+deviceFree, t.Root, t.Reseller); err != nil {
		return err
	}
	return w.identifyAll(t.Reseller)
}

// What follows the root in the least and the greatest CNPJ of a taxpayer.
const (
	firstBranch = "000000"
	lastBranch  = "ZZZZZZ"
)

// deviceFree picks the devices that nobody has, or that the reseller $2 brought.
const deviceFree = `devices.reseller_id IN (0, $2)`

// AddEstablishment stores a place of a taxpayer that is there. One that is known stays
// as it is.
func (w *Writer) AddEstablishment(e Establishment) error {
	return w.exec(`INSERT INTO establishments (cnpj, root, name, city, look) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (cnpj) DO NOTHING`,
		e.CNPJ, e.Root, e.Name, e.City, fold(e.Name+" "+e.City))
}

// NameEstablishment changes the name and the town of an establishment.
func (w *Writer) NameEstablishment(e Establishment) error {
	return w.exec(`UPDATE establishments SET name = $2, city = $3, look = $4 || ' ' || lower(told_city) WHERE cnpj = $1`, e.CNPJ, e.Name, e.City, fold(e.Name+" "+e.City))
}

// OnlyBroughtBy tells whether every document here of a taxpayer came by agents of
// one reseller, and by nothing else.
func (r *Reader) OnlyBroughtBy(root string, reseller int64) (bool, error) {
	others, err := one(r, value[int], `SELECT count(*) FROM (SELECT 1 FROM documents d WHERE d.issuer >= $1 AND d.issuer <= $2 AND NOT EXISTS
		(SELECT 1 FROM arrivals a JOIN streams s ON s.id = a.stream_id JOIN agents g ON g.id = s.agent
		WHERE a.document_id = d.id AND a.document_id <> 0 AND g.reseller_id = $3) LIMIT 1) AS other`, root+firstBranch, root+lastBranch, reseller)
	return others == 0, err
}

// MoveTaxpayer gives a taxpayer with all it has to another reseller. People whom
// the old one looked after and who see the taxpayer lose what the old one could
// know of their access; others lose what the old one's people granted them, or people
// who are gone. Tokens for its establishments end, and so do commands that the old one
// gave and that were not sent.
func (w *Writer) MoveTaxpayer(root string, to int64, now time.Time) error {
	t, err := w.Taxpayer(root)
	if err != nil || t.Reseller == to {
		return err
	}
	if err := w.rehomePeople(root, to); err != nil {
		return err
	}
	first, last := root+firstBranch, root+lastBranch
	return errors.Join(
		w.exec(`UPDATE grants SET taken_at = $4, taken_by = 'coletor' WHERE root = $1 AND taken_at = 0
			AND given_by <> 'coletor' AND NOT EXISTS (SELECT 1 FROM users u WHERE u.email = grants.given_by AND u.reseller_id <> $2)
			AND user_id NOT IN (SELECT u.id FROM users u WHERE u.reseller_id = $3)`, root, t.Reseller, to, ms(now)),
		w.exec(`UPDATE tokens SET ended_at = $3 WHERE cnpj >= $1 AND cnpj <= $2 AND ended_at = 0`, first, last, ms(now)),
		w.exec(`UPDATE commands SET state = $4, text = 'O contribuinte mudou de revenda.', ended_at = $5 WHERE state = $6
			AND order_id IN (SELECT o.id FROM orders o WHERE o.reseller_id = $3) AND (agent IN (SELECT g.id FROM agents g WHERE g.cnpj >= $1 AND g.cnpj <= $2)
			OR serial IN (SELECT d.serial FROM devices d WHERE d.cnpj >= $1 AND d.cnpj <= $2))`, first, last, t.Reseller, CommandCancelled, ms(now), CommandQueued),
		w.exec(`UPDATE agents SET reseller_id = $3 WHERE cnpj >= $1 AND cnpj <= $2`, first, last, to),
		w.exec(`UPDATE devices SET reseller_id = $3 WHERE cnpj >= $1 AND cnpj <= $2`, first, last, to),
		w.exec(`UPDATE taxpayers SET reseller_id = $2 WHERE root = $1`, root, to))
}

// rehomePeople gives the people of another reseller who see a taxpayer to its new one,
// or, when they see others too, to the platform.
func (w *Writer) rehomePeople(root string, to int64) error {
	people, err := all(&w.Reader, value[int64], `SELECT u.id FROM users u JOIN grants g ON g.user_id = u.id AND g.taken_at = 0
		WHERE g.root = $1 AND u.reseller_id <> 0 AND u.reseller_id <> $2`, root, to)
	if err != nil {
		return err
	}
	for _, id := range people {
		only, err := one(&w.Reader, value[int], `SELECT count(*) FROM grants WHERE user_id = $1 AND taken_at = 0 AND root <> $2`, id, root)
		if err != nil {
			return err
		}
		home := to
		if only > 0 {
			home = 0
		}
		if err := w.Rehome(id, home); err != nil {
			return err
		}
	}
	return nil
}

// SetPlan changes what an establishment pays for.
func (w *Writer) SetPlan(cnpj string, p Plan) error {
	return w.exec(`UPDATE establishments SET plan = $2 WHERE cnpj = $1`, cnpj, p)
}

// SetEstablishment says whose a till is.
func (w *Writer) SetEstablishment(agent, cnpj string) error {
	return w.exec(`UPDATE agents SET cnpj = $2 WHERE id = $1`, agent, cnpj)
}

// origin is what documents tell of the establishment that issued them.
type origin struct {
	name, city string
	signed     bool // a device signed the city
}

// and is what is known with one more document.
func (o origin) and(d Document) origin {
	if o.name == "" {
		o.name = d.IssuerName
	}
	if city := spelled(d.City); city != "" && !o.signed {
		o.city, o.signed = city, d.Model == 59
	}
	return o
}

// branch notes an establishment that issued a document, of a taxpayer that is
// registered, and its city. Anybody may write one into a document: what one that is not
// signed says counts only while nothing else is known.
func (w *Writer) branch(cnpj string, from origin) error {
	if RootOf(cnpj) == "" {
		return nil
	}
	return w.exec(`INSERT INTO establishments (cnpj, root, name, look, told_city) SELECT $1, t.root, $2, $3, $5 FROM taxpayers t WHERE t.root = $4
		ON CONFLICT (cnpj) DO UPDATE SET told_city = excluded.told_city, look = establishments.look || ' ' || lower(excluded.told_city)
		WHERE excluded.told_city <> '' AND excluded.told_city <> establishments.told_city AND (establishments.told_city = '' OR $6 = 1)`,
		cnpj, from.name, fold(from.name+" "+from.city), RootOf(cnpj), from.city, truth(from.signed))
}

// resellerOfEstablishment is 0 for one that nobody registered.
func (w *Writer) resellerOfEstablishment(cnpj string) (int64, error) {
	id, err := one(&w.Reader, value[int64], `SELECT t.reseller_id FROM establishments e JOIN taxpayers t ON t.root = e.root WHERE e.cnpj = $1`, cnpj)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return id, err
}

// ownerOf is whose a device is: the CNPJ of its establishment, and the reseller of
// that or, while it has none, of the agent that brought it.
func (w *Writer) ownerOf(serial string) (cnpj string, reseller int64, err error) {
	err = w.get(into{&cnpj, &reseller}, `SELECT d.cnpj, coalesce(t.reseller_id, d.reseller_id) FROM devices d
		LEFT JOIN establishments e ON e.cnpj = d.cnpj LEFT JOIN taxpayers t ON t.root = e.root WHERE d.serial = $1`, serial)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return cnpj, reseller, err
}

// tells reports whether a document's issuer has a say in what its device's row
// tells: not when the device is another taxpayer's, or came by another reseller.
func (w *Writer) tells(from source) (bool, error) {
	cnpj, theirs, err := w.ownerOf(from.serial)
	if err != nil || cnpj != "" {
		return RootOf(cnpj) == RootOf(from.issuer), err
	}
	ours, err := w.resellerOfEstablishment(from.issuer)
	return ours == 0 || theirs == 0 || ours == theirs, err
}

// claim reports whether an agent may speak of a device: not when it is another
// reseller's, which is noted as an event of the agent. A device that is nobody's
// becomes that of the agent's reseller.
func (w *Writer) claim(agent, serial string, now time.Time) (bool, error) {
	_, theirs, err := w.ownerOf(serial)
	if err != nil {
		return false, err
	}
	var ours int64
	err = w.get(into{&ours}, `SELECT coalesce(t.reseller_id, a.reseller_id) FROM agents a LEFT JOIN establishments e ON e.cnpj = a.cnpj
		LEFT JOIN taxpayers t ON t.root = e.root WHERE a.id = $1`, agent)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && (ours == 0 || ours == theirs):
		return true, nil
	case err != nil:
		return false, err
	case theirs == 0:
		return true, w.exec(`INSERT INTO devices (serial, first_seen, reseller_id) VALUES ($1, $2, $3)
			ON CONFLICT (serial) DO UPDATE SET reseller_id = excluded.reseller_id`, serial, ms(now), ours)
	}
	return false, w.exec(`INSERT INTO events (stream_id, seq, agent, serial, till, code, ref, detail, at, received_at)
		SELECT 0, 0, $1, '', '', '`+eventDisputed+`', $2, '{}', $3, $3 WHERE NOT EXISTS
		(SELECT 1 FROM events WHERE agent = $1 AND code = '`+eventDisputed+`' AND ref = $2)`, agent, serial, ms(now))
}
