package api

import (
	"context"
	"errors"
	"testing"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// worsen changes the alarm that a tenant has.
func (b *bench) worsen(t *tenant) {
	b.t.Helper()
	b.update(func(w *store.Writer) error {
		list, err := w.AlarmChanges(0, 1000)
		if err != nil {
			return err
		}
		return w.SetAlarms(alarm.Subject{Kind: alarm.OfDevice, ID: t.serial},
			[]alarm.Raised{{Code: alarm.MemoryFilling, Severity: alarm.Critical, Step: len(list) + 2, Detail: t.name, Since: now()}}, now())
	})
}

// TestChangedInSight: everybody hears of changes of alarms that they see, of no other,
// and of each once.
func TestChangedInSight(t *testing.T) {
	b := setup(t)
	mine, sibling, other := b.tenants()
	for _, test := range []struct {
		name    string
		who     Caller
		changes *tenant
		hears   bool
	}{
		{"platform", CommandLine(), other, true},
		{"owner, of their own", mine.byRole[store.RoleTaxpayer], mine, true},
		{"owner, of a neighbour", mine.byRole[store.RoleTaxpayer], sibling, false},
		{"accountant, of their client", mine.byRole[store.RoleAccountant], mine, true},
		{"accountant, of another", mine.byRole[store.RoleAccountant], other, false},
		{"technician, of a client", mine.byRole[store.RoleTechnician], sibling, true},
		{"technician, of another reseller", mine.byRole[store.RoleTechnician], other, false},
		{"one client alone", mine.byRole[store.RoleReseller].Only(mine.root), sibling, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			fresh := func() { b.newest.readAt = b.newest.readAt.Add(-sharedFor) }
			_, since, err := b.changed(t.Context(), test.who, 0)
			if err != nil {
				t.Fatal(err)
			}
			b.worsen(test.changes)
			fresh()
			hears, last, err := b.changed(t.Context(), test.who, since)
			if err != nil || hears != test.hears || last <= since {
				t.Errorf("hears: %v, from %d to %d, %v", hears, since, last, err)
			}
			fresh()
			if again, _, err := b.changed(t.Context(), test.who, last); again || err != nil {
				t.Errorf("hears of it again: %v, %v", again, err)
			}
		})
	}
}

// TestWatchesBounded: one person watches so many pages and no more, others are not in
// the way, and who leaves makes room. Nobody watches nothing.
func TestWatchesBounded(t *testing.T) {
	b := setup(t)
	ctx, leave := context.WithCancel(t.Context())
	begun, ended := make(chan struct{}), make(chan error)
	watch := func() {
		ended <- b.Watch(ctx, b.ana, func() error { begun <- struct{}{}; return nil })
	}
	for range watchesAtOnce {
		go watch()
		<-begun
	}
	once := errors.New("told")
	tell := func() error { return once }
	var busy *Busy
	if err := b.Watch(t.Context(), b.ana, tell); !errors.As(err, &busy) {
		t.Errorf("one more: %v", err)
	}
	if err := b.Watch(t.Context(), CommandLine(), tell); !errors.Is(err, once) {
		t.Errorf("somebody else: %v", err)
	}
	leave()
	for range watchesAtOnce {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := b.Watch(t.Context(), b.ana, tell); !errors.Is(err, once) {
		t.Errorf("when there is room: %v", err)
	}
	if err := b.Watch(t.Context(), Caller{}, tell); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("nobody: %v", err)
	}
}
