package store

import (
	"errors"
	"time"

	"zelo/collector/alarm"
)

// Telling is an alarm with what a channel was told of it.
type Telling struct {
	Alarm    Alarm
	Shop     string    // name of the establishment; "" when not known
	Host     string    // of the computer; "" when not known
	At       time.Time // when the alarm first changed since it was told
	ToldAt   time.Time // zero: never
	Open     bool      // it was told of as open; false once its end was told
	Again    bool      // it was opened again since it was told of
	Severity alarm.Severity
	Step     int
	Level    int
}

// DelayExplained puts off the tellings of alarms that another one explains, which stay
// ready for the time when it ends. A cause that only its reseller sees explains nothing
// to taxpayers and accountants, and one of all resellers nothing but to the platform.
func (w *Writer) DelayExplained(now time.Time, by time.Duration) error {
	const of = `EXISTS (SELECT 1 FROM channels h JOIN users u ON u.id = h.user_id WHERE h.id = tellings.channel_id AND u.role IN `
	return w.exec(`UPDATE tellings SET due_at = $2 WHERE due_at > 0 AND due_at <= $1 AND EXISTS (SELECT 1 FROM alarms a
		LEFT JOIN alarms c ON c.id = a.cause_id AND a.cause_id <> 0 WHERE a.id = tellings.alarm_id AND a.cleared_at = 0
		AND (a.behind <> '' OR a.cause_id <> 0 AND CASE WHEN coalesce(c.kind, '') <> 'reseller' THEN 1 = 1
			WHEN `+ofAllCause+` THEN `+of+`('`+string(RolePlatform)+`'))
			ELSE NOT `+of+`('`+string(RoleTaxpayer)+`', '`+string(RoleAccountant)+`')) END))`, ms(now), ms(now.Add(by)))
}

// DueChannels are channels with something to tell now, at most limit.
func (r *Reader) DueChannels(now time.Time, limit int) ([]Channel, error) {
	return all(r, scanChannel, `SELECT `+channelColumns+channelTables+`WHERE h.id IN (SELECT channel_id FROM tellings WHERE due_at > 0 AND due_at <= $1)
		ORDER BY h.id LIMIT $2`, ms(now), limit)
}

// DueTellings are the due ones of a channel, of alarms that the reader sees, the gravest
// first. The plus keeps databases from reading all that the channel was ever told of,
// instead of what is due.
func (r *Reader) DueTellings(channel int64, now time.Time) ([]Telling, error) {
	args := arguments{channel, ms(now)}
	return all(r, func(s scanner, t *Telling) error {
		return scanAlarmAnd(s, &t.Alarm, &t.Shop, &t.Host, at(&t.At), at(&t.ToldAt), flag(&t.Open), flag(&t.Again), &t.Severity, &t.Step, &t.Level)
	}, `SELECT `+alarmColumns+`, coalesce(e.name, ''), coalesce(g.host, ''), w.at, w.told_at, w.told_open,
		CASE WHEN EXISTS (SELECT 1 FROM alarm_changes c WHERE c.alarm_id = a.id AND c.what = '`+Reopened+`' AND c.at > w.told_at) THEN 1 ELSE 0 END,
		w.told_severity, w.told_step, w.told_level`+alarmTables+`
		JOIN tellings w ON w.alarm_id = a.id AND +w.channel_id = $1 LEFT JOIN establishments e ON e.cnpj = `+alarmCNPJ+`
		WHERE w.due_at > 0 AND w.due_at <= $2 AND `+r.alarms(&args)+` ORDER BY a.severity DESC, a.since, a.id`, args...)
}

// Told notes that a channel was told of an alarm as it is.
func (w *Writer) Told(channel int64, a Alarm, now time.Time) error {
	return w.exec(`UPDATE tellings SET due_at = 0, told_at = $3, told_open = $4, told_severity = $5, told_step = $6, told_level = $7
		WHERE channel_id = $1 AND alarm_id = $2`, channel, a.ID, ms(now), truth(a.ClearedAt.IsZero()), a.Severity, a.Step, a.Level)
}

// TellLater puts a telling off.
func (w *Writer) TellLater(channel, id int64, until time.Time) error {
	return w.exec(`UPDATE tellings SET due_at = $3 WHERE channel_id = $1 AND alarm_id = $2`, channel, id, ms(until))
}

// TellNothing ends what is due of a channel: what it was told is so, or it is not to
// know.
func (w *Writer) TellNothing(channel int64, now time.Time) error {
	return w.exec(`UPDATE tellings SET due_at = 0 WHERE +channel_id = $1 AND due_at > 0 AND due_at <= $2`, channel, ms(now))
}

// Message is one message on its way to a channel.
type Message struct {
	ID        int64
	UID       string // stays the same when it is sent again
	Channel   Channel
	Kind      string
	Body      string // JSON
	CreatedAt time.Time
	DueAt     time.Time // zero: it is over
	Attempts  int
	SentAt    time.Time // zero while it was not sent
	Error     string    // of the last attempt; pt-BR
}

// AddMessage puts a message on its way.
func (w *Writer) AddMessage(m Message) error {
	return w.exec(`INSERT INTO messages (uid, channel_id, kind, body, created_at, due_at) VALUES ($1, $2, $3, $4, $5, $5)`,
		m.UID, m.Channel.ID, m.Kind, m.Body, ms(m.CreatedAt))
}

// RecentMessages are when a channel's messages since a time were made, and of which
// kind, the oldest first; of each only that.
func (r *Reader) RecentMessages(channel int64, since time.Time) ([]Message, error) {
	return all(r, func(s scanner, m *Message) error { return s.Scan(&m.Kind, at(&m.CreatedAt), at(&m.DueAt)) },
		`SELECT kind, created_at, due_at FROM messages WHERE channel_id = $1 AND (created_at > $2 OR due_at > 0) ORDER BY id`, channel, ms(since))
}

// ClaimMessages takes at most limit due messages of a kind of channels, the oldest of
// each channel alone, and counts an attempt: they are due again after a lease. Who
// takes one sends it.
func (w *Writer) ClaimMessages(kind ChannelKind, limit int, now time.Time, lease time.Duration) ([]Message, error) {
	list, err := all(&w.Reader, func(s scanner, m *Message) error {
		return s.Scan(append([]any{&m.ID, &m.UID, &m.Kind, &m.Body, at(&m.CreatedAt), &m.Attempts}, m.Channel.places()...)...)
	}, `SELECT m.id, m.uid, m.kind, m.body, m.created_at, m.attempts, `+channelColumns+channelTables+`JOIN messages m ON m.channel_id = h.id
		WHERE h.kind = $1 AND m.due_at > 0 AND m.due_at <= $2 AND `+firstInLine+`
		ORDER BY m.id LIMIT $3`, kind, ms(now), limit)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Attempts++
		if err := w.exec(`UPDATE messages SET attempts = attempts + 1, due_at = $2 WHERE id = $1`, list[i].ID, ms(now.Add(lease))); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// MessageSent notes that a message arrived.
func (w *Writer) MessageSent(id int64, now time.Time) error {
	return w.exec(`UPDATE messages SET due_at = 0, sent_at = $2, error = '' WHERE id = $1`, id, ms(now))
}

// MessageFailed notes why an attempt failed, and when the next is; with the zero time
// the message is given up. One that was over meanwhile stays so.
func (w *Writer) MessageFailed(id int64, problem string, next time.Time) error {
	return w.exec(`UPDATE messages SET due_at = CASE WHEN due_at > 0 THEN CAST($2 AS BIGINT) ELSE 0 END, error = $3 WHERE id = $1`, id, ms(next), problem)
}

// FailedMessages are the last messages to a channel that did not arrive, newest first.
func (r *Reader) FailedMessages(channel int64, limit int) ([]Message, error) {
	return all(r, func(s scanner, m *Message) error {
		return s.Scan(&m.UID, &m.Kind, at(&m.CreatedAt), at(&m.DueAt), &m.Attempts, &m.Error)
	},
		`SELECT uid, kind, created_at, due_at, attempts, error FROM messages WHERE channel_id = $1 AND sent_at = 0 AND error <> '' ORDER BY id DESC LIMIT $2`, channel, limit)
}

// ForgetNotices gives up what is over: messages from before a time, and what was told of
// alarms that ended before it or are gone.
func (w *Writer) ForgetNotices(before time.Time) error {
	return errors.Join(w.exec(`DELETE FROM messages WHERE created_at < $1 AND due_at = 0`, ms(before)),
		w.exec(`DELETE FROM tellings WHERE at < $1 AND (due_at = 0 AND EXISTS (SELECT 1 FROM alarms a WHERE a.id = tellings.alarm_id AND a.cleared_at > 0)
			OR NOT EXISTS (SELECT 1 FROM alarms a WHERE a.id = tellings.alarm_id))`, ms(before)))
}
