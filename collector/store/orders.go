package store

import (
	"cmp"
	"crypto/sha256"
	"time"
)

// Order is what one person asked for at once: one command, of one till or of a
// selection. A selection may go in two waves: the second only when enough of the
// first succeeded.
type Order struct {
	ID        int64
	Name      string            // of the command, in the table of the wire
	Args      map[string]string // without secrets
	Who       string            // an address, or "coletor" for the command line
	User      int64             // 0 when it was no person
	Reseller  int64             // of the person, 0 being the platform
	CreatedAt time.Time
	NotBefore time.Time
	ExpiresAt time.Time // nothing begins after it
	Hours     Hours
	First     int // commands of the first wave; 0 when there is one wave
	Need      int // percent of a wave that must succeed
	StoppedAt time.Time
	StoppedBy string // who, or why; pt-BR
}

// Hours are when on its store's day a command may begin, as in the wire's Window.
type Hours struct {
	Idle     int64 // how long there was no sale, milliseconds
	From, To int   // minutes after midnight; equal is the whole day
	Zone     int   // minutes east of Greenwich
}

const orderColumns = `o.id, o.name, o.args, o.who, o.user_id, o.reseller_id, o.created_at, o.not_before, o.expires_at, o.hours,
	o.first, o.need, o.stopped_at, o.stopped_by`

func (o *Order) columns() into {
	return into{&o.ID, &o.Name, fromJSON(&o.Args), &o.Who, &o.User, &o.Reseller, at(&o.CreatedAt), at(&o.NotBefore), at(&o.ExpiresAt),
		fromJSON(&o.Hours), &o.First, &o.Need, at(&o.StoppedAt), &o.StoppedBy}
}

func scanOrder(s scanner, o *Order) error { return s.Scan(o.columns()...) }

// AddOrder stores an order with its commands, of which ID, Agent, Serial, Wave and
// Sealed are given: each is queued, and gets its place in its agent's sequence.
func (w *Writer) AddOrder(o Order, commands []Command) (Order, error) {
	args, err := asJSON(o.Args)
	if err != nil {
		return o, err
	}
	hours, err := asJSON(o.Hours)
	if err != nil {
		return o, err
	}
	err = w.get(into{&o.ID}, `INSERT INTO orders (name, args, who, user_id, reseller_id, created_at, not_before, expires_at, hours, first, need)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`, o.Name, args, o.Who, o.User, o.Reseller, ms(o.CreatedAt),
		ms(o.NotBefore), ms(o.ExpiresAt), hours, o.First, o.Need)
	if err != nil {
		return o, err
	}
	for _, c := range commands {
		// The time stands in the number so that it also rises when a store comes back
		// from a backup: an agent refuses what is below the highest it has forgotten.
		err = w.exec(`INSERT INTO commands (id, order_id, agent, serial, sequence, wave, sealed, state) VALUES ($1, $2, $3, $4,
			(SELECT CASE WHEN max(sequence) >= $5 THEN max(sequence) + 1 ELSE $5 END FROM commands WHERE agent = $3), $6, $7, $8)`,
			c.ID, o.ID, c.Agent, c.Serial, ms(o.CreatedAt), c.Wave, c.Sealed, CommandQueued)
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// Orders lists the newest orders of which the reader sees a command, newest first.
func (r *Reader) Orders(limit int) ([]Order, error) {
	args := arguments{limit}
	return all(r, scanOrder, `SELECT `+orderColumns+` FROM orders o WHERE EXISTS (SELECT 1 FROM commands c WHERE c.order_id = o.id AND `+
		r.commands(&args)+`) ORDER BY o.id DESC LIMIT $1`, args...)
}

// Order returns one order.
func (r *Reader) Order(id int64) (Order, error) {
	args := arguments{id}
	return one(r, scanOrder, `SELECT `+orderColumns+` FROM orders o WHERE o.id = $1 AND EXISTS (SELECT 1 FROM commands c
		WHERE c.order_id = o.id AND `+r.commands(&args)+`)`, args...)
}

// Waves lists the orders whose second wave may still begin or be stopped.
func (r *Reader) Waves() ([]Order, error) {
	if err := r.system(); err != nil {
		return nil, err
	}
	return all(r, scanOrder, `SELECT `+orderColumns+` FROM orders o WHERE o.first > 0 AND o.stopped_at = 0 AND EXISTS
		(SELECT 1 FROM commands c WHERE c.order_id = o.id AND c.state = $1) ORDER BY o.id`, CommandQueued)
}

// StoppedBy says that a person stopped an order, pt-BR.
func StoppedBy(who string) string { return "Cancelado por " + who + "." }

// StopOrder cancels the commands of an order that have not begun and returns how many
// those were. By is StoppedBy a person, or why.
func (w *Writer) StopOrder(id int64, by string, now time.Time) (int, error) {
	if err := w.exec(`UPDATE orders SET stopped_at = $2, stopped_by = $3 WHERE id = $1 AND stopped_at = 0`, id, ms(now), by); err != nil {
		return 0, err
	}
	return w.takeBack("order_id", id, by, now)
}

// ReleaseWave lets the second wave of an order go out.
func (w *Writer) ReleaseWave(id int64) error {
	return w.exec(`UPDATE commands SET wave = 1 WHERE order_id = $1 AND wave = 2`, id)
}

// SealKey returns what an agent's secrets are sealed with, and the buffer that keeps
// its journal of commands, as its last beat told them. Nil, "" before it told.
func (r *Reader) SealKey(agent string) (key []byte, epoch string, err error) {
	args := arguments{agent}
	err = r.get(into{&key, &epoch}, `SELECT seal_key, epoch FROM agents WHERE id = $1 AND `+r.ofAgents("id", &args), args...)
	return key, epoch, err
}

// SetSealKey stores what a beat told for commands.
func (w *Writer) SetSealKey(agent string, key []byte, epoch string) error {
	return w.exec(`UPDATE agents SET seal_key = $2, epoch = $3 WHERE id = $1`, agent, key, epoch)
}

// AddPart stores a piece of a command's result, by the SHA-256 of the whole. It fails
// with ErrNotFound when the command is not that agent's.
func (w *Writer) AddPart(agent, command string, whole [sha256.Size]byte, place int, piece Packed) error {
	var id string
	if err := w.get(into{&id}, `SELECT id FROM commands WHERE id = $1 AND agent = $2`, command, agent); err != nil {
		return err
	}
	return w.exec(`INSERT INTO command_parts (command_id, whole, place, sha256, body) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (command_id, whole, place) DO NOTHING`, command, whole[:], place, piece.SHA256[:], piece.zip)
}

// ResultOf returns the bytes that a command brought. ErrNotFound: it brought none, or
// not all pieces came yet.
func (r *Reader) ResultOf(c Command) ([]byte, error) {
	if c.Result.Parts == 0 {
		return nil, ErrNotFound
	}
	type piece struct{ hash, body []byte }
	pieces, err := all(r, func(s scanner, p *piece) error { return s.Scan(&p.hash, &p.body) },
		`SELECT sha256, body FROM command_parts WHERE command_id = $1 AND whole = $2 ORDER BY place`, c.ID, c.Result.Body[:])
	if err != nil || len(pieces) != c.Result.Parts {
		return nil, cmp.Or(err, ErrNotFound)
	}
	var out []byte
	for _, p := range pieces {
		raw, err := r.s.unpack(p.body, p.hash)
		if err != nil {
			return nil, err
		}
		out = append(out, raw...)
	}
	if sha256.Sum256(out) != c.Result.Body {
		return nil, ErrNotFound
	}
	return out, nil
}
