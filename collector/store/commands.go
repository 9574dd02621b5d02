package store

import (
	"crypto/sha256"
	"time"
)

// CommandState is how a command stands: what its agent last reported, in the words
// of the wire, or one of our own.
type CommandState string

// The states. The first three and CommandExpired of a command without report are our
// own word; whatever an agent reports counts more.
const (
	CommandQueued    CommandState = "queued"    // not sent yet
	CommandSent      CommandState = "sent"      // and nothing heard of it
	CommandCancelled CommandState = "cancelled" // before it was sent, or before its agent began
	CommandAccepted  CommandState = "accepted"  // on the agent's disk
	CommandWaiting   CommandState = "waiting"   // there, for its time
	CommandRunning   CommandState = "running"
	CommandDone      CommandState = "done"
	CommandFailed    CommandState = "failed"
	CommandRefused   CommandState = "refused" // nothing was done
	CommandUnknown   CommandState = "unknown" // may have been done
	CommandExpired   CommandState = "expired" // its time was over before it began
)

// Ended tells whether nothing more is expected of a command.
func (s CommandState) Ended() bool {
	switch s {
	case CommandCancelled, CommandDone, CommandFailed, CommandRefused, CommandUnknown, CommandExpired:
		return true
	}
	return false
}

// Command is one order to one agent, or to one of its devices.
type Command struct {
	ID       string // 32 hexadecimal digits
	Agent    string
	Serial   string // of the device; "" for the agent itself
	Sequence int64  // rises per agent
	Wave     int    // 1 goes out, 2 waits for the first
	Sealed   []byte `json:"-"` // secrets, which the agent alone can read
	Message  []byte `json:"-"` // signed, as it was sent first; nil before
	State    CommandState
	Number   int64  // of the report that State comes from; 0 while it is our own word
	Text     string // pt-BR, of that report
	Reason   string // of a refusal, in the words of the wire
	Reply    string // the device's return code; "" where none came
	Result   Brought
	SentAt   time.Time // last time
	Sent     int       // times
	HeardAt  time.Time // last report, our clock
	EndedAt  time.Time
	CancelAt time.Time // when it was taken back after it was sent; zero when it was not
	CancelBy string    // StoppedBy a person, or why; pt-BR
	Order    Order
}

// Begun tells whether a command has begun, as far as its agent told: it is not to be
// taken back any more.
func (c Command) Begun() bool { return c.State == CommandRunning || c.State.Ended() }

// Brought names the result of a command: a file.
type Brought struct {
	Name, Type string
	Size       int64
	Parts      int // 0: there is none
	Body       [sha256.Size]byte
	Cut        bool // it is not all there was
}

// CommandReport is what an agent told of a command.
type CommandReport struct {
	Command string
	Number  int64 // rises within one command; 0 for one that the agent did not journal
	State   CommandState
	At      time.Time // agent's clock
	Text    string
	Reason  string
	Lines   []CommandLine
	Reply   string
	Result  Brought
}

// CommandLine is one line of a command's transcript.
type CommandLine struct {
	At   time.Time // agent's clock
	Text string
}

const commandColumns = `c.id, c.agent, c.serial, c.sequence, c.wave, c.sealed, c.message, c.state, c.number, c.text, c.reason, c.reply,
	c.result, c.sent_at, c.sent, c.heard_at, c.ended_at, c.cancel_at, c.cancel_by, ` + orderColumns

const commandTables = ` FROM commands c JOIN orders o ON o.id = c.order_id `

func scanCommand(s scanner, c *Command) error {
	var result string
	err := s.Scan(append(into{&c.ID, &c.Agent, &c.Serial, &c.Sequence, &c.Wave, &c.Sealed, &c.Message, &c.State, &c.Number, &c.Text,
		&c.Reason, &c.Reply, &result, at(&c.SentAt), &c.Sent, at(&c.HeardAt), at(&c.EndedAt), at(&c.CancelAt), &c.CancelBy}, c.Order.columns()...)...)
	if err == nil && result != "" {
		err = fromJSON(&c.Result).Scan(result)
	}
	return err
}

// commands is the condition for rows of commands, as c, that the reader sees: those
// of its tills, and of them those about its devices.
func (r *Reader) commands(args *arguments) string {
	return "(" + r.ofAgents("c.agent", args) + ") AND (c.serial = '' OR " + r.ofDevices("c.serial", args) + ")"
}

// CommandsOf lists the newest commands to an agent, newest first.
func (r *Reader) CommandsOf(agent string, limit int) ([]Command, error) {
	args := arguments{agent, limit}
	return all(r, scanCommand, `SELECT `+commandColumns+commandTables+`WHERE c.agent = $1 AND `+r.commands(&args)+
		` ORDER BY c.sequence DESC LIMIT $2`, args...)
}

// CommandsOfOrder lists the commands of an order that the reader sees, by till.
func (r *Reader) CommandsOfOrder(order int64) ([]Command, error) {
	args := arguments{order}
	return all(r, scanCommand, `SELECT `+commandColumns+commandTables+`WHERE c.order_id = $1 AND `+r.commands(&args)+
		` ORDER BY c.wave, c.agent, c.serial`, args...)
}

// Command returns one command.
func (r *Reader) Command(id string) (Command, error) {
	args := arguments{id}
	return one(r, scanCommand, `SELECT `+commandColumns+commandTables+`WHERE c.id = $1 AND `+r.commands(&args), args...)
}

// Transcript returns what an agent told of a command, line by line, as it wrote it.
func (r *Reader) Transcript(id string) ([]CommandLine, error) {
	if _, err := r.Command(id); err != nil {
		return nil, err
	}
	return all(r, func(s scanner, l *CommandLine) error { return s.Scan(at(&l.At), &l.Text) },
		`SELECT at, text FROM command_lines WHERE command_id = $1 ORDER BY number, place`, id)
}

const (
	// resendAfter is how long an answer is waited for before a command is sent again to
	// an agent that was heard since.
	resendAfter = 20 * time.Second
	// presentFor is how long after its last message an agent is taken to be there: it
	// beats every minute. What was not sent can still be cancelled.
	presentFor = 3 * time.Minute
)

// DueOrders lists the orders of which commands wait to be sent whose time has come.
// Their hours are for the caller to look at.
func (r *Reader) DueOrders(now time.Time) ([]Order, error) {
	if err := r.system(); err != nil {
		return nil, err
	}
	return all(r, scanOrder, `SELECT `+orderColumns+` FROM orders o WHERE o.not_before <= $1 AND o.expires_at >= $1 AND EXISTS
		(SELECT 1 FROM commands c WHERE c.order_id = o.id AND c.state = $2 AND c.wave = 1) ORDER BY o.id`, ms(now), CommandQueued)
}

// DueCommands lists commands that are to be sent now, an agent's in their order: those
// of some orders that were not sent, of the first wave and of agents that are there;
// and those of any order that were sent, are not taken back, and whose agent was heard
// since without a word of them.
func (r *Reader) DueCommands(now time.Time, orders []int64, limit int) ([]Command, error) {
	if err := r.system(); err != nil {
		return nil, err
	}
	args := arguments{CommandQueued, ms(now.Add(-presentFor)), CommandSent, ms(now.Add(-resendAfter)), limit}
	of := "NULL"
	for _, id := range orders {
		of += ", " + args.add(id)
	}
	return all(r, scanCommand, `SELECT `+commandColumns+commandTables+`JOIN agents a ON a.id = c.agent WHERE c.ended_at = 0 AND
		(c.state = $1 AND c.wave = 1 AND c.order_id IN (`+of+`) AND a.epoch <> '' AND a.heard_at >= $2
		OR c.state = $3 AND c.sent_at <= $4 AND a.heard_at > c.sent_at AND c.cancel_at = 0) ORDER BY c.agent, c.sequence LIMIT $5`, args...)
}

// SetMessage stores the signed bytes of a command that is about to be sent, which are
// the same each time. It fails with ErrNotFound when it was cancelled meanwhile.
func (w *Writer) SetMessage(id string, message []byte, now time.Time) error {
	n, err := w.count(`UPDATE commands SET message = $2, state = $3, sent_at = $4, sent = sent + 1 WHERE id = $1 AND state IN ($3, $5) AND cancel_at = 0`,
		id, message, CommandSent, ms(now), CommandQueued)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// notBegun are the states of a command that was sent and has not begun, for SQL.
const notBegun = `('` + string(CommandSent) + `', '` + string(CommandAccepted) + `', '` + string(CommandWaiting) + `')`

// Cancel takes a command back: one that was not sent is over, and of one that has not
// begun its agent is to be told. By is StoppedBy a person, or why. It tells whether there
// was anything to do.
func (w *Writer) Cancel(id, by string, now time.Time) (bool, error) {
	n, err := w.takeBack("id", id, by, now)
	return n > 0, err
}

// takeBack takes back the commands that a column names, and returns how many those were.
func (w *Writer) takeBack(column string, id any, by string, now time.Time) (int, error) {
	over, err := w.count(`UPDATE commands SET state = $2, text = $3, ended_at = $4 WHERE `+column+` = $1 AND state = $5`,
		id, CommandCancelled, by, ms(now), CommandQueued)
	if err != nil {
		return 0, err
	}
	asked, err := w.count(`UPDATE commands SET cancel_at = $2, cancel_by = $3 WHERE `+column+` = $1 AND cancel_at = 0 AND state IN `+notBegun,
		id, ms(now), by)
	return int(over + asked), err
}

// DueCancels lists commands whose agents are to be told now that they must not begin:
// at once, and again when the agent was heard since and has not said how they stand.
func (r *Reader) DueCancels(now time.Time, limit int) ([]Command, error) {
	if err := r.system(); err != nil {
		return nil, err
	}
	return all(r, scanCommand, `SELECT `+commandColumns+commandTables+`JOIN agents a ON a.id = c.agent WHERE c.ended_at = 0 AND c.cancel_at > 0
		AND c.state IN `+notBegun+` AND c.cancel_sent <= $1 AND a.heard_at > c.cancel_sent ORDER BY c.agent, c.sequence LIMIT $2`,
		ms(now.Add(-resendAfter)), limit)
}

// SetCancelSent notes that a command's agent is about to be told that it must not begin.
func (w *Writer) SetCancelSent(id string, now time.Time) error {
	return w.exec(`UPDATE commands SET cancel_sent = $2 WHERE id = $1`, id, ms(now))
}

// answerGrace is how long after its time an answer is waited for of a command that
// was sent, and the end of one that was begun: the till may have done it and have had
// no network since.
const answerGrace = 24 * time.Hour

// Overdue lists commands that can begin no more: those that were never sent, and
// those whose agent does not say how they ended, if it says anything. Of the latter
// nobody can tell whether they were done, until the agent speaks.
func (r *Reader) Overdue(now time.Time) ([]Command, error) {
	args := arguments{CommandQueued, ms(now), ms(now.Add(-answerGrace))}
	return all(r, scanCommand, `SELECT `+commandColumns+commandTables+`WHERE c.ended_at = 0 AND
		(c.state = $1 AND o.expires_at < $2 OR c.state <> $1 AND o.expires_at < $3) AND `+r.commands(&args)+` ORDER BY c.id`, args...)
}

// GiveUp ends a command whose agent did not say how it ended. It does nothing when
// there is word of it meanwhile; what the agent says later counts more.
func (w *Writer) GiveUp(c Command, state CommandState, text string, now time.Time) error {
	n, err := w.count(`UPDATE commands SET state = $2, text = $3, ended_at = $4, number = 0 WHERE id = $1 AND state = $5 AND number = $6`,
		c.ID, state, text, ms(now), c.State, c.Number)
	if err != nil || n == 0 {
		return err
	}
	return w.AddAudit(c.ended("coletor", state, now))
}

// Why a command is over that a store brought back from an earlier day.
const uncertainText = "O coletor foi restaurado de uma cópia de segurança: não se sabe se este comando foi enviado ou feito depois dela, e ele não é enviado de novo. Confira no equipamento antes de dar outro."

// endUncertain ends commands that nobody has heard of and that must not be done twice,
// of a store that cannot know whether they were sent since. What their agents say later
// counts more.
func (w *Writer) endUncertain(names []string, now time.Time) error {
	args := arguments{CommandQueued, CommandSent}
	of := "NULL"
	for _, name := range names {
		of += ", " + args.add(name)
	}
	list, err := all(&w.Reader, scanCommand, `SELECT `+commandColumns+commandTables+`WHERE c.state IN ($1, $2) AND o.name IN (`+of+`) ORDER BY c.id`, args...)
	if err != nil {
		return err
	}
	for _, c := range list {
		err := w.exec(`INSERT INTO command_lines (command_id, number, place, at, text) VALUES ($1, $2, -1, $3, $4)`, c.ID, c.Number, ms(now), uncertainText)
		if err == nil {
			err = w.GiveUp(c, CommandUnknown, uncertainText, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ended is the line of the audit for the end of a command.
func (c Command) ended(who string, state CommandState, now time.Time) Audit {
	return Audit{At: now, Who: who, Reseller: c.Order.Reseller, Act: "resultado de comando", Object: c.Subject(),
		Detail: c.Order.Name + " " + c.ID + ": " + string(state)}
}

// journalLost is why an agent refuses a command that it may have heard before, in the
// words of the wire.
const journalLost = "journal"

// takenBack is why an agent refuses a command that we cancelled, in the words of the
// wire.
const takenBack = "cancelled"

// nextCommand is how a command stands after a report, and whether the report changes
// that. Reports come late, twice and in any order; their numbers say how they were
// written. What an agent says counts more than what we made of its silence, and an
// end it reported is one.
func nextCommand(c Command, r CommandReport) (CommandState, bool) {
	if r.State == CommandRefused && r.Reason == takenBack {
		r.State = CommandCancelled
	}
	switch {
	case r.State == "":
		return c.State, false
	case r.Number == 0 && c.Number == 0: // refused at once, and heard of otherwise never
		return r.State, r.State != c.State || r.Reason != c.Reason
	case r.Number == 0 && !c.State.Ended(): // it was accepted, and the agent lost its journal since
		return CommandUnknown, true
	case r.Number <= c.Number || c.Number > 0 && c.State.Ended():
		return c.State, false
	case r.State == CommandRefused && r.Reason == journalLost && c.Sent > 1: // it may have done what it heard before that
		return CommandUnknown, true
	}
	return r.State, true
}

// TellCommand stores what an agent told of a command, each report once, and returns
// how the command stands. It fails with ErrNotFound when the command is not that
// agent's. The end of a command is noted in the audit.
func (w *Writer) TellCommand(agent string, r CommandReport, now time.Time) (Command, error) {
	c, err := w.Command(r.Command)
	if err == nil && c.Agent != agent {
		err = ErrNotFound
	}
	if err != nil {
		return c, err
	}
	for i, l := range r.Lines {
		if err := w.exec(`INSERT INTO command_lines (command_id, number, place, at, text) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (command_id, number, place) DO NOTHING`, c.ID, r.Number, i, ms(l.At), l.Text); err != nil {
			return c, err
		}
	}
	state, changed := nextCommand(c, r)
	if !changed {
		return c, w.exec(`UPDATE commands SET heard_at = $2 WHERE id = $1`, c.ID, ms(now))
	}
	result, err := asJSON(r.Result)
	if err != nil {
		return c, err
	}
	c.State, c.Number, c.Text, c.Reason, c.Reply, c.Result, c.HeardAt, c.EndedAt = state, max(r.Number, c.Number), r.Text, r.Reason, r.Reply, r.Result, now, time.Time{}
	if state.Ended() {
		c.EndedAt = now
		if err := w.AddAudit(c.ended("agente "+agent, state, now)); err != nil {
			return c, err
		}
	}
	return c, w.exec(`UPDATE commands SET state = $2, number = $3, text = $4, reason = $5, reply = $6, result = $7, heard_at = $8, ended_at = $9
		WHERE id = $1`, c.ID, c.State, c.Number, c.Text, c.Reason, c.Reply, result, ms(now), ms(c.EndedAt))
}

// Subject names what a command is about in the audit.
func (c Command) Subject() string {
	if c.Serial != "" {
		return "SAT " + c.Serial
	}
	return "agente " + c.Agent
}
