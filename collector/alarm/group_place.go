package alarm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// stateOf is the place of the alarm's state: the reseller where it is not known, "" where
// there is none.
func (s Standing) stateOf(reseller string) string {
	if s.Reseller == "" || s.State == "" {
		return s.Reseller
	}
	return reseller + "/" + s.State
}

// place is where the alarm is, as narrow as known.
func (s Standing) place(reseller string) string {
	place := reseller
	for _, part := range []string{s.State, s.City} {
		if part == "" {
			break
		}
		place += "/" + part
	}
	return place
}

// within tells whether a place is another or in it.
func within(place, other string) bool { return place == other || strings.HasPrefix(place, other+"/") }

// inPlace is where a place is in words, with a space before them; "" for a reseller.
func inPlace(place string) string {
	parts := strings.SplitN(place, "/", 3)
	switch len(parts) {
	case 2:
		return " em " + parts[1]
	case 3:
		return " em " + parts[2] + ", " + parts[1]
	}
	return ""
}

// carriers finds places of a reseller whose shops fell silent at once, the widest that
// fits. Where shops of several resellers did, two of a reseller are enough.
func carriers(open []Standing, of Population, held []Held) (causes []Shared) {
	silent := by(open, func(s Standing) string { return s.where(AgentSilent, s.Shop) })
	shops := offline(silent, of)
	begins := func(s []Standing) time.Time { return s[0].Since }
	found := map[string][]Standing{}
	for _, part := range together(shops, atOnce, begins) {
		common := outages{of.Shops, Platform, nil}.in(Platform, part)
		for reseller, own := range by(part, func(s []Standing) string { return s[0].Reseller }) {
			for place, some := range (outages{of.Shops, reseller, slices.Collect(maps.Keys(common))}).in(reseller, own) {
				found[place] = append(found[place], slices.Concat(some...)...)
			}
		}
	}
	for _, h := range held {
		if h.Code == CarrierDown && !slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(wider string) bool {
			return wider != h.Subject.ID && within(h.Subject.ID, wider)
		}) {
			goesOn(found, h, open, of)
		}
	}
	for place, s := range found {
		stores := len(by(s, func(s Standing) string { return s.Shop }))
		causes = append(causes, shared(Subject{OfReseller, place}, CarrierDown, s,
			fmt.Sprintf("%s%s, com %s, ficaram sem notícia ao mesmo tempo", count(stores, "loja", "lojas"), inPlace(place), count(len(s), "caixa", "caixas"))))
	}
	return causes
}

// goesOn puts an open cause among those found while enough of its place is silent, with
// all that fell silent there since, and takes what is in it away.
func goesOn(found map[string][]Standing, h Held, open []Standing, of Population) {
	here := slices.DeleteFunc(slices.Clone(after(open, h.Since.Add(-atOnce))), func(s Standing) bool {
		return s.Code != AgentSilent || s.Reseller == "" || !within(s.place(s.Reseller), h.Subject.ID)
	})
	stores := len(by(here, func(s Standing) string { return s.Shop }))
	if !still(stores, of.Shops[h.Subject.ID], share) {
		return
	}
	maps.DeleteFunc(found, func(place string, _ []Standing) bool { return within(place, h.Subject.ID) })
	found[h.Subject.ID] = here
}

// outages looks for places of many silent shops.
type outages struct {
	all      map[string]int // shops by place
	reseller string
	common   []string // places in which shops of all resellers together are enough
}

// fits tells whether so many of a place's shops have one cause.
func (o outages) fits(place string, n int) bool {
	_, rest, _ := strings.Cut(place, "/")
	return enough(n, o.all[place], share) ||
		rest != "" && n >= fewestLeft && slices.ContainsFunc(o.common, func(c string) bool { return within(Platform+"/"+rest, c) })
}

// in returns the widest places with one cause in a place, with their shops. A reseller
// as a whole has one where all of several states have, or none has by itself; a place of
// which all silent shops are in one part has it only as that part.
func (o outages) in(place string, shops [][]Standing) map[string][][]Standing {
	parts := by(shops, func(s []Standing) string {
		name := strings.TrimPrefix(s[0].place(o.reseller), place)
		if name == "" {
			return ""
		}
		inner, _, _ := strings.Cut(name[1:], "/")
		return place + "/" + inner
	})
	known, fitting := 0, 0
	for part, some := range parts {
		known += len(some)
		if o.fits(part, len(some)) {
			fitting++
		}
	}
	whole := o.fits(place, len(shops))
	switch {
	case whole && len(parts) == 0,
		whole && place != o.reseller && !(len(parts) == 1 && fitting == 1 && known == len(shops)),
		whole && place == o.reseller && len(parts) > 1 && (fitting == len(parts) || fitting == 0):
		return map[string][][]Standing{place: shops}
	}
	found := map[string][][]Standing{}
	for _, part := range slices.SortedFunc(maps.Keys(parts), cmp.Compare[string]) {
		maps.Copy(found, o.in(part, parts[part]))
	}
	return found
}
