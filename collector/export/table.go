package export

import (
	"encoding/csv"
	"io"
	"strings"
)

// table writes the CSV that Brazilian Excel opens by a double click: byte order
// mark, semicolons, CRLF (dossier 6.2).
type table struct {
	csv *csv.Writer
}

func newTable(w io.Writer, header ...string) (*table, error) {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return nil, err
	}
	t := &table{csv.NewWriter(w)}
	t.csv.Comma, t.csv.UseCRLF = ';', true
	return t, t.csv.Write(header)
}

func (t *table) row(cells ...string) error { return t.csv.Write(cells) }

func (t *table) end() error {
	t.csv.Flush()
	return t.csv.Error()
}

// digits is a cell for text that looks like a number: keys, CNPJs, serial
// numbers. Excel reads 44 digits as 3,5E+43 and drops leading zeros, quoted or
// not, and it shows an apostrophe that comes from a file; a formula that is
// nothing but a text constant is the one form it keeps whole. Only letters and
// digits get it, so that nothing can be evaluated.
func digits(s string) string {
	if s == "" || s != plain(s) || strings.Contains(s, "_") {
		return text(s)
	}
	return `="` + s + `"`
}

// text is a cell for words that others wrote. What a spreadsheet would take for
// a formula gets an apostrophe before it; control characters become spaces.
func text(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, s))
	if s != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(s)[0]) {
		return "'" + s
	}
	return s
}

// amount is a cell for a decimal with a dot, which gets a comma.
func amount(decimal string) string {
	if _, ok := Cents(decimal); !ok {
		return text(decimal)
	}
	return strings.Replace(decimal, ".", ",", 1)
}
