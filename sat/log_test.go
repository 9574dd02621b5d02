package sat

import (
	"slices"
	"testing"
	"time"
)

func TestParseLog(t *testing.T) {
	at := func(s string) time.Time {
		t, _ := time.ParseInLocation("20060102150405", s, Brasilia())
		return t
	}
	first := LogLine{at("20170621085800"), "SAT", "info", "ligado"}
	for _, c := range []struct {
		name, raw string
		want      []LogLine
	}{
		{"empty", "", nil},
		{"a line", "20170621085800|SAT|info|ligado\n", []LogLine{first}},
		{"no line feed at the end", "20170621085800|SAT|info|ligado", []LogLine{first}},
		{"DOS lines and an empty one", "20170621085800|SAT|info|ligado\r\n\r\n", []LogLine{first}},
		{"bars in the detail", "20170621085800|SAT-SEFAZ|erro|a|b", []LogLine{{first.Time, "SAT-SEFAZ", "erro", "a|b"}}},
		{"a line of another form stands with the one before it", "20170621085800|SAT|info|ligado\nmore of it\n",
			[]LogLine{first, {Time: first.Time, Text: "more of it"}}},
		{"a time that is none", "20171321085800|SAT|info|x", []LogLine{{Text: "20171321085800|SAT|info|x"}}},
		{"bytes that are no text", "20170621085800|SAT|info|lig\xffado\x00", []LogLine{first}},
	} {
		t.Run(c.name, func(t *testing.T) {
			equal := func(a, b LogLine) bool {
				return a.Time.Equal(b.Time) && a.Process == b.Process && a.Level == b.Level && a.Text == b.Text
			}
			if got := ParseLog([]byte(c.raw)); !slices.EqualFunc(got, c.want, equal) {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
}
