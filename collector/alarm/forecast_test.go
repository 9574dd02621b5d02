package alarm

import (
	"testing"
	"time"
)

func TestForecast(t *testing.T) {
	rising := func(per float64) []Point {
		return []Point{{now.Add(-2 * day), 0.80 - 2*per}, {now.Add(-day), 0.80 - per}, {now, 0.80}}
	}
	for _, c := range []struct {
		name  string
		f     Facts
		at    time.Time // zero: none is in sight
		cause Cause
		risk  int64
	}{
		{"healthy", healthy(), time.Time{}, "", 0},
		{"contact an hour ago", device(func(d *Device) { d.LastContact = now.Add(-time.Hour) }), time.Time{}, "", 0},
		{"no contact for 3 days", device(func(d *Device) { d.LastContact, d.Daily = now.Add(-3*day), 100 }), now.Add(7 * day), CauseContact, 2300},
		{"no contact for 11 days", device(func(d *Device) { d.LastContact, d.Daily = now.Add(-11*day), 100 }), now, CauseContact, 3000},
		{"a limit of 15 days", with(func(f *Facts) { f.Device.LastContact = now.Add(-3 * day); f.Policy.ContactLimit = 15 }), now.Add(12 * day), CauseContact, 0},
		{"pending for 8 days", device(func(d *Device) { d.PendingSince = now.Add(-8 * day) }), now.Add(2 * day), CausePending, 0},
		{"the earlier of two", device(func(d *Device) { d.LastContact, d.PendingSince = now.Add(-3*day), now.Add(-8*day) }), now.Add(2 * day), CausePending, 0},
		{"certificate ends in 5 days", device(func(d *Device) { d.CertExpires = midnight(now).AddDate(0, 0, 5) }), midnight(now).AddDate(0, 0, 6), CauseCertificate, 0},
		{"certificate ends in 100 days", device(func(d *Device) { d.CertExpires = midnight(now).AddDate(0, 0, 100) }), time.Time{}, "", 0},
		{"memory rises 5 % a day", device(func(d *Device) { d.Memories = rising(0.05) }), now.Add(3 * day), CauseMemory, 0},
		{"memory is steady", device(func(d *Device) { d.Memories = rising(0) }), time.Time{}, "", 0},
		{"memory falls", device(func(d *Device) { d.Memories = rising(-0.01) }), time.Time{}, "", 0},
		{"two days are no trend", device(func(d *Device) { d.Memories = rising(0.05)[1:] }), time.Time{}, "", 0},
		{"all at once is no trend", device(func(d *Device) { d.Memories = []Point{{now, 0.1}, {now, 0.5}, {now, 0.9}} }), time.Time{}, "", 0},
		{"blocked already", device(func(d *Device) { d.Block, d.LastContact = Autonomous, now.Add(-11*day) }), time.Time{}, "", 0},
		{"draining risks no sale", device(func(d *Device) { d.Stage, d.LastContact, d.Daily = Draining, now.Add(-3*day), 100 }), now.Add(7 * day), CauseContact, 0},
		{"put away", device(func(d *Device) { d.Stage, d.LastContact = Closed, now.Add(-3*day) }), time.Time{}, "", 0},
		{"no device", agentFacts(func(*Facts) {}), time.Time{}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Forecast(c.f, now)
			if ok == c.at.IsZero() || got.Cause != c.cause || got.Risk != c.risk || got.At.Sub(c.at).Abs() > time.Second {
				t.Errorf("%+v, %v", got, ok)
			}
			if ok && got.Cause.String() == "" {
				t.Error("no words")
			}
		})
	}
}

// TestStages: what is put away is never red, and what is being emptied alarms on what
// keeps it from being emptied alone.
func TestStages(t *testing.T) {
	ill := device(func(d *Device) {
		block(Autonomous)(d)
		d.Memory, d.LastContact, d.PendingSince = 0.99, now.Add(-9*day), now.Add(-9*day)
		d.CertExpires, d.Battery, d.BatterySince = now.AddDate(0, 0, -1), BatteryLow, now.Add(-9*day)
		d.Forbidden, d.Outside = some(1, now), some(1, now)
	})
	ill.Missing = some(1, now)
	want := map[Stage]map[Code]Severity{
		InUse: {BlockedAutonomous: Critical, BatteryWeak: Warning, IssuedOutside: Warning, EmissionForbidden: Critical, DocumentMissing: Critical},
		Draining: {CertificateExpiring: Critical, NoContact: Critical, BatteryWeak: Warning,
			EmissionForbidden: Critical, DocumentMissing: Critical},
		Closed: {EmissionForbidden: Warning, DocumentMissing: Warning},
		Lost:   {EmissionForbidden: Warning, DocumentMissing: Warning, LostSeen: Warning},
	}
	for _, s := range Stages() {
		f := ill
		d := *ill.Device
		d.Stage, d.StageSince = s, now.Add(-day)
		f.Device = &d
		got := map[Code]Severity{}
		for _, r := range Eval(f, now) {
			if r.Behind == "" {
				got[r.Code] = r.Severity
			}
		}
		for code, severity := range want[s] {
			if got[code] != severity {
				t.Errorf("%s: %s is %v, want %v", s, code, got[code], severity)
			}
			delete(got, code)
		}
		if len(got) > 0 {
			t.Errorf("%s also raises %v", s, got)
		}
	}
}

func TestProposeStage(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Facts
		want Stage // "" is none
	}{
		{"in use and healthy", healthy(), ""},
		{"asked to be given up", device(block(ForDeactivation)), Draining},
		{"blocked by the tax office", device(block(ByTaxOffice)), Draining},
		{"blocked by itself", device(block(Autonomous)), ""},
		{"sells no more", device(func(d *Device) { d.LastIssued = now.Add(-30 * day) }), Draining},
		{"sold last week", device(func(d *Device) { d.LastIssued = now.Add(-7 * day) }), ""},
		{"gone for 30 days", device(func(d *Device) { d.Silent = now.Add(-30 * day) }), Lost},
		{"gone for 29 days", device(func(d *Device) { d.Silent = now.Add(-29 * day) }), ""},
		{"drained", device(func(d *Device) { d.Stage = Draining }), Closed},
		{"still pending", device(func(d *Device) { d.Stage, d.PendingSince = Draining, now.Add(-day) }), ""},
		{"numbers missing", device(func(d *Device) { d.Stage, d.Gaps = Draining, some(1, now) }), ""},
		{"not looked at", device(func(d *Device) { d.Stage, d.StatusAt = Draining, now.Add(-3*day) }), ""},
		{"put away", device(func(d *Device) { d.Stage = Closed }), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, why, ok := ProposeStage(c.f, now)
			if s != c.want || ok != (c.want != "") || ok != (why != "") {
				t.Errorf("%q, %q, %v", s, why, ok)
			}
		})
	}
}

// BenchmarkEval judges every rule about one till: its agent and one ill device.
func BenchmarkEval(b *testing.B) {
	ill := device(func(d *Device) { d.Memory, d.LastContact, d.PendingSince = 0.99, now.Add(-9*day), now.Add(-9*day) })
	agent := computer(func(c *Computer) { c.USBErrors = 9 })
	for b.Loop() {
		Eval(agent, now)
		Eval(ill, now)
		Forecast(ill, now)
	}
}
