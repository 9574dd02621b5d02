package alarm

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// fleet makes open alarms and the population they are of.
type fleet struct {
	open []Standing
	of   Population
}

func newFleet(shops, tills int) *fleet {
	f := &fleet{of: Population{map[string]int{}, map[string]int{"1": shops}, map[string]int{"1": shops * tills}, map[string]int{"1/SAT X 01": shops * tills}}}
	for s := range shops {
		f.of.AgentsOfShop[shopName(s)] = tills
	}
	return f
}

func shopName(n int) string { return fmt.Sprintf("%08d000191", n) }

// raise opens an alarm at a till of each of some shops.
func (f *fleet) raise(code Code, from, to, tills int, since time.Time) *fleet {
	for s := from; s < to; s++ {
		for range tills {
			f.open = append(f.open, Standing{ID: int64(len(f.open) + 1), Code: code, Severity: Notice, Since: since, Shop: shopName(s), Reseller: "1", Model: "SAT X 01"})
		}
	}
	return f
}

func TestGroup(t *testing.T) {
	for _, c := range []struct {
		name string
		f    *fleet
		want string // code subject children severity, in order
	}{
		{"nothing open", newFleet(10, 2), ""},
		{"one till of two", newFleet(10, 2).raise(AgentSilent, 0, 1, 1, now), ""},
		{"both tills of a shop", newFleet(10, 2).raise(AgentSilent, 0, 1, 2, now), "shop-offline 00000000000191 2 aviso"},
		{"both, hours apart", newFleet(10, 2).raise(AgentSilent, 0, 1, 1, now).raise(AgentSilent, 0, 1, 1, now.Add(-time.Hour)), ""},
		{"the only till of a shop", newFleet(10, 1).raise(AgentSilent, 0, 1, 1, now), ""},
		{"four shops", newFleet(10, 2).raise(AgentSilent, 0, 4, 2, now), "shop-offline 00000000000191 2 aviso, shop-offline 00000001000191 2 aviso, " +
			"shop-offline 00000002000191 2 aviso, shop-offline 00000003000191 2 aviso"},
		{"five shops", newFleet(10, 2).raise(AgentSilent, 0, 5, 2, now), "carrier-down 1 10 atenção"},
		{"five shops with one till", newFleet(10, 1).raise(AgentSilent, 0, 5, 1, now), "carrier-down 1 5 atenção"},
		{"five shops of a hundred", newFleet(100, 1).raise(AgentSilent, 0, 5, 1, now), ""},
		{"five shops, one hours earlier", newFleet(10, 1).raise(AgentSilent, 0, 4, 1, now).raise(AgentSilent, 4, 5, 1, now.Add(-time.Hour)), ""},
		{"within ten minutes", newFleet(10, 1).raise(AgentSilent, 0, 4, 1, now).raise(AgentSilent, 4, 5, 1, now.Add(-10*time.Minute)), "carrier-down 1 5 atenção"},
		{"contact lost by many", newFleet(10, 2).raise(NoContact, 0, 5, 1, now), "tax-office-down 1 5 atenção"},
		{"contact lost by few", newFleet(10, 2).raise(NoContact, 0, 4, 1, now), ""},
		{"contact lost one after another", newFleet(10, 2).raise(NoContact, 0, 3, 1, now).raise(NoContact, 3, 6, 1, now.Add(-3*time.Hour)), ""},
		{"refusals of one software", newFleet(5, 2).raise(SalesRejected, 0, 5, 1, now), "software-faulty 1/SAT X 01 5 atenção"},
		{"refusals of a few with it", newFleet(10, 2).raise(SalesRejected, 0, 5, 1, now), ""},
		{"others do not mix", newFleet(10, 2).raise(MemoryFilling, 0, 10, 2, now), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, g := range Group(c.f.open, c.f.of) {
				got = append(got, fmt.Sprintf("%s %s %d %v", g.Code, g.Subject.ID, len(g.Children), g.Severity))
				if !strings.Contains(g.Detail, "desde") || strings.Contains(g.Detail, "%!") || g.Since.IsZero() {
					t.Errorf("detail %q since %v", g.Detail, g.Since)
				}
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%s, want %s", strings.Join(got, ", "), c.want)
			}
		})
	}
}

// TestGroupNobodys: tills that belong to no reseller share no cause.
func TestGroupNobodys(t *testing.T) {
	f := newFleet(10, 2).raise(AgentSilent, 0, 10, 2, now).raise(SalesRejected, 0, 10, 2, now).raise(NoContact, 0, 10, 2, now)
	for i := range f.open {
		f.open[i].Reseller = ""
	}
	if got := Group(f.open, f.of); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// BenchmarkGroup groups a storm: 40 % of 5,000 tills silent.
func BenchmarkGroup(b *testing.B) {
	f := newFleet(2500, 2).raise(AgentSilent, 0, 1000, 2, now)
	for b.Loop() {
		if got := Group(f.open, f.of); len(got) != 1 || len(got[0].Children) != 2000 {
			b.Fatalf("%d causes", len(got))
		}
	}
}
