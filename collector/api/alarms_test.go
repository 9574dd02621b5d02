package api

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// about makes an alarm of a device of a till in a shop.
func about(shop, serial string, change func(*Alarm)) Alarm {
	rule, _ := alarm.RuleOf(alarm.NoContact)
	till := &Till{ID: "agent001", Till: store.Till{Agent: store.Agent{ID: "agent001", Host: "pdv1"},
		Devices: []store.Device{{Serial: serial, IssuerName: shop}}}}
	a := Alarm{Alarm: store.Alarm{Code: alarm.NoContact, Severity: alarm.Critical, Subject: alarm.Subject{Kind: alarm.OfDevice, ID: serial},
		Detail: "Último contato em 01/12/2025 10:00."}, Rule: rule, Till: till}
	change(&a)
	return a
}

func TestWhatsApp(t *testing.T) {
	link := WhatsApp(about("Padaria & Cia", "900000001", func(a *Alarm) {
		a.Forecast = alarm.Prediction{At: time.Date(2025, 12, 11, 13, 0, 0, 0, time.UTC), Cause: alarm.CauseContact, Risk: 1234567}
	}))
	u, err := url.Parse(link)
	if err != nil || u.Host != "wa.me" || strings.Contains(link, "+") {
		t.Fatalf("%s, %v", link, err)
	}
	text := u.Query().Get("text")
	for _, want := range []string{"*Sem contato com a SEFAZ* (crítico)", "Padaria & Cia, pdv1, SAT 900000001", "Último contato em 01/12/2025 10:00.",
		"se bloqueia em 11/12/2025 10:00, por falta de contato com a SEFAZ", "R$ 12.345,67", "O que fazer: "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
}

func TestAbout(t *testing.T) {
	for _, c := range []struct {
		about alarm.Subject
		till  bool
		want  string
	}{
		{alarm.Subject{Kind: alarm.OfDevice, ID: "900000001"}, true, "pdv1, SAT 900000001"},
		{alarm.Subject{Kind: alarm.OfDevice, ID: "900000001"}, false, "SAT 900000001"},
		{alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, true, "pdv1"},
		{alarm.Subject{Kind: alarm.OfAgent, ID: "agent001"}, false, "Caixa agent001"},
		{alarm.Subject{Kind: alarm.OfShop, ID: "11222333000181"}, false, "CNPJ 11.222.333/0001-81"},
		{alarm.Subject{Kind: alarm.OfReseller, ID: "1"}, false, "Várias lojas"},
		{alarm.Subject{Kind: alarm.OfReseller, ID: "0/SP"}, false, "Várias revendas"},
		{alarm.Subject{Kind: alarm.OfCertificate, ID: "ab"}, false, "Certificado da empresa"},
		{alarm.Subject{Kind: alarm.OfImports}, false, "Arquivos importados"},
	} {
		a := about("Padaria", "900000001", func(a *Alarm) {
			a.Subject = c.about
			if !c.till {
				a.Till = nil
			}
		})
		if got := a.About(); got != c.want {
			t.Errorf("%v: %q, want %q", c.about, got, c.want)
		}
	}
}

func TestAlarmFilter(t *testing.T) {
	list := []Alarm{
		about("Padaria", "1", func(*Alarm) {}),
		about("Mercado", "2", func(a *Alarm) { a.Severity, a.TakenBy = alarm.Warning, "ana" }),
		about("Mercado", "3", func(a *Alarm) { a.SilencedUntil = now().Add(time.Hour) }),
		about("Mercado", "4", func(a *Alarm) { a.ResolvedAt = now() }),
		about("Mercado", "5", func(a *Alarm) { a.SilencedUntil = now().Add(-time.Hour) }),
	}
	for _, c := range []struct {
		name string
		f    AlarmFilter
		want string
	}{
		{"open", AlarmFilter{}, "1 2 5"},
		{"nobody's", AlarmFilter{Life: "livres"}, "1 5"},
		{"mine", AlarmFilter{Life: "meus"}, "2"},
		{"taken on", AlarmFilter{Life: "assumidos"}, "2"},
		{"silenced", AlarmFilter{Life: "silenciados"}, "3"},
		{"settled", AlarmFilter{Life: "resolvidos"}, "4"},
		{"critical", AlarmFilter{Severity: "critico"}, "1 5"},
		{"of a shop", AlarmFilter{Text: " mercado "}, "2 5"},
		{"of a device", AlarmFilter{Text: "sat 1"}, "1"},
		{"no such filter", AlarmFilter{Life: "nada"}, ""},
	} {
		var got []string
		for _, a := range c.f.Filter(list, "ana", now()) {
			got = append(got, a.Subject.ID)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

// TestActingOnAlarms: each act is noted with who did it, and none is possible when the
// alarm is over.
func TestActingOnAlarms(t *testing.T) {
	b := setup(t)
	mine, _, _ := b.tenants()
	c := mine.byRole[store.RoleTechnician]
	for _, act := range []struct {
		name string
		do   func() error
		want string // "" works
	}{
		{"take", func() error { return b.TakeAlarm(t.Context(), c, mine.alarm, "") }, ""},
		{"assign to somebody else", func() error { return b.TakeAlarm(t.Context(), c, mine.alarm, "ninguem@example.com") }, "Ninguém com este endereço"},
		{"give back", func() error { return b.TakeAlarm(t.Context(), c, mine.alarm, "-") }, ""},
		{"silence", func() error { return b.Silence(t.Context(), c, mine.alarm, 2) }, ""},
		{"silence for years", func() error { return b.Silence(t.Context(), c, mine.alarm, 9999) }, "de 1 a 720"},
		{"hear it again", func() error { return b.Silence(t.Context(), c, mine.alarm, 0) }, ""},
		{"settle", func() error { return b.Resolve(t.Context(), c, mine.alarm) }, ""},
		{"no such stage", func() error { return b.SetStage(t.Context(), c, mine.serial, "nada", "") }, "Escolha a etapa"},
		{"stage", func() error { return b.SetStage(t.Context(), c, mine.serial, alarm.Draining, "troca") }, ""},
	} {
		err := act.do()
		if (err == nil) != (act.want == "") || err != nil && !strings.Contains(err.Error(), act.want) {
			t.Errorf("%s: %v, want %q", act.name, err, act.want)
		}
	}
	p, err := b.Alarm(t.Context(), c, mine.alarm)
	if err != nil || p.TakenBy != "" || p.ResolvedAt.IsZero() || len(p.Life) != 6 || p.Life[1].Who != c.Who() {
		t.Errorf("%+v, %v", p, err)
	}
	d, err := b.Device(t.Context(), c, mine.serial)
	if err != nil || d.Stage.Stage != alarm.Draining || d.Stage.Who != c.Who() || d.Stage.Reason != "troca" {
		t.Errorf("%+v, %v", d, err)
	}
	b.update(func(w *store.Writer) error {
		return w.SetAlarms(alarm.Subject{Kind: alarm.OfDevice, ID: mine.serial}, nil, now())
	})
	if err := b.Resolve(t.Context(), c, mine.alarm); err == nil || !strings.Contains(err.Error(), "já terminou") {
		t.Errorf("an alarm that is over: %v", err)
	}
}
