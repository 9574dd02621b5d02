package monitor

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"zelo/agent/wire"
)

// Certificate is a company's certificate that programs of this computer can sign with.
type Certificate struct {
	SHA256 string // of its DER, hexadecimal
	wire.Certificate
}

// found is a certificate, or a sign of one, somewhere on the computer.
type found struct {
	der    []byte // nil: only sha1 is known
	sha1   string // of the DER
	place  string
	hasKey bool
	sealed bool // of a file that hides it behind its password
}

// Bounds of the search.
const (
	fileMost  = 256 << 10 // bytes of a file with certificates
	blobMost  = 64 << 10  // bytes of one in a store of Windows
	filesMost = 500       // files of a folder, or certificates of a store
	depthMost = 3         // folders below one searched
)

// longExpired is after how long nobody waits for a renewal any more.
const longExpired = 90 * 24 * time.Hour

// Certificates are the companies' certificates found last.
func (m *Monitor) Certificates() []Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.certificates)
}

// Newest are of the certificates those that end last of each company.
func Newest(all []Certificate) (newest []Certificate) {
	all = slices.SortedFunc(slices.Values(all), func(a, b Certificate) int { return cmp.Compare(b.Until, a.Until) })
	for _, c := range all {
		if !slices.ContainsFunc(newest, func(n Certificate) bool { return n.CNPJ[:8] == c.CNPJ[:8] }) {
			newest = append(newest, c)
		}
	}
	return newest
}

// findCertificates searches the system's stores and the folders where programs keep
// certificates. Private keys are never opened: whether one is there is read off what
// stands beside it (dossier on certificates, 2).
func (m *Monitor) findCertificates(now time.Time) []Certificate {
	all := inStores()
	for _, folder := range slices.Concat(m.o.Certificates, usualFolders()) {
		all = append(all, inFolder(folder)...)
	}
	companies, sealed := sortOut(all, now)
	for _, path := range sealed {
		m.o.Log.Info("a certificate's file was not read: it is behind its password", "file", path)
	}
	return companies
}

// sortOut brings together what was found, and names the files that keep to themselves
// whose certificate they hold.
func sortOut(all []found, now time.Time) (companies []Certificate, sealed []string) {
	bySHA1 := map[string]*Certificate{}
	for _, f := range all {
		c, ok := company(f.der)
		if f.der == nil || !ok {
			continue
		}
		one := bySHA1[f.sha1]
		if one == nil {
			sum := sha256.Sum256(f.der)
			one = &Certificate{hex.EncodeToString(sum[:]), c}
			bySHA1[f.sha1] = one
		}
		one.meet(f)
	}
	for _, f := range all {
		one := bySHA1[f.sha1]
		switch {
		case f.der == nil && one != nil:
			one.meet(f)
		case f.sealed:
			sealed = append(sealed, f.place)
		}
	}
	for _, c := range bySHA1 {
		if c.HasKey && now.Sub(time.UnixMilli(c.Until)) < longExpired {
			slices.Sort(c.Places)
			companies = append(companies, *c)
		}
	}
	slices.SortFunc(companies, func(a, b Certificate) int { return cmp.Compare(a.SHA256, b.SHA256) })
	return companies, sealed
}

// meet notes one place more where a certificate is.
func (c *Certificate) meet(f found) {
	c.HasKey = c.HasKey || f.hasKey
	if !slices.Contains(c.Places, f.place) {
		c.Places = append(c.Places, f.place)
	}
}

// inFolder finds certificates in the files of a folder.
func inFolder(folder string) (all []found) {
	n := 0
	filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // somebody else's folder
		}
		if d.IsDir() {
			if rel, _ := filepath.Rel(folder, path); strings.Count(rel, string(filepath.Separator)) >= depthMost {
				return fs.SkipDir
			}
			return nil
		}
		if n++; n > filesMost {
			return fs.SkipAll
		}
		all = append(all, inFile(path)...)
		return nil
	})
	return all
}

// inFile finds certificates in a file.
func inFile(path string) (all []found) {
	kind := strings.ToLower(filepath.Ext(path))
	if !slices.Contains([]string{".pfx", ".p12", ".cer", ".crt", ".pem"}, kind) {
		return nil
	}
	raw := readSome(path, fileMost)
	place := placeOf(path)
	switch {
	case raw == nil:
		return nil
	case kind == ".pfx" || kind == ".p12":
		return inPFX(raw, place)
	case !strings.Contains(string(raw), "-----BEGIN"):
		return []found{{der: raw, sha1: sha1Of(raw), place: place}}
	}
	hasKey := strings.Contains(string(raw), "PRIVATE KEY-----")
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			all = append(all, found{der: block.Bytes, sha1: sha1Of(block.Bytes), place: place, hasKey: hasKey})
		}
	}
	return all
}

// placeOf names a file without naming a person: what lies in a user's folder is only
// said to, and what looks like a CPF is left out.
func placeOf(path string) string {
	lower := strings.ToLower(filepath.ToSlash(path))
	if strings.HasPrefix(lower, "/home/") || strings.Contains(lower, ":/users/") || strings.Contains(lower, ":/documents and settings/") {
		return "pasta de um usuário"
	}
	return elevenDigits.ReplaceAllString(path, "*")
}

func sha1Of(der []byte) string {
	sum := sha1.Sum(der)
	return hex.EncodeToString(sum[:])
}

// inBlob reads a certificate as a store of Windows keeps it, in a file or in the
// registry: records of property, 1, length and value, in little endian. Property 32 is
// the certificate, 2 says where its private key is (dossier on certificates, 2.1).
func inBlob(raw []byte, place string) (f found, ok bool) {
	for len(raw) >= 12 {
		property, one, size := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:]), binary.LittleEndian.Uint32(raw[8:])
		raw = raw[12:]
		if one != 1 || uint64(size) > uint64(len(raw)) {
			break
		}
		switch property {
		case 2:
			f.hasKey = true
		case 32:
			f.der, f.sha1, f.place = raw[:size:size], sha1Of(raw[:size]), place
		}
		raw = raw[size:]
	}
	return f, f.der != nil
}

// Parts of a PKCS #12 file (RFC 7292). Only its outer layers are read: no password is
// tried, and no key opened.
type (
	pfx struct {
		Version  int
		AuthSafe content
		Mac      asn1.RawValue `asn1:"optional"`
	}
	content struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	bag struct {
		Type       asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"tag:0,explicit"`
		Attributes []attribute   `asn1:"set,optional"`
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue
	}
	certBag struct {
		Type  asn1.ObjectIdentifier
		Value []byte `asn1:"tag:0,explicit"`
	}
)

const (
	oidData       = "1.2.840.113549.1.7.1"
	oidCertBag    = "1.2.840.113549.1.12.10.1.3"
	oidKeyBag     = "1.2.840.113549.1.12.10.1.1"
	oidSealedKey  = "1.2.840.113549.1.12.10.1.2"
	oidLocalKeyID = "1.2.840.113549.1.9.21"
)

// inPFX finds what a PKCS #12 file shows: its certificates when they are not encrypted,
// else by what is written on the key the SHA-1 of its certificate.
func inPFX(raw []byte, place string) []found {
	hidden := []found{{place: place, hasKey: true, sealed: true}}
	var p pfx
	var inner []byte
	var parts []content
	if _, err := asn1.Unmarshal(raw, &p); err != nil || p.AuthSafe.Type.String() != oidData {
		return hidden
	}
	if _, err := asn1.Unmarshal(p.AuthSafe.Value.Bytes, &inner); err != nil {
		return hidden
	}
	if _, err := asn1.Unmarshal(inner, &parts); err != nil {
		return hidden
	}
	var all []found
	for _, part := range parts {
		var data []byte
		var bags []bag
		if part.Type.String() != oidData {
			continue // encrypted
		}
		if _, err := asn1.Unmarshal(part.Value.Bytes, &data); err != nil {
			return hidden
		}
		if _, err := asn1.Unmarshal(data, &bags); err != nil {
			return hidden
		}
		for _, b := range bags {
			all = append(all, b.shows(place)...)
		}
	}
	if len(all) == 0 {
		return hidden
	}
	return all
}

// shows is what one bag tells.
func (b bag) shows(place string) []found {
	switch b.Type.String() {
	case oidCertBag:
		var c certBag
		if _, err := asn1.Unmarshal(b.Value.Bytes, &c); err == nil {
			return []found{{der: c.Value, sha1: sha1Of(c.Value), place: place}}
		}
	case oidKeyBag, oidSealedKey:
		for _, a := range b.Attributes {
			var id []byte
			if _, err := asn1.Unmarshal(a.Values.Bytes, &id); a.Type.String() == oidLocalKeyID && err == nil {
				return []found{{sha1: hex.EncodeToString(id), place: place, hasKey: true, sealed: true}}
			}
		}
		return []found{{place: place, hasKey: true, sealed: true}}
	}
	return nil
}
