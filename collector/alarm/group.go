package alarm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Standing is an open alarm with where it is, as Group looks at it.
type Standing struct {
	ID       int64
	Code     Code
	Severity Severity
	Since    time.Time
	Shop     string // CNPJ; "" when not known
	Reseller string // its number; "" when none
	State    string // of the shop, abbreviated; "" when not known
	City     string // of the shop, one spelling for all; "" when nobody told it
	Town     string // the same as people spell it; "" when they do not, or otherwise
	Model    string // of the device, with its basic software; "" when not known
}

// Population is how many there are of what alarms may be about. A place is a reseller's
// number, "1", a state of it, "1/SP", or a city of that, "1/SP/Campinas"; instead of the
// reseller's number there is Platform for all resellers together.
type Population struct {
	AgentsOfShop   map[string]int // by CNPJ
	Shops          map[string]int // that have agents; by place
	Devices        map[string]int // with an agent; by reseller and by state
	DevicesOfModel map[string]int // the same; by the reseller's number or Platform, a slash, and Standing.Model
}

// Platform stands for all resellers in the names of places.
const Platform = "0"

// OfAll tells whether an alarm is about a place of all resellers together, which is for
// the platform's eyes.
func (s Subject) OfAll() bool { return s.Kind == OfReseller && within(s.ID, Platform) }

// Held is a cause that is open.
type Held struct {
	Code    Code
	Subject Subject
	Since   time.Time
}

// Shared is one cause of several open alarms.
type Shared struct {
	Subject Subject
	Raised
	Children []int64 // ids of the alarms that it explains
	Causes   []int   // the causes, by their place in the answer of Group, that it explains
}

// What makes one cause of many alarms.
const (
	atOnce        = 10 * time.Minute // alarms of one shop or carrier begin within
	contactAtOnce = 2 * time.Hour    // devices speak to the tax office at least so often
	fewest        = 5                // shops of a carrier, devices of a cause
	share         = 5                // one of so many shops or devices of a place
	shareOfModel  = 3                // one of so many devices with one basic software
	fewestLeft    = 2                // a cause that is open ends later than it begins
)

// MayShare lists the codes of alarms that may turn out to share a cause.
func MayShare() []Code { return []Code{AgentSilent, NoContact, SalesRejected} }

// Group finds the causes that open alarms share. An alarm is explained by one cause
// at most, the widest that fits: the network of many shops before that of one. Causes
// that several resellers share are found beside each one's own, which they explain. Held
// are the causes that are open: each goes on while enough of its alarms are left.
func Group(open []Standing, of Population, held []Held) (causes []Shared) {
	open = slices.Clone(open)
	slices.SortFunc(open, func(a, b Standing) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	causes = append(carriers(open, of, held), taxOffice(open, of, held)...)
	explained := map[int64]bool{}
	for _, c := range causes {
		for _, id := range c.Children {
			explained[id] = explained[id] || !c.Subject.OfAll()
		}
	}
	left := slices.DeleteFunc(slices.Clone(open), func(s Standing) bool { return explained[s.ID] })
	causes = append(causes, shopsOffline(left, of, held)...)
	causes = append(causes, software(open, of, held)...)
	slices.SortFunc(causes, func(a, b Shared) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Subject.ID, b.Subject.ID))
	})
	for i := range causes {
		if causes[i].Subject.OfAll() {
			causes[i].takeIn(causes)
		}
	}
	return causes
}

// takeIn makes a cause of all resellers explain the others that most of the alarms of are
// its own, in place of these.
func (c *Shared) takeIn(causes []Shared) {
	own := map[int64]bool{}
	for _, id := range c.Children {
		own[id] = true
	}
	for i, other := range causes {
		if other.Subject.OfAll() {
			continue
		}
		common := 0
		for _, id := range other.Children {
			if own[id] {
				common++
				delete(own, id)
			}
		}
		if 2*common > len(other.Children) {
			c.Causes = append(c.Causes, i)
		}
	}
	c.Children = slices.DeleteFunc(c.Children, func(id int64) bool { return !own[id] })
}

// shopsOffline finds shops whose tills fell silent together.
func shopsOffline(open []Standing, of Population, held []Held) (causes []Shared) {
	silent := by(open, func(s Standing) string { return s.where(AgentSilent, s.Shop) })
	together := map[string][]Standing{}
	for _, s := range offline(silent, of) {
		if len(s) > 1 {
			together[s[0].Shop] = s
		}
	}
	for _, h := range held {
		s := silent[h.Subject.ID]
		if h.Code == ShopOffline && len(s) >= fewestLeft && 2*len(s) >= of.AgentsOfShop[h.Subject.ID] {
			together[h.Subject.ID] = s
		}
	}
	for shop, s := range together {
		causes = append(causes, shared(Subject{OfShop, shop}, ShopOffline, s,
			fmt.Sprintf("%d caixas desta loja ficaram sem notícia ao mesmo tempo", len(s))))
	}
	return causes
}

// offline are the alarms of each shop all of whose agents fell silent together, in the
// order of when.
func offline(silent map[string][]Standing, of Population) (shops [][]Standing) {
	for shop, s := range silent {
		if s[0].Reseller != "" && len(s) >= max(1, of.AgentsOfShop[shop]) && s[len(s)-1].Since.Sub(s[0].Since) <= atOnce {
			shops = append(shops, s)
		}
	}
	slices.SortFunc(shops, func(a, b []Standing) int {
		return cmp.Or(a[0].Since.Compare(b[0].Since), cmp.Compare(a[0].ID, b[0].ID))
	})
	return shops
}

// taxOffice finds devices that lost contact with the tax office of their state at once, of
// all resellers and of each. Where devices of several did, two of a reseller are enough.
func taxOffice(open []Standing, of Population, held []Held) (causes []Shared) {
	lost := forEach(open, func(s Standing, reseller string) string { return s.where(NoContact, s.stateOf(reseller)) })
	found := map[string][]Standing{}
	for _, place := range slices.Sorted(maps.Keys(lost)) { // those of all resellers come first
		all, least := of.Devices[place], fewest
		if found[ofAll(place)] != nil {
			all, least = 0, fewestLeft
		}
		if at := slices.IndexFunc(held, func(h Held) bool { return h.Code == TaxOfficeDown && h.Subject.ID == place }); at >= 0 {
			if s := after(lost[place], held[at].Since.Add(-contactAtOnce)); still(len(s), all, share) {
				found[place] = s
				continue
			}
		}
		for _, part := range together(lost[place], contactAtOnce, func(s Standing) time.Time { return s.Since }) {
			if len(part) >= least && len(part)*share >= all {
				found[place] = append(found[place], part...)
			}
		}
	}
	return causesOf(TaxOfficeDown, found, func(place string, s []Standing) string {
		return fmt.Sprintf("%d equipamentos%s perderam o contato com a SEFAZ ao mesmo tempo", len(s), inPlace(place, s))
	})
}

// software finds devices of one model and basic software that refuse sales.
func software(open []Standing, of Population, held []Held) (causes []Shared) {
	found := forEach(open, func(s Standing, reseller string) string {
		if s.Model == "" {
			return ""
		}
		return s.where(SalesRejected, reseller+"/"+s.Model)
	})
	maps.DeleteFunc(found, func(key string, s []Standing) bool {
		isHeld := slices.ContainsFunc(held, func(h Held) bool { return h.Code == SoftwareFaulty && h.Subject.ID == key })
		all := of.DevicesOfModel[key]
		return !enough(len(s), all, shareOfModel) && !(isHeld && still(len(s), all, shareOfModel))
	})
	return causesOf(SoftwareFaulty, found, func(key string, s []Standing) string {
		_, model, _ := strings.Cut(key, "/")
		return fmt.Sprintf("%d caixas com %s têm vendas recusadas acima do normal", len(s), model)
	})
}

// causesOf makes causes of what was found in places of resellers, with their words. One of
// all resellers is there only when several have part in it, and tells how many.
func causesOf(code Code, found map[string][]Standing, words func(place string, s []Standing) string) (causes []Shared) {
	for place, s := range found {
		about, what := Subject{OfReseller, place}, words(place, s)
		if about.OfAll() {
			n := len(by(s, func(s Standing) string { return s.Reseller }))
			if n < 2 {
				continue
			}
			what += fmt.Sprintf(", em %d revendas", n)
		}
		causes = append(causes, shared(about, code, s, what))
	}
	return causes
}

// forEach sorts the alarms of tills of resellers into one list per key, of each reseller
// and of all together.
func forEach(open []Standing, key func(s Standing, reseller string) string) map[string][]Standing {
	of := func(all bool) map[string][]Standing {
		return by(open, func(s Standing) string {
			switch {
			case s.Reseller == "":
				return ""
			case all:
				return key(s, Platform)
			}
			return key(s, s.Reseller)
		})
	}
	found := of(true)
	maps.Copy(found, of(false))
	return found
}

// where is the key of an alarm of a code; "" leaves others out.
func (s Standing) where(code Code, key string) string {
	if s.Code != code {
		return ""
	}
	return key
}

// enough tells whether so many of all are too many for a coincidence.
func enough(n, all, oneOf int) bool { return n >= fewest && n*oneOf >= all }

// still tells whether so many of all are left that a cause goes on: half of what it
// begins with. In a large place some are always silent.
func still(n, all, oneOf int) bool { return n >= fewestLeft && 2*n*oneOf >= all }

// after are the alarms, sorted by time, that began at a time or later.
func after(list []Standing, begin time.Time) []Standing {
	i, _ := slices.BinarySearchFunc(list, begin, func(s Standing, t time.Time) int { return s.Since.Compare(t) })
	return list[i:]
}

// shared makes a cause of alarms, with what happened in words.
func shared(about Subject, code Code, of []Standing, what string) Shared {
	rule, _ := RuleOf(code)
	c := Shared{Subject: about, Raised: Raised{Code: code, Severity: rule.Severity, Step: 1, Since: of[0].Since}}
	for _, s := range of {
		c.Severity = max(c.Severity, s.Severity)
		c.Children = append(c.Children, s.ID)
		if s.Since.Before(c.Since) {
			c.Since = s.Since
		}
	}
	c.Detail = what + ", desde " + moment(c.Since) + "."
	return c
}

// by sorts a list into one list per key, in order; what has the key "" is left out.
func by[T any](list []T, key func(T) string) map[string][]T {
	out := map[string][]T{}
	for _, v := range list {
		if k := key(v); k != "" {
			out[k] = append(out[k], v)
		}
	}
	return out
}

// together cuts a list, sorted by time, into parts that lie within a time each.
func together[T any](list []T, within time.Duration, at func(T) time.Time) (parts [][]T) {
	begin := 0
	for i := range list {
		if at(list[i]).Sub(at(list[begin])) > within {
			parts, begin = append(parts, list[begin:i]), i
		}
	}
	return append(parts, list[begin:])
}
