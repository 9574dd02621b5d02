package sat

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzText(f *testing.F) {
	for _, s := range []string{"SAT em opera\xe7\xe3o", "SAT em operação", "\x80\x81|\x00\n", "“º”", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text := Text(b)
		if !utf8.ValidString(text) || utf8.Valid(b) && text != string(b) || utf8.RuneCountInString(text) > len(b) {
			t.Fatalf("%q became %q", b, text)
		}
		plain := Plain(text)
		if strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r > '~' || r == '|' }) || Plain(plain) != plain {
			t.Fatalf("%q became %q", text, plain)
		}
	})
}
