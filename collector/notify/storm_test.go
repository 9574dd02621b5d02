package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// city gives each of two resellers a technician, shops of five tills each, and the first
// shop of each an owner. The technicians are told by e-mail.
func (b *bench) city(shops int) {
	b.t.Helper()
	b.update(func(w *store.Writer) error {
		if _, err := w.AddReseller("Outra", noon); err != nil {
			return err
		}
		for reseller := int64(1); reseller <= 2; reseller++ {
			for i := range shops {
				if err := b.fill(w, reseller, i); err != nil {
					return err
				}
			}
			if reseller == 2 {
				if _, err := w.AddPerson(store.User{Email: "tech2@example.com", Role: store.RoleTechnician, Reseller: 2, CreatedAt: noon}); err != nil {
					return err
				}
			}
			owner, err := w.AddPerson(store.User{Email: fmt.Sprintf("owner%d@example.com", reseller), Role: store.RoleTaxpayer, Reseller: reseller, CreatedAt: noon})
			if err := errors.Join(err, w.Give(owner.ID, root(reseller, 0), "x", noon)); err != nil {
				return err
			}
		}
		return nil
	})
}

func root(reseller int64, shop int) string { return fmt.Sprintf("%d%07d", 2+reseller, shop) }

func till(reseller int64, shop, n int) string { return fmt.Sprintf("r%ds%05dt%d", reseller, shop, n) }

func (b *bench) fill(w *store.Writer, reseller int64, i int) error {
	place := root(reseller, i)
	cnpj := place + "000191"
	if err := errors.Join(w.AddTaxpayer(store.Taxpayer{Root: place, Name: "LOJA", Reseller: reseller, CreatedAt: noon}),
		w.AddEstablishment(store.Establishment{CNPJ: cnpj, Root: place, Name: fmt.Sprintf("Loja %d da revenda %d", i, reseller)}),
		w.AddToken(place, store.Token{Reseller: reseller, CNPJ: cnpj, Allowed: 5, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)})); err != nil {
		return err
	}
	for k := range 5 {
		id := till(reseller, i, k)
		if err := errors.Join(w.EnrolAgent(place, id, fmt.Sprintf("CAIXA-%d", k+1), noon), w.Heard(id, noon)); err != nil {
			return err
		}
	}
	return nil
}

// silence sets whether the tills of some of each reseller's shops are heard, then looks
// for causes, as the collector does each minute.
func (b *bench) silence(shops int, list ...alarm.Raised) {
	b.t.Helper()
	b.update(func(w *store.Writer) error {
		for reseller := int64(1); reseller <= 2; reseller++ {
			for i := range shops {
				for k := range 5 {
					if err := w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: till(reseller, i, k)}, list, b.clock()); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	b.taken() // the collector looks between the two
	b.update(func(w *store.Writer) error { return w.GroupAlarms(b.clock()) })
}

// letters are how many each person got, with their subjects.
func (p *post) letters(t *testing.T) (told map[string][]string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	told = map[string][]string{}
	for i, raw := range p.got {
		told[p.to[i]] = append(told[p.to[i]], subjectOf(t, raw))
	}
	p.got, p.to = nil, nil
	return told
}

// TestStorm: 40 % of 5,000 tills fall silent at once. Each reseller hears of it once,
// within a minute, and of its end once.
func TestStorm(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	b.city(500)
	b.rounds()
	silent := alarm.Raised{Code: alarm.AgentSilent, Severity: alarm.Warning, Step: 1, Since: noon, Detail: "Sem notícia."}
	began := time.Now()
	b.silence(200, silent)
	b.rounds()
	t.Logf("the storm took %v, with finding its cause", time.Since(began).Round(time.Millisecond))
	for range 12 {
		b.wait(5 * time.Second)
		b.rounds()
	}
	told := p.letters(t)
	for _, who := range []string{"tech@example.com", "tech2@example.com"} {
		if len(told[who]) != 1 || !strings.HasPrefix(told[who][0], "Muitas lojas sem notícia ao mesmo tempo: várias lojas") {
			t.Errorf("%s was told %q", who, told[who])
		}
	}
	if len(told) != 2 {
		t.Errorf("told: %v", told)
	}
	b.start(Options{Mail: m}) // in the middle of it
	for range 5 {
		b.wait(6 * time.Minute)
		b.update(func(w *store.Writer) error { return w.GroupAlarms(b.clock()) })
		began = time.Now()
		b.rounds()
		t.Logf("a round while it lasts took %v", time.Since(began).Round(time.Millisecond))
	}
	if told := p.letters(t); len(told) != 0 {
		t.Errorf("while it lasts: %v", told)
	}
	began = time.Now()
	for range 20 {
		if list := b.taken(); len(list) != 0 {
			t.Error("there is something to tell")
		}
	}
	if took := time.Since(began) / 20; took > 20*time.Millisecond {
		t.Errorf("to look at what is due takes %v", took)
	}
	b.silence(200)
	b.rounds()
	for who, what := range p.letters(t) {
		if len(what) != 1 || !strings.HasPrefix(what[0], "Encerrado: Muitas lojas") {
			t.Errorf("at the end %s was told %q", who, what)
		}
	}
}

// TestFlood: alarms without a common cause, too many at once, are few messages.
func TestFlood(t *testing.T) {
	e := newEar(t)
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m, Private: true})
	b.city(60)
	b.hook(store.ChannelWebhook, e.URL, NewSalt())
	b.rounds()
	for i := range 60 {
		b.update(func(w *store.Writer) error {
			return w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: till(1, i, 0)}, []alarm.Raised{raised(alarm.BufferDamaged, alarm.Critical)}, b.clock())
		})
		b.wait(time.Second)
		b.rounds()
	}
	b.wait(time.Minute)
	b.rounds()
	told := p.letters(t)
	if list := told["tech@example.com"]; len(list) != 7 || !strings.HasPrefix(list[5], "1 alarme mudou ao mesmo tempo: 1 crítico") || !strings.HasPrefix(list[6], "54 alarmes mudaram") {
		t.Errorf("technician: %q", list)
	}
	if list := told["owner1@example.com"]; len(list) != 1 || !strings.Contains(list[0], "Loja 0 da revenda 1") {
		t.Errorf("the owner of the first shop: %q", list)
	}
	if len(told) != 2 {
		t.Errorf("told: %v", told)
	}
	if n := len(e.heard()); n != 60 {
		t.Errorf("a program heard %d of 60", n)
	}
}

// TestQuietNightAndDigest walks a night: what waits is told in the morning as it is
// then, and the digest tells the rest.
func TestQuietNightAndDigest(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	ch := b.channel()
	wish := store.Wish{Least: alarm.Warning, QuietFrom: 22 * 60, QuietTo: 7 * 60, CriticalPasses: true, Digest: 18}
	b.update(func(w *store.Writer) error { return w.SetWish(ch.ID, wish) })
	b.wait(11*time.Hour + 30*time.Minute) // 23:30
	about := alarm.Subject{Kind: alarm.OfAgent, ID: agent}
	full, behind, disk := raised(alarm.BufferFilling, alarm.Warning), raised(alarm.AgentBehind, alarm.Notice), raised(alarm.DiskFilling, alarm.Warning)
	var got []string
	for _, step := range []struct {
		name  string
		after time.Duration
		set   []alarm.Raised
		want  string
	}{
		{"at night", 0, []alarm.Raised{full, behind, disk}, ""},
		{"critical at night", time.Hour, []alarm.Raised{full, behind, disk, raised(alarm.AgentCloned, alarm.Critical)}, "Caixa clonado ou restaurado"},
		{"one ends before morning", time.Hour, []alarm.Raised{full, behind}, ""},
		{"in the morning", 5*time.Hour + 30*time.Minute, nil, ""},
	} {
		b.wait(step.after)
		if step.set != nil {
			b.alarms(about, step.set...)
		}
		b.rounds()
		got = p.letters(t)["tech@example.com"]
		if step.set != nil && (step.want == "") != (len(got) == 0) || step.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], step.want)) {
			t.Errorf("%s: %q", step.name, got)
		}
	}
	slices.Sort(got)
	if len(got) != 2 || !strings.HasPrefix(got[0], "Encerrado: Caixa clonado") || !strings.HasPrefix(got[1], "Espaço do caixa enchendo") {
		t.Errorf("in the morning: %q", got)
	}
	b.wait(11*time.Hour - time.Minute)
	if b.rounds() != 0 {
		t.Error("a digest before its hour")
	}
	b.wait(time.Minute)
	b.rounds()
	if got := p.letters(t)["tech@example.com"]; len(got) != 1 || got[0] != "Resumo do dia: 1 aviso" {
		t.Errorf("digest: %q", got)
	}
}

// TestScope: a message holds only what its reader sees, also when rights change between
// the alarm and the message.
func TestScope(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	b.city(2)
	b.rounds()
	b.update(func(w *store.Writer) error {
		for i := range 2 {
			for k := range 4 {
				if err := w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: till(1, i, k)}, []alarm.Raised{raised(alarm.BufferDamaged, alarm.Critical)}, b.clock()); err != nil {
					return err
				}
			}
		}
		if _, err := w.MarkTellings([]store.ChannelKind{store.ChannelEmail}, 0, b.clock()); err != nil {
			return err
		}
		return w.MoveTaxpayer(root(1, 1), 2, b.clock()) // before anybody was told
	})
	b.rounds()
	for i, raw := range p.got {
		moved := strings.Contains(raw, "Loja 1 da revenda 1")
		if moved {
			t.Errorf("%s reads of a shop that is not theirs any more", p.to[i])
		}
	}
	told := p.letters(t)
	if len(told["tech@example.com"]) != 4 || len(told["owner1@example.com"]) != 4 || len(told) != 2 {
		t.Errorf("%v", told)
	}
}

// TestRun measures from an alarm to the request at a webhook, with the real clock.
func TestRun(t *testing.T) {
	e := newEar(t)
	heard := make(chan time.Time, 100)
	e.answer = func(http.ResponseWriter, *http.Request) { heard <- time.Now() }
	b := setup(t, Options{Private: true})
	b.o.Now = time.Now
	b.hook(store.ChannelWebhook, e.URL, NewSalt())
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	var took []time.Duration
	for i := range 8 {
		began := time.Now()
		list := []alarm.Raised{raised(alarm.BufferDamaged, alarm.Critical)}
		if i%2 == 1 {
			list = nil
		}
		if i >= 2 {
			list = append(list, raised(alarm.Code(fmt.Sprint("code-", i)), alarm.Critical))
		}
		b.update(func(w *store.Writer) error {
			return w.SetAlarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent}, list, time.Now())
		})
		select {
		case at := <-heard:
			took = append(took, at.Sub(began))
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing was heard of alarm %d: %s", i, &b.log)
		}
	}
	stop()
	running.Wait()
	slices.Sort(took)
	t.Logf("from alarm to webhook: median %v, most %v", took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	if took[len(took)/2] > time.Second {
		t.Errorf("half of the messages took more than %v", took[len(took)/2])
	}
}

// TestStoreAway: while the store is away the log says so once, not with every attempt.
func TestStoreAway(t *testing.T) {
	b := setup(t, Options{})
	b.store.Close()
	ctx, stop := context.WithTimeout(t.Context(), 5*every)
	defer stop()
	b.Run(ctx)
	if n := strings.Count(b.log.String(), "people cannot be told"); n != 1 {
		t.Errorf("it is told %d times:\n%s", n, &b.log)
	}
}
