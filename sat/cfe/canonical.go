package cfe

import (
	"bytes"
	"slices"
)

// dsig is the namespace of XML signatures.
const dsig = "http://www.w3.org/2000/09/xmldsig#"

// canonical writes one element in the form that is signed: inclusive C14N 1.0
// without comments, in the only context that a CF-e knows (dossier 2.4): no
// namespace but ns, which stands on the element itself ("" for none). It reads
// with the same scanner as Parse, so what is signed is what is read. With strip,
// text between tags that is only white space is left out. It reports false for a
// prefix or another namespace, which no device writes.
func canonical(element []byte, ns string, strip bool) ([]byte, bool) {
	s := scanner{raw: element}
	out := make([]byte, 0, len(element)+len(element)/8)
	var text []byte
	for {
		tok, err := s.next()
		if err != nil {
			return nil, false
		}
		if tok == tokenText {
			if s.cdata {
				text = appendCDATA(text, s.data)
			} else {
				text = appendText(text, s.data, false)
			}
			continue
		}
		if !strip || !blank(text) {
			out = escape(out, text, "&<>\r")
		}
		text = text[:0]
		switch tok {
		case tokenEnd:
			return out, true
		case tokenClose:
			out = append(out, "</"...)
			out = append(out, s.name...)
			out = append(out, '>')
		case tokenOpen:
			var ok bool
			if out, ok = appendStart(out, &s, ns); !ok {
				return nil, false
			}
		}
	}
}

// appendStart writes a start tag with its attributes in order.
func appendStart(out []byte, s *scanner, ns string) ([]byte, bool) {
	if bytes.IndexByte(s.name, ':') >= 0 {
		return nil, false
	}
	out = append(out, '<')
	out = append(out, s.name...)
	if ns != "" && len(s.open) == 1 {
		out = append(out, ` xmlns="`+ns+`"`...)
	}
	slices.SortFunc(s.attrs, func(a, b attr) int { return bytes.Compare(a.name, b.name) })
	for _, a := range s.attrs {
		switch {
		case string(a.name) == "xmlns" && ns != "" && string(a.value) == ns:
			continue
		case string(a.name) == "xmlns", bytes.IndexByte(a.name, ':') >= 0:
			return nil, false
		}
		out = append(out, ' ')
		out = append(out, a.name...)
		out = append(out, `="`...)
		out = escape(out, appendText(nil, a.value, true), "&<\"\t\n\r")
		out = append(out, '"')
	}
	return append(out, '>'), true
}

// escape appends text with the special bytes as C14N writes them.
func escape(out, text []byte, special string) []byte {
	for {
		n := bytes.IndexAny(text, special)
		if n < 0 {
			return append(out, text...)
		}
		out = append(out, text[:n]...)
		switch text[n] {
		case '&':
			out = append(out, "&amp;"...)
		case '<':
			out = append(out, "&lt;"...)
		case '>':
			out = append(out, "&gt;"...)
		case '"':
			out = append(out, "&quot;"...)
		case '\t':
			out = append(out, "&#x9;"...)
		case '\n':
			out = append(out, "&#xA;"...)
		case '\r':
			out = append(out, "&#xD;"...)
		}
		text = text[n+1:]
	}
}
