package api

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// raise opens alarms of a subject.
func (b *bench) raise(s alarm.Subject, raised ...alarm.Raised) {
	b.t.Helper()
	for i := range raised {
		raised[i].Since, raised[i].Detail = now().Add(-time.Hour), "Detalhe."
	}
	b.update(func(w *store.Writer) error { return w.SetAlarms(s, raised, now()) })
}

func TestTills(t *testing.T) {
	b := filled(t)
	b.update(func(w *store.Writer) error {
		for i, host := range []string{"bloqueado", "mudo", "novo", "cheio", "perdido"} {
			id := fmt.Sprintf("agent00%d", i)
			if err := w.AddAgent(id, host, now()); err != nil {
				return err
			}
			if host == "novo" {
				continue
			}
			if err := w.SetBeat(store.Beat{Agent: store.Agent{ID: id, Host: host, BeatAt: now()},
				Devices: []store.BeatDevice{{Serial: fmt.Sprintf("90000001%d", i), Answering: true}}}); err != nil {
				return err
			}
		}
		_, _, err := w.AddDocument(store.Document{Key: "k", Kind: "venda", Model: 59, Issuer: "11222333000181", IssuerName: "AVULSA", Serial: "900000099",
			Number: 1, Issued: now(), ReceivedAt: now()}, b.store.Pack([]byte("k")))
		return err
	})
	b.raise(alarm.Subject{Kind: alarm.OfDevice, ID: "900000010"},
		alarm.Raised{Code: alarm.PendingOld, Severity: alarm.Critical, Step: 3}, alarm.Raised{Code: alarm.BlockedAutonomous, Severity: alarm.Critical, Step: 1})
	b.raise(alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, alarm.Raised{Code: alarm.AgentSilent, Severity: alarm.Notice, Step: 1})
	b.raise(alarm.Subject{Kind: alarm.OfDevice, ID: "900000013"}, alarm.Raised{Code: alarm.MemoryFilling, Severity: alarm.Warning, Step: 1})
	b.raise(alarm.Subject{Kind: alarm.OfDevice, ID: "900000013"}, alarm.Raised{Code: alarm.MemoryFilling, Behind: alarm.AgentSilent})

	b.raise(alarm.Subject{Kind: alarm.OfAgent, ID: "agent004"}, alarm.Raised{Code: alarm.AgentSilent, Severity: alarm.Critical, Step: 3})

	tills, err := b.Tills(t.Context(), b.ana)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]State{}
	for _, till := range tills {
		got[till.Name()] = till.State
	}
	want := map[string]State{"bloqueado": Critical, "mudo": Silent, "novo": Waiting, "cheio": Fine, "perdido": Critical, "caixa-1": Fine, "SAT 900000099": Archive}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("states %v, want %v", got, want)
	}
	if tills[0].Name() != "bloqueado" || tills[0].Worst.Code != alarm.BlockedAutonomous {
		t.Errorf("first is %s with %+v: a block comes before what follows from it", tills[0].Name(), tills[0].Worst)
	}

	o, err := b.Now(t.Context(), b.ana)
	if err != nil || o.Tills != 6 || o.Silent != 3 || !o.LastHeard.Equal(now()) || o.Documents != 6 {
		t.Errorf("%+v, %v", o, err)
	}
	var causes []alarm.Code
	for _, c := range o.Causes {
		causes = append(causes, c.Rule.Code)
	}
	if fmt.Sprint(causes) != fmt.Sprint([]alarm.Code{alarm.AgentSilent, alarm.BlockedAutonomous, alarm.PendingOld}) {
		t.Errorf("causes %v", causes)
	}
}

func TestTill(t *testing.T) {
	b := filled(t)
	b.raise(alarm.Subject{Kind: alarm.OfDevice, ID: serial},
		alarm.Raised{Code: alarm.ClockOff, Severity: alarm.Warning, Step: 1}, alarm.Raised{Code: alarm.NoContact, Severity: alarm.Critical, Step: 2})
	p, err := b.Till(t.Context(), b.ana, agent)
	if err != nil || p.Name() != "caixa-1" || p.Shop() != "LOJA DE TESTE DO SAT LTDA" || p.Worst.Code != alarm.NoContact ||
		len(p.Others) != 1 || len(p.Coupons) != 3 || p.Till.Documents() != 3 || p.LastSale().IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	for _, id := range []string{serial, "nobody", ""} { // the device is shown with its till
		if _, err := b.Till(t.Context(), b.ana, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestLoneDevice(t *testing.T) {
	b := setup(t)
	records, err := issued()
	if err != nil {
		t.Fatal(err)
	}
	b.imports("x.xml", records[0].XML)
	b.raise(alarm.Subject{Kind: alarm.OfDevice, ID: serial}, alarm.Raised{Code: alarm.SignatureInvalid, Severity: alarm.Critical, Step: 1})
	p, err := b.Till(t.Context(), b.ana, serial)
	if err != nil || p.Name() != "SAT 900000001" || p.State != Critical || len(p.Coupons) != 1 || len(p.Events) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAlarm(t *testing.T) {
	b := filled(t)
	subject := alarm.Subject{Kind: alarm.OfDevice, ID: serial}
	b.raise(subject, alarm.Raised{Code: alarm.ClockOff, Severity: alarm.Warning, Step: 1})
	b.raise(subject, alarm.Raised{Code: alarm.ClockOff, Severity: alarm.Critical, Step: 2})
	open, closed, err := b.Alarms(t.Context(), b.ana)
	if err != nil || len(open) != 1 || len(closed) != 0 || open[0].Till.ID != agent {
		t.Fatalf("%+v, %+v, %v", open, closed, err)
	}
	p, err := b.Alarm(t.Context(), b.ana, open[0].ID)
	if err != nil || !p.Open() || p.State != Critical || len(p.Life) != 2 || p.Rule.WhatToDo == "" {
		t.Errorf("%+v, %v", p, err)
	}
	b.raise(subject)
	open, closed, err = b.Alarms(t.Context(), b.ana)
	if err != nil || len(open) != 0 || len(closed) != 1 || closed[0].Open() {
		t.Errorf("%+v, %+v, %v", open, closed, err)
	}
	if _, err := b.Alarm(t.Context(), b.ana, 99); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if a := alarmOf(store.Alarm{Code: "of-tomorrow"}); a.Rule.Title == "" {
		t.Error("an alarm of another version has no title")
	}
}

func TestWordsOfStates(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []State{Fine, Notice, Warning, Critical, Silent, Waiting, Archive} {
		seen[s.Word()] = true
	}
	if len(seen) != 7 {
		t.Errorf("states share words: %v", seen)
	}
	if stateOf(alarm.CertificateExpiring, alarm.Notice) != Notice {
		t.Error("a notice is not silence")
	}
}

// TestBehindWords: what cannot be judged and what is part of another say so differently.
func TestBehindWords(t *testing.T) {
	for _, c := range []struct {
		code, behind alarm.Code
		want         string
	}{
		{alarm.NoContact, "", ""},
		{alarm.NoContact, alarm.BlockedAutonomous, "Faz parte de: bloqueio autônomo."},
		{alarm.BlockedAutonomous, alarm.BlockedByTaxOffice, "Não pode ser conferido enquanto durar: bloqueado pela SEFAZ."},
		{alarm.NoContact, alarm.AgentSilent, "Não pode ser conferido enquanto durar: caixa sem notícia."},
		{alarm.NoContact, "of another version", ""},
	} {
		if got := alarmOf(store.Alarm{Code: c.code, Behind: c.behind}).BehindWords(); got != c.want {
			t.Errorf("%s behind %q: %q", c.code, c.behind, got)
		}
	}
}
