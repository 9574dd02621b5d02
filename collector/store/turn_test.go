package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestTurn: work is done once in its time, whoever asks, and again when it failed.
func TestTurn(t *testing.T) {
	eachAddress(t, func(t *testing.T, address string) {
		one, other := openAt(t, address), openAt(t, address)
		at := t0
		turn := func(s *Store, want, fail bool) {
			t.Helper()
			worked := false
			done, err := s.Turn(t.Context(), "retention", time.Hour, at, func(context.Context) error {
				worked = true
				if fail {
					return errors.New("no room")
				}
				return nil
			})
			if worked != want || done != (want && !fail) || (err != nil) != fail {
				t.Errorf("at %v: worked %v, done %v, %v", at, worked, done, err)
			}
		}
		turn(one, true, false)
		at = t0.Add(58 * time.Minute)
		turn(other, false, false)
		turn(one, false, false)
		at = t0.Add(59 * time.Minute)
		turn(other, true, true)
		turn(one, true, false)
		turn(other, false, false)
		at = t0 // the clock was put back
		turn(other, true, false)
		if done, err := one.Turn(t.Context(), "reports", time.Hour, at, func(context.Context) error { return nil }); !done || err != nil {
			t.Errorf("other work: %v, %v", done, err)
		}
	})
	t.Run("while another does it", func(t *testing.T) {
		address := theServer(t).database(t)
		one, other := openAt(t, address), openAt(t, address)
		nested := func(context.Context) error { t.Error("two at a time"); return nil }
		done, err := one.Turn(t.Context(), "retention", time.Hour, t0, func(context.Context) error {
			done, err := other.Turn(t.Context(), "retention", time.Hour, t0, nested)
			if done || err != nil {
				t.Errorf("the other one: %v, %v", done, err)
			}
			return nil
		})
		if !done || err != nil {
			t.Errorf("%v, %v", done, err)
		}
	})
}
