package alarm

import (
	"cmp"
	"fmt"
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
	Model    string // of the device, with its basic software; "" when not known
}

// Population is how many there are of what alarms may be about.
type Population struct {
	AgentsOfShop    map[string]int // by CNPJ
	ShopsOfReseller map[string]int // that have agents; by the reseller's number
	DevicesOf       map[string]int // with an agent; by the reseller's number
	DevicesOfModel  map[string]int // the same; by the reseller's number, a slash, and Standing.Model
}

// Shared is one cause of several open alarms.
type Shared struct {
	Subject Subject
	Raised
	Children []int64 // ids of the alarms that it explains
}

// What makes one cause of many alarms.
const (
	atOnce        = 10 * time.Minute // alarms of one shop or carrier begin within
	contactAtOnce = 2 * time.Hour    // devices speak to the tax office at least so often
	fewest        = 5                // shops of a carrier, devices of a cause
	share         = 5                // one of so many shops or devices of a reseller
	shareOfModel  = 3                // one of so many devices with one basic software
)

// Group finds the causes that open alarms share. An alarm is explained by one cause
// at most, the widest that fits: the network of many shops before that of one.
func Group(open []Standing, of Population) (causes []Shared) {
	open = slices.Clone(open)
	slices.SortFunc(open, func(a, b Standing) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	shops := offline(open, of)
	explained := map[int64]bool{}
	for reseller, silent := range by(shops, func(s []Standing) string { return s[0].Reseller }) {
		var all []Standing
		for _, part := range together(silent, atOnce, func(s []Standing) time.Time { return s[0].Since }) {
			if enough(len(part), of.ShopsOfReseller[reseller], share) {
				all = append(all, slices.Concat(part...)...)
			}
		}
		if len(all) == 0 {
			continue
		}
		for _, s := range all {
			explained[s.ID] = true
		}
		stores := len(by(all, func(s Standing) string { return s.Shop }))
		causes = append(causes, shared(Subject{OfReseller, reseller}, CarrierDown, all,
			fmt.Sprintf("%d lojas, com %s, ficaram sem notícia ao mesmo tempo", stores, count(len(all), "caixa", "caixas"))))
	}
	for _, s := range shops {
		if len(s) > 1 && !explained[s[0].ID] {
			causes = append(causes, shared(Subject{OfShop, s[0].Shop}, ShopOffline, s,
				fmt.Sprintf("Os %d caixas desta loja ficaram sem notícia ao mesmo tempo", len(s))))
		}
	}
	causes = append(causes, taxOffice(open, of)...)
	causes = append(causes, software(open, of)...)
	slices.SortFunc(causes, func(a, b Shared) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Subject.ID, b.Subject.ID))
	})
	return causes
}

// offline are the alarms of each shop all of whose agents fell silent together.
func offline(open []Standing, of Population) (shops [][]Standing) {
	silent := by(open, func(s Standing) string { return s.where(AgentSilent, s.Shop) })
	for shop, s := range silent {
		if s[0].Reseller != "" && len(s) >= max(1, of.AgentsOfShop[shop]) && s[len(s)-1].Since.Sub(s[0].Since) <= atOnce {
			shops = append(shops, s)
		}
	}
	slices.SortFunc(shops, func(a, b []Standing) int { return a[0].Since.Compare(b[0].Since) })
	return shops
}

// taxOffice finds devices of a reseller that lost contact with the tax office at once.
func taxOffice(open []Standing, of Population) (causes []Shared) {
	for reseller, s := range by(open, func(s Standing) string { return s.where(NoContact, s.Reseller) }) {
		var all []Standing
		for _, part := range together(s, contactAtOnce, func(s Standing) time.Time { return s.Since }) {
			if enough(len(part), of.DevicesOf[reseller], share) {
				all = append(all, part...)
			}
		}
		if len(all) > 0 {
			causes = append(causes, shared(Subject{OfReseller, reseller}, TaxOfficeDown, all,
				fmt.Sprintf("%d equipamentos perderam o contato com a SEFAZ ao mesmo tempo", len(all))))
		}
	}
	return causes
}

// software finds devices of one model and basic software that refuse sales.
func software(open []Standing, of Population) (causes []Shared) {
	for key, s := range by(open, func(s Standing) string {
		if s.Reseller == "" || s.Model == "" {
			return ""
		}
		return s.where(SalesRejected, s.Reseller+"/"+s.Model)
	}) {
		if enough(len(s), of.DevicesOfModel[key], shareOfModel) {
			_, model, _ := strings.Cut(key, "/")
			causes = append(causes, shared(Subject{OfReseller, key}, SoftwareFaulty, s,
				fmt.Sprintf("%d caixas com %s têm vendas recusadas acima do normal", len(s), model)))
		}
	}
	return causes
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
