package till

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"zelo/buffer"
)

// Offer is what a shop is told of renewing its certificate, as its reseller chose. Both
// may be "".
type Offer struct {
	Text string // a sentence
	Link string // of the certificate partner, https
}

// Reminder tells people at this computer, in a message of their own session, that a
// certificate of the shop ends: at 90, 30 and 15 days and daily in the last week, at
// most once a day, in the daytime, and not while somebody sells. Whoever has read it
// may have it be quiet until the next of the levels of the dossier on certificates.
type Reminder struct {
	Certificates func() []Certificate
	SinceSale    func() time.Duration
	// Show shows a message to whoever is at this computer, and returns at once.
	// ErrNobody says that nobody is.
	Show   func(ctx context.Context, title, text string) error
	Offer  Offer
	Page   string // address of the till's page, where the message is put off; "" when there is none
	Buffer *buffer.Buffer
	Log    *slog.Logger
	Now    func() time.Time

	mu sync.Mutex // held while what was shown is read and written
}

// ErrNobody says that nobody is there to be shown anything.
var ErrNobody = errors.New("nobody is logged on at this computer")

// tableReminders of the buffer: "shown" -> shown, as JSON.
const tableReminders = "reminders"

// shown is what people at this computer were told.
type shown struct {
	Day   string         `json:"day"`   // of the last message, AAAA-MM-DD
	Steps map[string]int `json:"steps"` // by certificate: the step of its last message
	Quiet map[string]int `json:"quiet"` // by certificate: the level at which it was put off
}

// Manners of a message.
const (
	remindEvery = time.Minute
	undisturbed = 5 * time.Minute // without a sale
	dayBegins   = 8               // hours, Brasília
	dayEnds     = 20
	lastWeek    = 7 // days before the end, and after it, in which the message comes daily
)

// Run reminds until ctx ends.
func (r *Reminder) Run(ctx context.Context) {
	tick := time.NewTicker(remindEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.remind(ctx); err != nil {
			r.Log.Debug("nobody was reminded of the certificate", "err", err)
		}
	}
}

// remind shows what is due.
func (r *Reminder) remind(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	if hour := local(now).Hour(); hour < dayBegins || hour >= dayEnds || r.SinceSale() < undisturbed {
		return nil
	}
	was, err := r.read()
	if err != nil {
		return err
	}
	due := was.due(now, shopCertificates(r.Certificates(), now))
	if len(due) == 0 {
		return nil
	}
	if err := r.Show(ctx, "Certificado digital da loja", r.text(due)); err != nil {
		return fmt.Errorf("cannot show a message: %w", err)
	}
	was.Day = *dayOf(now)
	for _, c := range due {
		was.Steps[c.id()] = reminderAt(c.days)
	}
	return r.write(was)
}

// text is one message about some certificates.
func (r *Reminder) text(due []dated) string {
	var parts []string
	for _, c := range due {
		parts = append(parts, c.finding.Text+" "+c.finding.Todo)
	}
	if offer := strings.TrimSpace(r.Offer.Text + " " + r.Offer.Link); offer != "" {
		parts = append(parts, offer)
	}
	if r.Page != "" {
		parts = append(parts, "Para não ser avisado de novo até o próximo prazo: "+r.Page)
	}
	return strings.Join(parts, "\n\n")
}

// Due reports whether there is a message that Dismiss would put off.
func (r *Reminder) Due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, err := r.read()
	for _, c := range shopCertificates(r.Certificates(), r.Now()) {
		if err == nil && reminderAt(c.days) != noReminder && !was.quiet(c) {
			return true
		}
	}
	return false
}

// Dismiss puts the messages off until the next level of each certificate.
func (r *Reminder) Dismiss() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, err := r.read()
	if err != nil {
		return err
	}
	for _, c := range shopCertificates(r.Certificates(), r.Now()) {
		was.Quiet[c.id()] = c.level
	}
	return r.write(was)
}

func (r *Reminder) read() (shown, error) {
	s := shown{Steps: map[string]int{}, Quiet: map[string]int{}}
	raw, err := r.Buffer.Get(tableReminders, []byte("shown"))
	if err == nil && raw != nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil {
		return s, fmt.Errorf("cannot read what was shown: %w", err)
	}
	return s, nil
}

func (r *Reminder) write(s shown) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	b := &buffer.Batch{}
	b.Put(tableReminders, []byte("shown"), raw)
	if _, err := r.Buffer.Commit(b); err != nil {
		return fmt.Errorf("cannot note what was shown: %w", err)
	}
	return nil
}

// noReminder is that of a certificate of which no message is due.
const noReminder = -1000

// reminderAt names the message that is due with so many days left: one for each of 90, 30
// and 15 days, and one for each day of the last week and of the week after the end.
func reminderAt(days int) int {
	switch {
	case days < -lastWeek || days > 90:
		return noReminder
	case days <= lastWeek:
		return days
	case days <= 15:
		return 15
	case days <= 30:
		return 30
	}
	return 90
}

// due are the certificates to tell of now.
func (s shown) due(now time.Time, all []dated) (due []dated) {
	if s.Day == *dayOf(now) {
		return nil
	}
	for _, c := range all {
		told, any := s.Steps[c.id()]
		if at := reminderAt(c.days); at != noReminder && (!any || told != at) && !s.quiet(c) {
			due = append(due, c)
		}
	}
	return due
}

// quiet tells whether a certificate was put off at its present level.
func (s shown) quiet(c dated) bool {
	level, put := s.Quiet[c.id()]
	return put && level == c.level
}

// id tells certificates apart.
func (c dated) id() string { return c.holder + " " + *dayOf(c.expires) }
