package api

import (
	"errors"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// tells stores what a tenant's agent told of its computer.
func (b *bench) tells(t *tenant) {
	b.t.Helper()
	seq := uint64(100)
	b.update(func(w *store.Writer) error {
		var errs []error
		for _, th := range []store.Thing{
			{What: store.WhatComputer, Body: store.Computer{System: "Windows 10", Booted: now().Add(-time.Hour).UnixMilli(), MemoryTotal: 4 << 30, MemoryFree: 1 << 30,
				Antivirus: "off", AntivirusBy: "Defender", ClockSynced: -1, USBErrors: 2, USBLast: "USB 3"}},
			{What: store.WhatDisk, Key: "C:", Body: store.Disk{Total: 100, Free: 5, Own: true}},
			{What: store.WhatDisk, Key: "D:", Body: store.Disk{Total: 100, Free: 60}},
			{What: store.WhatDisk, Key: "E:", Gone: true},
			{What: store.WhatCertificate, Key: "c0" + t.root, Body: store.CompanyCertificate{Holder: t.name, CNPJ: t.cnpj, Type: "A1", Until: now().AddDate(0, 0, 9).UnixMilli(), Places: []string{`LocalMachine\My`}}},
			{What: store.WhatCertificate, Key: "c1" + t.root, Body: store.CompanyCertificate{Holder: t.name, CNPJ: t.cnpj, Until: now().AddDate(0, 0, -9).UnixMilli()}},
			{What: store.WhatRemote, Key: "anydesk", Body: store.Remote{ID: "123456789"}},
			{What: store.WhatRemote, Key: "rustdesk", Body: store.Remote{ID: `1"onclick=`}},
			{What: store.WhatRemote, Key: "teamviewer", Body: store.Remote{ID: "987654321"}},
			{What: store.WhatRemote, Key: "other", Body: store.Remote{ID: "1"}},
			{What: store.WhatHealth, Body: store.Health{Memory: 9 << 20, Restarts: 1}},
		} {
			seq++
			errs = append(errs, w.SetThing(th, store.Record{Agent: t.agent, Epoch: "e", Stream: "status", Seq: seq, At: now()}))
		}
		errs = append(errs, w.SetTillDay(store.TillDay{Agent: t.agent, Till: "001", Day: now(), Sold: 40, Rejected: 2, Code: "06010", Median: time.Second, P95: 2 * time.Second, Longest: 3 * time.Second}))
		return errors.Join(errs...)
	})
}

// serves makes a tenant's agent bring a coupon of another.
func (b *bench) serves(t, other *tenant) {
	b.t.Helper()
	b.update(func(w *store.Writer) error {
		id, _, err := w.AddDocument(store.Document{Key: strings.Replace(other.key, "59", "65", 1), Kind: "venda", Model: 65, Issuer: other.cnpj, Series: "1", Number: 7, Total: "1.00", Verdict: "verified",
			Issued: now(), ReceivedAt: now()}, b.store.Pack([]byte("<NFe/>")))
		if err != nil {
			return err
		}
		_, err = w.AddArrival(store.Record{Agent: t.agent, Epoch: "e", Stream: "documents", Seq: 9, SHA256: [32]byte{9}, At: now()}, id)
		return err
	})
}

// TestComputer: what a till told of its computer is seen by its own people, with links
// only where a number is well formed.
func TestComputer(t *testing.T) {
	b := setup(t)
	mine, _, other := b.tenants()
	b.raise(alarm.Subject{Kind: alarm.OfAgent, ID: mine.agent}, alarm.Raised{Code: alarm.DiskFilling, Severity: alarm.Warning, Step: 1, Since: now()})
	b.raise(alarm.Subject{Kind: alarm.OfCertificate, ID: "c0" + mine.root}, alarm.Raised{Code: alarm.CompanyCertificate, Severity: alarm.Warning, Step: 1, Since: now()})
	for role, c := range mine.byRole {
		p, err := b.Computer(t.Context(), c, mine.agent)
		if role == store.RoleAccountant {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("an accountant: %v", err)
			}
			continue
		}
		a := sayComputer(p)
		if err != nil || a.Computer == nil || a.Agent == nil || len(a.Disks) != 2 || len(a.Certificates) != 2 || len(a.Remote) != 4 || len(a.Sales) != 1 {
			t.Fatalf("%s: %+v %v", role, a, err)
		}
		if !a.Computer.Booted.Equal(now().Add(-time.Hour)) || *a.Computer.ClockSynced || a.Computer.ClockState != "notice" || a.Computer.AntivirusState != "notice" ||
			a.Computer.MemoryState != "fine" || a.Disks[0].State != "warning" || a.Disks[1].State != "fine" ||
			a.Certificates[0].State != "warning" || a.Certificates[1].State != "notice" {
			t.Errorf("%+v", a)
		}
		var links []string
		for _, r := range a.Remote {
			links = append(links, r.Link)
		}
		if got := strings.Join(links, " "); got != "anydesk:123456789   teamviewer10://control?device=987654321" {
			t.Errorf("links %q", got)
		}
		if s := a.Sales[0]; s.Day != now().In(brasilia()).Format(time.DateOnly) || s.Median != 1000 || s.P95 != 2000 || s.Longest != 3000 {
			t.Errorf("%+v", s)
		}
	}
	b.raise(alarm.Subject{Kind: alarm.OfAgent, ID: mine.agent}, alarm.Raised{Code: alarm.AgentSilent, Severity: alarm.Notice, Step: 1, Since: now()})
	if p, err := b.Computer(t.Context(), CommandLine(), mine.agent); err != nil || p.Memory != Silent || p.Disks[1].State != Silent || p.Antivirus != Notice {
		t.Errorf("of a silent till it says %+v %v", p, err)
	}
	// Who is only served by the till beside its own shop sees the till, not its computer.
	b.serves(mine, other)
	head := other.byRole[store.RoleReseller]
	if _, err := b.Till(t.Context(), head, mine.agent); err != nil {
		t.Errorf("the till that serves another is not seen by them: %v", err)
	}
	if _, err := b.Computer(t.Context(), head, mine.agent); !errors.Is(err, ErrNotFound) {
		t.Errorf("its computer is: %v", err)
	}
}
