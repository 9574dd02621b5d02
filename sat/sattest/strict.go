package sattest

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"zelo/sat"
)

// reply is one that left the library.
type reply struct {
	function sat.Function // whose layout it must have
	session  int          // the till's
	raw      string
	fields   []string
	code     string
	success  bool
}

func (r reply) field(i int) string {
	if i < len(r.fields) {
		return r.fields[i]
	}
	return ""
}

// document is the field with base64, "" when the reply has none.
func (r reply) document() string {
	switch {
	case !r.success:
		return ""
	case r.function.Fiscal():
		return r.field(6)
	case r.function == sat.TesteFimAFim || r.function == sat.ExtrairLogs:
		return r.field(5)
	}
	return ""
}

var (
	fourDigits = regexp.MustCompile(`^[0-9]{4}$`)
	fiveDigits = regexp.MustCompile(`^[0-9]{5}$`)
)

// counts are the numbers of fields that satcfe takes; success first.
var counts = map[sat.Function][2][]int{
	sat.AtivarSAT:                  {{5, 6}, {5}},
	sat.EnviarDadosVenda:           {{12}, {6, 5}},
	sat.CancelarUltimaVenda:        {{12}, {6, 5}},
	sat.TesteFimAFim:               {{9}, {5}},
	sat.ConsultarStatusOperacional: {{28}, {5}},
	sat.ExtrairLogs:                {{6}, {5}},
}

// dates are the fields with a date and time that must be there.
var dates = map[sat.Function]int{
	sat.EnviarDadosVenda: 7, sat.CancelarUltimaVenda: 7, sat.TesteFimAFim: 6, sat.ConsultarStatusOperacional: 17,
}

// rules are what makes a till's parser stumble, and whose (dossier on the SAT
// software interface, 2.1, "who breaks on what").
var rules = []struct {
	client, wants string
	holds         func(reply) bool
}{
	{"satcfe", "text in UTF-8; ASCII is that, and Windows-1252 and 850 as well", func(r reply) bool {
		return utf8.ValidString(r.raw) && len([]rune(r.raw)) == len(r.raw)
	}},
	{"ACBr", "no line end nor other control character, also not in base64", func(r reply) bool {
		return !strings.ContainsFunc(r.raw, func(c rune) bool { return c < ' ' || c == 0x7f })
	}},
	{"satcfe", "an integer session", func(r reply) bool { _, err := strconv.Atoi(r.fields[0]); return err == nil }},
	{"ACBr", "the session it sent", func(r reply) bool {
		n, _ := strconv.Atoi(r.fields[0])
		return r.function.AsksSession() || n == r.session
	}},
	{"ACBr", "a code of five digits", func(r reply) bool { return fiveDigits.MatchString(r.code) }},
	{"ACBr", "more than index+2 fields, or all is taken for the message", func(r reply) bool { return len(r.fields) >= 5 }},
	{"ACBr", "field 6 of a sale issued, field 5 of a test or log", func(r reply) bool {
		return !r.success || !r.function.CarriesDocument() && r.function != sat.ExtrairLogs || r.document() != ""
	}},
	{"ACBr", "CCCC of exactly four digits in a reply that has it", func(r reply) bool {
		return !r.function.Fiscal() || len(r.fields) < 6 || fourDigits.MatchString(r.field(2))
	}},
	{"ACBr", "no message of four digits, it is taken for CCCC", func(r reply) bool {
		return r.function.Fiscal() || !fourDigits.MatchString(strings.TrimSpace(r.field(2)))
	}},
	{"satcfe", "the right number of fields", func(r reply) bool {
		allowed := [2][]int{{5}, {5}}
		if special, ok := counts[r.function]; ok {
			allowed = special
		}
		if r.success {
			return slices.Contains(allowed[0], len(r.fields))
		}
		return slices.Contains(allowed[1], len(r.fields))
	}},
	{"satcfe", "valid dates", func(r reply) bool {
		at, dated := dates[r.function]
		return !r.success || !dated || isTime(r.field(at))
	}},
	{"ACBrNet", "cod empty or a number", func(r reply) bool {
		cod := r.field(3)
		if r.function.Fiscal() && len(r.fields) >= 6 {
			cod = r.field(4)
		}
		_, err := strconv.Atoi(cod)
		return cod == "" || err == nil
	}},
	{"ACBrNet", "base64 without illegal characters", func(r reply) bool {
		_, err := base64.StdEncoding.DecodeString(r.document())
		return err == nil
	}},
}

func isTime(s string) bool { _, err := time.Parse("20060102150405", s); return err == nil }

// Strict lists the rules that a reply to function f, called under session 0 to
// 999999, breaks: what would make the strictest clients known stumble (dossier on
// the SAT software interface, 2.1, "who breaks on what").
func Strict(f sat.Function, session int, raw string) (complaints []string) {
	r := reply{function: f, session: session, raw: raw, fields: strings.Split(raw, "|")}
	r.code = r.field(1)
	if code, err := strconv.Atoi(r.code); err == nil {
		r.success = sat.Code(code).Success()
		if g, ok := sat.Code(code).Function(); ok && f.AsksSession() {
			r.function = g // a stored reply
			if g != f {
				r.session, _ = strconv.Atoi(r.fields[0])
			}
		}
	}
	for _, rule := range rules {
		if !rule.holds(r) {
			complaints = append(complaints, fmt.Sprintf("%s wants %s", rule.client, rule.wants))
		}
	}
	return complaints
}

// CheckStrict fails the test when some till could not read the reply.
func CheckStrict(t testing.TB, f sat.Function, session int, raw []byte) {
	t.Helper()
	for _, complaint := range Strict(f, session, string(raw)) {
		t.Errorf("%s: %s\n%.300s", f, complaint, raw)
	}
}
