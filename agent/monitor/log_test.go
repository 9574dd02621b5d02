package monitor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestGained: of a log only what is new is sent, from the beginning of a second.
func TestGained(t *testing.T) {
	const a, b, c, d = "20251210115800|SAT|info|a\n", "20251210115801|SAT|info|b\n", "20251210115801|SAT|info|c\n", "20251210115900|SAT|info|d\n"
	for _, x := range []struct{ name, before, after, want string }{
		{"first reading", "", a + b, a + b},
		{"nothing new", a + b, a + b, ""},
		{"nothing new, without its last line's end", a + b, strings.TrimSpace(a + b), ""},
		{"one more", a + b, a + b + d, b + d},
		{"one more in the same second", a + b, a + b + c, b + c},
		{"the same line again", a + b, a + b + b, b + b},
		{"continued lines belong to the one above", a + b, a + b + "more\n" + d, b + "more\n" + d},
		{"the oldest lines are gone", a + b + c, b + c + d, b + c + d},
		{"nothing of it is left", a, c + d, c + d},
		{"empty now", a, "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := gained(splitLog([]byte(x.after)), tail(splitLog([]byte(x.before))))
			if string(bytes.Join(got, nil)) != x.want {
				t.Errorf("%q\nwant %q", bytes.Join(got, nil), x.want)
			}
		})
	}
}

// TestPieces: a long log goes in several items, none of which ends within a second, and
// of one that is too long the newest lines go.
func TestPieces(t *testing.T) {
	var lines [][]byte
	for i := range 40000 {
		lines = append(lines, fmt.Appendf(nil, "202512101%02d%02d%d|SAT|info|line %06d\n", i/600%60, i/10%60, i/3600%10, i))
	}
	all := pieces(lines)
	for i := 1; i < len(all); i++ {
		before, after := splitLog(all[i-1]), splitLog(all[i])
		if len(all[i-1]) < logPiece || len(all[i-1]) > 2*logPiece || sameSecond(before[len(before)-1], after[0]) {
			t.Errorf("piece %d of %d bytes ends with %q", i, len(all[i-1]), before[len(before)-1])
		}
	}
	joined := bytes.Join(all, nil)
	if len(joined) > logMost || len(joined) < logMost-100 || !bytes.HasSuffix(joined, lines[len(lines)-1]) {
		t.Errorf("%d bytes, at the end %q", len(joined), joined[len(joined)-40:])
	}
	if len(pieces(nil)) != 0 {
		t.Error("an empty log has pieces")
	}
}
