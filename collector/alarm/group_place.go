package alarm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// stateOf is the place of the alarm's state, of its reseller or of all: the whole where the
// state is not known.
func (s Standing) stateOf(reseller string) string {
	if s.State == "" {
		return reseller
	}
	return reseller + "/" + s.State
}

// place is where the alarm is, of its reseller or of all, as narrow as known.
func (s Standing) place(reseller string) string {
	place := s.stateOf(reseller)
	if s.State != "" && s.City != "" {
		place += "/" + s.City
	}
	return place
}

// in tells whether the alarm is in a place of its reseller, or of all.
func (s Standing) in(place string) bool {
	return s.Reseller != "" && (within(s.place(s.Reseller), place) || within(s.place(Platform), place))
}

// within tells whether a place is another or in it.
func within(place, other string) bool { return place == other || strings.HasPrefix(place, other+"/") }

// ofAll is the same place of all resellers together.
func ofAll(place string) string {
	if _, rest, narrow := strings.Cut(place, "/"); narrow {
		return Platform + "/" + rest
	}
	return Platform
}

// inPlace is where a place of alarms is in words, with a space before them; "" for a
// reseller.
func inPlace(place string, of []Standing) string {
	parts := strings.SplitN(place, "/", 3)
	switch len(parts) {
	case 2:
		return " em " + parts[1]
	case 3:
		city := parts[2]
		if i := slices.IndexFunc(of, func(s Standing) bool { return s.City == city && s.Town != "" }); i >= 0 {
			city = of[i].Town
		}
		return " em " + city + ", " + parts[1]
	}
	return ""
}

// carriers finds places whose shops fell silent at once, the widest that fits, of all
// resellers and of each. Where shops of several did, two of a reseller are enough.
func carriers(open []Standing, of Population, held []Held) (causes []Shared) {
	silent := by(open, func(s Standing) string { return s.where(AgentSilent, s.Shop) })
	begins := func(s []Standing) time.Time { return s[0].Since }
	found := map[string][]Standing{}
	put := func(places map[string][][]Standing) {
		for place, shops := range places {
			found[place] = append(found[place], slices.Concat(shops...)...)
		}
	}
	parts := together(offline(silent, of), atOnce, begins)
	for _, part := range parts {
		put(outages{of.Shops, Platform, nil}.in(Platform, part))
	}
	goOn(found, held, true, open, of)
	common := slices.Collect(maps.Keys(found))
	for _, part := range parts {
		for reseller, own := range by(part, func(s []Standing) string { return s[0].Reseller }) {
			put(outages{of.Shops, reseller, common}.in(reseller, own))
		}
	}
	goOn(found, held, false, open, of)
	return causesOf(CarrierDown, found, func(place string, s []Standing) string {
		stores := len(by(s, func(s Standing) string { return s.Shop }))
		return fmt.Sprintf("%s%s, com %s, ficaram sem notícia ao mesmo tempo", count(stores, "loja", "lojas"), inPlace(place, s), count(len(s), "caixa", "caixas"))
	})
}

// goOn puts the open causes, of all resellers or of each, among those found that no wider
// one takes in.
func goOn(found map[string][]Standing, held []Held, ofAll bool, open []Standing, of Population) {
	for _, h := range held {
		if h.Code == CarrierDown && h.Subject.OfAll() == ofAll && !slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(wider string) bool {
			return wider != h.Subject.ID && within(h.Subject.ID, wider)
		}) {
			goesOn(found, h, open, of)
		}
	}
}

// goesOn puts an open cause among those found while enough of its place is silent, with
// all that fell silent there since, and takes what is in it away.
func goesOn(found map[string][]Standing, h Held, open []Standing, of Population) {
	here := slices.DeleteFunc(slices.Clone(after(open, h.Since.Add(-atOnce))), func(s Standing) bool {
		return s.Code != AgentSilent || !s.in(h.Subject.ID)
	})
	stores := len(by(here, func(s Standing) string { return s.Shop }))
	_, common := found[ofAll(h.Subject.ID)] // that of all resellers goes on
	if !still(stores, of.Shops[h.Subject.ID], share) && !(common && !h.Subject.OfAll() && stores >= fewestLeft) {
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
	return enough(n, o.all[place], share) ||
		place != o.reseller && n >= fewestLeft && slices.ContainsFunc(o.common, func(c string) bool { return within(ofAll(place), c) })
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
