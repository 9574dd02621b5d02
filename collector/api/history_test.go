package api

import (
	"testing"
	"time"

	"zelo/collector/alarm"
	"zelo/sat"
)

// TestBlockWord: a block is called what the device's own state is called.
func TestBlockWord(t *testing.T) {
	for _, b := range []alarm.Block{alarm.Unblocked, alarm.ByTaxOffice, alarm.ByTaxpayer, alarm.Autonomous, alarm.ForDeactivation} {
		if got, want := BlockWord(b), sat.State(stateNumber(b)).String(); got != want {
			t.Errorf("%q, and the device says %q", got, want)
		}
	}
}

func TestHistoryLimits(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 12, 0, 0, 0, time.UTC) }
	waits := alarm.Device{PendingSince: day(1), LastContact: day(2)}
	with := func(change func(*alarm.Device)) alarm.Device {
		d := waits
		change(&d)
		return d
	}
	for name, c := range map[string]struct {
		d                alarm.Device
		p                alarm.Policy
		pending, contact time.Time
	}{
		"waits":         {waits, alarm.Policy{}, day(11), day(12)},
		"by its tenant": {waits, alarm.Policy{PendingLimit: 15, ContactLimit: 20}, day(16), day(22)},
		"nothing waits": {with(func(d *alarm.Device) { d.PendingSince = time.Time{} }), alarm.Policy{}, time.Time{}, day(12)},
		"no contact":    {with(func(d *alarm.Device) { d.LastContact = time.Time{} }), alarm.Policy{}, day(11), time.Time{}},
		"since today":   {with(func(d *alarm.Device) { d.PendingSince, d.LastContact = day(2).Add(time.Hour), day(3) }), alarm.Policy{}, time.Time{}, time.Time{}},
		"blocked":       {with(func(d *alarm.Device) { d.Block = alarm.Autonomous }), alarm.Policy{}, time.Time{}, time.Time{}},
		"put away":      {with(func(d *alarm.Device) { d.Stage = alarm.Closed }), alarm.Policy{}, time.Time{}, time.Time{}},
	} {
		var h DeviceHistory
		h.limits(c.d, c.p.Filled(), day(3))
		if !h.PendingBlock.Equal(c.pending) || !h.ContactBlock.Equal(c.contact) || h.LastContact != c.d.LastContact {
			t.Errorf("%s: %+v", name, h)
		}
	}
}
