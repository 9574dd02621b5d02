package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// access is where the collector is and what a till needs to enrol there.
type access struct {
	Enrolment string   // host:port
	Broker    string   // host:port
	CA        []byte   // PEM
	Tokens    []string // each for tokenTills tills, in their order
}

const (
	// tokenTills is how many tills one token may enrol (the collector's most).
	tokenTills = 1000
	// addressTills is how many tills enrol from one address: the collector takes 60
	// a minute from each, as from one shop.
	addressTills = 60
	// enrolAtOnce is how many addresses enrol at the same time.
	enrolAtOnce = 4
)

// identity is an enrolled till's.
type identity struct {
	agent string
	tls   *tls.Config
}

// enrol makes the identities of tills from to to-1.
func (a access) enrol(ctx context.Context, from, to int) ([]identity, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.CA) {
		return nil, fmt.Errorf("cannot read the collector's authority")
	}
	ids := make([]identity, to-from)
	groups := make(chan int)
	failed := make(chan error, enrolAtOnce)
	var parts sync.WaitGroup
	for range enrolAtOnce {
		parts.Go(func() {
			for first := range groups {
				last := min(first+addressTills, to)
				if err := a.enrolFrom(ctx, roots, first, ids[first-from:last-from]); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	var err error
	for first := from; first < to && err == nil; first += addressTills {
		select {
		case groups <- first:
		case err = <-failed:
		}
	}
	close(groups)
	parts.Wait()
	if len(failed) > 0 {
		err = <-failed
	}
	return ids, err
}

// enrolFrom enrols tills, the first of which has number first, from an address of
// this machine that is theirs alone.
func (a access) enrolFrom(ctx context.Context, roots *x509.CertPool, first int, ids []identity) error {
	group := first/addressTills + 1
	local := &net.TCPAddr{IP: net.IPv4(127, 1, byte(group>>8), byte(group))}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext:     (&net.Dialer{LocalAddr: local}).DialContext,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots},
	}}
	defer client.CloseIdleConnections()
	for i := range ids {
		secret, _, _ := strings.Cut(a.Tokens[(first+i)/tokenTills], ".")
		id, err := a.enrolOne(ctx, client, secret, fmt.Sprintf("caixa-%06d", first+i))
		if err != nil {
			return fmt.Errorf("cannot enrol till %d: %w", first+i, err)
		}
		id.tls.RootCAs = roots
		ids[i] = id
	}
	return nil
}

// enrolOne is what `zelo-agent enrol` does, with everything kept in memory.
func (a access) enrolOne(ctx context.Context, client *http.Client, secret, host string) (id identity, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return id, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return id, err
	}
	body, err := json.Marshal(map[string]string{"secret": secret, "host": host,
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))})
	if err != nil {
		return id, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+a.Enrolment+"/enrol", bytes.NewReader(body))
	if err != nil {
		return id, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return id, err
	}
	defer resp.Body.Close()
	var reply struct {
		Agent       string `json:"agent"`
		Certificate string `json:"certificate"`
		Error       string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		return id, err
	}
	block, _ := pem.Decode([]byte(reply.Certificate))
	if block == nil {
		return id, fmt.Errorf("the collector refused (%s): %s", resp.Status, reply.Error)
	}
	certificate := tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
	return identity{reply.Agent, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}}}, nil
}
