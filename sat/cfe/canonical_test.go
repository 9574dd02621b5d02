package cfe

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/beevik/etree"
	dsiglib "github.com/russellhaering/goxmldsig"
)

// referenceForm is the canonical form of the first element of raw as an independent
// implementation writes it; false when that cannot read it.
func referenceForm(raw []byte) ([]byte, bool) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil || doc.Root() == nil {
		return nil, false
	}
	out, err := dsiglib.MakeC14N10RecCanonicalizer().Canonicalize(doc.Root())
	return out, err == nil
}

func TestCanonicalForm(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty elements":      {`<a><b/><c></c></a>`, `<a><b></b><c></c></a>`},
		"attributes in order": {`<a versaoSB="1" chCanc="2" Id='3' versao="4"/>`, `<a Id="3" chCanc="2" versao="4" versaoSB="1"></a>`},
		"blanks in tags":      {"<a \n b = \"1\" ></a >", `<a b="1"></a>`},
		"white space is kept": {"<a>\n <b> x </b>\n</a>", "<a>\n <b> x </b>\n</a>"},
		"line ends":           {"<a>1\r\n2\r3</a>", "<a>1\n2\n3</a>"},
		"comments go":         {`<a>1<!-- 2 -->3</a>`, `<a>13</a>`},
		"CDATA becomes text":  {`<a><![CDATA[<&>]]></a>`, `<a>&lt;&amp;&gt;</a>`},
		"references":          {`<a b="&#34;&#10;&lt;">&#65;&apos;&quot;&gt;&#13;</a>`, `<a b="&quot;&#xA;&lt;">A'"&gt;&#xD;</a>`},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := canonical([]byte(c.in), "", false)
			if !ok || string(got) != c.want {
				t.Errorf("%q, expected %q", got, c.want)
			}
			if other, ok := referenceForm([]byte(c.in)); ok && string(other) != c.want {
				t.Errorf("the other implementation says %q", other)
			}
		})
	}
}

// XML makes blanks of white space in attributes, which the other implementation
// does not.
func TestCanonicalFormOfAttributes(t *testing.T) {
	got, ok := canonical([]byte("<a b=\"1\t2\n3\r\n4\" c='&#9;'/>"), "", false)
	if want := `<a b="1 2 3 4" c="&#x9;"></a>`; !ok || string(got) != want {
		t.Errorf("%q, expected %q", got, want)
	}
}

func TestCanonicalFormWithoutWhiteSpace(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"between tags":       {"<a>\n  <b>x</b>\n  <c/>\n</a>", "<a><b>x</b><c></c></a>"},
		"around text stays":  {"<a>\n <b> x </b></a>", "<a><b> x </b></a>"},
		"comment in between": {"<a> <!-- --> <b>x <!-- --> y</b></a>", "<a><b>x  y</b></a>"},
		"only white space":   {"<a><b>  </b></a>", "<a><b></b></a>"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := canonical([]byte(c.in), "", true)
			if !ok || string(got) != c.want {
				t.Errorf("%q, expected %q", got, c.want)
			}
		})
	}
}

func TestCanonicalFormKnowsOneNamespace(t *testing.T) {
	got, ok := canonical([]byte(`<SignedInfo><x xmlns="`+dsig+`" a="1"/></SignedInfo>`), dsig, false)
	if want := `<SignedInfo xmlns="` + dsig + `"><x a="1"></x></SignedInfo>`; !ok || string(got) != want {
		t.Errorf("%q, expected %q", got, want)
	}
	for _, in := range []string{`<a xmlns="x"/>`, `<x:a xmlns:x="y"/>`, `<a xml:space="preserve"/>`, `<a><b xmlns=""/></a>`} {
		if got, ok := canonical([]byte(in), "", false); ok {
			t.Errorf("%s became %s", in, got)
		}
	}
}

// Our own documents and real ones have the same form in both implementations.
func TestCanonicalFormAgreesWithAnother(t *testing.T) {
	for _, folder := range []string{"testdata/golden", filepath.Join(samples, "xml")} {
		t.Run(folder, func(t *testing.T) {
			files, _ := filepath.Glob(filepath.Join(folder, "*.xml"))
			if len(files) == 0 {
				t.Skip("SKIP: no documents in " + folder)
			}
			for _, file := range files {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				from, to := bytes.Index(raw, []byte("<infCFe")), bytes.Index(raw, []byte("</infCFe>"))
				if from < 0 {
					continue // a file of another kind
				}
				element := raw[from : to+len("</infCFe>")]
				got, ok := canonical(element, "", false)
				want, read := referenceForm(element)
				if !ok || !read || !bytes.Equal(got, want) {
					t.Errorf("%s: %s\nthe other implementation says\n%s", file, got, want)
				}
			}
		})
	}
}

// Where both can read an element, they write the same.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`<infCFe versao="0.08" Id='CFe1'><a/><b>x &amp; y</b><!-- --><![CDATA[<]]></infCFe>`))
	f.Add([]byte("<a b=\"1\">\n <c>&#65;</c>\n</a>"))
	f.Fuzz(func(t *testing.T, element []byte) {
		s, err := newScanner(element)
		if err != nil || bytes.ContainsAny(element, "\r\t:") || bytes.Contains(element, []byte("xmlns")) || !bytes.HasPrefix(element, []byte("<")) {
			return
		}
		for tok := tokenOpen; tok != tokenEnd; {
			if tok, err = s.next(); err != nil {
				return
			}
		}
		got, ok := canonical(s.raw, "", false)
		want, read := referenceForm(s.raw)
		if ok && read && printable(got) && !bytes.Equal(got, want) {
			t.Errorf("%q became\n%q\nthe other implementation says\n%q", element, got, want)
		}
	})
}

// printable leaves out what the other implementation changes or refuses.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' {
			return false
		}
	}
	return true
}
