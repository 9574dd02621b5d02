package monitor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

const (
	cnpj = "11222333000181"
	cpf  = "52998224725"
)

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// issued is a certificate as the ICP-Brasil makes them.
type issued struct {
	Name, Serial string   // of the subject
	Others       []string // other names: the end of their OID, "=" and the text
	Policy       []int    // behind 2.16.76.1.2
	Until        time.Time
	Authority    bool
	Foreign      bool // of another public key infrastructure
}

func (i issued) make(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if i.Until.IsZero() {
		i.Until = noon().AddDate(0, 0, 40)
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "AC TESTE", Organization: []string{"ICP-Brasil"}}}
	if i.Foreign {
		issuer.Subject.Organization = []string{"Another"}
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: i.Name, SerialNumber: i.Serial},
		NotBefore: noon().AddDate(-1, 0, 0), NotAfter: i.Until, IsCA: i.Authority, BasicConstraintsValid: true}
	if i.Policy != nil {
		c.PolicyIdentifiers = []asn1.ObjectIdentifier{append(asn1.ObjectIdentifier{2, 16, 76, 1, 2}, i.Policy...)}
		var oids []x509.OID
		for _, p := range c.PolicyIdentifiers {
			oid, err := x509.ParseOID(p.String())
			if err != nil {
				t.Fatal(err)
			}
			oids = append(oids, oid)
		}
		c.Policies = oids
	}
	if i.Others != nil {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: otherNames(t, i.Others)}}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, &own.PublicKey, own)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, own
}

func otherNames(t *testing.T, names []string) []byte {
	t.Helper()
	must := func(v any, params string) []byte {
		raw, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var all []byte
	for _, n := range names {
		kind, text, _ := strings.Cut(n, "=")
		arcs := asn1.ObjectIdentifier{2, 16, 76, 1, 3, int(kind[0] - '0')}
		value := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: must([]byte(text), "")}
		all = append(all, must(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true,
			Bytes: append(must(arcs, ""), must(value, "")...)}, "")...)
	}
	return must(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: all}, "")
}

func TestCompany(t *testing.T) {
	person := "01011980" + cpf
	for name, c := range map[string]struct {
		issued
		kind, holder, cnpj string // cnpj "" is none of a company
	}{
		"e-CNPJ A1":                   {issued{Name: "PADARIA SOL LTDA:" + cnpj, Others: []string{"2=FULANO DE TAL", "3=" + cnpj, "4=" + person}, Policy: []int{1, 12}}, "A1", "PADARIA SOL LTDA", cnpj},
		"e-CNPJ A3":                   {issued{Name: "PADARIA SOL LTDA:" + cnpj, Others: []string{"3=" + cnpj}, Policy: []int{3, 5}}, "A3", "PADARIA SOL LTDA", cnpj},
		"seal, without other names":   {issued{Name: "PADARIA SOL LTDA", Serial: cnpj, Policy: []int{201, 1}}, "SE-S", "PADARIA SOL LTDA", cnpj},
		"S1 is no A1":                 {issued{Name: "PADARIA SOL LTDA", Others: []string{"3=" + cnpj}, Policy: []int{101, 1}}, "", "PADARIA SOL LTDA", cnpj},
		"one-person company":          {issued{Name: "FULANO DE TAL " + cpf + ":" + cnpj, Others: []string{"3=" + cnpj}, Policy: []int{1, 1}}, "A1", "FULANO DE TAL", cnpj},
		"CNPJ with letters":           {issued{Name: "X", Others: []string{"3=12ABC34501DE35"}, Policy: []int{1, 1}}, "A1", "X", "12ABC34501DE35"},
		"CNPJ in the name alone":      {issued{Name: "PADARIA SOL LTDA:" + cnpj}, "", "PADARIA SOL LTDA", cnpj},
		"e-CPF":                       {issued{Name: "FULANO DE TAL:" + cpf, Others: []string{"1=" + person}, Policy: []int{3, 5}}, "", "", ""},
		"e-CPF of the new profile":    {issued{Name: "FULANO DE TAL", Serial: cpf, Others: []string{"3=" + cnpj}, Policy: []int{3, 5}}, "", "", ""},
		"an authority":                {issued{Name: "AC TESTE:" + cnpj, Authority: true, Policy: []int{1, 1}}, "", "", ""},
		"another infrastructure":      {issued{Name: "loja:" + cnpj, Foreign: true}, "", "", ""},
		"a CNPJ that is none":         {issued{Name: "LOJA:11222333000182", Policy: []int{1, 1}}, "", "", ""},
		"a device's, with its number": {issued{Name: "SAT 900000001", Serial: "900000001", Policy: []int{1, 1}}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			made, _ := c.make(t)
			got, ok := company(made.Raw)
			if ok != (c.cnpj != "") || got.CNPJ != c.cnpj || got.Type != c.kind || got.Holder != c.holder {
				t.Errorf("%+v, %v", got, ok)
			}
			if ok && (got.Until != made.NotAfter.UnixMilli() || got.Issuer != "AC TESTE") {
				t.Errorf("%+v", got)
			}
		})
	}
	if _, ok := company([]byte("no certificate")); ok {
		t.Error("junk is a company's")
	}
}

// TestFilesOfCertificates: what can be known of files without their passwords.
func TestFilesOfCertificates(t *testing.T) {
	made, own := issued{Name: "PADARIA SOL LTDA:" + cnpj, Others: []string{"3=" + cnpj}, Policy: []int{1, 1}}.make(t)
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Raw})
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), public...)
	encode := func(e *pkcs12.Encoder, password string) []byte {
		raw, err := e.Encode(own, made, nil, password)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		files  map[string][]byte
		found  bool
		sealed int
	}{
		"nothing":                               {nil, false, 0},
		"the public part alone stops nobody":    {map[string][]byte{"a.cer": made.Raw, "b.pem": public}, false, 0},
		"PEM with its key":                      {map[string][]byte{"a.pem": both}, true, 0},
		"PFX without a password":                {map[string][]byte{"a.pfx": encode(pkcs12.Passwordless, "")}, true, 0},
		"PFX behind its password":               {map[string][]byte{"a.pfx": encode(pkcs12.Modern2026, "segredo")}, false, 1},
		"PFX recognised by the public part":     {map[string][]byte{"a.p12": encode(pkcs12.Modern2026, "segredo"), "sub/b.cer": made.Raw}, true, 0},
		"old PFX recognised by the public part": {map[string][]byte{"a.pfx": encode(pkcs12.LegacyRC2, "segredo"), "b.crt": public}, true, 0},
		"a damaged PFX":                         {map[string][]byte{"a.pfx": {0x30, 0x80, 0, 0}}, false, 1},
		"another kind of file":                  {map[string][]byte{"a.txt": both}, false, 0},
		"too deep":                              {map[string][]byte{"1/2/3/4/a.pem": both}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for name, raw := range c.files {
				path := filepath.Join(folder, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, raw, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			companies, sealed := sortOut(inFolder(folder), noon())
			if len(companies) != map[bool]int{true: 1}[c.found] || len(sealed) != c.sealed {
				t.Fatalf("%+v, sealed %v", companies, sealed)
			}
			if c.found && (companies[0].CNPJ != cnpj || !companies[0].HasKey || len(companies[0].Places) != len(c.files)) {
				t.Errorf("%+v", companies[0])
			}
		})
	}
	old, oldKey := issued{Name: "PADARIA SOL LTDA:" + cnpj, Policy: []int{1, 1}, Until: noon().AddDate(0, -4, 0)}.make(t)
	if raw, err := pkcs12.Passwordless.Encode(oldKey, old, nil, ""); err != nil {
		t.Fatal(err)
	} else if companies, _ := sortOut(inPFX(raw, "x"), noon()); len(companies) != 0 {
		t.Errorf("one that expired long ago is told: %+v", companies)
	}
}

// TestStoreOfWindows: certificates as Windows keeps them in files and in its registry.
func TestStoreOfWindows(t *testing.T) {
	made, _ := issued{Name: "PADARIA SOL LTDA:" + cnpj, Policy: []int{3, 1}}.make(t)
	blob := storeBlob(3, []byte("thumbprint"), 2, []byte("provider"), 32, made.Raw)
	f, ok := inBlob(blob, machinePlaceOfTest)
	if !ok || !f.hasKey || f.sha1 != sha1Of(made.Raw) || !slices.Equal(f.der, made.Raw) {
		t.Errorf("%v %v", f.hasKey, ok)
	}
	if f, ok := inBlob(storeBlob(32, made.Raw), ""); !ok || f.hasKey {
		t.Error("one without a key has a key")
	}
	for n := range len(blob) {
		inBlob(blob[:n], "")
		inPFX(blob[:n], "")
	}
	if _, ok := inBlob(blob[:len(blob)-1], ""); ok {
		t.Error("one that is cut off is read")
	}
}

const machinePlaceOfTest = `LocalMachine\My`

func storeBlob(parts ...any) (raw []byte) {
	for i := 0; i < len(parts); i += 2 {
		value := parts[i+1].([]byte)
		raw = binary.LittleEndian.AppendUint32(raw, uint32(parts[i].(int)))
		raw = binary.LittleEndian.AppendUint32(raw, 1)
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(value)))
		raw = append(raw, value...)
	}
	return raw
}

func TestPlacesNameNobody(t *testing.T) {
	for path, want := range map[string]string{
		`C:/ACBr/loja.pfx`:                   `C:/ACBr/loja.pfx`,
		`C:/Users/Maria/Desktop/loja.pfx`:    "pasta de um usuário",
		`/home/maria/loja.pfx`:               "pasta de um usuário",
		`C:/Certificados/` + cpf + `.pfx`:    `C:/Certificados/*.pfx`,
		`/etc/certificados/` + cnpj + `.p12`: `/etc/certificados/*.p12`,
	} {
		if got := placeOf(path); got != want {
			t.Errorf("%s became %s", path, got)
		}
	}
}

func TestNewest(t *testing.T) {
	all := []Certificate{{SHA256: "old"}, {SHA256: "new"}, {SHA256: "branch"}, {SHA256: "other"}}
	for i, c := range []string{cnpj, cnpj, "11222333000262", "11444777000161"} {
		all[i].CNPJ, all[i].Until = c, []int64{1, 3, 2, 1}[i]
	}
	newest := Newest(all)
	if len(newest) != 2 || newest[0].SHA256 != "new" || newest[1].SHA256 != "other" {
		t.Errorf("%+v", newest)
	}
}
