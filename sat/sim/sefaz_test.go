package sim_test

import (
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

func TestPendingDocuments(t *testing.T) {
	b := device(t, sim.Options{})
	b.set(sim.Settings{Online: new(false), Number: new(999998)})
	contact := b.status().LastContact
	var keys []string
	for range 3 {
		keys = append(keys, b.sell().Key) // 999999, 1, 2
		b.now = b.now.Add(time.Minute)
	}
	s := b.status()
	if s.PendingFirst != keys[1] || s.PendingLast != keys[0] || s.LastKey != keys[2] {
		t.Errorf("pending from %s to %s, last %s, want the lowest and the highest of %v", s.PendingFirst, s.PendingLast, s.LastKey, keys)
	}
	if s.Connected() || !s.LastContact.Equal(contact) || !s.LastSent.IsZero() {
		t.Errorf("off line: %+v", s)
	}
	b.set(sim.Settings{Online: new(true)})
	s = b.status()
	if s.Pending() || !s.Connected() || !s.LastSent.Equal(b.now) || !s.LastContact.Equal(b.now) {
		t.Errorf("back on line: %+v", s)
	}
	b.sell()
	if s := b.status(); !s.Pending() {
		t.Error("a document is sent at once, not at the next contact")
	}
	b.now = b.now.Add(10 * time.Minute)
	if s := b.status(); s.Pending() || !s.LastSent.Equal(b.now) {
		t.Errorf("after ten minutes: %+v", s)
	}
}

// The autonomous block has four causes, and ends by itself with them (dossier on
// CF-e documents, 4.3).
func TestAutonomousBlock(t *testing.T) {
	day := 24 * time.Hour
	offline, online := sim.Settings{Online: new(false)}, sim.Settings{Online: new(true)}
	for _, c := range []struct {
		name        string
		cause, cure sim.Settings
		lasts       time.Duration
	}{
		{"no contact", offline, online, sim.DefaultAutoBlock + time.Second},
		{"memory full", sim.Settings{MemoryUsed: new(int64(4080218932))}, sim.Settings{MemoryUsed: new(int64(1 << 20))}, 0},
		{"certificate expired", sim.Settings{CertExpires: new("2026-11-23")}, sim.Settings{CertExpires: new("2027-11-23")}, 3 * day},
		{"as told", sim.Settings{State: new(sat.StateBlockedAutonomous)}, sim.Settings{State: new(sat.StateUnblocked)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := device(t, sim.Options{})
			b.sell()
			b.set(c.cause)
			b.now = b.now.Add(c.lasts)
			if s := b.status(); s.State != sat.StateBlockedAutonomous {
				t.Errorf("state %s", s.State)
			}
			b.refuses(6008, "0000", sat.EnviarDadosVenda, sattest.SaleXML("10.00", ""))
			b.want(17006, sat.DesbloquearSAT)
			b.set(c.cure)
			if s := b.status(); s.State != sat.StateUnblocked {
				t.Errorf("state after the cure %s", s.State)
			}
			b.sell()
		})
	}
	t.Run("old document", func(t *testing.T) {
		b := device(t, sim.Options{AutoBlock: day})
		b.set(offline)
		b.sell()
		b.now = b.now.Add(day)
		if b.status().State != sat.StateUnblocked {
			t.Error("blocked too early")
		}
		b.now = b.now.Add(time.Second)
		if b.status().State != sat.StateBlockedAutonomous {
			t.Error("not blocked")
		}
	})
}

func TestMemoryFillsWithPendingDocuments(t *testing.T) {
	b := device(t, sim.Options{MemoryTotal: 1 << 20})
	b.set(sim.Settings{Online: new(false), MemoryUsed: new(int64(994_000))})
	if f, ok := b.status().MemoryFraction(); !ok || f < 0.94 || f > 0.95 {
		t.Errorf("memory %v %v", f, ok)
	}
	b.sell()
	b.want(6008, sat.EnviarDadosVenda, sattest.SaleXML("10.00", ""))
	if f, ok := b.status().MemoryFraction(); !ok || f < 0.95 {
		t.Errorf("memory %v %v", f, ok)
	}
}

func TestBlockByTheTaxpayer(t *testing.T) {
	b := device(t, sim.Options{})
	b.want(16004, sat.BloquearSAT)
	b.sell()
	b.set(sim.Settings{Online: new(false), Portal: new(sat.StateBlockedContribuinte)})
	b.want(16003, sat.BloquearSAT)
	b.set(sim.Settings{Online: new(true)})
	b.sell()
	b.want(16099, sat.BloquearSAT) // a document waits
	b.now = b.now.Add(10 * time.Minute)
	b.want(16000, sat.BloquearSAT)
	b.want(16002, sat.BloquearSAT)
	b.want(6006, sat.EnviarDadosVenda, sattest.SaleXML("10.00", ""))
	b.want(17002, sat.DesbloquearSAT)
	b.set(sim.Settings{Portal: new(sat.StateUnblocked), Online: new(false)})
	b.want(17004, sat.DesbloquearSAT)
	b.set(sim.Settings{Online: new(true)})
	b.want(17000, sat.DesbloquearSAT)
	b.want(17005, sat.DesbloquearSAT)
	b.sell()
}

func TestBlockByTheSEFAZ(t *testing.T) {
	b := device(t, sim.Options{})
	b.set(sim.Settings{Online: new(false), Portal: new(sat.StateBlockedSEFAZ)})
	b.sell() // the order has not arrived
	b.set(sim.Settings{Online: new(true)})
	if s := b.status(); s.State != sat.StateBlockedSEFAZ {
		t.Errorf("state %s", s.State)
	}
	b.want(6007, sat.EnviarDadosVenda, sattest.SaleXML("10.00", ""))
	b.want(17003, sat.DesbloquearSAT)
	b.set(sim.Settings{Portal: new(sat.StateUnblocked)})
	b.want(17000, sat.DesbloquearSAT)
	b.sell()
	b.set(sim.Settings{Portal: new(sat.StateBlockedDeactivation)})
	b.want(6007, sat.EnviarDadosVenda, sattest.SaleXML("10.00", ""))
	b.want(17007, sat.DesbloquearSAT)
}

func TestCertificateDates(t *testing.T) {
	b := device(t, sim.Options{})
	was := b.sell()
	b.set(sim.Settings{CertIssued: new("2024-01-02"), CertExpires: new("2026-12-11")})
	s := b.status()
	if s.CertIssued.Format(time.DateOnly) != "2024-01-02" || s.CertExpires.Format(time.DateOnly) != "2026-12-11" {
		t.Errorf("status: %v to %v", s.CertIssued, s.CertExpires)
	}
	v := cfe.Verify(b.sell().XML, b.Roots())
	if !v.Trusted || v.Signer.NotAfter.In(sat.Brasilia()).Format(time.DateOnly) != "2026-12-11" || string(v.Signer.Raw) == string(signerOf(t, was)) {
		t.Errorf("the document's certificate: %+v", v)
	}
}

func TestWrongSettings(t *testing.T) {
	for name, c := range map[string]sim.Settings{
		"no such state":        {State: new(sat.State(9))},
		"no such portal":       {Portal: new(sat.StateBlockedAutonomous)},
		"no day":               {CertExpires: new("amanhã")},
		"ends before it began": {CertExpires: new("2020-01-01")},
		"no duration":          {ClockOffset: new("uma hora")},
		"memory below zero":    {MemoryUsed: new(int64(-1))},
		"number too large":     {Number: new(1000000)},
		"no version":           {Update: new("2")},
	} {
		b := device(t, sim.Options{})
		c.Online = new(false)
		if err := b.Set(c); err == nil {
			t.Errorf("%s was accepted", name)
		}
		if !b.status().Connected() {
			t.Errorf("%s was refused, but what came with it was set", name)
		}
	}
}
