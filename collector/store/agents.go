package store

import (
	"errors"
	"time"
)

// Agent is one till's agent.
type Agent struct {
	ID        string
	Host      string // name of the computer
	System    string // "windows/386"
	Software  string // agent version
	FirstSeen time.Time
	HeardAt   time.Time // last message of any kind, our clock
	BeatAt    time.Time // last beat, our clock
	StartedAt time.Time
	ClockOff  time.Duration // agent's clock minus ours, at the last beat
	Waiting   int           // records not acknowledged yet
	OldestAt  time.Time     // when the oldest of them was written; zero when none
	Used      int64         // bytes of the buffer
	Bound     int64
	Reseller  int64  // that enrolled it; 0 is none
	CNPJ      string // of its establishment; "" while it waits to be identified
	Shop      string // the establishment's name; "" when not known
}

// Beat is an agent's pulse with the devices it sees.
type Beat struct {
	Agent   // FirstSeen and HeardAt are not used
	Devices []BeatDevice
	Machine string // which computer it came from, and which run of the agent; "" when not told
	Run     string
	Terms   string // what the agent holds of what it is told beside its certificate
}

// BeatDevice is one device as its agent sees it.
type BeatDevice struct {
	Serial, Name string
	Answering    bool
	OpenCases    int // fiscal calls whose outcome is not known yet
}

const agentColumns = `id, host, system, software, first_seen, heard_at, beat_at, started_at, clock_off,
	waiting, oldest_at, used, bound, reseller_id, cnpj, ` + agentShop

// agentShop is the name of an agent's establishment, in SQL.
const agentShop = `coalesce((SELECT e.name FROM establishments e WHERE e.cnpj = agents.cnpj), '')`

func scanAgent(s scanner, a *Agent) error {
	var off int64
	err := s.Scan(&a.ID, &a.Host, &a.System, &a.Software, at(&a.FirstSeen), at(&a.HeardAt), at(&a.BeatAt),
		at(&a.StartedAt), &off, &a.Waiting, at(&a.OldestAt), &a.Used, &a.Bound, &a.Reseller, &a.CNPJ, &a.Shop)
	a.ClockOff = time.Duration(off) * time.Millisecond
	return err
}

// AddAgent notes a new agent at its enrolment.
func (w *Writer) AddAgent(id, host string, now time.Time) error {
	return w.exec(`INSERT INTO agents (id, host, first_seen) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET host = excluded.host`, id, host, ms(now))
}

// Heard notes that a message of an agent came.
func (w *Writer) Heard(id string, now time.Time) error {
	return w.exec(`INSERT INTO agents (id, first_seen, heard_at) VALUES ($1, $2, $2)
		ON CONFLICT (id) DO UPDATE SET heard_at = excluded.heard_at`, id, ms(now))
}

// SetBeat stores an agent's pulse and what it says of its devices. A device of
// this agent that the beat does not name does not answer any more.
func (w *Writer) SetBeat(b Beat) error {
	if err := w.Heard(b.ID, b.BeatAt); err != nil {
		return err
	}
	err := w.exec(`UPDATE agents SET host = $2, system = $3, software = $4, beat_at = $5, started_at = $6,
		clock_off = $7, waiting = $8, oldest_at = $9, used = $10, bound = $11 WHERE id = $1`,
		b.ID, b.Host, b.System, b.Software, ms(b.BeatAt), ms(b.StartedAt), b.ClockOff.Milliseconds(), b.Waiting,
		ms(b.OldestAt), b.Used, b.Bound)
	if b.Software != "" {
		err = errors.Join(err, w.exec(`INSERT INTO versions (model, version, first_at) VALUES ('', $1, $2) ON CONFLICT (model, version) DO NOTHING`, b.Software, ms(b.BeatAt)))
	}
	if err := errors.Join(err, w.sight(b)); err != nil {
		return err
	}
	known, err := all(&w.Reader, value[string], `SELECT serial FROM devices WHERE agent = $1`, b.ID)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, d := range b.Devices {
		if d.Serial == "" {
			continue
		}
		named[d.Serial] = true
		if err := w.sighted(b.ID, d, b.BeatAt); err != nil {
			return err
		}
	}
	for _, serial := range known {
		if named[serial] {
			continue
		}
		if err := w.sighted(b.ID, BeatDevice{Serial: serial}, b.BeatAt); err != nil {
			return err
		}
	}
	return w.identify(b.ID)
}

// sighted notes how an agent sees one of its devices.
func (w *Writer) sighted(agent string, d BeatDevice, now time.Time) error {
	if ours, err := w.claim(agent, d.Serial, now); err != nil || !ours {
		return err
	}
	silent := int64(0)
	if !d.Answering {
		silent = ms(now)
	}
	return w.exec(`INSERT INTO devices (serial, agent, name, first_seen, silent_since, open_cases)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (serial) DO UPDATE SET agent = excluded.agent,
		first_seen = CASE WHEN devices.agent = '' THEN excluded.first_seen ELSE devices.first_seen END,
		name = CASE WHEN excluded.name = '' THEN devices.name ELSE excluded.name END, open_cases = excluded.open_cases,
		silent_since = CASE WHEN excluded.silent_since = 0 OR devices.silent_since = 0
			THEN excluded.silent_since ELSE devices.silent_since END`,
		d.Serial, agent, d.Name, ms(now), silent, d.OpenCases)
}

// sharedAgents is agentColumns for a reader who may see an agent that is not its own:
// whose it is stays hidden then.
func (r *Reader) sharedAgents(args *arguments) string {
	if r.scope.Everything() {
		return agentColumns
	}
	own := r.ofAgents("id", args)
	return `id, host, system, software, first_seen, heard_at, beat_at, started_at, clock_off, waiting, oldest_at, used, bound,
		CASE WHEN ` + own + ` THEN reseller_id ELSE 0 END, CASE WHEN ` + own + ` THEN cnpj ELSE '' END, CASE WHEN ` + own + ` THEN ` + agentShop + ` ELSE '' END`
}

// Agents returns all agents by id.
func (r *Reader) Agents() ([]Agent, error) {
	args := arguments{}
	return all(r, scanAgent, `SELECT `+agentColumns+` FROM agents WHERE `+r.ofAgents("id", &args)+` ORDER BY id`, args...)
}

// Agent returns one agent.
func (r *Reader) Agent(id string) (Agent, error) {
	args := arguments{id}
	return one(r, scanAgent, `SELECT `+agentColumns+` FROM agents WHERE id = $1 AND `+r.ofAgents("id", &args), args...)
}
