package cfe

import (
	"strconv"
	"strings"
	"time"
)

// Parse reads the fields of a fiscal document in one pass over its exact bytes:
// a CF-e sale or cancellation, an NF-e or NFC-e with or without its protocol, an
// event, a void range. It takes a byte order mark, any declaration or none,
// comments, CDATA, prefixes, Windows-1252 text and trailing NULs; it refuses what
// is not well-formed XML or is too large or too deep. The fields of the element
// that gets signed come from that one element only: a second one is refused.
//
// The error is always a *Fault. Parse does not judge what it reads: see Verify.
func Parse(raw []byte) (Document, error) {
	r, err := read(raw)
	if err != nil {
		return Document{}, err
	}
	return r.document()
}

// reading is the state of one pass, and what it has found.
type reading struct {
	scanner
	doc  Document
	root string // local name of the root element
	form form

	path  []byte // local names of the open elements, without a wrapper's root
	marks []int  // lengths of path outside each open element
	text  []byte // of the innermost element, decoded
	leaf  bool   // the innermost element has had no child

	id     string // Id of the element that carries the data
	chCanc string // of a cancellation
	dates  dates
	ide    ide
	faulty string // first field that cannot be read

	inf         span // the element that carries the data
	infs        int
	stray       int // elements of its name in other places
	sig         signature
	signatures  int
	signatureAt int // offset of the last one that is a child of the root
}

// span is a stretch of the raw bytes.
type span struct{ from, to int }

// dates are the texts the time of issue is made of.
type dates struct{ day, hour, stamp string }

// ide are the fields of a CF-e that its key repeats.
type ide struct{ uf, random, model, number, digit string }

// form is what the root element says about where things are.
type form struct {
	kind Kind
	inf  string // path of the element that carries the data and is signed
	base string // its name, where no other element may bear it; "" otherwise
	keep bool   // the root is part of paths
}

func formOf(root string) form {
	switch root {
	case "CFe":
		return form{kind: Sale, inf: "infCFe", base: "infCFe"}
	case "CFeCanc":
		return form{kind: Cancellation, inf: "infCFe", base: "infCFe"}
	case "nfeProc", "procNFe":
		return form{kind: Invoice, inf: "NFe/infNFe", base: "infNFe"}
	case "NFe":
		return form{kind: Unprotocoled, inf: "NFe/infNFe", base: "infNFe", keep: true}
	case "procEventoNFe":
		return form{kind: Event, inf: "evento/infEvento"}
	case "ProcInutNFe", "procInutNFe":
		return form{kind: Void, inf: "inutNFe/infInut"}
	}
	return form{}
}

// read passes over the whole document. The reading is returned beside a fault
// only to tell what kind of document it would have been.
func read(raw []byte) (*reading, error) {
	s, err := newScanner(raw)
	if err != nil {
		return &reading{}, err
	}
	r := &reading{scanner: *s, text: make([]byte, 0, 2048)} // most certificates fit
	for {
		tok, err := r.next()
		if err != nil {
			return r, err
		}
		switch tok {
		case tokenOpen:
			r.enter()
		case tokenText:
			if r.leaf && r.cdata {
				r.text = appendCDATA(r.text, r.data)
			} else if r.leaf {
				r.text = appendText(r.text, r.data, false)
			}
		case tokenClose:
			r.leave()
		case tokenEnd:
			return r, r.structure()
		}
	}
}

func (r *reading) enter() {
	name := localName(r.name)
	r.marks = append(r.marks, len(r.path))
	if len(r.marks) == 1 {
		r.root = string(name)
		r.form = formOf(r.root)
	}
	if len(r.marks) > 1 || r.form.keep {
		if len(r.path) > 0 {
			r.path = append(r.path, '/')
		}
		r.path = append(r.path, name...)
	}
	r.leaf, r.text = true, r.text[:0]
	if string(name) == "Signature" {
		r.signatures++
	}
	switch {
	case len(r.marks) == 1:
		if r.form.base == "" { // events and voids print it outside what is signed
			r.doc.Layout = r.attr("versao")
		}
	case r.form.kind != "" && string(r.path) == r.form.inf:
		r.infs++
		r.inf.from = r.from
		r.id = r.attr("Id")
		r.chCanc = r.attr("chCanc")
		r.doc.Software = r.attr("versaoSB")
		if r.form.base != "" {
			r.doc.Layout = r.attr("versao")
		}
	case r.form.base != "" && string(name) == r.form.base:
		r.stray++
	case r.form.base == "infCFe":
		r.enterSignature()
	}
}

func (r *reading) leave() {
	if r.leaf {
		r.field()
	}
	r.leaf = false
	switch {
	case string(r.path) == r.form.inf:
		r.inf.to = r.pos
	case string(r.path) == "Signature/SignedInfo":
		r.sig.signedInfo.to = r.pos
	}
	last := len(r.marks) - 1
	r.path = r.path[:r.marks[last]]
	r.marks = r.marks[:last]
}

func (r *reading) field() {
	switch r.form.kind {
	case Sale, Cancellation:
		r.saleField()
	case Invoice, Unprotocoled:
		r.noteField()
	case Event:
		r.eventField()
	case Void:
		r.voidField()
	}
}

// structure refuses a document whose data could come from two places.
func (r *reading) structure() error {
	switch {
	case r.form.kind == "":
		return nil
	case r.infs == 0:
		return &Fault{Name: r.form.inf, offence: offNoSigned}
	case r.infs > 1 || r.stray > 0:
		return &Fault{Name: r.form.inf, offence: offTwoSigned}
	}
	return nil
}

// document completes the fields once everything is read.
func (r *reading) document() (Document, error) {
	d := &r.doc
	d.Kind = r.form.kind
	if d.Kind == "" {
		return Document{}, &Fault{Name: r.root, offence: offNotFiscal}
	}
	if r.id == "" && r.form.base == "infCFe" {
		return Document{}, &Fault{offence: offInput}
	}
	if err := r.keys(); err != nil {
		return Document{}, err
	}
	r.issued()
	if r.faulty != "" {
		return Document{}, &Fault{Name: r.faulty, offence: offField}
	}
	d.Test = d.Environment == 2 || developmentAC(d.SignAC)
	return *d, nil
}

// keys takes the keys by their shape; whether they are right is for Verify.
func (r *reading) keys() error {
	d := &r.doc
	switch d.Kind {
	case Void:
		return nil
	case Event:
		if !keyShaped(string(d.Key)) {
			return &Fault{Name: "chNFe", offence: offKey}
		}
		if d.EventType == "110111" || d.EventType == "110112" {
			d.Cancels = d.Key
		}
		d.Series, d.Number = d.Key.Series(), d.Key.Number()
	default:
		k := trimPrefix(r.id)
		if !keyShaped(k) {
			return &Fault{Name: "Id", offence: offKey}
		}
		d.Key = Key(k)
	}
	if d.Kind == Cancellation {
		k := trimPrefix(r.chCanc)
		if !keyShaped(k) {
			return &Fault{Name: "chCanc", offence: offKey}
		}
		d.Cancels = Key(k)
	}
	d.Model = d.Key.Model()
	if (d.Model == 59) != (r.form.base == "infCFe") {
		return &Fault{Name: r.root, offence: offModel}
	}
	return nil
}

// developmentAC tells the two literals that development kits use as signAC
// (dossier on the SAT software interface 4.5).
func developmentAC(signAC string) bool {
	return signAC == "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT" || signAC == "CODIGO DE VINCULACAO AC DO MFE-CFE"
}

// brasilia is the zone of a CF-e's local time: São Paulo and Ceará are both
// UTC-3 (dossier 9, trap 15).
func brasilia() *time.Location { return time.FixedZone("-03", -3*60*60) }

// issued makes the time of issue: dEmi and hEmi of a CF-e, dhEmi and its like
// with their own offset, dEmi alone of old notes. A void or event may have none.
func (r *reading) issued() {
	t := &r.dates
	var layout, text string
	switch {
	case r.form.base == "infCFe":
		layout, text = "20060102150405", t.day+t.hour
	case len(t.stamp) == len("2006-01-02T15:04:05"):
		layout, text = "2006-01-02T15:04:05", t.stamp
	case t.stamp != "":
		layout, text = time.RFC3339, t.stamp
	case t.day != "":
		layout, text = time.DateOnly, t.day
	case r.form.base == "":
		return
	}
	at, err := time.ParseInLocation(layout, text, brasilia())
	if err != nil || text == "" {
		r.fail("dEmi")
		return
	}
	r.doc.Issued = at
}

// value is the text of the current element without blanks around it.
func (r *reading) value() string { return strings.TrimSpace(string(r.text)) }

// number is the text as a decimal number of at most nine digits.
func (r *reading) number() int {
	v := r.value()
	n, err := strconv.Atoi(v)
	if err != nil || len(v) > 9 || !allDigits(v) {
		r.fail(string(r.path))
		return 0
	}
	return n
}

func (r *reading) fail(field string) {
	if r.faulty == "" {
		r.faulty = field
	}
}
