package sat

import (
	"strings"
	"unicode/utf8"
)

// Text decodes what a device or library wrote as text: UTF-8 when it is valid
// UTF-8, else Windows-1252. Makers differ and some mix (dossier 1.6).
func Text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(windows1252(c))
	}
	return s.String()
}

// windows1252 maps one byte; the five undefined ones become U+FFFD.
func windows1252(c byte) rune {
	if c < 0x80 || c >= 0xA0 {
		return rune(c)
	}
	const high = "€�‚ƒ„…†‡ˆ‰Š‹Œ�Ž��‘’“”•–—˜™š›œ�žŸ"
	return []rune(high)[c-0x80]
}

// Plain makes text safe for any till: ASCII only (valid in UTF-8, Windows-1252
// and code page 850 at once), without the field separator and control
// characters. Accents are dropped, what has no plain form becomes '?'.
func Plain(s string) string {
	const from = "ÁÀÂÃÄÉÈÊËÍÌÎÏÓÒÔÕÖÚÙÛÜÇÑáàâãäéèêëíìîïóòôõöúùûüçñºª–—“”‘’°"
	const to = "AAAAAEEEEIIIIOOOOOUUUUCNaaaaaeeeeiiiiooooouuuucnoa--\"\"''o"
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '|' || r < 0x20 || r >= 0x7F }) {
		return strings.TrimSpace(s) // the usual case, and long
	}
	froms := []rune(from)
	var b strings.Builder
next:
	for _, r := range s {
		switch {
		case r == '|':
			b.WriteByte('/')
		case r < 0x20 || r == 0x7F:
			b.WriteByte(' ')
		case r < 0x80:
			b.WriteByte(byte(r))
		default:
			for i, f := range froms {
				if f == r {
					b.WriteByte(to[i])
					continue next
				}
			}
			b.WriteByte('?')
		}
	}
	return strings.TrimSpace(b.String())
}
