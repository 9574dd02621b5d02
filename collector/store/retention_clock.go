package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// How far a clock may have gone since it was last believed, and how many runs in a row
// it must then stand where it stands to be believed all the same.
const (
	longestStep = 3 * 24 * time.Hour
	doubtedRuns = 14
)

// RetainAlone is Retain for runs that nobody watches, one a day: a clock that jumps ahead
// must not give up what is younger than it seems. The first run only notes the time, and
// after a step of more than three days nothing is given up until 14 runs have found the
// clock going on from there. Doubted is how many have.
func (s *Store) RetainAlone(ctx context.Context, p Retention, now time.Time) (out []Expired, doubted int, err error) {
	believed := false
	err = s.Update(ctx, func(w *Writer) error {
		c, known, err := w.readClock()
		if err == nil {
			c, believed = c.next(now, known)
			doubted, err = c.runs, w.writeClock(c)
		}
		return err
	})
	if err != nil {
		return nil, doubted, fmt.Errorf("cannot tell whether the clock may be believed: %w", err)
	}
	if believed {
		out, err = s.Retain(ctx, p, now, false)
	}
	return out, doubted, err
}

// clock is what runs of retention remember of the time.
type clock struct {
	last    time.Time // believed
	doubted time.Time // found by the run before and not believed
	runs    int       // in a row that were not believed
}

// next is the clock after a run at now, and whether now is believed.
func (c clock) next(now time.Time, known bool) (clock, bool) {
	switch {
	case !known:
		return clock{last: now}, false
	case now.Sub(c.last) <= longestStep:
		return clock{last: now}, true
	case c.runs == 0 || now.Before(c.doubted) || now.Sub(c.doubted) > longestStep:
		return clock{c.last, now, 1}, false
	case c.runs+1 < doubtedRuns:
		return clock{c.last, now, c.runs + 1}, false
	}
	return clock{last: now}, true
}

const clockName = "retention clock"

func (r *Reader) readClock() (c clock, known bool, err error) {
	text, err := one(r, value[string], `SELECT value FROM meta WHERE name = $1`, clockName)
	if errors.Is(err, ErrNotFound) {
		return c, false, nil
	}
	var last, doubted int64
	if err == nil {
		_, err = fmt.Sscan(text, &last, &doubted, &c.runs)
	}
	c.last, c.doubted = time.UnixMilli(last), time.UnixMilli(doubted)
	return c, true, err
}

func (w *Writer) writeClock(c clock) error {
	text := strings.Join([]string{strconv.FormatInt(ms(c.last), 10), strconv.FormatInt(ms(c.doubted), 10), strconv.Itoa(c.runs)}, " ")
	return w.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, clockName, text)
}
