package cfe

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MaxSize is the largest file, in bytes, that is read as a document. A CF-e has
// at most 1,500 KB; a note with 990 items stays below 2 MB.
const MaxSize = 16 << 20

const (
	maxDepth = 64 // of nested elements
	maxAttrs = 32 // of one element
)

// offence is a way in which bytes fail to be the document they should be.
type offence int

const (
	offSize offence = iota
	offEmpty
	offUTF16
	offNUL
	offDoctype
	offMarkup
	offInstruction
	offTruncated
	offName
	offAttribute
	offReference
	offNesting
	offDepth
	offRoot
	offOutside
	offNotFiscal
	offNoSigned
	offTwoSigned
	offInput
	offKey
	offModel
	offField
)

// offences holds the text of each offence for a log and for a person.
var offences = [...]struct{ en, pt string }{
	offSize:        {"the file is larger than 16 MiB", "o arquivo tem mais de 16 MiB"},
	offEmpty:       {"the file is empty", "o arquivo está vazio"},
	offUTF16:       {"the file is in UTF-16", "o arquivo está em UTF-16"},
	offNUL:         {"there is a NUL byte inside", "há um byte nulo no meio do arquivo"},
	offDoctype:     {"a DOCTYPE is not accepted", "DOCTYPE não é aceito"},
	offMarkup:      {"unknown markup", "marcação desconhecida"},
	offInstruction: {"a processing instruction inside the document is not accepted", "instrução de processamento dentro do documento não é aceita"},
	offTruncated:   {"the document ends early", "o documento está cortado"},
	offName:        {"this is not a name", "nome de marca inválido"},
	offAttribute:   {"malformed attribute", "atributo malformado"},
	offReference:   {"unknown entity or character", "entidade ou caractere desconhecido"},
	offNesting:     {"tags do not match", "as marcas não combinam"},
	offDepth:       {"elements nested deeper than 64", "marcas aninhadas demais"},
	offRoot:        {"a second root element", "há um segundo elemento raiz"},
	offOutside:     {"text outside the root element", "há texto fora do elemento raiz"},
	offNotFiscal:   {"not a fiscal document: its root is", "não é um documento fiscal: a raiz é"},
	offNoSigned:    {"the element that carries the data is missing:", "falta o elemento com os dados:"},
	offTwoSigned:   {"more than one element that carries the data:", "há mais de um elemento com os dados:"},
	offInput:       {"input of the sales application, not an issued document", "é a entrada do aplicativo comercial, não um documento emitido"},
	offKey:         {"this is not an access key:", "a chave de acesso é inválida em"},
	offModel:       {"the key belongs to a document of another model:", "a chave é de um documento de outro modelo:"},
	offField:       {"this field cannot be read:", "não se consegue ler o campo"},
}

// Fault says why bytes cannot be read as a fiscal document. Its texts name
// elements and fields, never what they hold.
type Fault struct {
	Offset  int    // byte at which reading stopped; 0 when it went to the end
	Name    string // the element or field concerned; "" when there is none
	offence offence
}

// Error is the fault in English, for logs.
func (f *Fault) Error() string {
	at := ""
	if f.Offset > 0 {
		at = fmt.Sprintf(" at byte %d", f.Offset)
	}
	return fmt.Sprintf("cannot read document%s: %s%s", at, offences[f.offence].en, f.named())
}

// Text is the fault in pt-BR, for people.
func (f *Fault) Text() string {
	return offences[f.offence].pt + f.named()
}

func (f *Fault) named() string {
	if f.Name == "" {
		return ""
	}
	return " " + strconv.Quote(f.Name[:min(len(f.Name), 60)])
}

// token is what scanner.next has found.
type token int

const (
	tokenEnd   token = iota // of the document
	tokenOpen               // a start tag; an empty element gives tokenClose next
	tokenClose              // an end tag
	tokenText               // a run of text or one CDATA section
)

// attr is an attribute as written, its value without the quotes.
type attr struct{ name, value []byte }

// scanner is a strict reader of one XML document without DTD. It keeps offsets
// into the exact bytes and copies nothing. Comments are passed over; a text run
// therefore may come in several tokens, which belong together.
type scanner struct {
	raw   []byte
	pos   int
	open  [][]byte // names of the open elements, outermost first
	root  bool     // the root element was seen
	empty bool     // the current start tag is also the end tag

	from  int    // first byte of the current token; its last is before pos
	name  []byte // of a tag, with its prefix
	attrs []attr // of a start tag
	data  []byte // of a text token, as written
	cdata bool   // data is the content of a CDATA section
}

// newScanner starts on a whole file: it checks the size and the bytes that no
// document may hold, skips a byte order mark and leaves out trailing NULs.
func newScanner(raw []byte) (*scanner, error) {
	if len(raw) > MaxSize {
		return nil, &Fault{offence: offSize}
	}
	body := bytes.TrimRight(raw, "\x00 \t\r\n")
	s := &scanner{raw: body}
	switch {
	case bytes.HasPrefix(body, []byte("\xEF\xBB\xBF")):
		s.pos = 3
	case bytes.HasPrefix(body, []byte("\xFE\xFF")), bytes.HasPrefix(body, []byte("\xFF\xFE")):
		return nil, &Fault{offence: offUTF16}
	}
	if i := bytes.IndexByte(body, 0); i >= 0 {
		return nil, &Fault{Offset: i, offence: offNUL}
	}
	return s, nil
}

func (s *scanner) fault(o offence) error { return &Fault{Offset: s.pos, offence: o} }

// next moves to the next token.
func (s *scanner) next() (token, error) {
	if s.empty {
		s.empty = false
		s.from = s.pos
		s.open = s.open[:len(s.open)-1]
		return tokenClose, nil
	}
	for s.pos < len(s.raw) {
		s.from = s.pos
		rest := s.raw[s.pos:]
		switch {
		case rest[0] != '<':
			if found, err := s.text(rest); found || err != nil {
				return tokenText, err
			}
		case bytes.HasPrefix(rest, []byte("</")):
			return tokenClose, s.endTag()
		case bytes.HasPrefix(rest, []byte("<?")):
			if len(s.open) > 0 {
				return 0, s.fault(offInstruction)
			}
			if err := s.skip(rest, "?>"); err != nil {
				return 0, err
			}
		case bytes.HasPrefix(rest, []byte("<!--")):
			if err := s.skip(rest, "-->"); err != nil {
				return 0, err
			}
		case bytes.HasPrefix(rest, []byte("<![CDATA[")) && len(s.open) > 0:
			if err := s.skip(rest, "]]>"); err != nil {
				return 0, err
			}
			s.data, s.cdata = s.raw[s.from+len("<![CDATA["):s.pos-len("]]>")], true
			return tokenText, nil
		case bytes.HasPrefix(rest, []byte("<!DOCTYPE")), bytes.HasPrefix(rest, []byte("<!ENTITY")):
			return 0, s.fault(offDoctype)
		case bytes.HasPrefix(rest, []byte("<!")):
			return 0, s.fault(offMarkup)
		default:
			return tokenOpen, s.startTag()
		}
	}
	switch {
	case len(s.open) > 0:
		return 0, s.fault(offTruncated)
	case !s.root:
		return 0, s.fault(offEmpty)
	}
	return tokenEnd, nil
}

// skip moves past a construct that starts at rest and ends with end.
func (s *scanner) skip(rest []byte, end string) error {
	const start = len("<?") // the shortest; no start overlaps its end but "<!-->"
	i := bytes.Index(rest[start:], []byte(end))
	if i < 0 || (end == "-->" && i < 2) {
		return s.fault(offTruncated)
	}
	s.pos += start + i + len(end)
	return nil
}

// text takes the run up to the next tag. Outside the root only white space may
// stand, which is no token.
func (s *scanner) text(rest []byte) (bool, error) {
	n := bytes.IndexByte(rest, '<')
	if n < 0 {
		n = len(rest)
	}
	run := rest[:n]
	if len(s.open) == 0 {
		if !blank(run) {
			return false, s.fault(offOutside)
		}
		s.pos += n
		return false, nil
	}
	if !referencesKnown(run) {
		return false, s.fault(offReference)
	}
	s.data, s.cdata = run, false
	s.pos += n
	return true, nil
}

func (s *scanner) endTag() error {
	last := len(s.open) - 1
	s.pos += len("</")
	if last < 0 || !bytes.HasPrefix(s.raw[s.pos:], s.open[last]) {
		return s.fault(offNesting)
	}
	s.name = s.open[last]
	s.pos += len(s.name)
	s.takeBlank()
	if s.pos >= len(s.raw) {
		return s.fault(offTruncated)
	}
	if s.raw[s.pos] != '>' {
		return s.fault(offNesting)
	}
	s.pos++
	s.open = s.open[:last]
	return nil
}

func (s *scanner) startTag() error {
	s.pos++
	s.name = s.takeName()
	s.attrs = s.attrs[:0]
	switch {
	case s.pos >= len(s.raw):
		return s.fault(offTruncated)
	case len(s.name) == 0:
		return s.fault(offName)
	case len(s.open) == 0 && s.root:
		return s.fault(offRoot)
	case len(s.open) >= maxDepth:
		return s.fault(offDepth)
	}
	s.root = true
	for {
		spaced := s.takeBlank()
		if s.pos >= len(s.raw) {
			return s.fault(offTruncated)
		}
		switch s.raw[s.pos] {
		case '/':
			if s.pos+1 >= len(s.raw) || s.raw[s.pos+1] != '>' {
				return s.fault(offAttribute)
			}
			s.pos++
			s.empty = true
			fallthrough
		case '>':
			s.pos++
			s.open = append(s.open, s.name)
			return nil
		}
		if !spaced {
			return s.fault(offAttribute)
		}
		if err := s.attribute(); err != nil {
			return err
		}
	}
}

// attribute takes name="value" and refuses a name given twice.
func (s *scanner) attribute() error {
	name := s.takeName()
	s.takeBlank()
	if len(name) == 0 || s.pos >= len(s.raw) || s.raw[s.pos] != '=' || len(s.attrs) == maxAttrs {
		return s.fault(offAttribute)
	}
	s.pos++
	s.takeBlank()
	if s.pos >= len(s.raw) || (s.raw[s.pos] != '"' && s.raw[s.pos] != '\'') {
		return s.fault(offAttribute)
	}
	rest := s.raw[s.pos+1:]
	n := bytes.IndexByte(rest, s.raw[s.pos])
	if n < 0 {
		return s.fault(offTruncated)
	}
	value := rest[:n]
	for _, a := range s.attrs {
		if bytes.Equal(a.name, name) {
			return s.fault(offAttribute)
		}
	}
	if bytes.IndexByte(value, '<') >= 0 || !referencesKnown(value) {
		return s.fault(offAttribute)
	}
	s.attrs = append(s.attrs, attr{name, value})
	s.pos += n + 2
	return nil
}

// attr is the value of the attribute with that name, decoded; "" when absent.
func (s *scanner) attr(name string) string {
	for _, a := range s.attrs {
		if string(a.name) == name {
			return string(appendText(nil, a.value, true))
		}
	}
	return ""
}

func (s *scanner) takeName() []byte {
	from := s.pos
	for s.pos < len(s.raw) && nameByte(s.raw[s.pos]) {
		s.pos++
	}
	name := s.raw[from:s.pos]
	if len(name) > 0 && (name[0] == '-' || name[0] == '.' || ('0' <= name[0] && name[0] <= '9')) {
		return nil
	}
	return name
}

func (s *scanner) takeBlank() bool {
	from := s.pos
	for s.pos < len(s.raw) && blankByte(s.raw[s.pos]) {
		s.pos++
	}
	return s.pos > from
}

func nameByte(c byte) bool {
	letter := c | 0x20
	return 'a' <= letter && letter <= 'z' || '0' <= c && c <= '9' ||
		c == '_' || c == ':' || c == '-' || c == '.' || c >= 0x80
}

func blankByte(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func blank(b []byte) bool {
	for _, c := range b {
		if !blankByte(c) {
			return false
		}
	}
	return true
}

// localName is a tag's name without its namespace prefix.
func localName(name []byte) []byte { return name[bytes.IndexByte(name, ':')+1:] }

// appendText appends what a run of text means: references resolved, line ends
// made one, white space of attributes made blanks. A stretch that is not valid
// UTF-8 is taken as Windows-1252, whatever the document declares: the reading
// depends on these bytes alone.
func appendText(dst, run []byte, attribute bool) []byte {
	if !attribute && bytes.IndexByte(run, '&') < 0 && bytes.IndexByte(run, '\r') < 0 {
		return appendUTF8(dst, run)
	}
	special := "&\r"
	if attribute {
		special = "&\r\n\t"
	}
	for len(run) > 0 {
		n := bytes.IndexAny(run, special)
		if n < 0 {
			return appendUTF8(dst, run)
		}
		dst = appendUTF8(dst, run[:n])
		run = run[n:]
		if run[0] == '&' {
			r, size := reference(run)
			dst = utf8.AppendRune(dst, r)
			run = run[size:]
			continue
		}
		if run[0] == '\r' && len(run) > 1 && run[1] == '\n' {
			run = run[1:]
		}
		if attribute {
			dst = append(dst, ' ')
		} else {
			dst = append(dst, '\n')
		}
		run = run[1:]
	}
	return dst
}

// appendCDATA appends the meaning of a CDATA section, in which nothing but line
// ends is special.
func appendCDATA(dst, data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return appendUTF8(dst, bytes.ReplaceAll(data, []byte("\r"), []byte("\n")))
}

func appendUTF8(dst, b []byte) []byte {
	if utf8.Valid(b) {
		return append(dst, b...)
	}
	const high = "€�‚ƒ„…†‡ˆ‰Š‹Œ�Ž��‘’“”•–—˜™š›œ�žŸ"
	table := []rune(high)
	for _, c := range b {
		r := rune(c)
		if 0x80 <= c && c < 0xA0 {
			r = table[c-0x80]
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func referencesKnown(run []byte) bool {
	for {
		i := bytes.IndexByte(run, '&')
		if i < 0 {
			return true
		}
		_, size := reference(run[i:])
		if size == 0 {
			return false
		}
		run = run[i+size:]
	}
}

// reference reads the entity or character reference at the start of b and how
// many bytes it takes; 0 when it is none that XML knows without a DTD.
func reference(b []byte) (rune, int) {
	end := bytes.IndexByte(b[:min(len(b), len("&#x10FFFF;"))], ';')
	if end < 2 {
		return 0, 0
	}
	name, size := string(b[1:end]), end+1
	switch name {
	case "lt":
		return '<', size
	case "gt":
		return '>', size
	case "amp":
		return '&', size
	case "quot":
		return '"', size
	case "apos":
		return '\'', size
	}
	if name[0] != '#' {
		return 0, 0
	}
	digits, base := name[1:], 10
	if len(digits) > 0 && digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	r := rune(n)
	if err != nil || !utf8.ValidRune(r) || r == 0xFFFE || r == 0xFFFF || (r < 0x20 && r != '\t' && r != '\n' && r != '\r') {
		return 0, 0
	}
	return r, size
}
