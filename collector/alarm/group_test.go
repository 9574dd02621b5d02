package alarm

import (
	"fmt"
	"maps"
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
	f := &fleet{of: Population{map[string]int{}, map[string]int{Platform: shops, "1": shops}, map[string]int{Platform: shops * tills, "1": shops * tills}, map[string]int{"0/SAT X 01": shops * tills, "1/SAT X 01": shops * tills}}}
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
			for _, g := range Group(c.f.open, c.f.of, nil) {
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

// put is where some shops of a fleet are.
func (f *fleet) put(from, to int, reseller, state, city string) *fleet {
	for s := from; s < to; s++ {
		for i := range f.open {
			if o := &f.open[i]; o.Shop == shopName(s) {
				o.Reseller, o.State, o.City = reseller, state, city
			}
		}
	}
	return f
}

// only keeps the first alarms.
func (f *fleet) only(n int) *fleet {
	f.open = f.open[:n]
	return f
}

// holds sets how many shops, and devices, places have.
func (f *fleet) holds(shops map[string]int) *fleet {
	if shops[Platform] == 0 { // the reseller is the only one
		for place, n := range maps.Clone(shops) {
			shops[Platform+strings.TrimPrefix(place, "1")] = n
		}
	}
	f.of.Shops, f.of.Devices = shops, shops
	return f
}

func TestGroupByPlace(t *testing.T) {
	silent := func(shops int) *fleet { return newFleet(shops, 1).raise(AgentSilent, 0, shops, 1, now) }
	const all = "1"
	for _, c := range []struct {
		name string
		f    *fleet
		want string
	}{
		{"a city of a large reseller", silent(6).put(0, 6, all, "SP", "Campinas").holds(map[string]int{all: 500, "1/SP": 400, "1/SP/Campinas": 10}),
			"carrier-down 1/SP/Campinas 6"},
		{"two cities of a state", silent(12).put(0, 6, all, "SP", "Campinas").put(6, 12, all, "SP", "Santos").holds(map[string]int{all: 500, "1/SP": 400, "1/SP/Campinas": 10, "1/SP/Santos": 10}),
			"carrier-down 1/SP/Campinas 6, carrier-down 1/SP/Santos 6"},
		{"much of a state", silent(12).put(0, 6, all, "SP", "Campinas").put(6, 12, all, "SP", "Santos").holds(map[string]int{all: 500, "1/SP": 50, "1/SP/Campinas": 10, "1/SP/Santos": 10}),
			"carrier-down 1/SP 12"},
		{"a state and a shop elsewhere", silent(7).put(0, 6, all, "SP", "").put(6, 7, all, "CE", "").holds(map[string]int{all: 20, "1/SP": 10, "1/CE": 10}),
			"carrier-down 1/SP 6"},
		{"two states", silent(12).put(0, 6, all, "SP", "").put(6, 12, all, "CE", "").holds(map[string]int{all: 20, "1/SP": 10, "1/CE": 10}),
			"carrier-down 1 12"},
		{"a few in each of many states", silent(6).put(0, 3, all, "SP", "").put(3, 6, all, "CE", "").holds(map[string]int{all: 12, "1/SP": 6, "1/CE": 6}),
			"carrier-down 1 6"},
		{"two shops each of three resellers", silent(6).put(0, 2, "1", "SP", "Campinas").put(2, 4, "2", "SP", "Campinas").put(4, 6, "3", "SP", "Campinas").
			holds(map[string]int{"0": 900, "0/SP": 800, "0/SP/Campinas": 20, "1": 300, "1/SP": 300, "1/SP/Campinas": 90, "2": 300, "2/SP": 300, "3": 300, "3/SP": 300}),
			"carrier-down 0/SP/Campinas 0+3, carrier-down 1/SP/Campinas 2, carrier-down 2/SP/Campinas 2, carrier-down 3/SP/Campinas 2"},
		{"a shop each of six resellers", sixResellers(AgentSilent).holds(map[string]int{"0": 900, "0/SP": 800, "0/SP/Campinas": 20, "1": 300, "2": 300, "3": 300, "4": 300, "5": 300, "6": 300}),
			"carrier-down 0/SP/Campinas 6"},
		{"one of them with two tills", newFleet(6, 2).raise(AgentSilent, 0, 6, 2, now).put(0, 5, "1", "SP", "Campinas").put(5, 6, "2", "SP", "Campinas").
			holds(map[string]int{"0": 900, "0/SP": 800, "0/SP/Campinas": 20, "1": 300, "1/SP": 300, "1/SP/Campinas": 10, "2": 300}),
			"carrier-down 0/SP/Campinas 0+2, carrier-down 1/SP/Campinas 10, shop-offline 00000005000191 2"},
		{"a reseller's state, others in one city of it", newFleet(14, 1).raise(AgentSilent, 0, 14, 1, now).put(0, 8, "1", "SP", "Santos").put(8, 10, "1", "SP", "Campinas").put(10, 14, "2", "SP", "Campinas").
			holds(map[string]int{"0": 900, "0/SP": 800, "0/SP/Campinas": 20, "0/SP/Santos": 200, "1": 300, "1/SP": 40, "1/SP/Santos": 40, "1/SP/Campinas": 40, "2": 300, "2/SP/Campinas": 10}),
			"carrier-down 0/SP/Campinas 0+1, carrier-down 1/SP 10, carrier-down 2/SP/Campinas 4"},
		{"the tax office of several resellers", sixResellers(NoContact).put(1, 2, "1", "SP", "").holds(map[string]int{"0": 900, "0/SP": 30, "1/SP": 30}),
			"tax-office-down 0/SP 4+1, tax-office-down 1/SP 2"},
		{"the tax offices of two states", sixResellers(NoContact).put(0, 3, "1", "CE", "").holds(map[string]int{"0": 900, "0/SP": 30, "0/CE": 30, "1/SP": 30, "1/CE": 90}), ""},
		{"a software of several resellers", sixResellers(SalesRejected), "software-faulty 0/SAT X 01 6"},
		{"too few of all resellers", silent(4).put(0, 2, "1", "SP", "Campinas").put(2, 4, "2", "SP", "Campinas").holds(map[string]int{"0": 900, "0/SP": 800, "0/SP/Campinas": 20}), ""},
		{"contact lost in one state", newFleet(12, 1).raise(NoContact, 0, 6, 1, now).put(0, 6, all, "SP", "").holds(map[string]int{all: 100, "1/SP": 20}),
			"tax-office-down 1/SP 6"},
		{"contact lost here and there", newFleet(12, 1).raise(NoContact, 0, 6, 1, now).put(0, 3, all, "SP", "").put(3, 6, all, "CE", "").holds(map[string]int{all: 12, "1/SP": 6, "1/CE": 6}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := words(Group(c.f.open, c.f.of, nil)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// sixResellers have a shop each in Campinas.
func sixResellers(code Code) *fleet {
	f := newFleet(6, 1).raise(code, 0, 6, 1, now)
	for i := range 6 {
		f.put(i, i+1, fmt.Sprint(i+1), "SP", "Campinas")
	}
	return f
}

// words are code, subject, and number of alarms of each cause, and of causes under it.
func words(causes []Shared) string {
	var out []string
	for _, g := range causes {
		one := fmt.Sprintf("%s %s %d", g.Code, g.Subject.ID, len(g.Children))
		if len(g.Causes) > 0 {
			one += fmt.Sprintf("+%d", len(g.Causes))
		}
		out = append(out, one)
	}
	return strings.Join(out, ", ")
}

// TestNoResellerHearsOfAnother: what a reseller reads is its own, and the platform's says
// how many have part in it.
func TestNoResellerHearsOfAnother(t *testing.T) {
	f := newFleet(12, 1).raise(AgentSilent, 0, 12, 1, now).put(0, 5, "1", "SP", "Sao Paulo").put(5, 12, "2", "SP", "Sao Paulo").
		holds(map[string]int{"0": 20, "0/SP": 20, "1": 7, "1/SP": 7, "2": 9, "2/SP": 9})
	f.open[11].Town = "São Paulo"
	want := map[string]string{
		"0": "12 lojas em São Paulo, SP, com 12 caixas, ficaram sem notícia ao mesmo tempo, em 2 revendas, desde 21/11/2026 14:00.",
		"1": "5 lojas em Sao Paulo, SP, com 5 caixas, ficaram sem notícia ao mesmo tempo, desde 21/11/2026 14:00.",
		"2": "7 lojas em São Paulo, SP, com 7 caixas, ficaram sem notícia ao mesmo tempo, desde 21/11/2026 14:00.",
	}
	for _, g := range Group(f.open, f.of, nil) {
		reseller, _, _ := strings.Cut(g.Subject.ID, "/")
		if g.Detail != want[reseller] || g.Subject.OfAll() != (reseller == Platform) {
			t.Errorf("%s: %s", g.Subject.ID, g.Detail)
		}
		delete(want, reseller)
	}
	if len(want) > 0 {
		t.Errorf("missing %v", want)
	}
}

// TestGroupGoesOn: a cause ends later than it begins, and stays where it began.
func TestGroupGoesOn(t *testing.T) {
	down := func(code Code, kind Kind, id string) []Held { return []Held{{code, Subject{kind, id}, now}} }
	carrier := down(CarrierDown, OfReseller, "1")
	for _, c := range []struct {
		name string
		f    *fleet
		held []Held
		want string
	}{
		{"four of ten shops are left", newFleet(10, 2).raise(AgentSilent, 0, 4, 2, now), carrier, "carrier-down 1 8"},
		{"one till of each is back", newFleet(10, 2).raise(AgentSilent, 0, 5, 1, now), carrier, "carrier-down 1 5"},
		{"one shop is left", newFleet(10, 2).raise(AgentSilent, 0, 1, 2, now), carrier, "shop-offline 00000000000191 2"},
		{"two of a hundred are left", newFleet(100, 1).raise(AgentSilent, 0, 2, 1, now), carrier, ""},
		{"nine of a hundred are left", newFleet(100, 1).raise(AgentSilent, 0, 9, 1, now), carrier, ""},
		{"ten of a hundred are left", newFleet(100, 1).raise(AgentSilent, 0, 10, 1, now), carrier, "carrier-down 1 10"},
		{"some follow later", newFleet(10, 1).raise(AgentSilent, 0, 3, 1, now).raise(AgentSilent, 3, 6, 1, now.Add(time.Hour)), carrier, "carrier-down 1 6"},
		{"what was silent long before is its own", newFleet(10, 1).raise(AgentSilent, 0, 3, 1, now).raise(AgentSilent, 3, 4, 1, now.Add(-time.Hour)), carrier, "carrier-down 1 3"},
		{"it stays where it began", newFleet(6, 1).raise(AgentSilent, 0, 6, 1, now).put(0, 6, "1", "SP", "Campinas").holds(map[string]int{"1": 20, "1/SP": 20, "1/SP/Campinas": 10}),
			down(CarrierDown, OfReseller, "1/SP"), "carrier-down 1/SP 6"},
		{"a wider one takes it in", newFleet(12, 1).raise(AgentSilent, 0, 12, 1, now).put(0, 6, "1", "SP", "Campinas").put(6, 12, "1", "SP", "Santos").
			holds(map[string]int{"1": 50, "1/SP": 40, "1/SP/Campinas": 10, "1/SP/Santos": 10}), down(CarrierDown, OfReseller, "1/SP/Campinas"), "carrier-down 1/SP 12"},
		{"three tills of a shop, one is back", newFleet(10, 3).raise(AgentSilent, 0, 1, 2, now), down(ShopOffline, OfShop, shopName(0)), "shop-offline 00000000000191 2"},
		{"four tills of a shop, three are back", newFleet(10, 4).raise(AgentSilent, 0, 1, 1, now), down(ShopOffline, OfShop, shopName(0)), ""},
		{"contact is coming back", newFleet(10, 2).raise(NoContact, 0, 3, 1, now), down(TaxOfficeDown, OfReseller, "1"), "tax-office-down 1 3"},
		{"refusals get fewer", newFleet(5, 2).raise(SalesRejected, 0, 4, 1, now), down(SoftwareFaulty, OfReseller, "1/SAT X 01"), "software-faulty 1/SAT X 01 4"},
		{"resellers come back", sixResellers(AgentSilent).only(2).holds(map[string]int{"0": 20, "0/SP": 20, "0/SP/Campinas": 10}), down(CarrierDown, OfReseller, "0/SP/Campinas"), "carrier-down 0/SP/Campinas 2"},
		{"one reseller is left", sixResellers(AgentSilent).only(1).holds(map[string]int{"0": 20, "0/SP": 20, "0/SP/Campinas": 2}), down(CarrierDown, OfReseller, "0/SP/Campinas"), ""},
		{"a reseller's goes on with that of all", sixResellers(AgentSilent).put(0, 2, "1", "SP", "Campinas").only(3).
			holds(map[string]int{"0": 900, "0/SP": 900, "0/SP/Campinas": 15, "1": 90, "1/SP": 90, "1/SP/Campinas": 90}),
			append(down(CarrierDown, OfReseller, "0/SP/Campinas"), down(CarrierDown, OfReseller, "1/SP/Campinas")...), "carrier-down 0/SP/Campinas 1+1, carrier-down 1/SP/Campinas 2"},
		{"contact comes back to most resellers", sixResellers(NoContact).only(3).holds(map[string]int{"0": 20, "0/SP": 20}), down(TaxOfficeDown, OfReseller, "0/SP"), "tax-office-down 0/SP 3"},
		{"another's cause is no reason", newFleet(5, 2).raise(SalesRejected, 0, 4, 1, now), down(SoftwareFaulty, OfReseller, "2/SAT X 01"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := words(Group(c.f.open, c.f.of, c.held)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
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
	if got := Group(f.open, f.of, nil); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// BenchmarkGroup groups a storm: 40 % of 5,000 tills silent.
func BenchmarkGroup(b *testing.B) {
	f := newFleet(2500, 2).raise(AgentSilent, 0, 1000, 2, now)
	for b.Loop() {
		if got := Group(f.open, f.of, nil); len(got) != 1 || len(got[0].Children) != 2000 {
			b.Fatalf("%d causes", len(got))
		}
	}
}
