package store

import (
	"errors"
	"fmt"
	"time"

	"zelo/collector/alarm"
)

// Device is one SAT or MFE: known from its agent, or from documents alone.
type Device struct {
	Serial      string
	Agent       string // id; "" when known from imports alone
	Name        string
	CNPJ        string // of the establishment it belongs to; "" while no registered one is known
	Issuer      string // CNPJ of its last document
	IssuerName  string
	FirstSeen   time.Time // by an agent, when it has one
	SilentSince time.Time // since when it does not answer its agent; zero while it does
	OpenCases   int
	Documents   int       // in the archive, each counted once
	LastIssued  time.Time // of the newest of them
	StatusAt    time.Time // our clock when the last status came; zero: never
	BlockSince  time.Time
	// PendingSince is the first status that told of pending documents; zero when
	// none waits.
	PendingSince time.Time
	Status       Status
}

// Status is what the device itself last said, as fields and as given.
type Status struct {
	Reply        []byte // the whole reply
	Block        alarm.Block
	State        string  // pt-BR
	Memory       float64 // used fraction; negative when not known
	Software     string
	Layout       string
	Network      string // STATUS_LAN as given
	NoNetwork    bool   // it says that its network is not connected
	Battery      alarm.Battery
	LastKey      string
	PendingFirst string
	PendingLast  string
	LastSent     time.Time
	LastContact  time.Time
	CertIssued   time.Time
	CertExpires  time.Time
	ClockOff     time.Duration // device's clock minus ours
	ClockKnown   bool
}

const deviceColumns = `serial, %s, name, issuer, issuer_name, first_seen, silent_since, open_cases, documents,
	last_issued, status_at, block_since, pending_since, status_reply, block, state, memory, software, layout, network,
	last_key, pending_first, pending_last, last_sent, last_contact, cert_issued, cert_expires, clock_off, clock_known, cnpj`

func scanDevice(s scanner, d *Device) error {
	var off int64
	st := &d.Status
	err := s.Scan(&d.Serial, &d.Agent, &d.Name, &d.Issuer, &d.IssuerName, at(&d.FirstSeen), at(&d.SilentSince),
		&d.OpenCases, &d.Documents, at(&d.LastIssued), at(&d.StatusAt), at(&d.BlockSince), at(&d.PendingSince),
		&st.Reply, &st.Block, &st.State, &st.Memory, &st.Software, &st.Layout, &st.Network, &st.LastKey,
		&st.PendingFirst, &st.PendingLast, at(&st.LastSent), at(&st.LastContact), at(&st.CertIssued),
		at(&st.CertExpires), &off, &st.ClockKnown, &d.CNPJ)
	st.ClockOff = time.Duration(off) * time.Millisecond
	return err
}

// SetStatus stores the status a record carried, unless a later one is stored:
// records order by their place in the stream, never by a clock.
func (w *Writer) SetStatus(serial string, st Status, rec Record) error {
	if ours, err := w.claim(rec.Agent, serial, rec.At); err != nil || !ours {
		return err
	}
	stream, err := w.stream(rec)
	if err != nil {
		return err
	}
	err = w.exec(`INSERT INTO devices (serial, agent, first_seen) VALUES ($1, $2, $3)
		ON CONFLICT (serial) DO UPDATE SET agent = excluded.agent`, serial, rec.Agent, ms(rec.At))
	if err != nil {
		return err
	}
	var oldStream, oldSeq int64
	var oldHash []byte
	var block alarm.Block
	var blockSince, pendingSince time.Time
	err = w.get(into{&oldStream, &oldSeq, &oldHash, &block, at(&blockSince), at(&pendingSince)}, `SELECT status_stream,
		status_seq, status_sha256, block, block_since, pending_since FROM devices WHERE serial = $1`, serial)
	if err != nil {
		return err
	}
	if stream == oldStream && rec.place() == oldSeq && string(oldHash) != string(rec.SHA256[:]) {
		return w.collided(stream, rec.At)
	}
	if stream < oldStream || stream == oldStream && rec.place() <= oldSeq {
		return nil
	}
	told := rec.AgentAt
	if told.IsZero() || told.After(rec.At) {
		told = rec.At
	}
	if st.Block != block || blockSince.IsZero() {
		blockSince = told
	}
	switch {
	case st.PendingFirst == "" && st.PendingLast == "":
		pendingSince = time.Time{}
	case pendingSince.IsZero():
		pendingSince = told
	}
	if err := w.setParts(serial, st, told); err != nil {
		return err
	}
	err = w.addReading(serial, Reading{At: told, Block: st.Block, Pending: st.pending(), PendingSince: pendingSince, LastSent: st.LastSent,
		LastContact: st.LastContact, ClockOff: st.ClockOff, ClockKnown: st.ClockKnown})
	if err != nil {
		return err
	}
	return w.exec(`UPDATE devices SET status_stream = $2, status_seq = $3, status_sha256 = $4, status_at = $5,
		block_since = $6, pending_since = $7, status_reply = $8, block = $9, state = $10, memory = $11, software = $12,
		layout = $13, network = $14, last_key = $15, pending_first = $16, pending_last = $17, last_sent = $18,
		last_contact = $19, cert_issued = $20, cert_expires = $21, clock_off = $22, clock_known = $23 WHERE serial = $1`,
		serial, stream, rec.place(), rec.SHA256[:], ms(rec.At), ms(blockSince), ms(pendingSince), st.Reply, st.Block,
		st.State, st.Memory, st.Software, st.Layout, st.Network, st.LastKey, st.PendingFirst, st.PendingLast,
		ms(st.LastSent), ms(st.LastContact), ms(st.CertIssued), ms(st.CertExpires), st.ClockOff.Milliseconds(), st.ClockKnown)
}

// source is where documents come from: a device, issuing for a CNPJ.
type source struct{ serial, issuer string }

// tally is what one transaction adds to what a device's row says of its
// documents.
type tally struct {
	last  Document // the newest
	count int
}

// shown notes that a document is shown from now on, or, with -1, not any more.
func (w *Writer) shown(d Document, change int) {
	w.sums.show(d, change)
	if d.Serial == "" || d.Part != "" {
		return
	}
	from := source{d.Serial, d.Issuer}
	t := w.tallies[from]
	t.count += change
	if change > 0 && !d.Issued.Before(t.last.Issued) {
		t.last = d
	}
	w.tallies[from] = t
}

// flush writes what a transaction gathered, before it commits.
func (w *Writer) flush() error {
	for cnpj, from := range w.issuers {
		if err := w.branch(cnpj, from); err != nil {
			return err
		}
	}
	for from, t := range w.tallies {
		if err := w.tell(from, t); err != nil {
			return err
		}
	}
	if err := w.markMonths(); err != nil {
		return err
	}
	if err := w.writeSums(); err != nil {
		return err
	}
	return w.identifyBrought()
}

// tell adds a tally to a device's row, unless the device is another taxpayer's:
// anybody may write any number into a document. A device becomes that of the first
// registered taxpayer of whom it signed something.
func (w *Writer) tell(from source, t tally) error {
	if mayTell, err := w.tells(from); err != nil || !mayTell {
		return err
	}
	err := w.exec(`INSERT INTO devices (serial, issuer, issuer_name, first_seen, documents, last_issued)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (serial) DO UPDATE SET documents = devices.documents + excluded.documents,
		issuer = CASE WHEN excluded.last_issued >= devices.last_issued THEN excluded.issuer ELSE devices.issuer END,
		issuer_name = CASE WHEN excluded.last_issued >= devices.last_issued AND excluded.issuer_name <> ''
			THEN excluded.issuer_name ELSE devices.issuer_name END,
		last_issued = CASE WHEN excluded.last_issued > devices.last_issued THEN excluded.last_issued ELSE devices.last_issued END`,
		from.serial, from.issuer, t.last.IssuerName, ms(t.last.ReceivedAt), t.count, ms(t.last.Issued))
	if err != nil || t.last.Invalid {
		return err
	}
	return w.exec(`UPDATE devices SET cnpj = $2 WHERE serial = $1 AND cnpj <> $2 AND EXISTS (SELECT 1 FROM establishments WHERE cnpj = $2)`,
		from.serial, from.issuer)
}

// deviceColumns are those of a device for a reader, who does not learn of an agent
// that is out of sight.
func (r *Reader) deviceColumns(args *arguments) string {
	agent := "agent"
	if !r.scope.Everything() {
		agent = "CASE WHEN " + r.sharesAgents("agent", args) + " THEN agent ELSE '' END"
	}
	return fmt.Sprintf(deviceColumns, agent)
}

// Devices returns all devices by serial number.
func (r *Reader) Devices() ([]Device, error) {
	args := arguments{}
	return all(r, scanDevice, `SELECT `+r.deviceColumns(&args)+` FROM devices WHERE `+r.ofDevices("serial", &args)+` ORDER BY serial`, args...)
}

// Device returns one device.
func (r *Reader) Device(serial string) (Device, error) {
	args := arguments{serial}
	return one(r, scanDevice, `SELECT `+r.deviceColumns(&args)+` FROM devices WHERE serial = $1 AND `+r.ofDevices("serial", &args), args...)
}

// DevicesOf returns the devices of one agent.
func (r *Reader) DevicesOf(agent string) ([]Device, error) {
	args := arguments{agent}
	return all(r, scanDevice, `SELECT `+r.deviceColumns(&args)+` FROM devices WHERE agent = $1 AND agent <> '' AND `+
		r.sharesAgents("agent", &args)+` AND `+r.ofDevices("serial", &args)+` ORDER BY serial`, args...)
}

// PendingOldest is the date of the oldest document that waits for the tax
// office: the issue date of the first key of the device's list when the archive
// has it, else the end of the month in that key, at the latest the status that first
// told of pending documents. Zero when none waits.
func (r *Reader) PendingOldest(d Device) (time.Time, error) {
	if d.PendingSince.IsZero() {
		return time.Time{}, nil
	}
	var issued time.Time
	args := arguments{d.Status.PendingFirst}
	err := r.get(into{at(&issued)}, `SELECT issued FROM documents WHERE key = $1 AND key <> '' AND part = '' AND best = 1 AND `+
		r.ownsThis("documents.issuer", &args), args...)
	switch {
	case errors.Is(err, ErrNotFound):
		issued = monthEnd(d.Status.PendingFirst)
	case err != nil:
		return time.Time{}, err
	}
	if !issued.IsZero() && issued.Before(d.PendingSince) {
		return issued, nil
	}
	return d.PendingSince, nil
}

// monthEnd is the last minute of the month in an access key, its characters 3 to 6
// (dossier on documents, access key); zero when it is none.
func monthEnd(key string) time.Time {
	if len(key) != 44 {
		return time.Time{}
	}
	month, err := time.ParseInLocation("0601", key[2:6], time.FixedZone("-03", -3*60*60))
	if err != nil {
		return time.Time{}
	}
	return month.AddDate(0, 1, 0).Add(-time.Minute)
}
