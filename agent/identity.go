package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// identity is who this agent is to its collector, with all it was told beside.
type identity struct {
	Agent     string `json:"agente"`
	Broker    string `json:"broker"`                // host:port of the MQTT listener
	Fallback  string `json:"alternativo,omitempty"` // wss:// where Broker is not reached; "" is none
	Name      string `json:"nome"`                  // server name in the certificate of both
	Enrolment string `json:"cadastro,omitempty"`    // https:// where it is renewed; "" in those of the first versions
	Terms     string `json:"termos,omitempty"`      // names what it was told; a beat repeats it
	Replaces  string `json:"substitui,omitempty"`   // serial number of the certificate that it was renewed with

	// PEM, all in one file, which is there whole or not at all. The first versions had
	// three files instead.
	Certificate string `json:"certificado,omitempty"`
	Key         string `json:"chave,omitempty"`
	CA          string `json:"autoridades,omitempty"`

	certificate tls.Certificate
	roots       *x509.CertPool
	commandKey  []byte // of the collector that just gave it; nil when it told none
}

// Files below the agent's folder. The agent goes by identityFile; freshFile is a
// renewed one that no connection has been made with yet. It takes the other's place
// then, and pendingFile is the key that it is asked for with.
const (
	identityFolder = "identidade"
	identityFile   = identityFolder + "/agente.json"
	freshFile      = identityFolder + "/nova.json"
	pendingFile    = identityFolder + "/chave-nova.pem"
	asideFile      = identityFolder + "/agente.json.ilegivel" // identityFile, damaged
)

// Files of identities of the first versions.
const (
	certFile = identityFolder + "/agente.crt"
	keyFile  = identityFolder + "/agente.key"
	caFile   = identityFolder + "/coletor-ca.crt"
)

// errNotEnrolled says that this till has no collector yet. It sells all the same.
var errNotEnrolled = errors.New("este caixa ainda não foi ligado a um coletor: use `zelo-agent enrol`")

// errDamaged says that the file of an identity could be read and not understood.
var errDamaged = errors.New("a identidade deste caixa está danificada: ligue-o de novo com `zelo-agent enrol`")

// loadIdentity reads the identity that the agent goes by.
func loadIdentity(folder string) (*identity, error) {
	id, err := readIdentity(folder, identityFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotEnrolled
	}
	return id, err
}

// loadFresh reads a renewed identity that is yet to be tried; nil when there is none
// for the current one: a till that was enrolled meanwhile has another.
func loadFresh(folder string, current *identity) *identity {
	fresh, err := readIdentity(folder, freshFile)
	if err != nil || fresh.Replaces != current.serial() {
		return nil
	}
	return fresh
}

func readIdentity(folder, name string) (*identity, error) {
	raw, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return nil, err
	}
	var id identity
	if err := json.Unmarshal(raw, &id); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", errDamaged, filepath.Join(folder, name), err)
	}
	if id.Key == "" {
		for _, f := range []struct {
			name string
			to   *string
		}{{certFile, &id.Certificate}, {keyFile, &id.Key}, {caFile, &id.CA}} {
			raw, err := os.ReadFile(filepath.Join(folder, f.name))
			if err != nil {
				return nil, fmt.Errorf("identidade incompleta em %s: %v", folder, err) // not fs.ErrNotExist: it is enrolled
			}
			*f.to = string(raw)
		}
	}
	if err := id.parse(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDamaged, filepath.Join(folder, name), err)
	}
	return &id, nil
}

// recoverIdentity keeps a damaged identity aside and returns the renewed one that lay
// beside it, if there is one.
func recoverIdentity(folder string, damage error) (*identity, error) {
	if err := os.Rename(filepath.Join(folder, identityFile), filepath.Join(folder, asideFile)); err != nil {
		return nil, errors.Join(damage, err)
	}
	fresh, err := readIdentity(folder, freshFile)
	if err == nil {
		err = os.Rename(filepath.Join(folder, freshFile), filepath.Join(folder, identityFile))
	}
	if err != nil {
		return nil, damage
	}
	return fresh, nil
}

// parse makes of the texts what connections need.
func (id *identity) parse() (err error) {
	if id.certificate, err = tls.X509KeyPair([]byte(id.Certificate), []byte(id.Key)); err != nil {
		return fmt.Errorf("certificado do agente ilegível: %w", err)
	}
	id.roots = x509.NewCertPool()
	if !id.roots.AppendCertsFromPEM([]byte(id.CA)) || !wire.ValidAgent(id.Agent) {
		return errors.New("identidade incompleta: ligue o caixa de novo com `zelo-agent enrol`")
	}
	return nil
}

// save writes the identity to a file, whole, in the place of what is there.
func (id *identity) save(folder, name string) error {
	raw, err := json.MarshalIndent(id, "", "  ")
	if err == nil {
		err = errors.Join(makeFolder(folder), makePrivateFolder(filepath.Join(folder, identityFolder)))
	}
	if err == nil {
		err = buffer.WriteFile(filepath.Join(folder, name), raw)
	}
	if err != nil {
		return fmt.Errorf("não foi possível gravar a identidade do agente: %w", err)
	}
	return nil
}

// serial names the certificate.
func (id *identity) serial() string { return id.certificate.Leaf.SerialNumber.Text(16) }

// tls is the mutual TLS towards the collector.
func (id *identity) tls(now func() time.Time) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: id.roots, ServerName: id.Name,
		Certificates: []tls.Certificate{id.certificate}, Time: now}
}

// renewAt is when the identity shall be renewed: after two thirds of its certificate's
// life and up to a twelfth more, which the certificate itself decides, so that tills
// that were enrolled together do not come together.
func (id *identity) renewAt() time.Time {
	c := id.certificate.Leaf
	life := c.NotAfter.Sub(c.NotBefore)
	last := c.SerialNumber.Bytes()
	return c.NotBefore.Add(life*2/3 + life/12*time.Duration(last[len(last)-1])/256)
}

// pendingKey is the key that the next identity is asked for with. It is kept before
// it is used: who has to ask twice asks for the same.
func pendingKey(folder string) (*ecdsa.PrivateKey, string, error) {
	path := filepath.Join(folder, pendingFile)
	if text, err := os.ReadFile(path); err == nil {
		if block, _ := pem.Decode(text); block != nil {
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if ec, ok := key.(*ecdsa.PrivateKey); err == nil && ok {
				return ec, string(text), nil
			}
		}
	}
	key, text, err := newKey()
	if err == nil {
		err = buffer.WriteFile(path, []byte(text))
	}
	return key, text, err
}

// newKey makes a key and its PEM text.
func newKey() (*ecdsa.PrivateKey, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
}

// dropUsedKey removes a pending key that an identity was made of: the next one gets
// its own.
func dropUsedKey(folder string, ids ...*identity) {
	text, err := os.ReadFile(filepath.Join(folder, pendingFile))
	for _, id := range ids {
		if err == nil && id != nil && bytes.Equal(text, []byte(id.Key)) {
			os.Remove(filepath.Join(folder, pendingFile))
		}
	}
}
