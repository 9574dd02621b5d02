package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Turn does work that is due every so often, once for all collectors of a database.
// It does nothing, and done is false, while another does it, and until that long
// after it was last begun, but for a minute or a tenth of it: all collectors may ask
// every minute, or each time. Work that fails, or whose collector dies in the middle
// of it, is due still, so it must bear to be begun again.
func (s *Store) Turn(ctx context.Context, name string, every time.Duration, now time.Time, work func(context.Context) error) (done bool, err error) {
	release, ok, err := s.Lead(ctx, name)
	if err != nil || !ok {
		return false, err
	}
	defer release()
	last, err := s.lastTurn(ctx, name)
	if err != nil {
		return false, fmt.Errorf("cannot tell whether %s is due: %w", name, err)
	}
	if since := now.Sub(last); since >= 0 && since < every-min(every/10, time.Minute) {
		return false, nil
	}
	if err := work(ctx); err != nil {
		return false, err
	}
	err = s.Update(ctx, func(w *Writer) error {
		return w.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
			turnPrefix+name, strconv.FormatInt(ms(now), 10))
	})
	if err != nil {
		return false, fmt.Errorf("cannot note that %s is done: %w", name, err)
	}
	return true, nil
}

// turnPrefix begins the names under which the store remembers when work was last
// begun, in Unix milliseconds.
const turnPrefix = "turn "

// lastTurn is when work that was done was last begun; never is the zero time.
func (s *Store) lastTurn(ctx context.Context, name string) (last time.Time, err error) {
	err = s.View(ctx, All(), func(r *Reader) error {
		text, err := one(r, value[string], `SELECT value FROM meta WHERE name = $1`, turnPrefix+name)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(text, 10, 64)
		last = time.UnixMilli(n)
		return err
	})
	return last, err
}
