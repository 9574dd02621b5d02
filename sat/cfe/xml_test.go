package cfe

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// broken is a file that is no document, and the fault it shows.
type broken struct {
	text string
	want offence
}

// Every way in which a file is no document has its name and its fault.
func refuse(t *testing.T, files map[string]broken) {
	t.Helper()
	for name, c := range files {
		t.Run(name, func(t *testing.T) {
			d, err := Parse([]byte(c.text))
			var fault *Fault
			if !errors.As(err, &fault) {
				t.Fatalf("read as %+v, error %v", d, err)
			}
			if fault.offence != c.want {
				t.Errorf("fault %q, expected %q", fault, offences[c.want].en)
			}
			if fault.Text() == "" || strings.Contains(fault.Error(), "52998224725") {
				t.Errorf("texts %q, %q", fault.Text(), fault.Error())
			}
			if v := Verify([]byte(c.text), nil); v.Signature == Verified || v.Signature == Recovered || v.Reason == "" {
				t.Errorf("%s (%s)", v.Signature, v.Reason)
			}
		})
	}
}

// spoiled returns the test document and two ways to add to it: before an element
// inside, and before everything.
func spoiled(t *testing.T) (doc string, inside, head func(string) string) {
	doc = string(issued(t, "0.08").XML)
	inside = func(s string) string { return strings.Replace(doc, "<total>", s+"<total>", 1) }
	return doc, inside, func(s string) string { return s + doc }
}

func TestParseRefusesWhatIsNotAllowed(t *testing.T) {
	doc, inside, head := spoiled(t)
	refuse(t, map[string]broken{
		"empty":                    {"", offEmpty},
		"blanks":                   {" \r\n\t", offEmpty},
		"NULs only":                {"\x00\x00\x00", offEmpty},
		"declaration only":         {"<?xml version=\"1.0\"?>", offEmpty},
		"text only":                {"06000|Emitido", offOutside},
		"over 16 MiB":              {head(strings.Repeat(" ", MaxSize)), offSize},
		"UTF-16 big endian":        {"\xFE\xFF\x00<\x00C", offUTF16},
		"UTF-16 little endian":     {"\xFF\xFE<\x00C\x00", offUTF16},
		"NUL inside":               {strings.Replace(doc, "PAO-1", "PAO\x001", 1), offNUL},
		"DOCTYPE":                  {head("<!DOCTYPE CFe>"), offDoctype},
		"billion laughs":           {head(`<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>`), offDoctype},
		"external entity":          {head(`<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>`), offDoctype},
		"DOCTYPE inside":           {inside("<!DOCTYPE CFe>"), offDoctype},
		"ENTITY inside":            {inside(`<!ENTITY a "b">`), offDoctype},
		"small doctype":            {head("<!doctype CFe>"), offMarkup},
		"CDATA outside the root":   {head("<![CDATA[x]]>"), offMarkup},
		"unknown entity":           {inside("<x>&ouml;</x>"), offReference},
		"bare ampersand":           {inside("<x>Pão & Cia</x>"), offReference},
		"unended entity":           {inside("<x>&amp</x>"), offReference},
		"character zero":           {inside("<x>&#0;</x>"), offReference},
		"character of a surrogate": {inside("<x>&#xD800;</x>"), offReference},
		"character too large":      {inside("<x>&#x110000;</x>"), offReference},
		"entity in an attribute":   {inside(`<x a="&b;"></x>`), offAttribute},
		"instruction inside":       {inside("<?php?>"), offInstruction},
	})
}

func TestParseRefusesBrokenXML(t *testing.T) {
	doc, inside, head := spoiled(t)
	refuse(t, map[string]broken{
		"unended instruction":          {"<?xml version='1.0' " + doc[:40], offTruncated},
		"unended comment":              {head("<!-- "), offTruncated},
		"comment that closes too soon": {head("<!-->"), offTruncated},
		"unended CDATA":                {inside("<![CDATA["), offTruncated},
		"cut in a tag":                 {doc[:strings.Index(doc, "</det>")+3], offNesting},
		"cut in a start tag":           {doc[:strings.Index(doc, "<total>")+3], offTruncated},
		"cut in an attribute":          {doc[:strings.Index(doc, "versao=")+9], offTruncated},
		"cut between elements":         {doc[:strings.Index(doc, "<total>")], offTruncated},
		"cut before the last bracket":  {doc[:len(doc)-1], offTruncated},
		"tags crossed":                 {inside("<a><b></a></b>"), offNesting},
		"longer end tag":               {inside("<a></ab>"), offNesting},
		"shorter end tag":              {inside("<ab></a>"), offNesting},
		"end tag too many":             {doc + "</CFe>", offNesting},
		"end tag in other case":        {inside("<a></A>"), offNesting},
		"end tag with attribute":       {inside(`<a></a b="1">`), offNesting},
		"65 levels":                    {inside(strings.Repeat("<a>", 63) + strings.Repeat("</a>", 63)), offDepth},
		"second root":                  {doc + "<CFe/>", offRoot},
		"text after the root":          {doc + "fim", offOutside},
		"no name":                      {inside("< a></a>"), offName},
		"name with a digit first":      {inside("<1a></1a>"), offName},
		"lone bracket":                 {inside("<x>1 < 2</x>"), offName},
		"attribute without value":      {inside("<a b></a>"), offAttribute},
		"attribute without quotes":     {inside("<a b=1></a>"), offAttribute},
		"attribute twice":              {strings.Replace(doc, "versao=", `Id="x" versao=`, 1), offAttribute},
		"attributes not apart":         {inside(`<a b="1"c="2"></a>`), offAttribute},
		"bracket in an attribute":      {inside(`<a b="<"></a>`), offAttribute},
		"slash alone":                  {inside("<a / b='1'></a>"), offAttribute},
		"33 attributes":                {inside("<a" + manyAttributes(33) + "></a>"), offAttribute},
	})
}

func TestParseRefusesOtherDocuments(t *testing.T) {
	doc, inside, _ := spoiled(t)
	note, _ := noteXML(t, "")
	refuse(t, map[string]broken{
		"another document":            {"<NFSe><x/></NFSe>", offNotFiscal},
		"a page":                      {"<html><head></head></html>", offNotFiscal},
		"no infCFe":                   {"<CFe><Signature/></CFe>", offNoSigned},
		"infCFe deeper":               {"<CFe><x>" + doc[5:len(doc)-6] + "</x></CFe>", offNoSigned},
		"two infCFe":                  {strings.Replace(doc, "</infCFe>", "</infCFe><infCFe></infCFe>", 1), offTwoSigned},
		"infCFe inside infCFe":        {inside("<infCFe></infCFe>"), offTwoSigned},
		"infCFe inside Signature":     {strings.Replace(doc, "</Signature>", "<Object><infCFe/></Object></Signature>", 1), offTwoSigned},
		"input of an application":     {string(saleText(t, "0.08")), offInput},
		"key of 43 digits":            {strings.Replace(doc, `Id="CFe3`, `Id="CFe`, 1), offKey},
		"key of an NFC-e":             {strings.Replace(doc, "8159900000123", "8165900000123", 1), offModel},
		"NFe with the key of a CF-e":  {`<NFe><infNFe Id="NFe` + string(issued(t, "0.08").Key) + `"/></NFe>`, offModel},
		"date that does not exist":    {strings.Replace(doc, "<dEmi>20250718", "<dEmi>20250732", 1), offField},
		"no date":                     {strings.Replace(strings.Replace(doc, "<dEmi>20250718</dEmi>", "", 1), "<hEmi>120000</hEmi>", "", 1), offField},
		"number with letters":         {strings.Replace(doc, "<nCFe>000041", "<nCFe>00004A", 1), offField},
		"number of eleven digits":     {strings.Replace(doc, "<nCFe>000041", "<nCFe>00000000041", 1), offField},
		"note whose date has no zone": {strings.Replace(note, "12:00:00-04:00", "12:00", 1), offField},
	})
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" a")
		b.WriteByte(byte('a' + i%26))
		b.WriteByte(byte('a' + i/26))
		b.WriteString(`="1"`)
	}
	return b.String()
}

// What real files look like besides; the fields must stay the same.
func TestParseAccepts(t *testing.T) {
	doc := issued(t, "0.08").XML
	want, err := Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	text := string(doc)
	latin := bytes.ReplaceAll(bytes.ReplaceAll(doc, []byte("ã"), []byte{0xE3}), []byte("é"), []byte{0xE9})
	for name, b := range map[string]string{
		"declaration":             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + text,
		"single quotes":           "<?xml version='1.0' encoding='utf-8'?>" + strings.ReplaceAll(text, `versao="0.08"`, `versao='0.08'`),
		"byte order mark":         "\xEF\xBB\xBF" + text,
		"trailing NULs":           text + "\x00\x00",
		"trailing line ends":      text + "\r\n\r\n",
		"style sheet instruction": "<?xml version='1.0'?><?xml-stylesheet href='x'?>" + text,
		"comments":                "<!-- a -->" + strings.Replace(text, "<vCFe>108", "<!-- <vCFe>1</vCFe> --><vCFe>1<!--0-->08", 1) + "<!---->",
		"CDATA":                   strings.Replace(text, "<xNome>PADARIA MODELO", "<xNome><![CDATA[PADARIA]]> <![CDATA[MODELO]]>", 1),
		"character references":    strings.Replace(text, "<xNome>PADARIA", "<xNome>&#80;&#x41;DARIA", 1),
		"CRLF between elements":   strings.ReplaceAll(text, "><", ">\r\n<"),
		"blanks in tags":          strings.Replace(strings.Replace(text, "<total>", "<total\n>", 1), "</total>", "</total >", 1),
		"empty element closed":    strings.Replace(text, "<xFant>Pão &amp; Cia</xFant>", "<xFant/>", 1),
		"unknown elements":        strings.Replace(text, "<total>", "<novo><a>1</a></novo><total>", 1),
		"Windows-1252 undeclared": string(latin),
		"ISO-8859-1 declared":     "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" + string(latin),
		"UTF-8 declared wrongly":  "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" + text,
		"64 levels":               strings.Replace(text, "<total>", strings.Repeat("<a>", 62)+strings.Repeat("</a>", 62)+"<total>", 1),
		"32 attributes":           strings.Replace(text, "<total>", "<total"+manyAttributes(32)+">", 1),
		"blanks around values":    strings.Replace(text, "<vCFe>108.29</vCFe>", "<vCFe>\n  108.29\n</vCFe>", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(b))
			if err != nil {
				t.Fatal(err)
			}
			if !sameFields(got, want) {
				t.Errorf("read\n%+v\nexpected\n%+v", got, want)
			}
		})
	}
}

func TestParseDecodesText(t *testing.T) {
	doc := string(issued(t, "0.08").XML)
	for name, c := range map[string]struct{ written, want string }{
		"UTF-8":                     {"Pão São João", "Pão São João"},
		"Windows-1252":              {"P\xe3o \x80 5", "Pão € 5"},
		"both in one text":          {"P\xe3o &amp; Pão", "Pão & Pão"},
		"Windows-1252 then a mark":  {"P\xe3o &#8364;", "Pão €"},
		"references":                {"&lt;&gt;&amp;&quot;&apos;&#65;&#x2764;", "<>&\"'A❤"},
		"line ends":                 {"a\r\nb\rc", "a\nb\nc"},
		"line ends in CDATA":        {"<![CDATA[a\r\nb\rc&amp;]]>", "a\nb\nc&amp;"},
		"child inside is not text":  {"a<b>c</b>", ""},
		"comment splits nothing":    {"PADARIA<!-- -->MODELO", "PADARIAMODELO"},
		"undefined in Windows-1252": {"a\x81", "a�"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse([]byte(strings.Replace(doc, "<xNome>PADARIA MODELO LTDA<", "<xNome>"+c.written+"<", 1)))
			if err != nil || d.IssuerName != c.want {
				t.Errorf("read %q, expected %q, error %v", d.IssuerName, c.want, err)
			}
		})
	}
}
