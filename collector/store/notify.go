package store

import (
	"database/sql"
	"errors"
	"strconv"
	"time"

	"zelo/collector/alarm"
)

// ChannelKind is a way to reach somebody.
type ChannelKind string

// The kinds of channels. The first two are people's, the others resellers'.
const (
	ChannelEmail   ChannelKind = "email"
	ChannelPush    ChannelKind = "push"
	ChannelWebhook ChannelKind = "webhook"
	ChannelChat    ChannelKind = "chat"
)

// Channel is one way to reach a person, or a hook of a reseller.
type Channel struct {
	ID        int64
	Kind      ChannelKind
	User      User   // whose; zero of a hook
	Reseller  int64  // of a hook
	Name      string // of a hook, or the browser of a push
	Target    string // URL; "" of an e-mail, which goes to the user's address
	Form      string // keys of a push, template of a chat, salt of a webhook's secret
	Wish      Wish
	CreatedAt time.Time

	FailingSince time.Time // zero while the last message got through
	Failures     int       // in a row
	LastError    string    // pt-BR
	LastSent     time.Time
	DeadAt       time.Time // since when nothing is sent there any more; zero while it is
}

// Wish is what the owner of a channel wants to hear, and when.
type Wish struct {
	Muted              bool
	Least              alarm.Severity // what is told at once
	QuietFrom, QuietTo int            // minutes of the day in Brasília; equal: no quiet hours
	CriticalPasses     bool           // through the quiet hours
	Digest             int            // hour at which what is below Least is told, once a day; -1 never
}

const channelColumns = `h.id, h.kind, h.reseller_id, h.name, h.target, h.form, h.muted, h.min_severity, h.quiet_from, h.quiet_to,
	h.critical_passes, h.digest_hour, h.created_at, h.failing_since, h.failures, h.last_error, h.last_sent_at, h.dead_at,
	coalesce(u.id, 0), coalesce(u.email, ''), coalesce(u.name, ''), coalesce(u.role, ''), coalesce(u.reseller_id, 0)`

const channelTables = ` FROM channels h LEFT JOIN users u ON u.id = h.user_id AND h.user_id <> 0 `

func (c *Channel) places() []any {
	return []any{&c.ID, &c.Kind, &c.Reseller, &c.Name, &c.Target, &c.Form, flag(&c.Wish.Muted), &c.Wish.Least, &c.Wish.QuietFrom, &c.Wish.QuietTo,
		flag(&c.Wish.CriticalPasses), &c.Wish.Digest, at(&c.CreatedAt), at(&c.FailingSince), &c.Failures, &c.LastError, at(&c.LastSent), at(&c.DeadAt),
		&c.User.ID, &c.User.Email, &c.User.Name, &c.User.Role, &c.User.Reseller}
}

func scanChannel(s scanner, c *Channel) error { return s.Scan(c.places()...) }

// Channels lists the channels of a person, and with hooks those of the resellers that
// the reader sees.
func (r *Reader) Channels(user int64, hooks bool) ([]Channel, error) {
	args := arguments{user}
	return all(r, scanChannel, `SELECT `+channelColumns+channelTables+`WHERE `+r.channels(user, hooks, &args)+` ORDER BY h.user_id = 0, h.id`, args...)
}

// Channel is one of the channels that Channels lists.
func (r *Reader) Channel(id, user int64, hooks bool) (Channel, error) {
	args := arguments{user, id}
	return one(r, scanChannel, `SELECT `+channelColumns+channelTables+`WHERE h.id = $2 AND `+r.channels(user, hooks, &args), args...)
}

// channels is the condition for those of a person, whose number is the first argument.
func (r *Reader) channels(user int64, hooks bool, args *arguments) string {
	where := "h.user_id <> 0 AND h.user_id = $1"
	if hooks && r.scope.Root() == "" {
		where += " OR h.user_id = 0 AND " + r.ofReseller("h.reseller_id", args)
	}
	return "(" + where + ")"
}

// LeastOf is what a person of a role is told at once unless they wish otherwise.
func LeastOf(role Role) alarm.Severity {
	if role == RoleTechnician {
		return alarm.Warning
	}
	return alarm.Critical
}

// AddMailChannels gives every person who has none a channel to their address.
func (w *Writer) AddMailChannels(now time.Time) error {
	return w.exec(`INSERT INTO channels (kind, user_id, min_severity, created_at) SELECT 'email', u.id, CASE WHEN u.role = $1 THEN CAST($2 AS INTEGER) ELSE CAST($3 AS INTEGER) END,
		CAST($4 AS BIGINT) FROM users u WHERE NOT EXISTS (SELECT 1 FROM channels h WHERE h.user_id = u.id AND h.kind = 'email')`,
		RoleTechnician, LeastOf(RoleTechnician), LeastOf(""), ms(now))
}

// AddChannel adds a channel and returns its id.
func (w *Writer) AddChannel(c Channel) (id int64, err error) {
	err = w.get(into{&id}, `INSERT INTO channels (kind, user_id, reseller_id, name, target, form, muted, min_severity, quiet_from, quiet_to, critical_passes,
		digest_hour, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id`, c.Kind, c.User.ID, c.Reseller, c.Name, c.Target, c.Form,
		truth(c.Wish.Muted), c.Wish.Least, c.Wish.QuietFrom, c.Wish.QuietTo, truth(c.Wish.CriticalPasses), c.Wish.Digest, ms(c.CreatedAt))
	return id, err
}

// SetWish changes what a channel is told and when, and lets a dead one live again. One
// that is muted is told nothing more, nor the end of what it was told of.
func (w *Writer) SetWish(id int64, wish Wish) error {
	if wish.Muted {
		if err := w.hush(id); err != nil {
			return err
		}
	}
	return w.exec(`UPDATE channels SET muted = $2, min_severity = $3, quiet_from = $4, quiet_to = $5, critical_passes = $6, digest_hour = $7,
		dead_at = 0, failing_since = 0, failures = 0, last_error = '' WHERE id = $1`, id, truth(wish.Muted), wish.Least, wish.QuietFrom, wish.QuietTo, truth(wish.CriticalPasses), wish.Digest)
}

// DropChannel takes a channel away with all that waits for it.
func (w *Writer) DropChannel(id int64) error {
	return errors.Join(w.exec(`DELETE FROM messages WHERE channel_id = $1`, id), w.exec(`DELETE FROM tellings WHERE channel_id = $1`, id),
		w.exec(`DELETE FROM channels WHERE id = $1`, id))
}

// DropBrowser takes the channels of all people to one browser away.
func (w *Writer) DropBrowser(target string) error {
	return w.dropChannels(`kind = $1 AND target = $2`, ChannelPush, target)
}

// dropChannels is DropChannel for those that a condition names.
func (w *Writer) dropChannels(where string, args ...any) error {
	list, err := all(&w.Reader, value[int64], `SELECT id FROM channels WHERE `+where, args...)
	for _, id := range list {
		err = errors.Join(err, w.DropChannel(id))
	}
	return err
}

// ChannelFared notes how the last attempt at a channel ended: problem is what a person
// is told of a failure, "" after a success; dead ends it.
func (w *Writer) ChannelFared(id int64, problem string, dead bool, now time.Time) error {
	if problem == "" {
		return w.exec(`UPDATE channels SET failing_since = 0, failures = 0, last_error = '', dead_at = 0, last_sent_at = $2 WHERE id = $1`, id, ms(now))
	}
	err := w.exec(`UPDATE channels SET failing_since = CASE WHEN failing_since = 0 THEN $2 ELSE failing_since END, failures = failures + 1, last_error = $3
		WHERE id = $1`, id, ms(now), problem)
	if err != nil || !dead {
		return err
	}
	if err := w.exec(`UPDATE channels SET dead_at = $2 WHERE id = $1`, id, ms(now)); err != nil {
		return err
	}
	return w.hush(id)
}

// ChannelWaits notes why nothing gets through at the moment that the channel has no part
// in: it does not die of that.
func (w *Writer) ChannelWaits(id int64, problem string) error {
	return w.exec(`UPDATE channels SET last_error = $2 WHERE id = $1`, id, problem)
}

// hush ends what waits to be told to a channel, and forgets what it was told.
func (w *Writer) hush(id int64) error {
	if err := w.exec(`UPDATE messages SET due_at = 0 WHERE channel_id = $1 AND due_at > 0`, id); err != nil {
		return err
	}
	return w.exec(`DELETE FROM tellings WHERE channel_id = $1`, id)
}

// notifiedKey is under which the store remembers the last alarm change that went to channels.
const notifiedKey = "notify cursor"

// notified is the last alarm change that went to channels; known is false when none ever did.
func (r *Reader) notified() (id int64, known bool, err error) {
	text, err := one(r, value[string], `SELECT value FROM meta WHERE name = $1`, notifiedKey)
	if errors.Is(err, ErrNotFound) {
		return 0, false, nil
	}
	if err == nil {
		id, err = strconv.ParseInt(text, 10, 64)
	}
	return id, true, err
}

// firstInLine is the condition for the first message m of its channel that is not over: the
// others wait for it.
const firstInLine = `m.id = (SELECT min(o.id) FROM messages o WHERE o.channel_id = m.channel_id AND o.due_at > 0)`

// NotifyDue tells whether there is something to do: an alarm changed, a telling or a
// message is due.
func (r *Reader) NotifyDue(now time.Time) (due bool, err error) {
	last, known, err := r.notified()
	if err != nil || !known {
		return err == nil, err
	}
	newest, err := r.newestChange()
	if err != nil || newest > last {
		return err == nil, err
	}
	err = r.get(into{flag(&due)}, `SELECT CASE WHEN EXISTS (SELECT 1 FROM tellings WHERE due_at > 0 AND due_at <= $1)
		OR EXISTS (SELECT 1 FROM messages m WHERE m.due_at > 0 AND m.due_at <= $1 AND `+firstInLine+`) THEN 1 ELSE 0 END`, ms(now))
	return due, err
}

func (r *Reader) newestChange() (id int64, err error) {
	return one(r, value[int64], `SELECT coalesce(max(id), 0) FROM alarm_changes`)
}

// changesAtOnce bounds how many changes go to channels in one transaction.
const changesAtOnce = 1000

// MarkTellings gives the next alarm changes to the channels of those whom they concern,
// in all its kinds but those that nothing serves. Alarms that may turn out to share a
// cause are looked at after hold. The first call only begins with what is there. more
// tells that there are further changes.
func (w *Writer) MarkTellings(served []ChannelKind, hold time.Duration, now time.Time) (more bool, err error) {
	last, known, err := w.notified()
	if err != nil {
		return false, err
	}
	if !known {
		newest, err := w.newestChange()
		if err != nil {
			return false, err
		}
		return false, w.setNotified(newest)
	}
	changes, err := w.AlarmChanges(last, changesAtOnce)
	if err != nil || len(changes) == 0 {
		return false, err
	}
	upto := changes[len(changes)-1].ID
	if err := w.AddMailChannels(now); err != nil {
		return false, err
	}
	if err := w.markTellings(last, upto, served, hold, now); err != nil {
		return false, err
	}
	return len(changes) == changesAtOnce, w.setNotified(upto)
}

func (w *Writer) setNotified(id int64) error {
	return w.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, notifiedKey, strconv.FormatInt(id, 10))
}

// markTellings is the routing: staff hear of their reseller's, taxpayers and accountants
// of what they were granted, hooks of their reseller's, the platform of what nobody else
// looks after. What a message then says is read through the scope of whom it is for.
func (w *Writer) markTellings(after, upto int64, served []ChannelKind, hold time.Duration, now time.Time) error {
	args := arguments{after, upto, ms(now), ms(now.Add(hold))}
	kinds := "''"
	for _, k := range served {
		kinds += ", " + args.add(k)
	}
	err := w.exec(`WITH changed AS (SELECT c.alarm_id, max(c.severity) AS severity FROM alarm_changes c WHERE c.id > $1 AND c.id <= $2
			AND c.what IN ('`+Opened+`', '`+Reopened+`', '`+Worsened+`', '`+Escalated+`', '`+Loud+`') GROUP BY c.alarm_id),
		places AS (SELECT a.id, a.code, x.severity, substr(`+alarmCNPJ+`, 1, 8) AS root, coalesce(t.reseller_id, g.reseller_id, a.reseller_id) AS reseller
			`+alarmTables+`JOIN changed x ON x.alarm_id = a.id LEFT JOIN taxpayers t ON t.root = substr(`+alarmCNPJ+`, 1, 8) WHERE a.kind <> 'certificate'
			UNION SELECT a.id, a.code, x.severity, substr(v.cnpj, 1, 8), coalesce(t.reseller_id, v.reseller_id) FROM alarms a JOIN changed x ON x.alarm_id = a.id
			JOIN inventory i ON i.what = '`+WhatCertificate+`' AND i.key = a.subject AND i.gone = 0 JOIN agents v ON v.id = i.agent
			LEFT JOIN taxpayers t ON t.root = substr(v.cnpj, 1, 8) WHERE a.kind = 'certificate'),
		reach AS (SELECT h.id AS channel, p.id, p.code, p.severity FROM places p JOIN users u ON u.reseller_id = p.reseller AND u.role IN ('`+
		string(RoleReseller)+`', '`+string(RoleTechnician)+`') JOIN channels h ON h.user_id = u.id WHERE p.reseller <> 0
			UNION SELECT h.id, p.id, p.code, p.severity FROM places p JOIN grants q ON q.root = p.root AND q.taken_at = 0
			JOIN users u ON u.id = q.user_id AND u.role IN ('`+string(RoleTaxpayer)+`', '`+string(RoleAccountant)+`') JOIN channels h ON h.user_id = u.id
			UNION SELECT h.id, p.id, p.code, p.severity FROM places p JOIN channels h ON h.user_id = 0 AND h.reseller_id = p.reseller WHERE p.reseller <> 0
			UNION SELECT h.id, p.id, p.code, p.severity FROM places p JOIN users u ON u.role = '`+string(RolePlatform)+`' JOIN channels h ON h.user_id = u.id
			WHERE p.reseller = 0 OR NOT EXISTS (SELECT 1 FROM users o WHERE o.reseller_id = p.reseller AND o.role IN ('`+string(RoleReseller)+`', '`+string(RoleTechnician)+`')))
		INSERT INTO tellings (channel_id, alarm_id, at, due_at)
		SELECT r.channel, r.id, CAST($3 AS BIGINT), CASE WHEN r.code IN (`+codeList(alarm.MayShare())+`) THEN CAST($4 AS BIGINT) ELSE CAST($3 AS BIGINT) END
		FROM reach r JOIN channels h ON h.id = r.channel WHERE h.kind IN (`+kinds+`) AND h.muted = 0 AND h.dead_at = 0
			AND (h.min_severity <= r.severity OR h.digest_hour >= 0)
		ON CONFLICT (channel_id, alarm_id) DO UPDATE SET due_at = excluded.due_at, at = CASE WHEN tellings.due_at > 0 THEN tellings.at ELSE excluded.at END`, args...)
	if err != nil {
		return err
	}
	return w.exec(`UPDATE tellings SET due_at = $3, at = CASE WHEN due_at > 0 THEN at ELSE $3 END WHERE (due_at > 0 OR told_open = 1)
		AND alarm_id IN (SELECT c.alarm_id FROM alarm_changes c WHERE c.id > $1 AND c.id <= $2 AND c.what = '`+Cleared+`')`, after, upto, ms(now))
}

// flag scans a stored truth value.
func flag(to *bool) sql.Scanner { return flagScanner{to} }

type flagScanner struct{ to *bool }

func (s flagScanner) Scan(v any) error {
	n, _ := v.(int64)
	*s.to = n != 0
	return nil
}

// truth is a truth value as stored.
func truth(v bool) int {
	if v {
		return 1
	}
	return 0
}
