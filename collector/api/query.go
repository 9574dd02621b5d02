package api

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"zelo/collector/store"
)

// Query is a search for documents as a person typed it.
type Query struct {
	Text     string // access key, CNPJ of the shop, serial number of the device, or a consumer's CPF
	From, To string // days, 2026-11-21; both included
	Consumer string // CPF or CNPJ: personal data
	After    string // the mark of the next page
}

// Personal tells whether the query names a consumer and so must not stand in a
// URL.
func (q Query) Personal() bool {
	return strings.TrimSpace(q.Consumer) != "" || len(compact(q.Text)) == 11
}

// brasilia is the zone of every day a person types or reads.
func brasilia() *time.Location { return time.FixedZone("-03", -3*60*60) }

// parse makes a search of a query. Its error is a Problem.
func (q Query) parse() (s store.Search, err error) {
	if s.After = q.After; !markLike(s.After) {
		return s, problem("A continuação da lista não existe. Faça a busca de novo.")
	}
	switch text := compact(q.Text); len(text) {
	case 0:
	case 44:
		s.Key = text
	case 14:
		s.CNPJ = text
	case 11:
		s.Consumer = text
	case 9:
		s.Serial = text
	default:
		return s, problem("O texto procurado não é uma chave de acesso (44 dígitos), um CNPJ (14), um número de SAT (9) nem um CPF (11). Confira se falta ou sobra algum dígito.")
	}
	if consumer := compact(q.Consumer); consumer != "" {
		if len(consumer) != 11 && len(consumer) != 14 {
			return s, problem("O consumidor não é um CPF (11 dígitos) nem um CNPJ (14). Confira se falta ou sobra algum dígito.")
		}
		s.Consumer = consumer
	}
	s.From, s.To, err = days(q.From, q.To)
	return s, err
}

// days reads the first and the last day of a search and returns when the first
// begins and the last ends; zero for what is not given.
func days(from, to string) (begin, end time.Time, err error) {
	if begin, err = day(from, "inicial"); err != nil {
		return begin, end, err
	}
	if end, err = day(to, "final"); err != nil || end.IsZero() {
		return begin, end, err
	}
	if end = end.AddDate(0, 0, 1); !end.After(begin) {
		return begin, end, problem("A data final é anterior à inicial. Inverta as duas.")
	}
	return begin, end, nil
}

// markLike tells whether s can be the mark of a page: two numbers with a dot
// between them, or nothing.
func markLike(s string) bool {
	a, b, _ := strings.Cut(s, ".")
	_, err := strconv.ParseInt(a, 10, 64)
	_, err2 := strconv.ParseInt(b, 10, 64)
	return s == "" || err == nil && err2 == nil
}

// compact keeps what identifies: letters in capitals and digits, without the
// prefix of a key.
func compact(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToUpper(r)
		}
		return -1
	}, s)
	if len(s) == 47 && (strings.HasPrefix(s, "CFE") || strings.HasPrefix(s, "NFE")) {
		return s[3:]
	}
	return s
}

// day reads a day as browsers send it, or as people write it.
func day(s, name string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "02/01/2006", "2/1/2006"} {
		if t, err := time.ParseInLocation(layout, s, brasilia()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, problem("A data %s não existe. Escreva como em 21/11/2026.", name)
}

// MaskConsumer hides what makes a CPF personal: only its third group stays. A
// CNPJ is not hidden.
func MaskConsumer(s string) string {
	if len(s) == 11 {
		return "***.***." + s[6:9] + "-**"
	}
	return Register(s)
}
