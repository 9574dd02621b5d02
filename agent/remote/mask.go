package remote

import (
	"bytes"
	"regexp"
	"slices"
)

// Masked stands for what is not told.
const Masked = "********"

// Bare CPFs are eleven digits and no more: keys and serial numbers have more or fewer.
var (
	bareCPF   = regexp.MustCompile(`\b[0-9]{11}\b`)
	dottedCPF = regexp.MustCompile(`\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b`)
	taggedCPF = regexp.MustCompile(`(<(?:\w+:)?CPF>)[^<]*(</)`)
)

// mask keeps CPFs and the secrets given out of a text.
func mask(text []byte, secrets []string) []byte {
	text = taggedCPF.ReplaceAll(text, []byte("${1}***********${2}"))
	text = dottedCPF.ReplaceAll(text, []byte("***.***.***-**"))
	text = bareCPF.ReplaceAll(text, []byte("***********"))
	// The longest first: one may be part of another.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	for _, s := range secrets {
		if len(s) > 3 {
			text = bytes.ReplaceAll(text, []byte(s), []byte(Masked))
		}
	}
	return text
}
